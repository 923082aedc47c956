"""What a found loss is held against: noise over seeds, cross-entropy at its best learning rate, random search.

At a fixed learning rate much of a loss's gain can be a larger effective step; a comparison is fair only beside a
cross-entropy whose rate was tuned as well.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from glojax import evaluation, evolution, models, optimizers, programs, screening
from glojax.evolution import Found, Generation, SearchConfig
from glojax.losses import Loss
from glojax.runs import Run
from glojax.seeds import named_seed
from glojax.tasks import Task


class Summary(NamedTuple):
    """Scores over seeds."""

    mean: float
    std: float  # sample standard deviation, 0 for one seed
    low: float  # 95% confidence interval of the mean, by Student's t; NaN for one seed
    high: float


def summarize(scores: np.ndarray) -> Summary:
    """Mean, standard deviation and 95% confidence interval of scores ``[seeds]``."""
    scores = np.asarray(scores, float)
    mean, count = float(scores.mean()), len(scores)
    if count < 2:
        return Summary(mean, 0.0, float("nan"), float("nan"))
    std = float(scores.std(ddof=1))
    half = float(stats.t.ppf(0.975, count - 1)) * std / count**0.5
    return Summary(mean, std, mean - half, mean + half)


def welch(first: np.ndarray, second: np.ndarray) -> float:
    """p-value of Welch's two-tailed t-test between the scores ``[seeds]`` of two losses.

    Where neither varies it is 1 if they are equal and 0 if not.
    """
    groups = [np.asarray(scores, float) for scores in (first, second)]
    # Rounding of the mean must not look like variance.
    deviations = [scores.std(ddof=1) if np.ptp(scores) else 0.0 for scores in groups]
    if not any(deviations):
        return float(groups[0][0] == groups[1][0])
    (a, b), (mean_a, mean_b) = deviations, (scores.mean() for scores in groups)
    found = stats.ttest_ind_from_stats(mean_a, a, len(groups[0]), mean_b, b, len(groups[1]), equal_var=False)
    return float(np.asarray(found)[1])


def difference(first: np.ndarray, second: np.ndarray) -> Summary:
    """How far the second's mean lies above the first's, with Welch's 95% confidence interval.

    Scores are ``[seeds]``. ``std`` is the standard error, and the interval NaN where a side has one seed. It holds 0
    exactly where ``welch`` gives at least 0.05.
    """
    groups = [np.asarray(scores, float) for scores in (first, second)]
    mean = float(groups[1].mean() - groups[0].mean())
    if min(map(len, groups)) < 2:
        return Summary(mean, 0.0, float("nan"), float("nan"))
    parts = [scores.var(ddof=1) / len(scores) if np.ptp(scores) else 0.0 for scores in groups]
    if not any(parts):
        return Summary(mean, 0.0, mean, mean)
    degrees = sum(parts) ** 2 / sum(part**2 / (len(scores) - 1) for part, scores in zip(parts, groups, strict=True))
    error = float(sum(parts) ** 0.5)
    half = float(stats.t.ppf(0.975, degrees)) * error
    return Summary(mean, error, mean - half, mean + half)


def effect_size(first: np.ndarray, second: np.ndarray) -> float:
    """Hedges' g: how far the second's mean lies above the first's, in pooled standard deviations.

    Scores are ``[seeds]``, at least two of each. Source: Hedges 1981, "Distribution theory for Glass's estimator of
    effect size and related estimators", with the correction for small samples to first order. Infinite where means
    differ and neither varies.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    degrees = len(first) + len(second) - 2
    pooled = ((len(first) - 1) * first.var(ddof=1) + (len(second) - 1) * second.var(ddof=1)) / degrees
    difference = second.mean() - first.mean()
    if difference == 0:
        return 0.0
    with np.errstate(divide="ignore"):
        return float(difference / np.sqrt(pooled) * (1 - 3 / (4 * degrees - 1)))


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
    scores = evaluation.evaluate(task, [task.problem.usual if loss is None else loss], seeds)[0]
    summary = summarize(scores)
    return NoiseFloor(scores, summary, detectable(summary.std, compared))


def detectable(std: float, seeds: int) -> float:
    """Smallest difference of two means that Welch's test finds in 4 cases of 5.

    Args:
      std: of the scores of either loss.
      seeds: of each, at least 2: at 5% significance and a power of 80%, by the normal approximation
        2.8 std sqrt(2 / seeds).
    """
    return float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * std * (2 / seeds) ** 0.5


def random_search(
    task: Task,
    config: SearchConfig,
    budget: int,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    on_generation: Callable[[Generation], None] | None = None,
) -> Found:
    """What drawing trees at random finds with the same settings and the same number of optimizer steps.

    Args:
      task: what candidates are trained on.
      config: of the search that it is held against; its seed gives draws of its own.
      budget: ``Found.steps`` of that search. The last generation may exceed it; a hundred times as many generations
        are drawn at most.
      run_dir: where the record is kept, beside that of the search; in memory only if left out.
      resume: go on with what ``run_dir`` holds.
      on_generation: called after each generation.
    """
    drawn = dataclasses.replace(
        config, breeding=False, budget=budget, generations=100 * config.generations,
        seed=named_seed(config.seed, "random search"),
    )  # fmt: skip
    return evolution.search(task, drawn, run_dir, resume=resume, on_generation=on_generation)


class Comparison(NamedTuple):
    """One row of a report: a loss, at a scale of the task's learning rate, over seeds."""

    name: str
    rate: float
    steps: list[int]  # [points], of the scores
    scores: np.ndarray  # float64[seeds, points, splits]: validation and, where the task has one, test

    @property
    def validation(self) -> np.ndarray:
        """Scores ``[seeds]`` at the end of training."""
        return self.scores[:, -1, 0]

    @property
    def test(self) -> np.ndarray:
        """The same of the test set, empty where there is none."""
        return self.scores[:, -1, 1] if self.scores.shape[2] > 1 else np.zeros(0)


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
    which its gradient is ``evaluation.RATES`` times that of the usual one, 1, and the one that it was found at; the
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
      ValueError: no seeds, or a run directory that does not fit (``runs.Run``).
    """
    if seeds < 1:
        raise ValueError(f"compare: seeds is {seeds}; it must be at least 1.")
    rows = [(task.problem.control_name, task.problem.usual), *named.items()]
    found_at = {} if rates is None else rates
    asked = {
        "losses": {name: asked_of(loss) for name, loss in rows},
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
    return comparisons(kept)


def _audit(task: Task, settings: Sequence[tuple[str, Loss, float]], seeds: Sequence[int]) -> dict[str, Any]:
    splits = ("validation", "test") if task.test is not None else ("validation",)
    points = min(10, task.steps)
    rates = [rate for _, _, rate in settings]
    scores = evaluation.learning_curves(
        task, [loss for _, loss, _ in settings], seeds, rates, splits=splits, points=points
    )
    rows = [
        {"name": name, "rate": rate, "scores": score.tolist()}
        for (name, _, rate), score in zip(settings, scores, strict=True)
    ]
    return {"steps": evaluation.points_of(task.steps, points), "rows": rows}


def asked_of(loss: Loss) -> list[Any]:
    """What a comparison keeps of a loss, by which it is known again."""
    return [str(loss.tree), list(loss.coefficients), loss.protected]


def comparisons(kept: dict[str, Any]) -> list[Comparison]:
    """The rows of a comparison as a run keeps them."""
    return [Comparison(row["name"], row["rate"], kept["steps"], np.array(row["scores"])) for row in kept["rows"]]


def _grids(task: Task, rows: Sequence[tuple[str, Loss]]) -> np.ndarray:
    """Learning rates ``[losses, rates]`` at which gradients are as large as the first's at ``evaluation.RATES``."""
    growth = optimizers.growth(task.optimizer, models.shapes(task.pure_model)[0])
    sizes, probe = np.ones(len(rows)), screening.probe_of(task)
    for place, (_, loss) in enumerate(rows[1:], start=1):
        room = programs.room(programs.instructions_of(loss.tree))
        screened = screening.screen(
            [loss.tree], [loss.coefficients], probe, kind=task.problem, protected=loss.protected, room=room
        )
        sizes[place] = screened.size[0]
    return np.array(evaluation.RATES) / np.where(np.isfinite(sizes), sizes, 1)[:, None] ** growth


def best_rates(
    task: Task,
    chosen: Sequence[Loss],
    seeds: Sequence[int],
    rates: Sequence[float] | Sequence[Sequence[float]] = evaluation.RATES,
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
    scores = evaluation.score_losses(task, at_every_rate, seeds, grids.ravel().tolist())
    means = scores[..., 0].mean(axis=1).reshape(grids.shape)
    return [float(grid[place]) for grid, place in zip(grids, means.argmax(axis=1), strict=True)]
