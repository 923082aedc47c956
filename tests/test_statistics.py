"""Statistics over seeds against SciPy, published formulas and simulation."""

import ast
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import glojax
from glojax import statistics

SCORES = np.random.default_rng(0).normal(0.9, 0.02, 12)


def test_summary_equals_scipys() -> None:
    summary = statistics.summarize(SCORES)
    low, high = stats.t.interval(0.95, 11, loc=SCORES.mean(), scale=stats.sem(SCORES))
    np.testing.assert_allclose(summary, (SCORES.mean(), SCORES.std(ddof=1), low, high))


def test_one_score_has_no_interval() -> None:
    mean, std, low, high = statistics.summarize(np.array([0.5]))
    assert (mean, std) == (0.5, 0.0)
    assert np.isnan([low, high]).all()


def test_welch_equals_the_formula() -> None:
    other = np.random.default_rng(1).normal(0.88, 0.05, 7)
    a, b = SCORES.var(ddof=1) / 12, other.var(ddof=1) / 7
    degrees = (a + b) ** 2 / (a**2 / 11 + b**2 / 6)
    expected = 2 * stats.t.sf(abs(SCORES.mean() - other.mean()) / np.sqrt(a + b), degrees)
    assert statistics.welch(SCORES, other) == pytest.approx(expected)


def test_welch_of_scores_of_which_one_side_does_not_vary_is_students_of_one_sample() -> None:
    # 0.1 three times has a standard deviation of 1.7e-17 in floating point.
    expected = float(stats.ttest_1samp(SCORES, 0.1).pvalue)
    assert statistics.welch(np.full(3, 0.1), SCORES) == pytest.approx(expected)


def test_welch_of_scores_that_do_not_vary() -> None:
    assert statistics.welch(np.full(3, 0.1), np.full(2, 0.1)) == 1
    assert statistics.welch(np.ones(3), np.ones(3)) == 1
    assert statistics.welch(np.ones(3), np.zeros(3)) == 0


def test_the_interval_of_a_difference_is_that_of_welchs_test() -> None:
    other = np.random.default_rng(1).normal(0.88, 0.05, 7)
    expected = stats.ttest_ind(other, SCORES, equal_var=False).confidence_interval(0.95)  # type: ignore[attr-defined]
    found = statistics.difference(SCORES, other)
    assert found.mean == pytest.approx(other.mean() - SCORES.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.std == pytest.approx(np.sqrt(SCORES.var(ddof=1) / 12 + other.var(ddof=1) / 7))
    for shift in np.linspace(-0.1, 0.1, 41):
        moved = statistics.difference(SCORES, other + shift)
        assert (moved.low <= 0 <= moved.high) == (statistics.welch(SCORES, other + shift) >= 0.05)


def test_the_interval_of_a_difference_without_noise_or_seeds() -> None:
    assert statistics.difference(np.ones(3), np.full(2, 1.5)) == (0.5, 0.0, 0.5, 0.5)
    assert statistics.difference(np.full(3, 0.1), np.full(3, 0.1)).low == 0
    one = statistics.difference(np.ones(1), np.zeros(4))
    assert (one.mean, one.std) == (-1, 0)
    assert np.isnan([one.low, one.high]).all()


def test_effect_size_is_the_difference_of_means_in_pooled_deviations() -> None:
    # Means 3 and 5, both of variance 2.5; 8 degrees of freedom.
    assert statistics.effect_size(np.arange(1, 6), np.arange(3, 8)) == pytest.approx(2 / np.sqrt(2.5) * (1 - 3 / 31))
    assert statistics.effect_size(SCORES, SCORES) == statistics.effect_size(np.ones(3), np.ones(2)) == 0
    assert statistics.effect_size(np.ones(3), np.zeros(3)) == -np.inf


def test_effect_size_is_unbiased_for_few_seeds() -> None:
    random = np.random.default_rng(0)
    sizes = [statistics.effect_size(random.normal(0, 1, 5), random.normal(1, 1, 5)) for _ in range(4000)]
    assert np.mean(sizes) == pytest.approx(1, abs=0.04)  # without the correction 1.11


def test_the_detectable_difference_is_28_tenths_of_the_standard_error_of_a_difference() -> None:
    assert statistics.detectable(0.01, 8) == pytest.approx((1.959964 + 0.841621) * 0.01 / 2, rel=1e-6)


@pytest.mark.parametrize(("seed_count", "expected"), [(20, 0.779), (200, 0.798), (2000, 0.7998)])
def test_a_t_test_finds_the_detectable_difference_in_four_cases_of_five(seed_count: int, expected: float) -> None:
    degrees, root = 2 * seed_count - 2, np.sqrt(seed_count / 2)
    critical = stats.t.ppf(0.975, degrees)
    shifted = stats.nct(degrees, statistics.detectable(1.0, seed_count) * root)
    # A little under 0.8: the approximation is normal.
    assert shifted.sf(critical) + shifted.cdf(-critical) == pytest.approx(expected, abs=0.0006)


@pytest.mark.parametrize("seed_count", [2, 6])
def test_the_lower_bound_is_that_of_scipys_one_sided_test(seed_count: int) -> None:
    scores = np.random.default_rng(2).normal(0.8, 0.05, (2, 3, seed_count))
    expected = stats.ttest_1samp(scores, 0.0, axis=-1, alternative="greater").confidence_interval(0.95).low
    np.testing.assert_allclose(statistics.lower_bound(scores), expected)


def test_the_lower_bound_of_one_seed_is_its_score() -> None:
    np.testing.assert_array_equal(statistics.lower_bound(np.array([[[0.3], [0.7]]])), [[0.3, 0.7]])


def test_the_winner_has_the_best_lower_bound_and_not_the_best_mean() -> None:
    lucky, reliable, poor = (0.9, 0.5, 0.9), (0.71, 0.7, 0.72), (0.5, 0.5, 0.5)
    assert statistics.winner([poor, lucky, reliable]) == 2
    assert statistics.winner([(0.4,), (0.6,), (0.5,)]) == 1


def test_candidates_are_compared_on_the_seeds_that_they_have_in_common() -> None:
    """The first two seeds are easy: whoever was trained on these alone is not better for it."""
    long, short = (0.9, 0.92, 0.5, 0.52, 0.49, 0.51), (0.85, 0.88)
    found = statistics.standing([short, long])
    assert found.leader == 1
    np.testing.assert_allclose(found.behind, [-0.045, 0])


def test_a_chance_is_that_of_a_paired_test_where_there_are_many_seeds() -> None:
    random = np.random.default_rng(0)
    shared = random.normal(0, 1, 2000)
    rows = [shared + random.normal(mean, 0.1, 2000) for mean in (0.0, -0.004, -0.05)]
    found = statistics.standing(rows)
    for place in {0, 1, 2} - {found.leader}:
        expected = stats.ttest_rel(rows[place], rows[found.leader], alternative="less").pvalue
        assert found.chances[place] == pytest.approx(expected, rel=0.05, abs=1e-6)
    assert found.chance == pytest.approx(np.prod(1 - found.chances))


def test_the_leader_is_the_best_at_least_as_often_as_its_chance_says() -> None:
    random, hits, chances = np.random.default_rng(1), [], []
    for _ in range(600):
        means = random.normal(0, 1, 6)
        found = statistics.standing(random.normal(means[:, None], 1.5, (6, 5)))
        hits.append(found.leader == means.argmax())
        chances.append(found.chance)
    assert np.mean(chances) <= np.mean(hits) + 0.02
    sure = np.array(chances) > 0.8
    assert sure.sum() > 20
    assert np.mean(np.array(hits)[sure]) >= 0.8


def test_the_leader_changes_where_its_mean_makes_up_for_its_wider_interval() -> None:
    long = np.random.default_rng(5).normal(0.8, 0.02, 12)
    short = long[:3] + np.array([0.01, -0.02, 0.01])
    squares, degrees = [np.var(row) * len(row) for row in (short, long)], np.array([2, 11])
    typical = np.median(squares / degrees / (1 - 2 / (9 * degrees)) ** 3)
    variances = (8 * typical + squares) / (8 + degrees)
    margins = stats.t.ppf(0.95, 8 + degrees) * np.sqrt(variances / (degrees + 1))
    needed = margins[0] - margins[1]  # on the seeds that both have, where their means are equal
    assert needed > 0.001
    for lead, leader in ((needed * 1.001, 0), (needed * 0.999, 1)):
        assert statistics.standing([short + lead, long]).leader == leader


def test_one_candidate_that_fails_now_and_then_hides_no_other() -> None:
    random = np.random.default_rng(2)
    good, *others, failing = random.normal([[0.9], [0.8], [0.8], [0.8], [0.8], [0.8]], 0.005, (6, 4))
    failing[1] = 0
    found = statistics.standing([good, *others, failing])
    assert found.leader == 0
    assert found.chances[1:5].max() < 1e-3


def test_nothing_is_known_of_the_noise_from_one_seed() -> None:
    found = statistics.standing([(0.4,), (0.6,), (0.5,)])
    assert (found.leader, found.chance) == (1, 0.25)
    np.testing.assert_array_equal(found.chances, [0.5, 0, 0.5])


def test_paired_tests_are_those_of_scipy() -> None:
    random = np.random.default_rng(3)
    first, second = random.normal(0, 1, (2, 9))
    assert statistics.paired_p(first, second) == pytest.approx(stats.ttest_rel(first, second).pvalue)
    interval = stats.ttest_rel(second, first).confidence_interval(0.95)
    found = statistics.paired_difference(first, second)
    np.testing.assert_allclose([found.low, found.high], [interval.low, interval.high])
    assert statistics.paired_p(first, first) == 1
    assert statistics.paired_p(np.zeros(3), np.ones(3)) == 0


def test_holm_corrects_for_the_number_of_tests() -> None:
    np.testing.assert_allclose(statistics.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(statistics.holm([0.9, 0.6]), [1.0, 1.0])
    assert statistics.holm([0.02]) == [0.02]


def test_of_equal_finalists_the_first_wins_and_the_other_is_as_good() -> None:
    assert statistics.winner([(0.5, 0.6), (0.5, 0.6)]) == 0
    assert statistics.as_good([(0.5, 0.6), (0.5, 0.6)]) == [0, 1]


def test_scores_are_most_often_among_values_or_the_count_is_0() -> None:
    assert statistics.mostly_among(np.array([0.1, 0.9, 0.9, 0.5]), [0.9, 0.5]) == 3
    assert statistics.mostly_among(np.array([0.1, 0.9, 0.9, 0.2]), [0.9]) == 2
    assert statistics.mostly_among(np.array([0.1, 0.9, 0.9, 0.2, 0.3]), [0.9]) == 0
    rounded = np.array([0.9 * (1 + 9e-7), 9e-8, 0.9 * (1 - 9e-7)], np.float64)
    assert statistics.mostly_among(rounded, [0.9, 0.0]) == 3
    beyond = np.array([0.9 * (1 + 1.3e-6), 1.1e-7, 0.9])
    assert statistics.mostly_among(beyond, [0.9, 0.0]) == 0
    assert statistics.mostly_among(np.array([0.1, 0.1]), [0.1, 0.1 + 1e-9]) == 2  # each score once


def test_handicaps_are_taken_off_the_scores_of_their_own_finalist() -> None:
    scores = [(0.5, 0.75), (1.0,)]
    assert statistics.with_handicaps(scores, [0.25, 0.5]) == [(0.25, 0.5), (0.5,)]
    assert statistics.with_handicaps(scores, []) == scores
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        statistics.with_handicaps(scores, [0.25])


@pytest.mark.parametrize(
    "function",
    ["summarize", "welch", "difference", "effect_size", "paired_p", "paired_difference"],
)
def test_scores_of_any_type_are_computed_in_double_precision(function: str) -> None:
    pair = np.random.default_rng(4).normal(0.9, 0.02, (2, 7)).astype(np.float32)
    given = pair[:1] if function == "summarize" else pair
    found, expected = (getattr(statistics, function)(*part) for part in (given, given.astype(float)))
    np.testing.assert_array_equal(found, expected)
    assert getattr(statistics, function)(*map(list, given.astype(float))) == expected


def test_no_module_of_the_package_imports_the_standard_librarys_statistics() -> None:
    folder = Path(glojax.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert "statistics" not in names, path
            assert not (isinstance(node, ast.ImportFrom) and node.module == "statistics" and not node.level), path
    assert str(folder) not in sys.path  # where an import of the standard library's would find this one


# WITHIN BOUNDS


def test_an_interval_within_its_bounds_is_students() -> None:
    scores = np.array([0.4, 0.5, 0.6])
    assert statistics.summarize(scores, (0, 1)) == statistics.summarize(scores)


@pytest.mark.parametrize("scores", [[0.95, 0.99], [0.02, 0.001, 0.03], [0.999, 0.9, 1.0]])
def test_an_interval_that_would_leave_0_to_1_is_that_of_the_logit(scores: list[float]) -> None:
    plain, found = (statistics.summarize(np.array(scores), bounds) for bounds in ((-np.inf, np.inf), (0.0, 1.0)))
    assert plain.high > 1 or plain.low < 0
    assert 0 < found.low < found.mean < found.high < 1
    m = np.mean(scores)
    half = stats.t.ppf(0.975, len(scores) - 1) * stats.sem(scores) / (m * (1 - m))
    expected = 1 / (1 + np.exp(-(np.log(m / (1 - m)) + np.array([-half, half]))))
    np.testing.assert_allclose([found.low, found.high], expected, rtol=1e-9)


def test_intervals_with_one_bound_are_those_of_the_logarithm() -> None:
    errors = np.array([0.1, 2.0])
    above = statistics.summarize(errors, (0, np.inf))
    half = stats.t.ppf(0.975, 1) * stats.sem(errors) / errors.mean()
    np.testing.assert_allclose([above.low, above.high], errors.mean() * np.exp([-half, half]), rtol=1e-9)
    below = statistics.summarize(1 - errors, (-np.inf, 1))  # an R² of these errors
    np.testing.assert_allclose([1 - below.high, 1 - below.low], [above.low, above.high], rtol=1e-9)


def test_scores_at_a_bound_have_an_interval_there() -> None:
    assert statistics.summarize(np.ones(3), (0, 1))[2:] == (1, 1)
    # Scores that differ, but whose mean is the bound in floating point.
    assert statistics.summarize(np.array([1 - 2**-53, 1]), (0, 1))[2:] == (1, 1)
    assert statistics.summarize(np.array([1, 1 + 2**-52]), (1, 2))[2:] == (1, 1)


def test_an_interval_may_reach_its_bounds() -> None:
    plain = statistics.summarize(SCORES)
    assert statistics.summarize(SCORES, (plain.low, plain.high)) == plain


@pytest.mark.parametrize("scores", [[0.95, 0.99], [0.02, 0.001, 0.03]])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.0, np.inf), (-np.inf, 1.0)])
def test_an_interval_moves_and_grows_with_its_bounds(scores: list[float], bounds: tuple[float, float]) -> None:
    found = statistics.summarize(np.array(scores), bounds)
    moved = statistics.summarize(-3 + 4 * np.array(scores), (-3 + 4 * bounds[0], -3 + 4 * bounds[1]))
    np.testing.assert_allclose([moved.low, moved.high], [-3 + 4 * found.low, -3 + 4 * found.high], rtol=1e-9)


def test_as_good_is_within_one_standard_error_of_the_winner_on_shared_seeds() -> None:
    random = np.random.default_rng(1)
    base, noise = random.normal(0.8, 0.05, 40), random.normal(0, 0.01, 40)
    noise -= noise.mean()
    rows = [base, base - 0.0005 + noise, base - 0.01 + noise, base[:10] - 0.2]
    assert statistics.as_good(rows) == [0, 1]
    found = statistics.standing(rows)
    for place in (1, 2):
        error = np.sqrt(found.variances[place] / 40)
        assert ((base - rows[place]).mean() <= error) == (place == 1)


# A GAIN BY CHOICE


def scored(values: np.ndarray) -> np.ndarray:
    """Scores ``[2, 1, 1 + examples]``, of 0 and of gains by example, on all examples and without each."""
    without = (values.sum() - values) / (len(values) - 1)
    gains = np.concatenate([[values.mean()], without])[None]
    return np.stack([np.zeros_like(gains), gains])


def test_the_error_of_a_mean_is_the_usual_one_and_one_number_needs_students_quantile() -> None:
    gain = statistics.chosen_gain(scored(SCORES), 1)
    np.testing.assert_allclose(gain[:2], (SCORES.mean(), stats.sem(SCORES)))
    assert gain.needed == pytest.approx(stats.t.ppf(0.975, 11) * stats.sem(SCORES))
    assert gain.is_kept


def test_the_scatter_over_seeds_is_part_of_the_error() -> None:
    over_seeds = np.stack([np.zeros((8, 4)), np.repeat(SCORES[:8, None], 4, axis=1)])
    assert statistics.chosen_gain(over_seeds, 2).error == pytest.approx(stats.sem(SCORES[:8]))


def test_gains_that_were_chosen_from_noise_are_kept_once_in_twenty_times_at_most() -> None:
    random, kept, kept_without = np.random.default_rng(0), 0, 0
    for _ in range(400):
        directions = random.normal(size=(40, 5))  # what each of 5 coefficients adds for each of 40 examples
        chosen = directions @ directions.mean(axis=0)  # the way up
        kept += statistics.chosen_gain(scored(chosen), 5).is_kept
        kept_without += statistics.chosen_gain(scored(chosen), 1).is_kept
    assert kept <= 33  # 20, and three standard deviations of such a count
    assert kept_without > 0.3 * 400


def test_a_single_group_tells_nothing() -> None:
    assert not statistics.chosen_gain(np.array([[[0.1]], [[0.9]]]), 1).is_kept
