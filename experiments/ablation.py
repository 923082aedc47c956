"""Ablation: what each part of the default search is worth, at an equal budget of candidate-steps.

Makes: for each setting, over search seeds, the test accuracy of what it found, at the rate it was found at and at its
best rate, and the candidate-steps until it had what the paper's settings ended with: a fitness as high, and a loss
whose validation accuracy over fresh seeds is as high; the same as figures, with 95% intervals over search seeds.
Command: python experiments/ablation.py [--task mnist --data-dir DIR] [--scale full]
Time: on 2 CPU cores about 50 minutes; on mnist with --steps 150 --budget 200000 as well.

Each search is recorded under the output folder; the same command goes on where it stopped. On mnist a search is given
2,700 training and 2,000 validation images and a network of 32 hidden units, 300 steps of 32.
"""

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import optax
import study
from matplotlib.figure import Figure

from glojax import (
    ExhaustiveConfig,
    Loss,
    SearchConfig,
    Task,
    TaylorConfig,
    exhaust,
    losses,
    models,
    parse,
    search,
    search_taylor,
    statistics,
)
from glojax.discovery import comparison, scoring, screening
from glojax.discovery.results import Result
from glojax.losses.spaces import taylor_space
from glojax.records.candidates import Record
from glojax.reporting import figures
from glojax.seeds import named_seed

AUDITS = 8  # trainings of a loss over seeds that no search uses

PAPER = SearchConfig.paper()
MANY = dataclasses.replace(PAPER, generations=1000)  # the budget ends them
SCREENED = dataclasses.replace(MANY, screening=screening.STAGES, both_variables=True)
HALVED = dataclasses.replace(SCREENED, halving=SearchConfig().halving)
FAIR = dataclasses.replace(HALVED, fair_rates=True)
DEFAULT = SearchConfig(generations=1000)
SETTINGS: dict[str, Any] = {
    "paper": PAPER,
    "+ screening": SCREENED,
    "+ halving": HALVED,
    "+ fair rates": FAIR,
    "+ seeds, elites again, finals: default": DEFAULT,
    "random search": dataclasses.replace(MANY, breeding=False),
    "random search, default": dataclasses.replace(DEFAULT, breeding=False),
    "exhaustive, depth 2": ExhaustiveConfig(),
    "Taylor": TaylorConfig(),
}


class Reached(NamedTuple):
    """How far a search was at some point."""

    steps: int  # of all candidates so far
    fitness: float  # the best so far
    loss: Loss  # that has it
    rate: float


class Searched(NamedTuple):
    """One search."""

    points: list[Reached]
    loss: Loss  # the result
    rate: float
    trained: int  # trees, or vectors


def task_of(options: argparse.Namespace) -> Task:
    """The task of the options; a small one instead of the paper's on MNIST."""
    task = study.task_of(options)
    if options.task != "mnist":
        return task
    splits = {"train": 2700, "validation": 2000}
    parts = {name: tuple(part[:size] for part in task.splits[name]) for name, size in splits.items()}
    return dataclasses.replace(
        task, model=models.MLP((32, 10)), optimizer=optax.sgd(0.01), batch_size=32, name="mnist-reduced", **parts
    )


def searched(task: Task, options: argparse.Namespace, name: str, seed: int) -> Searched:
    """One search with the budget of the options, its finals included."""
    config = dataclasses.replace(SETTINGS[name], seed=seed)
    if config.finalists > 1:
        trainings = config.final_seeds * (config.finalists + 3 * -(-config.finalists // 4))
        budget = options.budget - trainings * task.steps
    else:
        budget = options.budget
    run_dir = options.output / "ablation" / task.name / f"{list(SETTINGS).index(name)}-{seed}"
    resume = (run_dir / "settings.json").exists()
    if isinstance(config, TaylorConfig):
        assert config.population is not None
        generations = max(1, budget // (config.population * config.seeds * task.steps))
        tuned = search_taylor(task, dataclasses.replace(config, generations=generations), run_dir, resume=resume)
        space = taylor_space()
        points = points_of(tuned, lambda record: Loss(space.tree, space.coefficients(np.array(record.coefficients))))
        return Searched(points, tuned.loss, tuned.rate, sum(map(len, tuned.record)))
    config = dataclasses.replace(config, budget=budget)
    if isinstance(config, ExhaustiveConfig):
        ranked = exhaust(task, config, run_dir, resume=resume)
        point = Reached(ranked.steps, ranked.ranking[0].fitness, ranked.loss, ranked.rate)
        return Searched([point], ranked.loss, ranked.rate, len(ranked.ranking))
    found = search(task, config, run_dir, resume=resume)
    return Searched(points_of(found, loss_of), found.loss, found.rate, found.funnel["trained"])


def loss_of(record: Record) -> Loss:
    """The loss of a candidate; cross-entropy where it is none."""
    tree = parse(record.expression)
    return Loss(tree) if tree.has_x_and_y else losses.cross_entropy


def points_of(result: Result, made: Callable[[Record], Loss]) -> list[Reached]:
    """How far a search was after each round."""
    points: list[Reached] = []
    steps = result.baseline.steps if result.baseline else 0
    for records in result.record:
        steps += sum(record.steps for record in records)
        best = max(records, key=lambda record: record.fitness)
        points = add(points, Reached(steps, best.fitness, made(best), best.rate))
    return points


def add(points: list[Reached], point: Reached) -> list[Reached]:
    """The points with one more; its loss is that of the best so far."""
    if points and points[-1].fitness >= point.fitness:
        point = points[-1]._replace(steps=point.steps)
    return [*points, point]


def audited(task: Task, found: Sequence[Searched]) -> list[np.ndarray]:
    """Of each search, the mean accuracies ``[points, (validation, test)]`` of what it had, over fresh seeds."""
    seeds = [named_seed(0, "audit", number) for number in range(AUDITS)]
    pairs = {(point.loss, point.rate) for one in found for point in one.points}
    pairs = sorted(pairs | {(one.loss, one.rate) for one in found}, key=str)
    scores = scoring.score_losses(
        task, [loss for loss, _ in pairs], seeds, [rate for _, rate in pairs], splits=("validation", "test")
    ).mean(axis=1)
    of = dict(zip(pairs, scores, strict=True))
    return [np.array([*(of[point.loss, point.rate] for point in one.points), of[one.loss, one.rate]]) for one in found]


def steps_to(one: Searched, audit: np.ndarray, fitness: float, accuracy: float) -> tuple[float, float]:
    """Steps at which a search has a fitness, and a loss of an audited validation accuracy; infinite if never."""
    steps = np.array([point.steps for point in one.points] + [one.points[-1].steps])
    known = np.array([point.fitness for point in one.points] + [0.0])
    first = [steps[reached][0] if reached.any() else np.inf for reached in (known >= fitness, audit[:, 0] >= accuracy)]
    return float(first[0]), float(first[1])


def at_best_rates(task: Task, ones: Sequence[Searched]) -> tuple[float, np.ndarray]:
    """Test accuracies of cross-entropy and of the results ``[searches]``, each at its best rate by validation."""
    names = [str(number) for number in range(len(ones))]
    losses_by_name = dict(zip(names, (one.loss for one in ones), strict=True))
    rates = dict(zip(names, (one.rate for one in ones), strict=True))
    compared = comparison.compare(task, losses_by_name, AUDITS, rates=rates)
    best = {row.name.removesuffix(", best rate"): row for row in compared}  # which come after those at the task's rate
    return float(best["cross-entropy"].test.mean()), np.array([best[name].test.mean() for name in names])


def main() -> None:
    """Search with every setting and seed, audit what was found, and compare."""
    options = study.options_of(__doc__, "digits", steps=(500, 300), seeds=(10, 5), budget=(4_000_000, 1_250_000))
    task = task_of(options)
    found: dict[str, list[Searched]] = {}
    for name in SETTINGS:
        found[name] = [searched(task, options, name, seed) for seed in range(options.seeds)]
        print(f"{name}: " + "; ".join(f"{one.loss} at x{one.rate:.3g}" for one in found[name]), flush=True)
    flat = audited(task, [one for name in SETTINGS for one in found[name]])
    audits = {name: flat[place * options.seeds :][: options.seeds] for place, name in enumerate(SETTINGS)}
    rows, paper = [], found["paper"]
    for name, ones in found.items():
        baseline, tuned = at_best_rates(task, ones)
        if not rows:
            rows.append({"setting": "cross-entropy", "test, best rate": baseline})
        goals = [(other.points[-1].fitness, audit[-1, 0]) for other, audit in zip(paper, audits["paper"], strict=True)]
        reached = np.array(
            [steps_to(one, audit, *goal) for one, audit, goal in zip(ones, audits[name], goals, strict=True)]
        )
        test, base = (np.array([audit[-1, 1] for audit in audits[which]]) for which in (name, "paper"))
        against = study.against(test if name == "paper" else base, test)
        row = {"setting": name, "test": against.pop("mean")} | against
        row |= {"test, best rate": float(tuned.mean()), "std, best rate": statistics.summarize(tuned).std}
        row |= {"steps to the paper's fitness": float(np.median(reached[:, 0]))}
        row |= {"steps to the paper's audit": float(np.median(reached[:, 1]))}
        row |= {"steps": float(np.mean([one.points[-1].steps for one in ones]))}
        row |= {"trained": float(np.mean([one.trained for one in ones]))}
        row["each"] = {
            "test": test.tolist(),
            "test, best rate": tuned.tolist(),
            "reached": reached.tolist(),
            "losses": [[str(one.loss), one.rate] for one in ones],
        }
        rows.append(row)
    study.keep(options, f"ablation_{task.name}", rows, figure_of(task, options, found, audits, rows))


def figure_of(
    task: Task,
    options: argparse.Namespace,
    found: dict[str, list[Searched]],
    audits: dict[str, list[np.ndarray]],
    rows: list[dict[str, Any]],
) -> Figure:
    """The audited accuracy by steps, and the test accuracy of the results."""
    figure = Figure(figsize=(14, 5.5), layout="constrained")
    curve_axes, end_axes = figure.subplots(1, 2, width_ratios=(3, 2))
    ends = np.array([audit[-1, 0] for ones in audits.values() for audit in ones])
    grid = np.geomspace(min(one.points[0].steps for ones in found.values() for one in ones), options.budget, 60)
    for name, ones in found.items():
        lines = []
        for one, audit in zip(ones, audits[name], strict=True):
            steps = np.array([point.steps for point in one.points])
            places = np.searchsorted(steps, grid, side="right") - 1
            lines.append(np.where(places >= 0, audit[np.maximum(places, 0), 0], np.nan))
        drawn = np.array(lines)
        shown = np.isfinite(drawn).all(axis=0)
        if SETTINGS[name] in (PAPER, DEFAULT):
            figures.band(curve_axes, grid[shown], drawn[:, shown], name, linewidth=2.5)
        else:
            curve_axes.plot(grid[shown], drawn[:, shown].mean(axis=0), label=name, linestyle="--")
    curve_axes.set(
        xscale="log",
        xlabel="candidate-steps",
        ylabel=f"validation accuracy over {AUDITS} fresh seeds",
        ylim=(ends.min() - 0.05, ends.max() + 0.01),
        title=f"{task.name}: the best so far, mean of {options.seeds} searches, with two 95% intervals",
    )
    curve_axes.legend(fontsize=8, loc="upper left")
    for shift, scores, color in ((-0.12, "test", "C0"), (0.12, "test, best rate", "C1")):
        summaries = [statistics.summarize(np.array(row["each"][scores])) for row in rows[1:]]
        means = [summary.mean for summary in summaries]
        half = [summary.high - summary.mean for summary in summaries]
        places = np.arange(len(means)) + shift
        label = "rate as found" if scores == "test" else "best rate"
        end_axes.errorbar(means, places, xerr=half, fmt="o", color=color, label=label)
    end_axes.axvline(rows[0]["test, best rate"], color="gray", linestyle="--", label="cross-entropy, best rate")
    end_axes.set_yticks(range(len(rows) - 1), [row["setting"] for row in rows[1:]])
    end_axes.invert_yaxis()
    end_axes.set(xlabel=f"test accuracy, mean of {options.seeds} searches and its 95% interval")
    end_axes.legend(fontsize=8, loc="lower left")
    return figure


if __name__ == "__main__":
    main()
