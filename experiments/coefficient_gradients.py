"""Tuning along derivatives beside CMA-ES, at as many candidate-steps, and what short horizons are worth later.

Shows: for each loss and method the validation score of the tuned loss after the task's steps and after ten times as
many, over fresh seeds, with the paired difference from CMA-ES. A training with n derivatives counts as 1 + n.
Command: python experiments/coefficient_gradients.py [--steps 150] [--tunings 3]
Time: eight minutes on 2 CPU cores beside other work.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import glojax
from glojax import TuneConfig, files, tasks
from glojax.losses.spaces import coefficient_space
from glojax.tasks.ranking import ranked

LOSSES = ("x * log(y) + x * y", "log(y) - x / y", "(1 + (x + y)) * (y + sqrt(y))")
RATES = {LOSSES[0]: 10.0, LOSSES[1]: 3.0, LOSSES[2]: 10.0}
FRESH = range(1000, 1016)
LONGER = 10


def settings(steps: int, coefficients: int, seed: int) -> dict[str, TuneConfig]:
    """Methods of one budget: 90 trainings of CMA-ES, whose generations have 6 vectors."""
    shared: dict[str, Any] = {"seeds": 2, "seed": seed, "finalists": 8}
    made = {"cma-es": TuneConfig(generations=15, population=6, **shared)}
    for share in (1, 3, 10):
        # A training with derivatives costs more, and one of fewer steps less.
        generations = round(90 * share / (4 * (1 + coefficients))) - 1
        made[f"gradient, {'all' if share == 1 else f'1/{share}'} of the steps"] = TuneConfig(
            method="gradient", horizon=steps // share, generations=generations, population=4, sigma=0.5, **shared
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150, help="optimizer steps of a training")
    parser.add_argument("--tunings", type=int, default=3, help="seeds of each method's tuning")
    parser.add_argument("--output", type=Path, default=Path("results"), help="folder for the table")
    options = parser.parse_args()
    glojax.keep_programs()
    task = dataclasses.replace(tasks.noisy_digits(), steps=options.steps)
    rows = []
    for expression in LOSSES:
        space, rate = coefficient_space(glojax.parse(expression)), RATES[expression]
        found: dict[str, list[glojax.Loss]] = {"untuned": [glojax.Loss(glojax.parse(expression))]}
        costs: dict[str, tuple[float, float]] = {"untuned": (0.0, 0.0)}
        for seed in range(options.tunings):
            for name, config in settings(options.steps, len(space.start), seed).items():
                started = time.perf_counter()
                tuned = glojax.tune(task, expression, dataclasses.replace(config, rate=rate))
                found.setdefault(name, []).append(tuned.loss)
                costs[name] = (tuned.steps, time.perf_counter() - started)  # the last has nothing to compile
        losses = [loss for each in found.values() for loss in each]
        scores = [
            glojax.evaluate(ranked(task), losses, FRESH, rates=[rate] * len(losses), steps=steps)
            for steps in (options.steps, LONGER * options.steps)
        ]
        places = np.split(np.arange(len(losses)), np.cumsum([len(each) for each in found.values()])[:-1])
        of = {name: [table[place].mean(axis=0) for table in scores] for name, place in zip(found, places, strict=True)}
        for name, tables in of.items():
            row: dict[str, Any] = {"loss": expression, "method": name, "steps": costs[name][0]}
            for when, own, other in zip(("score", "ten times the steps"), tables, of["cma-es"], strict=True):
                apart = own - other
                row[when] = f"{own.mean():.4f} ({apart.mean():+.4f} ± {apart.std(ddof=1) / len(apart) ** 0.5:.4f})"
            print(json.dumps({**row, "seconds": round(costs[name][1], 1)}), flush=True)
            rows.append(row)
    options.output.mkdir(parents=True, exist_ok=True)
    files.write_atomically(options.output / "coefficient_gradients.json", json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
