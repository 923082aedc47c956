"""What a found loss is compared with: noise over seeds, and the baseline at its best learning rate.

At a fixed learning rate much of a loss's gain can be a larger effective step, so a comparison is fair only beside a
baseline whose rate was tuned as well.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from glojax import models
from glojax.discovery import scoring, screening
from glojax.executors import local
from glojax.executors.protocol import Executor
from glojax.expressions import programs
from glojax.losses.loss import Loss, LossFunction
from glojax.records.comparisons import BEST_RATE, Comparison, loss_identity, rows_of
from glojax.records.run import Run
from glojax.seeds import named_seed
from glojax.statistics import Summary, detectable, summarize, winner
from glojax.tasks import optimizers
from glojax.tasks.task import Task

RATE_SEEDS = 8
"""Trainings of each loss at each rate among which its best rate is chosen, at least."""

FULL_LENGTH = 10
"""Times as many steps as the task's that a full training has."""

FULL_RATE_SEEDS = 4
"""Trainings of each loss at each rate among which a full training's is chosen."""

FULL_RATES = 8
"""How many rates are tried for a full training at most."""


class NoiseFloor(NamedTuple):
    """How far the scores of one loss scatter, and so what a difference must exceed."""

    scores: np.ndarray  # [seeds]
    summary: Summary
    detectable: float  # smallest difference of two means that Welch's test finds with the compared seeds


def noise_floor(
    task: Task,
    loss: Loss | None = None,
    seed_count: int = 32,
    *,
    compared_count: int = 8,
    executor: Executor | None = None,
    group: int | None = None,
) -> NoiseFloor:
    """Train one loss over many seeds.

    Args:
      task: what it is trained on.
      loss: defaults to the task's baseline, cross-entropy for classes.
      seed_count: trainings, at least 2.
      compared_count: seeds of each of two losses that ``detectable`` is to tell apart, at least 2.
      executor: what trains. Defaults to this process.
      group: how many candidates are trained together on a device at most. Defaults to as many as fit its memory.

    Returns:
      The scores, their summary, and the smallest detectable difference.

    Raises:
      ValueError: fewer seeds than that.
    """
    for field, value in (("seed_count", seed_count), ("compared_count", compared_count)):
        if value < 2:
            raise ValueError(f"noise_floor: {field} is {value}; at least 2 are needed.")
    chosen = task.problem.baseline if loss is None else loss
    scores = scoring.evaluate(task, [chosen], seed_count, executor=executor, group=group)[0]
    summary = summarize(scores)
    return NoiseFloor(scores, summary, detectable(summary.std, compared_count))


def compare(
    task: Task,
    named: Mapping[str, LossFunction],
    seed_count: int,
    seed: int = 0,
    *,
    rates: dict[str, float] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    executor: Executor | None = None,
    group: int | None = None,
) -> list[Comparison]:
    """Compare losses with the task's baseline, each at the task's learning rate and at its own best one.

    The best rate of each is chosen by ``best_rates`` over as many seeds as the comparison has, at least ``RATE_SEEDS``,
    among the rates at which its gradient is ``scoring.RATES`` times the baseline's, 1, and the rate it was found at.
    The comparison itself uses fresh seeds, the same for every row; ``records.comparisons.best_rows`` says which row
    stands for a loss.

    Args:
      task: what they are trained on, for its own number of steps.
      named: the losses, by the names that the rows show.
      seed_count: trainings of each row.
      seed: all seeds derive from it; none is one that a search or a tuning uses.
      rates: the rates that losses were found at, by name.
      run_dir: where the rows are kept, beside the record of a search. Defaults to memory alone.
      resume: take what ``run_dir`` holds of this very comparison.
      executor: what trains. Defaults to this process.
      group: how many candidates are trained together on a device at most. Defaults to as many as fit its memory.

    Returns:
      The rows: the baseline and the losses at the task's rate, then those whose best rate is another at that.

    Raises:
      ValueError: no seeds, or a run directory that does not fit (``records.run.Run``).
    """
    if seed_count < 1:
        raise ValueError(f"compare: seed_count is {seed_count}; it must be at least 1.")
    if others := [name for name, loss in named.items() if not callable(loss)]:
        raise ValueError(f"compare: {others[0]} is no loss, such as task.loss(...) makes, and no function.")
    scoring.check_losses(task, named.values())
    trains = local.resolve(task, executor, group)
    rows: list[tuple[str, LossFunction]] = [(task.problem.baseline_name, task.problem.baseline), *named.items()]
    found_at = {} if rates is None else rates
    asked = {
        "losses": {name: loss_identity(loss) for name, loss in rows},
        "found_at": found_at,
        "seeds": seed_count,
        "seed": seed,
    }

    def choose_rates() -> dict[str, Any]:
        grids = [
            [*grid, 1.0, found_at.get(name, 1.0)]
            for (name, _), grid in zip(rows, rates_of(task, [loss for _, loss in rows]), strict=True)
        ]
        seeds = [named_seed(seed, "rates", i) for i in range(max(seed_count, RATE_SEEDS))]
        found = best_rates(task, [loss for _, loss in rows], seeds, grids, executor=trains)
        return {"asked": asked, "best": dict(zip(dict(rows), found, strict=True))}

    def is_this(kept: dict[str, Any]) -> bool:
        return kept["asked"] == asked

    with Run(run_dir, "comparison", task, {}, resume) as run:
        best = run.once("rates", choose_rates, is_this)["best"]
        settings = [(name, loss, 1.0) for name, loss in rows]
        settings += [(name + BEST_RATE, loss, best[name]) for name, loss in rows if best[name] != 1.0]
        seeds = [named_seed(seed, "audit", i) for i in range(seed_count)]
        kept = run.once("scores", lambda: {"asked": asked, **audited(task, settings, seeds, trains)}, is_this)
    return rows_of(kept)


def audited(
    task: Task, settings: Sequence[tuple[str, LossFunction, float]], seeds: Sequence[int], executor: Executor
) -> dict[str, Any]:
    """Learning curves of losses at their rates, as the record keeps them."""
    scores = scoring.learning_curves(
        task,
        [loss for _, loss, _ in settings],
        seeds,
        [rate for _, _, rate in settings],
        splits=("validation", "test") if task.test is not None else ("validation",),
        points=min(10, task.steps),
        executor=executor,
    )
    rows = [
        {"name": name, "rate": rate, "scores": score.tolist()}
        for (name, _, rate), score in zip(settings, scores, strict=True)
    ]
    return {"steps": scoring.points_of(task.steps, min(10, task.steps)), "rows": rows}


def compare_in_full(
    task: Task,
    named: Mapping[str, LossFunction],
    rates: Mapping[str, float],
    seed_count: int,
    seed: int = 0,
    *,
    steps: int | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    executor: Executor | None = None,
    group: int | None = None,
) -> list[Comparison]:
    """Compare losses as a user trains: for many steps, with a cosine decay of the rate, scored with the last weights.

    Each loss has its best rate, as ``best_rates`` chooses it, over ``FULL_RATE_SEEDS`` other seeds: of a third of its
    rate, its rate, three times it, and so on until neither end is the best, at most ``FULL_RATES`` rates. The
    comparison itself uses fresh seeds, the same for every row.

    Args:
      task: what they are trained on, in its own number of steps elsewhere.
      named: the losses, by the names that the rows show.
      rates: the best rate of each in shortened trainings, by name.
      seed_count: trainings of each row.
      seed: all seeds derive from it; no other comparison uses them.
      steps: optimizer steps of a training. Defaults to ten times the task's.
      run_dir: where the rows are kept. Defaults to memory alone.
      resume: take what ``run_dir`` holds of this very comparison.
      executor: what trains. Defaults to this process.
      group: how many candidates are trained together on a device at most. Defaults to as many as fit its memory.

    Returns:
      One row for each loss.

    Raises:
      ValueError: what ``compare`` raises.
    """
    scoring.check_losses(task, named.values())
    length = FULL_LENGTH * task.steps if steps is None else steps
    optimizer = optimizers.adapted(task.optimizer, length, schedule="cosine")
    long = dataclasses.replace(task, optimizer=optimizer, steps=length, averaging=0.0)
    asked = {
        "losses": {name: loss_identity(loss) for name, loss in named.items()},
        "rates": dict(rates),
        "most_rates": FULL_RATES,
        "seeds": seed_count,
        "seed": seed,
    }

    def train() -> dict[str, Any]:
        trains = local.resolve(long, executor, group)
        seeds = [named_seed(seed, "full rates", i) for i in range(FULL_RATE_SEEDS)]
        best = _full_rates(long, list(named.values()), [rates[name] for name in named], seeds, trains)
        settings = [(name, loss, rate) for (name, loss), rate in zip(named.items(), best, strict=True)]
        seeds = [named_seed(seed, "full audit", i) for i in range(seed_count)]
        return {"asked": asked, **audited(long, settings, seeds, trains)}

    with Run(run_dir, "full training", task, {"steps": length}, resume) as run:
        return rows_of(run.once("scores", train, lambda kept: kept["asked"] == asked))


def _full_rates(
    task: Task, chosen: Sequence[LossFunction], rates: Sequence[float], seeds: Sequence[int], executor: Executor
) -> list[float]:
    """The best rate of each loss, around the one it has; of equals the first that was tried."""
    tried: list[dict[float, list[float]]] = [{} for _ in chosen]
    wanted = [[rate, rate / 3, rate * 3] for rate in rates]
    while any(wanted):
        pairs = [(place, rate) for place, some in enumerate(wanted) for rate in some]
        at = [chosen[place] for place, _ in pairs], seeds, [rate for _, rate in pairs]
        scores = scoring.score_losses(task, *at, executor=executor)[..., 0]
        for (place, rate), score in zip(pairs, scores.tolist(), strict=True):
            tried[place][rate] = score
        wanted = [_beyond(one) for one in tried]
    return [_best(one) for one in tried]


def _best(tried: Mapping[float, Sequence[float]]) -> float:
    """Of some rates, the one whose scores ``[seeds]`` have the best lower confidence bound."""
    return list(tried)[winner(list(tried.values()))]


def _beyond(tried: Mapping[float, Sequence[float]]) -> list[float]:
    """The next rate to try where the best of those tried is the lowest or the highest."""
    best = _best(tried)
    if len(tried) >= FULL_RATES or min(tried) < best < max(tried):
        return []
    return [best / 3 if best == min(tried) else best * 3]


def rates_of(task: Task, chosen: Sequence[LossFunction]) -> np.ndarray:
    """Learning rates ``[losses, rates]`` at which gradients are as large as the baseline's at ``scoring.RATES``."""
    growth = optimizers.growth(task.optimizer, models.shapes(task.pure_model)[0])
    sizes, probe, kind = np.ones(len(chosen)), screening.probe_of(task), task.problem
    # A function may be for the task's number of classes, such as one with weights of classes.
    of_functions = screening.probe(task.outputs) if kind.has_classes else probe
    for place, loss in enumerate(chosen):
        if not isinstance(loss, Loss):
            sizes[place] = screening.size_of(loss, of_functions, kind)
        elif loss != kind.baseline:
            room = programs.room(programs.instructions_of(loss.tree))
            given = [loss.tree], [loss.coefficients], probe
            sizes[place] = screening.screen(*given, kind=kind, protected=loss.protected, room=room).size[0]
    return np.array(scoring.RATES) / np.where(np.isfinite(sizes), sizes, 1)[:, None] ** growth


def best_rates(
    task: Task,
    chosen: Sequence[LossFunction],
    seeds: Sequence[int],
    rates: Sequence[float] | Sequence[Sequence[float]] = scoring.RATES,
    *,
    executor: Executor | None = None,
    group: int | None = None,
) -> list[float]:
    """The rate of each loss with the best lower confidence bound of validation scores, the first one where two tie.

    The highest mean may be that of a rate at which some trainings diverge; its bound is not (``statistics.standing``).

    Args:
      task: what they are trained on.
      chosen: the losses.
      seeds: of each loss's trainings at each rate. Take as many as a comparison has, and at least ``RATE_SEEDS``: few
        may choose a rate that diverges.
      rates: scales of the task's learning rate, the same for all losses or ``[losses, rates]``.
      executor: what trains. Defaults to this process.
      group: how many candidates are trained together on a device at most. Defaults to as many as fit its memory.

    Returns:
      One rate for each loss.
    """
    grids = np.broadcast_to(np.asarray(rates, float), (len(chosen), np.shape(rates)[-1]))
    at_every_rate = [loss for loss in chosen for _ in range(grids.shape[1])]
    scores = scoring.score_losses(task, at_every_rate, seeds, grids.ravel().tolist(), executor=executor, group=group)
    of_losses = scores[..., 0].reshape(*grids.shape, len(seeds))
    return [float(grid[winner(rows.tolist())]) for grid, rows in zip(grids, of_losses, strict=True)]
