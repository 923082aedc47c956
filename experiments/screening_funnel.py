"""The search space before any training: how many trees pass each stage of screening, and how fast.

Makes: a table of all trees of depth at most 2, and of 20,000 random trees of depth at most 2 and 3, as the paper draws
them and with x and y put in; for each the number of distinct gradients and the trees screened a second.
Command: python experiments/screening_funnel.py [--json FILE]
Time: about half a minute on 2 CPU cores.
"""

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from glojax import files, keep_programs
from glojax.discovery import screening
from glojax.discovery.genetics import initial_population
from glojax.expressions import parsing, trees
from glojax.expressions.trees import Tree

DRAWS = 20_000


def row(name: str, population: Sequence[Tree]) -> dict[str, Any]:
    """The funnel of some trees: how many pass each stage."""
    started = time.perf_counter()
    found = screening.screen(population, room=31)
    seconds = time.perf_counter() - started
    distinct = [len(np.unique(part[found.guided], axis=0)) for part in (found.fingerprint, found.direction)]
    return {
        "trees": name, "drawn": len(population), "valid": int(found.both.sum()), "finite": int(found.finite.sum()),
        "guided": int(found.guided.sum()), "gradients": distinct[0], "directions": distinct[1],
        "trainable gradients": len(np.unique(found.fingerprint[found.trainable], axis=0)),
        "trainable directions": len(np.unique(found.direction[found.trainable], axis=0)),
        "trees a second": round(len(population) / seconds),
    }  # fmt: skip


def main() -> None:
    """Screen, and print a row for each set of trees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    options = parser.parse_args()
    keep_programs()
    screening.screen([parsing.parse("x * log(y)")], room=31)  # compiles both stages
    rows = [row("all, depth 2", list(trees.enumerate_trees(2)))]
    for depth in (2, 3):
        for both in (False, True):
            drawn = initial_population(
                np.random.default_rng(depth), DRAWS, max_depth=depth, max_nodes=32, both_variables=both
            )
            rows.append(row(f"random, depth {depth}" + ", x and y put in" * both, drawn))
    print("| " + " | ".join(rows[0]) + " |", "|" + " --- |" * len(rows[0]), sep="\n")
    for found in rows:
        print("| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else cell for cell in found.values()) + " |")
    if options.json:
        files.write_atomically(options.json, json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
