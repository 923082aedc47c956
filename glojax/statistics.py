"""Statistics over seeds: intervals, tests, effect sizes and confidence bounds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


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


def detectable(std: float, seeds: int) -> float:
    """Smallest difference of two means that Welch's test finds in 4 cases of 5.

    Args:
      std: of the scores of either loss.
      seeds: of each, at least 2: at 5% significance and a power of 80%, by the normal approximation
        2.8 std sqrt(2 / seeds).
    """
    return float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * std * (2 / seeds) ** 0.5


def lower_bound(scores: np.ndarray) -> np.ndarray:
    """One-sided 95% lower confidence bound of the mean of scores ``[..., seeds]``, by Student's t.

    The mean of many losses that looks best is mostly a lucky one; the best bound is that of a loss that holds.
    """
    count = scores.shape[-1]
    if count < 2:
        return scores.mean(axis=-1)
    return scores.mean(axis=-1) - stats.t.ppf(0.95, count - 1) * scores.std(axis=-1, ddof=1) / count**0.5


def winner(scores: Sequence[tuple[float, ...]]) -> int:
    """Place of the finalist with the best lower confidence bound, among those that were in the second round."""
    most = max(map(len, scores))
    places = [place for place, row in enumerate(scores) if len(row) == most]
    bounds = lower_bound(np.array([scores[place] for place in places]))
    return places[int(bounds.argmax())]
