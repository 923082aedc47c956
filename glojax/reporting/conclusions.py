"""What the comparison of a run says, in numbers and in plain sentences."""

from typing import NamedTuple

import numpy as np

from glojax import statistics
from glojax.records.comparisons import Comparison
from glojax.records.summary import RunSummary
from glojax.reporting.numbers import effect, number, p_value, signed
from glojax.statistics import Summary

SIGNIFICANT = 0.05
"""The level below which a p-value counts as more than chance."""

_PHASE_NAMES = {"exhaustive": "exhaustive search", "taylor": "search of Taylor polynomials", "tune": "tuning"}


class LossDifference(NamedTuple):
    """How the metric of one loss differs from that of another, over several seeds of each."""

    base: Summary
    other: Summary
    difference: Summary  # other minus base
    p: float  # of Welch's test
    effect: float  # Hedges' g, above 0 where the other's metric is larger
    detectable: float  # smallest difference that this many seeds detect with 80% power, at the base's noise
    gain: float  # how much better the other is, below 0 where it is worse

    @property
    def is_significant(self) -> bool:
        """Whether the difference is more than chance."""
        return self.p < SIGNIFICANT


def judged_split(run: RunSummary) -> str:
    """The split by which losses are judged: ``"test"`` or, without a test set, ``"validation"``."""
    return "test" if run.compared and len(run.compared[0].own.test) else "validation"


def final_metrics(run: RunSummary, row: Comparison) -> np.ndarray:
    """The metric ``[seeds]`` on that split at the end of training."""
    return run.as_metric(row.test if len(row.test) else row.validation)


class MeanMetrics(NamedTuple):
    """Means over seeds of the metric on the judged split, each loss at its best rate; NaN without a comparison."""

    found: float
    baseline: float


def mean_metrics(run: RunSummary) -> MeanMetrics:
    """The metric of the found loss and of the baseline."""
    if run.found_in_comparison is None:
        return MeanMetrics(float("nan"), float("nan"))
    losses = run.found_in_comparison, run.compared[0]
    return MeanMetrics(*(float(np.mean(final_metrics(run, loss.best))) for loss in losses))


def difference_from(run: RunSummary, base: Comparison, other: Comparison) -> LossDifference | None:
    """The difference of two rows of the comparison; None for a single seed, or where the metric is not finite."""
    return _difference(final_metrics(run, base), final_metrics(run, other), run.task.is_error)


def difference_of_runs(base: RunSummary, other: RunSummary) -> LossDifference | None:
    """The difference of the losses of two runs, each at its best rate; None if tasks differ or one was not compared."""
    first, second = base.found_in_comparison, other.found_in_comparison
    if first is None or second is None or base.task.fingerprint != other.task.fingerprint:
        return None
    return _difference(final_metrics(base, first.best), final_metrics(other, second.best), base.task.is_error)


def _difference(base: np.ndarray, other: np.ndarray, is_error: bool) -> LossDifference | None:
    if min(len(base), len(other)) < 2 or not (np.isfinite(base).all() and np.isfinite(other).all()):
        return None
    difference, summary = statistics.difference(base, other), statistics.summarize(base)
    return LossDifference(
        base=summary,
        other=statistics.summarize(other),
        difference=difference,
        p=statistics.welch(base, other),
        effect=statistics.effect_size(base, other),
        detectable=statistics.detectable(summary.std, len(base)),
        gain=-difference.mean if is_error else difference.mean,
    )


# SENTENCES


def sentences(run: RunSummary) -> list[str]:
    """What a reader should know first, beginning with the verdict; what is missing is said too."""
    if run.found is None:
        return ["Nothing has been trained yet, so there is no loss to show."]
    return [*_about_comparison(run), *_about_search(run)]


def detectable_in_words(value: float) -> str:
    """The detectable difference as a sentence."""
    return f"This many seeds detect a difference of {number(value)} in four cases out of five"


def _about_comparison(run: RunSummary) -> list[str]:
    ours = run.found_in_comparison
    if not run.compared:
        return ["The loss has not been compared with anything over fresh seeds yet."]
    if ours is None:
        return ["The recorded comparison is of an earlier result, not of this loss."]
    base, metric = run.compared[0], f"{judged_split(run)} {run.task.metric}"
    seed_count = len(ours.best.validation)
    found = difference_from(run, base.best, ours.best)
    if found is None:
        why = "one seed has no spread" if seed_count < 2 else f"a training failed, so its {run.task.metric} is infinite"
        return [f"Nothing can be said about its {metric}: {why}."]
    said = [_verdict(run, found), _measured(run, found, seed_count, metric)]
    if judged_split(run) == "validation":
        said.append("There is no test set: these are validation scores, which the search has selected by.")
    drawn = next((loss for loss in run.compared if loss.name == "random search"), None)
    if drawn is not None and (random := difference_from(run, drawn.best, ours.best)) is not None:
        said.append(_beside_random_search(random))
    return said


def _verdict(run: RunSummary, found: LossDifference) -> str:
    baseline = run.task.baseline
    if not found.is_significant:
        return f"This comparison cannot tell the loss from {baseline}: their difference may be chance."
    if found.gain > 0:
        return f"The loss is better than {baseline}: the difference is significant at the 5% level."
    return f"{baseline.capitalize()} is better than the loss: the difference is significant at the 5% level."


def _measured(run: RunSummary, found: LossDifference, seed_count: int, metric: str) -> str:
    low, high = signed(found.difference.low), signed(found.difference.high)
    return (
        f"Over {seed_count} fresh seeds its mean {metric} is {number(found.other.mean)}, and that of "
        f"{run.task.baseline} is {number(found.base.mean)}, each at its best learning rate. "
        f"The difference is {signed(found.difference.mean)} "
        f"(95% interval {low} to {high}; Welch's p is {p_value(found.p)}, Hedges' g {effect(found.effect)}). "
        f"{detectable_in_words(found.detectable)}."
    )


def _beside_random_search(found: LossDifference) -> str:
    start = f"Random search with the same budget reaches {number(found.base.mean)}"
    if found.gain <= 0:
        return f"{start}, which is as good or better (p is {p_value(found.p)}): evolution gained nothing here."
    if found.is_significant:
        return f"{start}; the loss is significantly better (p is {p_value(found.p)})."
    return f"{start}; the lead of the loss may be chance (p is {p_value(found.p)})."


def _about_search(run: RunSummary) -> list[str]:
    assert run.found is not None
    phase, said = run.found.phase, []
    name = _PHASE_NAMES.get(phase.name, phase.name)
    if not phase.is_finished:
        said.append(
            f"The {name} has not finished: this is its fittest loss so far, and the fittest of many is often lucky."
        )
    elif phase.finals:
        fittest = max(record.fitness for record in phase.candidates)
        trainings = max(len(record.scores) for record in phase.finals)
        said.append(
            f"The fittest candidate of the {name} had a validation {run.task.score} of {number(fittest)}, which is "
            f"partly luck; the winner of its finals has {number(run.found.fitness)} over {trainings} fresh seeds."
        )
    if "tune" in run.phases and not run.phases["tune"].is_finished and phase.name != "tune":
        said.append("The tuning of its coefficients has not finished.")
    return said
