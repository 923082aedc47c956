"""The strongest baseline that needs no search: the best of the known losses that fit a task's output.

Each is tried with several values of its one coefficient, at the learning rates at which its gradient is as large as the
baseline's at ``scoring.RATES``, and the best are trained again over fresh seeds. Everything is chosen by validation
scores, as a found loss is.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from glojax import tasks
from glojax.discovery import scoring
from glojax.discovery.comparison import rates_of
from glojax.executors import local
from glojax.executors.protocol import Evaluator, Executor
from glojax.expressions import programs
from glojax.expressions.trees import Tree
from glojax.losses.known import KnownLoss, known_losses, weighted_cross_entropy
from glojax.losses.loss import Loss, LossFunction
from glojax.records.comparisons import WEIGHTED
from glojax.records.run import Run
from glojax.seeds import named_seed
from glojax.tasks import class_weights
from glojax.tasks.labels import known_of
from glojax.tasks.task import Task

SEEDS = 4
"""Trainings of every known loss at every rate."""

HALVING = 3
"""One in this many of them goes on at each rung."""

FINALISTS = 8
"""Known losses that are trained again, beside the baseline."""

FINAL_SEEDS = 16
"""Trainings that decide between them."""


class BestKnown(NamedTuple):
    """The best known loss for a task."""

    known: KnownLoss
    rate: float  # scale of the task's learning rate
    tried: list[dict[str, Any]]  # of every known loss: label, rate, scores, their name, and whether "final"


def best_known(
    task: Task,
    seed: int = 0,
    *,
    rank_by: str = "margins",
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    executor: Executor | None = None,
    group: int | None = None,
) -> BestKnown:
    """Find the known loss that trains best on a task, by validation scores.

    Args:
      task: what they are trained on.
      seed: all seeds derive from it.
      rank_by: what they are ranked by, as ``SharedSettings.rank_by``.
      run_dir: where the scores are kept. Defaults to memory alone.
      resume: take what ``run_dir`` holds of this.
      executor: what trains. Defaults to this process.
      group: how many candidates are trained together on a device at most. Defaults to as many as fit its memory.

    Returns:
      The loss, its rate, and what all were worth. The task's baseline is one of them.

    Raises:
      ValueError: what is no task, or a run directory that does not fit (``records.run.Run``).
    """
    tasks.check(task)
    known = candidates(task)
    labels = [one.label for one in known]

    def try_all() -> dict[str, Any]:
        return {
            "labels": labels,
            "seed": seed,
            "tried": _tried(tasks.ranked(task, rank_by), known, seed, local.resolve(task, executor, group)),
        }

    def is_this(kept: dict[str, Any]) -> bool:
        return kept["labels"] == labels and kept["seed"] == seed

    with Run(run_dir, "known losses", task, {"rank_by": rank_by}, resume) as run:
        tried = run.once("scores", try_all, is_this)["tried"]
    finals = [place for place, one in enumerate(tried) if one["final"]]
    best = max(finals, key=lambda place: np.mean(tried[place]["scores"]))
    return BestKnown(known[best], tried[best]["rate"], tried)


def candidates(task: Task) -> list[KnownLoss]:
    """The known losses for a task's output, its baseline first."""
    problem, labels = task.problem, task.flat["train"].labels
    spread = 1.0 if problem.has_classes else _spread(labels[known_of(labels)])
    known = known_losses(problem.output, task.outputs, spread)
    baseline = KnownLoss(problem.baseline_name, "", problem.baseline)
    known += [KnownLoss(name, "balanced", loss) for name, loss in weighted(task).items()]
    return [baseline, *(one for one in known if one.loss != baseline.loss and one.label != baseline.label)]


def weighted(task: Task) -> dict[str, LossFunction]:
    """Cross-entropy with balanced class weights, by its name, as a control where one class is rare; {} elsewhere.

    A class is rare if another has more than ``class_weights.MOST_IMBALANCE`` times its training examples. A task whose
    loss is weighed has no need of it.
    """
    kind, labels = task.problem, task.flat["train"].labels
    if task.loss_weights is not None or class_weights.imbalance(kind, labels) <= class_weights.MOST_IMBALANCE:
        return {}
    balanced = class_weights.balanced(kind, labels, task.outputs)
    return {WEIGHTED: weighted_cross_entropy(kind.output, balanced)}


def _spread(labels: np.ndarray) -> float:
    """The median distance from the median, as large as a normal deviation: outliers do not change it."""
    distance = float(np.median(np.abs(labels - np.median(labels)))) / 0.6745
    return distance or float(np.std(labels)) or 1.0


def _tried(task: Task, known: Sequence[KnownLoss], seed: int, executor: Executor) -> list[dict[str, Any]]:
    jobs = _jobs(task, known, executor)
    grids = dict(enumerate(rates_of(task, [one.loss for one in known])))
    seeds = [named_seed(seed, "known", i) for i in range(SEEDS)]
    first = _measured(jobs, range(len(known)), seeds, grids, HALVING)
    ranked = sorted(range(1, len(known)), key=lambda place: -np.mean(first[place].scores))
    finalists = [0, *ranked[:FINALISTS]]
    seeds = [named_seed(seed, "known finals", i) for i in range(FINAL_SEEDS)]
    last = _measured(jobs, finalists, seeds, {place: [first[place].rate] for place in finalists})
    return [
        {
            "label": one.label,
            "score": task.score_name,
            "rate": first[place].rate,
            "scores": last.get(place, first[place]).scores,
            "final": place in last,
        }
        for place, one in enumerate(known)
    ]


class _Job(NamedTuple):
    """Known losses that train in one program."""

    evaluator: Evaluator
    losses: dict[int, tuple[Tree, Sequence[float]]]  # tree and coefficients of each, by its place among all


class _Scored(NamedTuple):
    rate: float  # the best one
    scores: list[float]  # [seeds]


def _jobs(task: Task, known: Sequence[KnownLoss], executor: Executor) -> list[_Job]:
    trees = {place: one.loss for place, one in enumerate(known) if isinstance(one.loss, Loss)}
    functions = [place for place in range(len(known)) if place not in trees]
    room = programs.room(max(programs.instructions_of(loss.tree) for loss in trees.values()))
    jobs = [
        _Job(
            executor(task, instructions=room), {place: (loss.tree, loss.coefficients) for place, loss in trees.items()}
        )
    ]
    if functions:
        evaluator = executor(task, loss=tuple(known[place].loss for place in functions))
        jobs.append(_Job(evaluator, {place: (Tree("y"), (number,)) for number, place in enumerate(functions)}))
    return jobs


def _measured(
    jobs: Sequence[_Job],
    places: Iterable[int],
    seeds: Sequence[int],
    rates: Mapping[int, Sequence[float]],
    halving: int = 1,
) -> dict[int, _Scored]:
    """What some of the losses give at the best of their rates, by place."""
    found: dict[int, _Scored] = {}
    for evaluator, losses in jobs:
        if chosen := [place for place in places if place in losses]:
            population, coefficients = zip(*(losses[place] for place in chosen), strict=True)
            grid = np.array([rates[place] for place in chosen])
            measured = scoring.measure(evaluator, population, seeds, coefficients, rates=grid, halving=halving)
            rows = zip(chosen, measured.rates.tolist(), measured.scores.tolist(), strict=True)
            found |= {place: _Scored(rate, scores) for place, rate, scores in rows}
    return found
