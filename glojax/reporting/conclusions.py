"""What a run's comparison says, in numbers and in plain sentences."""

from typing import NamedTuple

import numpy as np

from glojax import statistics
from glojax.records.comparisons import Comparison
from glojax.records.summary import Overview
from glojax.reporting.numbers import effect, number, p_value, signed
from glojax.statistics import Summary

SIGNIFICANT = 0.05
"""p-values below it are called more than chance."""


class Against(NamedTuple):
    """Two losses over as many seeds; numbers are the task's metric."""

    base: Summary
    other: Summary
    difference: Summary  # of the other from the base
    p: float  # Welch's
    effect: float  # Hedges' g, above 0 where the other's metric is larger
    detectable: float  # smallest difference that so many seeds tell in 4 cases of 5, at the base's noise
    gain: float  # by how much the other is better, below 0 where it is worse

    @property
    def is_told(self) -> bool:
        """Whether the difference is more than chance."""
        return self.p < SIGNIFICANT


def split(run: Overview) -> str:
    """The part of the data that a comparison is judged by."""
    return "test" if run.entries and len(run.entries[0].own.test) else "validation"


def values(run: Overview, row: Comparison) -> np.ndarray:
    """The metric ``[seeds]`` of that part at the end of training."""
    return run.as_metric(row.test if len(row.test) else row.validation)


def measured(run: Overview) -> tuple[float, float]:
    """That of the found loss and of the usual one, means at each one's best rate; NaN where they were not compared."""
    if run.entry is None:
        return float("nan"), float("nan")
    ours, base = (float(np.mean(values(run, entry.best))) for entry in (run.entry, run.entries[0]))
    return ours, base


def against(run: Overview, base: Comparison, other: Comparison) -> Against | None:
    """Two rows of the comparison; none for one seed, or where a failed training has an infinite error."""
    return _against(values(run, base), values(run, other), run.about.is_error)


def between(first: Overview, second: Overview) -> Against | None:
    """The losses of two runs of one task, each at its best learning rate; none where either was not compared."""
    if first.entry is None or second.entry is None or first.about.fingerprint != second.about.fingerprint:
        return None
    return _against(values(first, first.entry.best), values(second, second.entry.best), first.about.is_error)


def _against(first: np.ndarray, second: np.ndarray, is_error: bool) -> Against | None:
    if min(len(first), len(second)) < 2 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    difference, summary = statistics.difference(first, second), statistics.summarize(first)
    return Against(
        summary, statistics.summarize(second), difference, statistics.welch(first, second),
        statistics.effect_size(first, second), statistics.detectable(summary.std, len(first)),
        -difference.mean if is_error else difference.mean,
    )  # fmt: skip


def sentences(run: Overview) -> list[str]:
    """What a reader should know before anything else, the verdict first; what is missing is said too."""
    if run.found is None:
        return ["Nothing was trained yet, so there is no loss to show."]
    return [*_of_comparison(run), *_of_search(run)]


def _of_comparison(run: Overview) -> list[str]:
    entry = run.entry
    if not run.entries:
        return ["It was not compared with anything over fresh seeds yet."]
    if entry is None:
        return ["The comparison on record is of an earlier result, not of this loss."]
    base, measured = run.entries[0], f"{split(run)} {run.about.metric}"
    seeds = len(entry.best.validation)
    found = against(run, base.best, entry.best)
    if found is None:
        why = "one seed has no spread" if seeds < 2 else f"a training failed, whose {run.about.metric} is infinite"
        return [f"Nothing can be said of its {measured}: {why}."]
    low, high = signed(found.difference.low), signed(found.difference.high)
    said = [
        _judgement(run, found),
        f"Over {seeds} fresh seeds its mean {measured} is {number(found.other.mean)}, and that of "
        f"{run.about.baseline}, each at its best learning rate, {number(found.base.mean)}. "
        f"The difference is {signed(found.difference.mean)} "
        f"(95% interval {low} to {high}; Welch's p is {p_value(found.p)}, Hedges' g {effect(found.effect)}). So many "
        f"seeds tell a difference of {number(found.detectable)} from chance in four cases of five.",
    ]
    if split(run) == "validation":
        said.append("There is no test set: these are validation scores, by which the search has chosen.")
    drawn = next((other for other in run.entries if other.name == "random search"), None)
    if drawn is not None and (random := against(run, drawn.best, entry.best)) is not None:
        said.append(_beside_random(random))
    return said


def _judgement(run: Overview, found: Against) -> str:
    baseline = run.about.baseline
    if not found.is_told:
        return f"As far as this comparison can tell, the loss is as good as {baseline}: their difference may be chance."
    if found.gain > 0:
        return f"The loss is better than {baseline}, by more than chance explains at the 5% level."
    return f"{baseline.capitalize()} is better than the loss, by more than chance explains at the 5% level."


def _beside_random(found: Against) -> str:
    ends = f"Random search of the same budget ends at {number(found.base.mean)}"
    if found.gain <= 0:
        return (
            f"{ends}, which is as good or better (p is {p_value(found.p)}): breeding gained nothing over drawing here."
        )
    if found.is_told:
        return f"{ends}; the loss is ahead of it by more than chance explains (p is {p_value(found.p)})."
    return f"{ends}; that the loss is ahead of it may be chance (p is {p_value(found.p)})."


def _of_search(run: Overview) -> list[str]:
    assert run.found is not None
    phase, said = run.found.phase, []
    names = {"exhaustive": "exhaustive search", "taylor": "search of Taylor polynomials", "tune": "tuning"}
    name = names.get(phase.name, phase.name)
    if not phase.is_ended:
        said.append(
            f"The {name} has not ended: this is its fittest so far, and the fittest of many is often the luckiest."
        )
    elif phase.finals:
        fittest = max(record.fitness for record in phase.candidates)
        trainings = max(len(record.scores) for record in phase.finals)
        said.append(
            f"The fittest that the {name} saw had a validation {run.about.score} of {number(fittest)}, which is partly "
            f"luck; the winner of its finals has {number(run.found.fitness)} over {trainings} fresh seeds."
        )
    if "tune" in run.phases and not run.phases["tune"].is_ended and phase.name != "tune":
        said.append("The tuning of its coefficients has not ended.")
    return said
