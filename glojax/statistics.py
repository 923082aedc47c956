"""Statistics of scores over seeds: confidence intervals, Welch's test, effect sizes and the choice of a winner.

The input is always an array of one score per seed, ``[seeds]``; scores of different losses may have different numbers
of seeds. Every function is pure NumPy and SciPy.

    from glojax import statistics  # not the module of the standard library

    baseline, found = np.array([0.91, 0.90, 0.92]), np.array([0.93, 0.94, 0.93])
    statistics.summarize(found).mean      # 0.9333
    statistics.difference(baseline, found).low
    statistics.welch(baseline, found)     # p-value

Below, n is the number of seeds, m the mean, s the sample standard deviation (divisor n - 1), and t(q, d) the quantile q
of Student's distribution with d degrees of freedom.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import special, stats

FEWEST_SEEDS = 5
"""With fewer nothing is said to be better: a few differences of one sign are nothing rare."""


class Summary(NamedTuple):
    """Mean, spread and 95% confidence interval."""

    mean: float
    std: float  # sample standard deviation, 0 for one seed
    low: float  # 95% confidence interval of the mean by Student's t; NaN for one seed
    high: float


def summarize(scores: np.ndarray, bounds: tuple[float, float] = (-np.inf, np.inf)) -> Summary:
    """Mean, standard deviation and 95% confidence interval of the mean, m ± t(0.975, n - 1) s / sqrt(n).

    An interval that would leave the bounds is taken by the delta method on a scale without bounds: of the logit between
    two, of the logarithm of the distance to one.

    Source: Student 1908, "The probable error of a mean", Biometrika 6.

    Args:
      scores: ``[seeds]``, at least one, within the bounds.
      bounds: the smallest and the largest score that is possible. Defaults to none.

    Returns:
      The summary; with one seed ``std`` is 0 and the interval NaN.
    """
    scores = np.asarray(scores, float)
    mean, count = float(scores.mean()), len(scores)
    if count < 2:
        return Summary(mean, 0.0, float("nan"), float("nan"))
    std = float(scores.std(ddof=1))
    half = float(stats.t.ppf(0.975, count - 1)) * std / count**0.5
    return Summary(mean, std, *_within(mean, half, *bounds))


def _within(mean: float, half: float, low: float, high: float) -> tuple[float, float]:
    """The interval ``mean`` ± ``half``, inside bounds."""
    if low <= mean - half and mean + half <= high:
        return mean - half, mean + half
    if not low < mean < high:
        return mean, mean
    if np.isinf(high):
        factor = float(np.exp(half / (mean - low)))
        return low + (mean - low) / factor, low + (mean - low) * factor
    if np.isinf(low):
        factor = float(np.exp(half / (high - mean)))
        return high - (high - mean) * factor, high - (high - mean) / factor
    spread = high - low
    middle, step = special.logit((mean - low) / spread), half * spread / ((mean - low) * (high - mean))
    first, last = low + spread * special.expit([middle - step, middle + step])
    return float(first), float(last)


def welch(first: np.ndarray, second: np.ndarray) -> float:
    """p-value of Welch's two-sided t-test for equal means, which does not assume equal variances.

    The statistic is t = (m2 - m1) / sqrt(s1² / n1 + s2² / n2), with the degrees of freedom of Welch and Satterthwaite:
    (s1² / n1 + s2² / n2)² / ((s1² / n1)² / (n1 - 1) + (s2² / n2)² / (n2 - 1)).

    Source: Welch 1947, "The generalization of 'Student's' problem when several different population variances are
    involved", Biometrika 34.

    Args:
      first: scores ``[seeds]`` of one loss, at least two.
      second: scores ``[seeds]`` of another, at least two.

    Returns:
      The p-value. If neither side varies it is 1 for equal scores and 0 otherwise.
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
    """Difference of the means, second minus first, with Welch's 95% confidence interval.

    The interval is m2 - m1 ± t(0.975, d) sqrt(s1² / n1 + s2² / n2), with d as for ``welch``. It contains 0 exactly when
    ``welch`` gives at least 0.05.

    Args:
      first: scores ``[seeds]`` of one loss.
      second: scores ``[seeds]`` of another.

    Returns:
      The summary of the difference. ``std`` is its standard error; with one seed on either side ``std`` is 0 and the
      interval NaN.
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
    """Hedges' g: the difference of the means, second minus first, in pooled standard deviations.

    With d = n1 + n2 - 2 and s² = ((n1 - 1) s1² + (n2 - 1) s2²) / d it is g = (m2 - m1) / s · (1 - 3 / (4 d - 1)); the
    last factor corrects the bias of small samples to first order.

    Source: Hedges 1981, "Distribution theory for Glass's estimator of effect size and related estimators", Journal of
    Educational Statistics 6.

    Args:
      first: scores ``[seeds]`` of one loss, at least two.
      second: scores ``[seeds]`` of another, at least two.

    Returns:
      g; infinite if the means differ and neither side varies.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    degrees = len(first) + len(second) - 2
    pooled = ((len(first) - 1) * first.var(ddof=1) + (len(second) - 1) * second.var(ddof=1)) / degrees
    gap = second.mean() - first.mean()
    if gap == 0:
        return 0.0
    with np.errstate(divide="ignore"):
        return float(gap / np.sqrt(pooled) * (1 - 3 / (4 * degrees - 1)))


def detectable(std: float, seed_count: int) -> float:
    """Smallest difference of two means that a two-sided test at 5% finds with a power of 80%.

    By the normal approximation it is (z(0.975) + z(0.8)) std sqrt(2 / n), about 2.8 std sqrt(2 / n), where z(q) is the
    quantile of the normal distribution.

    Source: Cohen 1988, "Statistical power analysis for the behavioral sciences", chapter 2.

    Args:
      std: standard deviation of the scores of either loss.
      seed_count: number of seeds of each loss, at least 2.
    """
    return float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * std * (2 / seed_count) ** 0.5


def lower_bound(scores: np.ndarray) -> np.ndarray:
    """One-sided 95% lower confidence bound of the mean, m - t(0.95, n - 1) s / sqrt(n).

    The highest mean of many losses is mostly luck; the highest bound belongs to a loss that is reliably good.

    Args:
      scores: ``[..., seeds]``.

    Returns:
      Bounds ``[...]``; with one seed the scores themselves.
    """
    count = scores.shape[-1]
    if count < 2:
        return scores.mean(axis=-1)
    return scores.mean(axis=-1) - stats.t.ppf(0.95, count - 1) * scores.std(axis=-1, ddof=1) / count**0.5


class Standing(NamedTuple):
    """How candidates that were trained over common seeds stand."""

    leader: int  # place of the one with the best lower confidence bound, on common seeds
    behind: np.ndarray  # float64[candidates], mean paired difference from the leader, below 0 for all but lucky ones
    variances: np.ndarray  # float64[candidates], of one paired difference; NaN where nothing is known
    chances: np.ndarray  # float64[candidates], that it is better than the leader; 0 for the leader
    chance: float  # that the leader is the best, at least


_PRIOR_DEGREES = 8
"""Degrees of freedom that the variance of all candidates together counts for in the variance of each."""


def standing(scores: Sequence[Sequence[float]]) -> Standing:
    """Compare candidates by the differences of their scores on the seeds that they have in common.

    The variance of a candidate's differences is moderated by that of all candidates, as few seeds say little of it.
    The chance that a candidate is better than the leader is then Student's. All differences share the leader's scores,
    so the chance that none is better is at least the product of the chances that each is not (Slepian's inequality).

    Source of the moderated variance: Smyth 2004, "Linear models and empirical Bayes methods for assessing differential
    expression in microarray experiments", Statistical Applications in Genetics and Molecular Biology 3; the prior has 8
    degrees of freedom here.

    Args:
      scores: scores of each candidate, at least one each, over the first seeds of one common list.

    Returns:
      The leader, and how the others stand to it.
    """
    rows = [np.asarray(row, float) for row in scores]
    counts = np.array([len(row) for row in rows])
    # Means are compared beside the candidate that is known best: all others share their seeds with it.
    known = max(range(len(rows)), key=lambda place: (counts[place], rows[place].mean()))
    means = np.array([(row - rows[known][: len(row)]).mean() for row in rows])
    leader = int(np.argmax(means - _margins(rows)))
    paired = [row[: counts[leader]] - rows[leader][: len(row)] for row in rows]
    behind = np.array([part.mean() for part in paired])
    degrees = np.array([len(part) - 1 for part in paired])
    squares = np.array([((part - part.mean()) ** 2).sum() for part in paired])
    others = np.arange(len(rows)) != leader
    pooled = _typical_variance(squares[others], degrees[others])
    variances = (_PRIOR_DEGREES * pooled + squares) / (_PRIOR_DEGREES + degrees)
    errors = np.sqrt(variances / np.minimum(counts, counts[leader]))
    with np.errstate(invalid="ignore", divide="ignore"):
        chances = stats.t.cdf(behind / errors, _PRIOR_DEGREES + degrees)
    chances = np.where(np.isnan(chances), 0.5, chances)
    chances[leader] = 0
    return Standing(leader, behind, variances, chances, float(np.prod(1 - chances)))


def _margins(rows: Sequence[np.ndarray]) -> np.ndarray:
    """How far below its mean each candidate's one-sided 95% lower confidence bound is, by moderated variances."""
    degrees = np.array([len(row) - 1 for row in rows])
    squares = np.array([((row - row.mean()) ** 2).sum() for row in rows])
    typical = _typical_variance(squares, degrees)
    if np.isnan(typical):
        return np.zeros(len(rows))
    variances = (_PRIOR_DEGREES * typical + squares) / (_PRIOR_DEGREES + degrees)
    return stats.t.ppf(0.95, _PRIOR_DEGREES + degrees) * np.sqrt(variances / (degrees + 1))


def _typical_variance(squares: np.ndarray, degrees: np.ndarray) -> float:
    """The median of some variances, from their sums of squares: one candidate that fails now and then spoils a mean."""
    known = degrees > 0
    if not known.any():
        return float("nan")
    # The median of chi-squared by its degrees of freedom, after Wilson and Hilferty.
    medians = (1 - 2 / (9 * degrees[known])) ** 3
    return float(np.median(squares[known] / degrees[known] / medians))


def mostly_among(scores: np.ndarray, values: Sequence[float]) -> int:
    """How many scores ``[seeds]`` are one of some values, up to rounding; 0 unless at least half of them are."""
    alike = np.isclose(np.asarray(scores, float)[:, None], np.asarray(values, float), rtol=1e-6, atol=1e-7).any(axis=1)
    return int(alike.sum()) if 2 * alike.sum() >= len(scores) else 0


def winner(scores: Sequence[Sequence[float]]) -> int:
    """Place of the finalist with the best lower confidence bound on common seeds (``standing``)."""
    return standing(scores).leader


def winner_beside(scores: Sequence[Sequence[float]], passed_over: Sequence[int]) -> int:
    """The same of those finalists that are not passed over, of which there is one at least."""
    left = [place for place in range(len(scores)) if place not in passed_over]
    return left[winner([scores[place] for place in left])]


def as_good(scores: Sequence[Sequence[float]]) -> list[int]:
    """Places of the winner, and of the finalists that are behind it by at most one standard error on common seeds.

    The error is that of the mean paired difference, by its moderated variance (``standing``). The simplest of these is
    as good a choice as the winner: Breiman et al. 1984, "Classification and regression trees", section 3.4.3.
    """
    found = standing(scores)
    shared = np.minimum([len(row) for row in scores], len(scores[found.leader]))
    errors = np.sqrt(found.variances / shared)
    near = found.behind >= -errors  # never where nothing is known of the error
    return [place for place in range(len(scores)) if near[place] or place == found.leader]


def with_handicaps(scores: Sequence[Sequence[float]], handicaps: Sequence[float]) -> list[tuple[float, ...]]:
    """Scores of each finalist less its handicap; without handicaps, the scores."""
    taken = handicaps or [0.0] * len(scores)
    return [tuple(score - handicap for score in row) for row, handicap in zip(scores, taken, strict=True)]


class Gain(NamedTuple):
    """How far what was chosen is ahead of what it was chosen instead of."""

    mean: float
    error: float  # standard error, by examples and by seeds
    needed: float  # what chance alone may reach
    one_class: bool = False  # whether networks then answer one class for all examples

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Gain":
        """The gain that a record keeps beside other entries."""
        return cls(**{field: kept[field] for field in cls._fields if field in kept})

    @property
    def is_kept(self) -> bool:
        """Whether the gain is beyond chance, and one of networks that tell examples apart."""
        return self.mean > self.needed and not self.one_class


def chosen_gain(scores: np.ndarray, count: int) -> Gain:
    """The gain of a candidate that was chosen by the examples that it is scored on.

    The variance by examples is that of the jackknife, which suits any score: with the gains d(g) without each of G
    groups of the examples, it is (G - 1) / G sum((d(g) - mean(d))²). That of the mean over seeds is added. However
    ``count`` numbers were chosen after a look at the scores, to first order in them the gain is beyond
    sqrt(count F(0.95; count, G - 1)) standard errors by chance once in twenty times at most.

    Sources: Tukey 1958, "Bias and confidence in not quite large samples", Annals of Mathematical Statistics 29; Scheffé
    1953, "A method for judging all contrasts in the analysis of variance", Biometrika 40.

    Args:
      scores: ``[2, seeds, 1 + groups]`` of the other and of the chosen candidate, on the same seeds: on all examples,
        then without each group.
      count: how many numbers were chosen.
    """
    first, second = np.asarray(scores, float)
    gaps = second - first
    seeds, groups = gaps.shape[0], gaps.shape[1] - 1
    mean, without = float(gaps[:, 0].mean()), gaps[:, 1:].mean(axis=0)
    by_examples = float(((without - without.mean()) ** 2).sum()) * (groups - 1) / groups if groups > 1 else mean**2
    by_seeds = float(gaps[:, 0].var(ddof=1)) / seeds if seeds > 1 else 0.0
    error = (by_examples + by_seeds) ** 0.5
    return Gain(mean, error, error * float(np.sqrt(count * stats.f.ppf(0.95, count, max(1, groups - 1)))))


def paired_p(first: np.ndarray, second: np.ndarray) -> float:
    """p-value of the two-sided t-test for paired scores: the same seeds in the same order, at least two.

    Source: Student 1908, "The probable error of a mean", Biometrika 6.

    Returns:
      The p-value; 1 if all differences are 0, and 0 if they are all the same but not 0.
    """
    gaps = np.asarray(second, float) - np.asarray(first, float)
    if not np.ptp(gaps):
        return float(gaps[0] == 0)
    return float(np.asarray(stats.ttest_1samp(gaps, 0.0))[1])


def paired_difference(first: np.ndarray, second: np.ndarray) -> Summary:
    """Mean of the paired differences, second minus first, with its 95% confidence interval by Student's t."""
    return summarize(np.asarray(second, float) - np.asarray(first, float))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, so that any false alarm among them has a chance of at most its level.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.
    """
    order = np.argsort(p_values)
    scaled = np.asarray(p_values, float)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1, np.maximum.accumulate(scaled))
    return corrected.tolist()
