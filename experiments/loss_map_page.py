"""What the loss map says: the tables and the figure of docs/loss-map.md.

Makes: how good the losses are, where the known ones stand, what predicts a loss's worth, and how far one training or an
early score misleads.
Command: python experiments/loss_map_page.py [--map experiments/loss_map.parquet] [--output results]
Time: a minute on 2 CPU cores.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import loss_map
import numpy as np
from loss_map import LossMap, OnTask
from matplotlib.figure import Figure
from scipy import stats

from glojax import files, keep_programs, tasks
from glojax.discovery import best_known, scoring, surrogate
from glojax.expressions import programs
from glojax.expressions.trees import Tree
from glojax.seeds import named_random, named_seed

SHOWN = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
CLASSES = 10
DRAWS = 200


def values_of(on: OnTask) -> np.ndarray:
    """float64[losses], the mean margins of each over all its recorded seeds."""
    return np.nanmean(on.scores.astype(float), axis=1)


# KNOWN LOSSES


class Placed(NamedTuple):
    """A known loss beside the map."""

    label: str
    value: float  # margins, mean of the map's seeds
    place: int  # among all losses of the map
    test: float  # accuracy


def known_losses(name: str, on: OnTask) -> list[Placed]:
    """The known losses and cross-entropy, each at its best rate, over the map's seeds."""
    task = loss_map.TASKS[name]()
    found = best_known.best_known(task)
    seeds = [named_seed(0, "loss map", number) for number in range(on.scores.shape[1])]
    known = best_known.candidates(task)
    rates = [row["rate"] for row in found.tried]
    ranked = tasks.ranked(task)
    margins = scoring.score_losses(ranked, [one.loss for one in known], seeds, rates)[..., 0].mean(axis=1)
    test = scoring.score_losses(task, [one.loss for one in known], seeds, rates, splits=("test",))[..., 0].mean(axis=1)
    values = values_of(on)
    rows = [
        Placed(one.label, float(value), int((values > value).sum()) + 1, float(accuracy))
        for one, value, accuracy in zip(known, margins, test, strict=True)
    ]
    return sorted(rows, key=lambda row: row.place)


# WHAT PREDICTS


def descriptors(trees: Sequence[Tree]) -> dict[str, np.ndarray]:
    """Three numbers of each loss, from its slopes df/dy.

    The pull is what a step moves the logit of the right class by, where the others are equal; it is compared with that
    at a probability of 0.5. The wrong share is the pull away from a wrong class of probability 0.6, over the pull to
    the right one, of 0.3; it is 0.86 for cross-entropy.
    """
    program = programs.encode(trees, None, programs.room(max(map(programs.instructions_of, trees))))
    p = np.array([0.02, 0.5, 0.98], np.float32)
    x = np.array([1, 1, 1, 0, 0, 0, 1, 0, 0], np.float32)
    y = np.concatenate([p, (1 - p) / (CLASSES - 1), [0.3, 0.6, 0.1 / (CLASSES - 2)]]).astype(np.float32)
    _, slopes = jax.vmap(programs.value_and_slope, in_axes=(0, None, None))(program, jnp.asarray(x), jnp.asarray(y))
    slope = np.asarray(slopes, float)
    pull = p * (1 - p) * (slope[:, :3] - slope[:, 3:6])
    with np.errstate(all="ignore"):
        right, wrong, others = slope[:, 6:].T
        mean = 0.3 * right + 0.6 * wrong + 0.1 * others
        return {
            "pull at 0.02, logarithm": np.log(np.maximum(pull[:, 0] / pull[:, 1], 1e-6)),
            "pull at 0.98, logarithm": np.log(np.maximum(pull[:, 2] / pull[:, 1], 1e-6)),
            "wrong share": -0.6 * (wrong - mean) / (0.3 * (right - mean)),
            "nodes": np.array([tree.size for tree in trees], float),
        }


def surrogate_agreement(trees: Sequence[Tree], values: np.ndarray, count: int) -> tuple[float, float]:
    """How a guess from some losses agrees with the truth of the others.

    Returns:
      Spearman's correlation over all, and the share of the best 1% among the 5% that are guessed to be best.
    """
    fitness = loss_map.fitness_of(tasks.digits(), 3)
    acts = fitness.screener.behaviours(trees)
    sound = np.flatnonzero(np.isfinite(acts).all(axis=1))
    found = []
    for number in range(5):
        order = named_random(number, "guesses").permutation(sound)
        known, rest = order[:count], order[count:]
        guess = surrogate.guess(surrogate.fit(acts[known], values[known]), acts[rest])
        best = values[rest] >= np.quantile(values, 0.99)
        first = np.argsort(-guess)[: len(rest) // 20]
        found.append((_spearman(guess, values[rest]), best[first].sum() / best.sum()))
    return tuple(np.mean(found, axis=0))  # type: ignore[return-value]


# WHAT MISLEADS


def misled(on: OnTask, count: int) -> dict[str, float]:
    """What the best of some losses by one training is truly worth, and what it seems."""
    values, random = values_of(on), named_random(0, "misled", count)
    at_best = np.take_along_axis(on.rungs[..., -1], on.best_rates[:, None, None], axis=1)[:, 0]
    lost, promised = [], []
    for _ in range(DRAWS):
        drawn = random.choice(len(values), count, replace=False)
        scores = at_best[drawn, random.integers(at_best.shape[1])]
        winner = drawn[scores.argmax()]
        lost.append(values[drawn].max() - values[winner])
        promised.append(scores.max() - values[winner])
    return {"lost": float(np.mean(lost)), "promised too much": float(np.mean(promised))}


def rungs(on: OnTask) -> list[float]:
    """How the scores at a ninth and a third of the steps agree with the truth among the best losses (Spearman)."""
    best = np.flatnonzero(np.isfinite(on.more[:, 0]))
    early = np.take_along_axis(on.rungs[best], on.best_rates[best, None, None, None], axis=1)[:, 0].mean(axis=1)
    return [_spearman(early[:, rung], values_of(on)[best]) for rung in (0, 1)]


# THE PAGE


def figure_of(found: LossMap, known: dict[str, list[Placed]]) -> Figure:
    """All losses by their worth, and where the best of each known one stands."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    for axes, (name, on) in zip(figure.subplots(1, len(found.on)), found.on.items(), strict=True):
        values = np.sort(values_of(on))[::-1]
        axes.plot(np.arange(1, len(values) + 1), values, color="black")
        best = {row.label.split(",")[0]: row for row in reversed(known[name])}  # of each, the best comes last
        shown = sorted(best.items(), key=lambda one: one[1].place)
        for number, (label, row) in enumerate(shown):
            axes.plot(row.place, row.value, "o", color="C1", markersize=5)
            height = 0.92 - 0.06 * number
            axes.annotate(
                f"{row.place:,}: {label}",
                (row.place, row.value),
                xytext=(0.03, height - 0.3),
                textcoords="axes fraction",
                fontsize=8,
                arrowprops={"arrowstyle": "-", "color": "C1", "linewidth": 0.5},
            )
        lowest = min(row.value for _, row in shown)
        space = values[0] - lowest
        axes.set(xscale="log", ylim=(lowest - 0.5 * space, values[0] + 0.05 * space), title=name.replace("_", " "))
        axes.set(xlabel="place among the losses of depth 3", ylabel="validation margins")
    return figure


def rows_of(name: str, found: LossMap, known: Sequence[Placed]) -> dict[str, Any]:
    """All numbers of one task."""
    on = found.on[name]
    values = values_of(on)
    order = np.argsort(-values)
    good = values > np.quantile(values, 0.5)
    numbers = descriptors(found.trees)
    return {
        "task": name,
        "quantiles": {f"{share:g}": float(np.quantile(values, share)) for share in SHOWN},
        "scatter of one training": float(on.scores[np.isfinite(on.more[:, 0])].std(axis=1, ddof=1).mean()),
        "best": [
            {
                "loss": str(found.trees[place]),
                "margins": float(values[place]),
                "validation": float(on.accuracy[place, 0]),
                "test": float(on.accuracy[place, 1]),
            }
            for place in order[:10]
        ],
        "best rate of the best 1%": np.bincount(on.best_rates[order[: len(order) // 100]], minlength=3).tolist(),
        "known": [row._asdict() for row in known],
        "Spearman, all, and the better half": {
            label: [_spearman(column, values), _spearman(column[good], values[good])]
            for label, column in numbers.items()
        },
        "surrogate": {str(count): surrogate_agreement(found.trees, values, count) for count in (50, 200, 800)},
        "rungs": rungs(on),
        "misled": {str(count): misled(on, count) for count in (10, 100, 1000)},
    }


def _spearman(column: np.ndarray, values: np.ndarray) -> float:
    sound = np.isfinite(column)
    return float(np.asarray(stats.spearmanr(column[sound], values[sound]))[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", type=Path, default=Path(__file__).parent / "loss_map.parquet", help="the loss map")
    parser.add_argument("--output", type=Path, default=Path("results"), help="folder for the numbers and the figure")
    options = parser.parse_args()
    keep_programs()
    found = loss_map.read(options.map)
    known = {name: known_losses(name, on) for name, on in found.on.items()}
    first, second = (values_of(on) for on in found.on.values())
    both = {"funnel": found.funnel, "coverage": found.coverage, "Spearman of the tasks": _spearman(first, second)}
    rows = [both, *(rows_of(name, found, known[name]) for name in found.on)]
    print(json.dumps(rows, indent=1))
    options.output.mkdir(parents=True, exist_ok=True)
    files.write_atomically(options.output / "loss_map_page.json", json.dumps(rows, indent=1) + "\n")
    figure_of(found, known).savefig(options.output / "loss_map.png", dpi=110)


if __name__ == "__main__":
    main()
