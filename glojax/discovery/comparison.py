"""What a found loss is held against: noise over seeds, cross-entropy at its best learning rate, random search.

At a fixed learning rate much of a loss's gain can be a larger effective step; a comparison is fair only beside a
cross-entropy whose rate was tuned as well.
"""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from glojax import models
from glojax.discovery import scoring, screening
from glojax.expressions import programs
from glojax.losses.loss import Loss
from glojax.records.comparisons import Comparison, loss_identity, rows_of
from glojax.records.run import Run
from glojax.seeds import named_seed
from glojax.statistics import Summary, detectable, summarize
from glojax.tasks import optimizers
from glojax.tasks.task import Task


class NoiseFloor(NamedTuple):
    """How far scores of one loss scatter, and so what a difference must exceed."""

    scores: np.ndarray  # [seeds]
    summary: Summary
    detectable: float  # smallest difference of two means over the compared seeds that Welch's test finds


def noise_floor(task: Task, loss: Loss | None = None, seeds: int = 32, *, compared: int = 8) -> NoiseFloor:
    """Train one loss over many seeds.

    Args:
      task: what it is trained on.
      loss: the usual one of the task's kind, cross-entropy for classes, if left out.
      seeds: trainings, at least 2.
      compared: seeds of each of two losses that are to be told apart by ``detectable``, at least 2.

    Raises:
      ValueError: fewer seeds than that.
    """
    for field, value in (("seeds", seeds), ("compared", compared)):
        if value < 2:
            raise ValueError(f"noise_floor: {field} is {value}; at least 2 are needed.")
    scores = scoring.evaluate(task, [task.problem.baseline if loss is None else loss], seeds)[0]
    summary = summarize(scores)
    return NoiseFloor(scores, summary, detectable(summary.std, compared))


def compare(
    task: Task,
    named: dict[str, Loss],
    seeds: int,
    seed: int = 0,
    *,
    rates: dict[str, float] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> list[Comparison]:
    """Losses beside the usual one, cross-entropy for classes, each at the task's learning rate and at its best one.

    The best rate of each is chosen by mean validation score over as many seeds as the comparison has, among those at
    which its gradient is ``scoring.RATES`` times that of the usual one, 1, and the one that it was found at; the
    comparison itself uses fresh seeds, the same for every row.

    Args:
      task: what they are trained on, at its own number of steps.
      named: losses by the name that the rows show.
      seeds: trainings a row.
      seed: from which all seeds derive; none is one that a search or tuning uses.
      rates: those that losses were found at.
      run_dir: where the rows are kept, beside the record of a search.
      resume: take what ``run_dir`` holds of this very comparison.

    Raises:
      ValueError: no seeds, or a run directory that does not fit (``run.Run``).
    """
    if seeds < 1:
        raise ValueError(f"compare: seeds is {seeds}; it must be at least 1.")
    rows = [(task.problem.baseline_name, task.problem.baseline), *named.items()]
    found_at = {} if rates is None else rates
    asked = {
        "losses": {name: loss_identity(loss) for name, loss in rows},
        "found_at": found_at, "seeds": seeds, "seed": seed,
    }  # fmt: skip
    with Run(run_dir, "comparison", task, {}, resume) as run:
        kept = run.result("rates")
        if kept is None or kept["asked"] != asked:
            grids = [
                [*grid, 1.0, found_at.get(name, 1.0)] for (name, _), grid in zip(rows, _grids(task, rows), strict=True)
            ]
            tuning_seeds = [named_seed(seed, "rates", i) for i in range(seeds)]
            found = best_rates(task, [loss for _, loss in rows], tuning_seeds, grids)
            kept = {"asked": asked, "best": dict(zip(dict(rows), found, strict=True))}
            run.save_result("rates", kept)
        best = kept["best"]
        settings = [(name, loss, 1.0) for name, loss in rows]
        settings += [(f"{name}, best rate", loss, best[name]) for name, loss in rows if best[name] != 1.0]
        kept = run.result("scores")
        if kept is None or kept["asked"] != asked:
            kept = {"asked": asked, **_audit(task, settings, [named_seed(seed, "audit", i) for i in range(seeds)])}
            run.save_result("scores", kept)
    return rows_of(kept)


def _audit(task: Task, settings: Sequence[tuple[str, Loss, float]], seeds: Sequence[int]) -> dict[str, Any]:
    splits = ("validation", "test") if task.test is not None else ("validation",)
    points = min(10, task.steps)
    rates = [rate for _, _, rate in settings]
    scores = scoring.learning_curves(
        task, [loss for _, loss, _ in settings], seeds, rates, splits=splits, points=points
    )
    rows = [
        {"name": name, "rate": rate, "scores": score.tolist()}
        for (name, _, rate), score in zip(settings, scores, strict=True)
    ]
    return {"steps": scoring.points_of(task.steps, points), "rows": rows}


def _grids(task: Task, rows: Sequence[tuple[str, Loss]]) -> np.ndarray:
    """Learning rates ``[losses, rates]`` at which gradients are as large as the first's at ``scoring.RATES``."""
    growth = optimizers.growth(task.optimizer, models.shapes(task.pure_model)[0])
    sizes, probe = np.ones(len(rows)), screening.probe_of(task)
    for place, (_, loss) in enumerate(rows[1:], start=1):
        room = programs.room(programs.instructions_of(loss.tree))
        screened = screening.screen(
            [loss.tree], [loss.coefficients], probe, kind=task.problem, protected=loss.protected, room=room
        )
        sizes[place] = screened.size[0]
    return np.array(scoring.RATES) / np.where(np.isfinite(sizes), sizes, 1)[:, None] ** growth


def best_rates(
    task: Task,
    chosen: Sequence[Loss],
    seeds: Sequence[int],
    rates: Sequence[float] | Sequence[Sequence[float]] = scoring.RATES,
) -> list[float]:
    """For each loss the rate with the best mean validation score; the first one where two tie.

    Args:
      task: what they are trained on.
      chosen: the losses.
      seeds: of each loss's trainings at each rate. As many as a comparison has: few may choose a rate that diverges.
      rates: scales of the task's learning rate, the same for all losses or ``[losses, rates]``.
    """
    grids = np.broadcast_to(np.asarray(rates, float), (len(chosen), np.shape(rates)[-1]))
    at_every_rate = [loss for loss in chosen for _ in range(grids.shape[1])]
    scores = scoring.score_losses(task, at_every_rate, seeds, grids.ravel().tolist())
    means = scores[..., 0].mean(axis=1).reshape(grids.shape)
    return [float(grid[place]) for grid, place in zip(grids, means.argmax(axis=1), strict=True)]
