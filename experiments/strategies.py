"""Whole searches of equal budget by different strategies, compared over search seeds.

Makes: for each task and strategy the test score of what searches found, each at its best rate, the paired difference
from drawing over search seeds, and the candidate-steps until a search had what drawing ends with; and a figure of all
test scores.
Command: python experiments/strategies.py [--tasks noisy-digits noisy-mnist outliers] [--search-seeds 0 1 2 3 4]
Time: about a minute on 2 CPU cores for a search on noisy digits. Searches that are there already are only read.

The budget of a seed is what its default search takes. A loss's worth in a search is judged anew: the best so far after
each generation is trained over fresh seeds, and so is the result, at the rate it was found at, a third and three times
of it, of which validation chooses.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from search_results import TASKS

from glojax import Loss, SearchConfig, Task, evaluate, files, keep_programs, parse, search
from glojax.discovery import scoring
from glojax.discovery.results import Result
from glojax.seeds import named_seed
from glojax.statistics import holm, paired_difference, paired_p

MANY = 1000  # generations, which a budget ends

STRATEGIES: dict[str, SearchConfig] = {
    "default": SearchConfig(),
    "drawing": SearchConfig(breeding=False, generations=MANY),
    "paper": SearchConfig.paper(generations=MANY),
    "no pools": SearchConfig(pool=0, generations=MANY),
    "coefficient samples": SearchConfig(coefficient_samples=2, generations=MANY),
    "known losses first": SearchConfig(start=("zoo",), generations=MANY),
    "all operators": SearchConfig(operators=("all",), generations=MANY),
    "all operators, drawing": SearchConfig(operators=("all",), breeding=False, generations=MANY),
}

SEEDS = [named_seed(0, "strategies", number) for number in range(16)]


class Found(NamedTuple):
    """What one search ended with, and had on its way."""

    loss: Loss
    rate: float
    total: int  # candidate-steps, without finals
    steps: list[int]  # those until each of ``best``
    best: list[tuple[Loss, float]]  # each that was the fittest so far, with its rate


def found_by(task: Task, name: str, seed: int, budget: int | None, run_dir: Path) -> Found:
    """One search, read from its record where that is complete."""
    config = dataclasses.replace(STRATEGIES[name], seed=seed, budget=budget)
    result = search(task, config, run_dir, resume=(run_dir / "settings.json").exists())
    return Found(result.loss, result.rate, *_way(task, result))


def _way(task: Task, result: Result) -> tuple[int, list[int], list[tuple[Loss, float]]]:
    total, highest, steps, best = 0, -np.inf, list[int](), list[tuple[Loss, float]]()
    for records in result.record:
        total += sum(record.steps for record in records)
        fittest = max(records, key=lambda record: record.fitness)
        if fittest.fitness > highest and parse(fittest.expression).has_x_and_y:
            highest, last = fittest.fitness, (task.loss(fittest.expression), fittest.rate)
            steps.append(total)
            best.append(last)
    return total, steps, best


def judged(task: Task, found: Sequence[Found]) -> list[dict[str, Any]]:
    """The test score of each result at its best rate, and how good what it had on its way was by validation."""
    pairs = [(one.loss, one.rate * factor) for one in found for factor in (1 / 3, 1, 3)]
    scores = scoring.score_losses(
        task, [loss for loss, _ in pairs], SEEDS, [rate for _, rate in pairs], splits=("validation", "test")
    ).mean(axis=1)
    ways = sorted({pair for one in found for pair in one.best} | {(one.loss, one.rate) for one in found}, key=str)
    worth = evaluate(task, [loss for loss, _ in ways], SEEDS[:8], rates=[rate for _, rate in ways]).mean(axis=1)
    worths = dict(zip(ways, worth.tolist(), strict=True))
    rows = []
    for one, (validation, test) in zip(found, scores.reshape(len(found), 3, 2).transpose(0, 2, 1), strict=True):
        on_its_way = [[steps, worths[pair]] for steps, pair in zip(one.steps, one.best, strict=True)]
        end = worths[one.loss, one.rate]
        rows.append({"loss": str(one.loss), "test": float(test[validation.argmax()]), "way": on_its_way, "end": end})
    return rows


def steps_to(row: dict[str, Any], worth: float) -> float:
    """Candidate-steps until a search had a loss of at least this worth; infinite if it never had."""
    return next((float(steps) for steps, has in row["way"] if has >= worth), np.inf)


def table(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each task and strategy, against drawing."""
    made = []
    for task in dict.fromkeys(row["task"] for row in rows):
        of_task = [row for row in rows if row["task"] == task]
        by_name = {
            name: {row["seed"]: row for row in of_task if row["strategy"] == name}
            for name in dict.fromkeys(row["strategy"] for row in of_task)
        }
        drawing = by_name["drawing"]
        others = [name for name in by_name if name != "drawing" and len(by_name[name]) > 1]
        pairs = {name: _paired(drawing, by_name[name]) for name in others}
        p_values = dict(zip(others, holm([paired_p(*pairs[name]) for name in others]), strict=True))
        for name, found in by_name.items():
            test = np.array([row["test"] for row in found.values()])
            row = {"task": task, "strategy": name, "searches": len(test), "test": float(test.mean())}
            row["std"] = float(test.std(ddof=1)) if len(test) > 1 else 0.0
            if name in pairs:
                apart = paired_difference(*pairs[name])
                row |= {"beyond drawing": apart.mean, "low": apart.low, "high": apart.high, "p": p_values[name]}
            shares = [
                steps_to(one, drawing[seed]["end"]) / drawing[seed]["steps"]
                for seed, one in found.items()
                if seed in drawing
            ]
            share = float(np.median(shares))
            made.append(row | {"steps to what drawing ends with": share if np.isfinite(share) else "never"})
    return made


def figure_of(rows: Sequence[dict[str, Any]]) -> Figure:
    """The test score of every search, and the mean of every strategy, a panel for each task."""
    names = list(dict.fromkeys(row["task"] for row in rows))
    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    figure = Figure(figsize=(4.2 * len(names), 1 + 0.45 * len(strategies)), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        for place, strategy in enumerate(reversed(strategies)):
            found = [row["test"] for row in rows if (row["task"], row["strategy"]) == (name, strategy)]
            axes.plot(found, [place] * len(found), "o", color="0.5", markersize=4)
            axes.plot([np.mean(found)] if found else [], [place] if found else [], "D", color="C0", markersize=7)
        axes.set(title=name, xlabel="test score of what was found", ylim=(-0.5, len(strategies) - 0.5))
        axes.set_yticks(range(len(strategies)), reversed(strategies))
        axes.grid(axis="x", alpha=0.3)
    return figure


def _paired(first: dict[int, dict[str, Any]], second: dict[int, dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    seeds = sorted(first.keys() & second.keys())
    return tuple(np.array([rows[seed]["test"] for seed in seeds]) for rows in (first, second))  # type: ignore[return-value]


def searched(task: Task, seed: int, names: Sequence[str], steps: dict[str, int], folder: Path) -> list[dict[str, Any]]:
    """The rows of searches with one seed.

    Args:
      task: the task.
      seed: of each search.
      names: the strategies.
      steps: what the searches took that are known already; that of the default is the budget of all others.
      folder: for the runs, named by strategy and seed.
    """
    budget, found = steps.get("default"), list[Found]()
    for name in names:
        run_dir = folder / f"{name.replace(' ', '-').replace(',', '')}-{seed}"
        found.append(found_by(task, name, seed, None if name == "default" else budget, run_dir))
        budget = budget or found[0].total
    return [
        {"task": folder.name, "seed": seed, "strategy": name, "steps": one.total, **row}
        for name, one, row in zip(names, found, judged(task, found), strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["noisy-digits"])
    parser.add_argument("--search-seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=["default", "drawing", "paper"])
    parser.add_argument("--generations", type=int, help="of a default search; 20 if not given")
    parser.add_argument("--steps", type=int, help="of each training; the task's if not given")
    parser.add_argument("--data-dir", type=Path, help="folder of the images, as for glojax.data.mnist")
    parser.add_argument("--output", type=Path, default=Path("results/strategies"), help="folder for the runs")
    options = parser.parse_args()
    keep_programs()
    options.output.mkdir(parents=True, exist_ok=True)
    kept = options.output / "strategies.json"
    rows: list[dict[str, Any]] = json.loads(kept.read_text())["searches"] if kept.exists() else []
    if options.generations is not None:
        STRATEGIES["default"] = dataclasses.replace(STRATEGIES["default"], generations=options.generations)
    for name in options.tasks:
        task = TASKS[name](options.data_dir)
        task = task if options.steps is None else dataclasses.replace(task, steps=options.steps)
        for seed in options.search_seeds:
            steps = {row["strategy"]: row["steps"] for row in rows if (row["task"], row["seed"]) == (name, seed)}
            wanted = [one for one in dict.fromkeys(("default", "drawing", *options.strategies)) if one not in steps]
            for row in searched(task, seed, wanted, steps, options.output / name) if wanted else []:
                rows.append(row)
                print(json.dumps({key: value for key, value in row.items() if key != "way"}), flush=True)
            files.write_atomically(kept, json.dumps({"searches": rows, "table": table(rows)}) + "\n")
    for row in table(rows):
        print(json.dumps(row))
    figure_of(rows).savefig(options.output / "strategies.png", dpi=110)


if __name__ == "__main__":
    main()
