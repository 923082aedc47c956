"""Which aggregate finds the better loss for two tasks, by look-up in the loss map (docs/loss-map.md).

Makes: for each aggregate of ``discovery.aggregates``, what the loss that it chooses lacks to the best of the map, on
digits and on noisy digits, in units of the noise of one training; mean and standard error of many choices.
Command: python experiments/aggregates.py [--map experiments/loss_map.parquet] [--repeats 300]
Time: half a minute on a CPU core.

A choice is as a search makes it: of ``--tried`` losses, drawn at random, each with as many trainings as ``--seeds``
says on both tasks, the 24 fittest meet in finals over the other recorded trainings of the map, and the fittest of those
is chosen. The true value of a loss is its mean over all its recorded seeds.
"""

import argparse
import json
from pathlib import Path

import loss_map
import numpy as np

from glojax.discovery import aggregates
from glojax.discovery.results import Baseline
from glojax.seeds import named_random

FINALISTS = 24


def choose(name: str, found: loss_map.LossMap, tried: np.ndarray, seeds: np.ndarray) -> int:
    """The place in the map of the loss that an aggregate chooses."""
    shown, rested = [], []
    for on in found.on.values():
        scores = on.scores[tried].astype(float)
        first = scores[:, seeds].mean(axis=1)
        baseline = Baseline(1.0, tuple(on.baseline.tolist()), 0)
        worth = aggregates.gains(baseline) if name != "ranks" else aggregates.ranks(first.tolist())
        shown.append(worth(first))
        rested.append(worth(np.nanmean(np.delete(scores, seeds, axis=1), axis=1)))
    finalists = np.argsort(-aggregates.together(shown))[:FINALISTS]
    return int(tried[finalists[np.argmax(aggregates.together(rested)[finalists])]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", type=Path, default=Path(__file__).parent / "loss_map.parquet", help="the loss map")
    parser.add_argument("--repeats", type=int, default=300, help="choices of each aggregate")
    parser.add_argument("--tried", type=int, default=1500, help="losses among which one is chosen")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each on each task at first, 1 to 3")
    options = parser.parse_args()
    found = loss_map.read(options.map)
    values = {name: np.nanmean(on.scores.astype(float), axis=1) for name, on in found.on.items()}
    noise = {name: float(np.std(on.baseline, ddof=1)) for name, on in found.on.items()}
    print(json.dumps({"noise": noise}))
    for name in aggregates.AGGREGATES:
        chosen = []
        for repeat in range(options.repeats):
            random = named_random(repeat, "aggregates")
            tried = random.choice(len(found.trees), options.tried, replace=False)
            chosen.append(choose(name, found, tried, random.choice(loss_map.SEEDS, options.seeds, replace=False)))
        lacks = {task: (values[task].max() - values[task][chosen]) / noise[task] for task in values}
        lacks["mean"] = np.mean(list(lacks.values()), axis=0)
        lacks["worse"] = np.max([lacks[task] for task in values], axis=0)
        row = {task: f"{lack.mean():.3f} ± {lack.std(ddof=1) / len(lack) ** 0.5:.3f}" for task, lack in lacks.items()}
        print(json.dumps({"aggregate": name, **row}), flush=True)


if __name__ == "__main__":
    main()
