"""Searches whose elites try other coefficients, beside searches that do not, of as many candidate-steps.

Shows: for each number of samples the margins on the validation set, over fresh seeds, of what each search finds, and of
what tuning makes of it.
Command: python experiments/coefficient_samples.py [--searches 6] [--budget 150000]
Time: ten minutes on 2 CPU cores beside other work.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

import glojax
from glojax import SearchConfig, TuneConfig, files, tasks
from glojax.losses.spaces import coefficient_space
from glojax.tasks.ranking import ranked

FRESH = range(1000, 1016)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[0, 4], help="samples of each elite")
    parser.add_argument("--searches", type=int, default=6, help="seeds of each")
    parser.add_argument("--budget", type=int, default=150_000, help="candidate-steps of a search")
    parser.add_argument("--steps", type=int, default=150, help="optimizer steps of a training")
    parser.add_argument("--output", type=Path, default=Path("results"), help="folder for the table")
    options = parser.parse_args()
    glojax.keep_programs()
    task = dataclasses.replace(tasks.noisy_digits(), steps=options.steps)
    rows: list[dict[str, Any]] = []
    for seed in range(options.searches):
        for samples in options.samples:
            config = SearchConfig(
                population=20, generations=1000, budget=options.budget, coefficient_samples=samples, seed=seed
            )
            found = glojax.search(task, config)
            space = coefficient_space(found.best, found.loss.coefficients)
            tuned = glojax.tune(task, space, TuneConfig(generations=8, rate=found.rate, seed=seed))
            scores = glojax.evaluate(ranked(task), [found.loss, tuned.loss], FRESH, rates=[found.rate] * 2).mean(axis=1)
            rows.append(
                {
                    "samples": samples,
                    "seed": seed,
                    "loss": str(found.loss),
                    "steps": found.steps,
                    "found": float(scores[0]),
                    "tuned": float(scores[1]),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    for name in ("found", "tuned"):
        table = np.array([[row[name] for row in rows if row["samples"] == samples] for samples in options.samples])
        for samples, values in zip(options.samples, table, strict=True):
            apart = values - table[0]
            error = apart.std(ddof=1) / len(apart) ** 0.5 if len(apart) > 1 else 0.0
            print(f"{name}, {samples} samples: {values.mean():.4f}, {apart.mean():+.4f} ± {error:.4f} of the first")
    options.output.mkdir(parents=True, exist_ok=True)
    files.write_atomically(options.output / "coefficient_samples.json", json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
