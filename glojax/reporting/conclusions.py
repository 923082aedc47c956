"""What the comparison of a run says, in numbers and in plain sentences."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from glojax import statistics
from glojax.losses.recognition import recognized
from glojax.records.comparisons import BEST_KNOWN, WEIGHTED, Comparison
from glojax.records.summary import RunSummary
from glojax.reporting.numbers import counted, effect, number, p_in_words, signed
from glojax.statistics import Summary

SIGNIFICANT = 0.05
"""The level below which a p-value counts as more than chance."""

_PHASE_NAMES = {"exhaustive": "exhaustive search", "taylor": "search of Taylor polynomials", "tune": "tuning"}


class LossDifference(NamedTuple):
    """How the metric of one loss differs from that of another, over several seeds of each."""

    base: Summary
    other: Summary
    difference: Summary  # other minus base
    p: float  # of the test of the difference, corrected where it is one of several
    effect: float  # Hedges' g, above 0 where the other's metric is larger
    detectable: float  # smallest difference that this many seeds detect with 80% power
    gain: float  # how much better the other is, below 0 where it is worse

    @property
    def is_significant(self) -> bool:
        """Whether the difference is more than chance."""
        return self.p < SIGNIFICANT

    @property
    def is_better(self) -> bool:
        """Whether the other is better, by more than chance."""
        return self.is_significant and self.gain > 0


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


def differences(run: RunSummary) -> dict[str, LossDifference]:
    """How the found loss differs from every other loss of the comparison, each at its best rate, by name.

    All have the same seeds, so differences are paired; p-values are corrected for their number after Holm. Empty where
    the found loss was not compared; losses with a metric that is not finite, or with a single seed, are left out.
    """
    ours = run.found_in_comparison
    if ours is None:
        return {}
    return _paired(run, ours.best, ((loss.name, loss.best) for loss in run.compared if loss is not ours))


def differences_in_full(run: RunSummary) -> dict[str, LossDifference]:
    """The same of full trainings; empty if there are none of the found loss."""
    rows, ours = run.fully_trained, run.found_in_comparison
    if ours is None or ours.name not in rows:
        return {}
    return _paired(run, rows[ours.name], ((name, row) for name, row in rows.items() if name != ours.name))


def _paired(run: RunSummary, ours: Comparison, others: Iterable[tuple[str, Comparison]]) -> dict[str, LossDifference]:
    found: dict[str, LossDifference] = {}
    for name, row in others:
        base, other = final_metrics(run, row), final_metrics(run, ours)
        if len(base) > 1 and np.isfinite(base).all() and np.isfinite(other).all():
            difference = statistics.paired_difference(base, other)
            # Of a single difference, for which the formula for two groups has twice the variance.
            least = statistics.detectable(difference.std / 2**0.5, len(base))
            p = statistics.paired_p(base, other)
            found[name] = _difference(base, other, difference, p, least, run.task.is_error)
    corrected = statistics.holm([one.p for one in found.values()])
    return {name: one._replace(p=p) for (name, one), p in zip(found.items(), corrected, strict=True)}


def difference_of_runs(base: RunSummary, other: RunSummary) -> LossDifference | None:
    """The difference of the losses of two runs, each at its best rate; None if tasks differ or one was not compared.

    Runs have seeds of their own, so that p is of Welch's test.
    """
    ours, theirs = base.found_in_comparison, other.found_in_comparison
    if ours is None or theirs is None or base.task.fingerprint != other.task.fingerprint:
        return None
    first, second = final_metrics(base, ours.best), final_metrics(other, theirs.best)
    if min(len(first), len(second)) < 2 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    least = statistics.detectable(statistics.summarize(first).std, len(first))
    p = statistics.welch(first, second)
    return _difference(first, second, statistics.difference(first, second), p, least, base.task.is_error)


def _difference(
    base: np.ndarray, other: np.ndarray, difference: Summary, p: float, least: float, is_error: bool
) -> LossDifference:
    return LossDifference(
        base=statistics.summarize(base),
        other=statistics.summarize(other),
        difference=difference,
        p=p,
        effect=statistics.effect_size(base, other),
        detectable=least,
        gain=-difference.mean if is_error else difference.mean,
    )


# SENTENCES


def sentences(run: RunSummary) -> list[str]:
    """What a reader should know first, beginning with the verdict; what is missing is said too."""
    if run.found is None:
        return ["Nothing has been trained yet, so there is no loss to show."]
    return [*about_comparison(run), *_about_search(run)]


def detectable_in_words(value: float) -> str:
    """The detectable difference as a sentence."""
    if value == 0:
        return "The difference is the same for every seed"
    return f"This many seeds detect a difference of {number(value)} in four cases out of five"


def best_known_in_words(run: RunSummary) -> str:
    """The best known loss, as part of a sentence."""
    return f"the best known loss ({run.best_known})" if run.best_known else "the best known loss"


def about_comparison(run: RunSummary) -> list[str]:
    """What the comparison over fresh seeds says, beginning with the verdict."""
    ours = run.found_in_comparison
    if not run.compared:
        return ["The loss has not been compared with anything over fresh seeds yet."]
    if ours is None:
        return ["The recorded comparison is of an earlier result, not of this loss."]
    metric, seed_count = f"{judged_split(run)} {run.task.metric}", len(ours.best.validation)
    found = differences(run)
    base = found.get(run.compared[0].name)
    if base is None:
        why = "one seed has no spread" if seed_count < 2 else f"a training failed, so its {run.task.metric} is infinite"
        return [f"Nothing can be said about its {metric}: {why}."]
    constant, nothing_learned = _constant(run)
    count = statistics.mostly_among(final_metrics(run, ours.best), run.task.one_class)
    is_told = seed_count >= statistics.FEWEST_SEEDS
    said = [f"Nothing was learned: o{constant}, and no loss is better."] if nothing_learned else []
    if count:
        said.append(
            f"The loss makes networks that answer one class: in {count} of {seed_count} trainings the {metric} is "
            "exactly that of one class for all examples. That is no gain, whatever it is beside other losses."
        )
    told = _judged(run, found, seed_count, metric) if is_told else _untold(run, found, seed_count, metric)
    said += told[1:] if count else told
    if judged_split(run) == "validation":
        said.append("There is no test set: these are validation scores, which the search has selected by.")
    if "random search" in found and is_told:
        said.append(_beside_random_search(found["random search"]))
    if constant and not nothing_learned:
        said.append(f"O{constant}.")
    if (trees := run.boosted.get(judged_split(run))) is not None:
        said.append(f"Gradient-boosted trees on the same data have {number(trees)}: what this table allows them.")
    return said


def _constant(run: RunSummary) -> tuple[str, bool]:
    """What one prediction for all examples has, and whether no loss is better; "" where that is not known."""
    constant = run.task.constant
    if constant is None:
        return "", False
    means = [float(np.mean(final_metrics(run, loss.best))) for loss in run.compared]
    beaten = min(means) < constant if run.task.is_error else max(means) > constant
    metric = f"{judged_split(run)} {run.task.metric}"
    return f"ne prediction for all examples has a {metric} of {number(constant)}", not beaten


def _judged(run: RunSummary, found: Mapping[str, LossDifference], seed_count: int, metric: str) -> list[str]:
    said = [_verdict(run, found), _measured(run, found[run.compared[0].name], seed_count, metric)]
    if BEST_KNOWN in found:
        said.append(_beside_best_known(run, found[BEST_KNOWN]))
    if WEIGHTED in found:
        said.append(_beside_weighted(found[WEIGHTED]))
    return said + _in_full(run, found)


def _untold(run: RunSummary, found: Mapping[str, LossDifference], seed_count: int, metric: str) -> list[str]:
    """What a comparison over a few seeds can say: means, and nothing of which is better."""
    ours = next(iter(found.values())).other.mean
    names = {BEST_KNOWN: best_known_in_words(run)}
    means = [f"{names.get(name, name)} {number(one.base.mean)}" for name, one in found.items()]
    return [
        f"Too few seeds to say whether the loss is better: {seed_count}, of at least {statistics.FEWEST_SEEDS}.",
        f"Its mean {metric} is {number(ours)}; {', '.join(means)}. Each loss is at its best learning rate.",
    ]


def _verdict(run: RunSummary, found: Mapping[str, LossDifference]) -> str:
    baseline, known = run.task.baseline, found.get(BEST_KNOWN)
    base = found[run.compared[0].name]
    level = f"significant at the 5% level, corrected for {counted(len(found), 'comparison')}"
    if not base.is_significant:
        return f"This comparison cannot tell the loss from {baseline}: their difference may be chance."
    if base.gain <= 0:
        return f"{baseline.capitalize()} is better than the loss: the difference is {level}."
    if known is None or run.best_known == baseline:
        return f"The loss is better than {baseline}: the difference is {level}."
    best = best_known_in_words(run)
    if known.is_better:
        return f"The loss is better than {baseline} and {best}: both differences are {level}."
    lead = f"The loss is better than {baseline}, but does not beat {best}"
    if known.is_significant:
        return f"{lead}, which is better: both differences are {level}."
    return f"{lead}: that difference may be chance."


def _measured(run: RunSummary, found: LossDifference, seed_count: int, metric: str) -> str:
    low, high = signed(found.difference.low), signed(found.difference.high)
    return (
        f"Over {seed_count} fresh seeds its mean {metric} is {number(found.other.mean)}, and that of "
        f"{run.task.baseline} is {number(found.base.mean)}, each at its best learning rate. "
        f"The difference is {signed(found.difference.mean)} "
        f"(95% interval {low} to {high}; {p_in_words(found.p)} of the paired test, Hedges' g {effect(found.effect)}). "
        f"{detectable_in_words(found.detectable)}."
    )


def _beside_best_known(run: RunSummary, found: LossDifference) -> str:
    best = best_known_in_words(run)
    start = f"{best[0].upper()}{best[1:]} reaches {number(found.base.mean)}"
    end = f"({p_in_words(found.p)})"
    if found.is_better:
        return f"{start}; the loss is significantly better {end}."
    if found.is_significant:
        return f"{start}, which is significantly better {end}: no search was needed for that."
    return f"{start}; which of the two is better cannot be told {end}, so the search may have gained nothing over it."


def _beside_weighted(found: LossDifference) -> str:
    start = f"Cross-entropy with balanced class weights reaches {number(found.base.mean)}"
    if not found.is_significant:
        return f"{start}; which of the two is better cannot be told ({p_in_words(found.p)})."
    better = "the loss is" if found.is_better else "it is"
    return f"{start}; {better} significantly better ({p_in_words(found.p)})."


def _in_full(run: RunSummary, short: Mapping[str, LossDifference]) -> list[str]:
    """Whether gains are still there when networks are trained as a user trains them."""
    full, steps = differences_in_full(run), run.full.get("steps", [0])[-1]
    if not full:
        return []
    means = [f"{_named(run, name)} {number(one.base.mean)}" for name, one in full.items()]
    said = [
        f"Trained as a user would, for {steps:,} steps with a cosine decay and scored with the last weights, the loss "
        f"has {number(next(iter(full.values())).other.mean)}, {' and '.join(means)}."
    ]
    said += [_still_there(_named(run, name), short.get(name), one) for name, one in full.items()]
    return [" ".join(said)]


def _named(run: RunSummary, name: str) -> str:
    return "the best known loss" if name == BEST_KNOWN else name


def _still_there(name: str, short: LossDifference | None, full: LossDifference) -> str:
    end = f"({p_in_words(full.p)})"
    if full.is_better:
        return f"There it is better than {name} {end}."
    gained = short is not None and short.is_better
    under = ": its gain is only there under the search's own conditions" if gained else ""
    if full.is_significant:
        return f"There {name} is better {end}{under}."
    return f"There it cannot be told from {name} {end}{under}."


def _beside_random_search(found: LossDifference) -> str:
    start = f"Random search with the same budget reaches {number(found.base.mean)}"
    if found.gain <= 0:
        return f"{start}, which is as good or better ({p_in_words(found.p)}): evolution gained nothing here."
    if found.is_significant:
        return f"{start}; the loss is significantly better ({p_in_words(found.p)})."
    return f"{start}; the lead of the loss may be chance ({p_in_words(found.p)})."


def _about_search(run: RunSummary) -> list[str]:
    assert run.found is not None
    phase, said = run.found.phase, []
    if known := recognized(run.found.loss):
        said.append(f"It is {known}: its gradient is the same up to a factor, however the formula is written.")
    name = _PHASE_NAMES.get(phase.name, phase.name)
    if not phase.is_finished:
        said.append(
            f"The {name} has not finished: this is its fittest loss so far, and the fittest of many is often lucky."
        )
    elif phase.finals:
        fittest = max(record.fitness for record in phase.candidates)
        trainings = max(len(record.scores) for record in phase.finals)
        said.append(
            f"The fittest candidate of the {name} had validation {run.ranking_of(phase)} of {number(fittest)}, which "
            f"is partly luck; the winner of its finals has {number(run.found.fitness)} over {trainings} fresh seeds."
        )
    if "tune" in run.phases and not run.phases["tune"].is_finished and phase.name != "tune":
        said.append("The tuning of its coefficients has not finished.")
    return said
