"""What dropping hopeless candidates saves: searches on digits with successive halving, and without.

Makes: the candidate-steps of both, and the test accuracy of the losses they find, over several searches.
Command: python experiments/halving.py [--seeds 5] [--generations 20] [--json FILE]
Time: about 5 minutes on 2 CPU cores.

Both breed the same number of candidates, without screening and at the task's learning rate. "To the end" counts the
steps that the search without halving would take if candidates that met NaN trained on as well.
"""

import argparse
import json
from typing import Any

import numpy as np

from glojax import Loss, SearchConfig, evaluate, files, search, statistics, tasks
from glojax.seeds import named_seed
from glojax.tasks.task import Task

AUDITS = 16  # trainings of a found loss, over seeds that no search uses


def row(task: Task, seed: int, halving: int, generations: int) -> dict[str, Any]:
    """Run one search, and return its steps and its found loss."""
    config = SearchConfig(
        generations=generations, seed=seed, halving=halving, screening=(), fair_rates=False, elite_seeds=0,
        max_depth=2, selection="roulette",
    )  # fmt: skip
    found = search(task, config)
    new = sum(fate in ("trained", "dropped") for generation in found.generations for fate in generation.fates)
    audit = [named_seed(seed, "audit", number) for number in range(AUDITS)]
    return {
        "seed": seed, "halving": halving, "loss": str(found.best), "trained trees": new,
        "candidate-steps": int(sum(generation.steps.sum() for generation in found.generations)),
        "to the end": new * (config.seeds or 2) * task.steps,
        "seconds": sum(generation.seconds for generation in found.generations),
        "validation": found.fitness,
        "test": float(evaluate(task, [Loss(found.best)], audit, split="test").mean()),
    }  # fmt: skip


def main() -> None:
    """Search with both settings in turn, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    options = parser.parse_args()
    default = SearchConfig().halving
    task, rows = tasks.digits(), []
    for seed in range(options.seeds):
        for halving in (1, default):
            rows.append(row(task, seed, halving, options.generations))
            print(*(f"{name} {value}" for name, value in rows[-1].items()), sep=", ", flush=True)
    whole, halved = ([found for found in rows if found["halving"] == halving] for halving in (1, default))
    for name, base in (("all to the end", "to the end"), ("all but the dead", "candidate-steps")):
        ratios = [a[base] / b["candidate-steps"] for a, b in zip(whole, halved, strict=True)]
        print(f"candidate-steps of {name} over those with halving: {np.median(ratios):.2f}, at least {min(ratios):.2f}")
    tests = [np.array([found["test"] for found in part]) for part in (whole, halved)]
    for name, scores in zip(("without", "with"), tests, strict=True):
        summary = statistics.summarize(scores)
        print(f"test accuracy {name} halving: {summary.mean:.4f}, 95% interval {summary.low:.4f} to {summary.high:.4f}")
    print(f"Welch's p between them: {statistics.welch(*tests):.2g}")
    if options.json:
        files.write_atomically(options.json, json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
