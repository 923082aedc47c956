"""One fitness of several: worth by gains and by ranks, and their mean."""

import numpy as np
import pytest

from glojax.discovery import aggregates
from glojax.discovery.results import Baseline

BASELINE = Baseline(3.0, (0.88, 0.92), 100)  # 0.9, with a standard deviation of 0.04 / sqrt(2)


def test_a_gain_of_ten_deviations_is_worth_e_over_1_plus_e() -> None:
    worth = aggregates.gains(BASELINE)
    deviation = 0.04 / 2**0.5
    found = worth(0.9 + deviation * np.array([-10.0, 0.0, 10.0]))
    np.testing.assert_allclose(found, [1 / (1 + np.e), 0.5, np.e / (1 + np.e)], rtol=1e-12)


def test_without_noise_the_unit_is_a_thousandth_of_the_baseline() -> None:
    worth = aggregates.gains(Baseline(1.0, (0.5, 0.5), 10))
    np.testing.assert_allclose(worth(np.array([0.505])), [np.e / (1 + np.e)], rtol=1e-9)


def test_ranks_are_shares_of_losses_that_are_no_better() -> None:
    worth = aggregates.ranks([0.2, 0.5, 0.5, 0.9])
    np.testing.assert_array_equal(worth(np.array([0.2, 0.5, 0.7, 0.9, 1.0])), [0.25, 0.75, 0.75, 1, 1])


@pytest.mark.parametrize("worth", [aggregates.gains(BASELINE), aggregates.ranks([0.5, 0.6])])
def test_only_a_failure_is_worth_0(worth: aggregates.Worth) -> None:
    failed, awful, good = worth(np.array([0.0, 1e-6, 0.95]))
    assert failed == 0 < awful < good


def test_the_mean_counts_unless_one_fails() -> None:
    found = aggregates.together([np.array([0.2, 0.0, 1.0]), np.array([0.4, 0.8, 0.5])])
    np.testing.assert_allclose(found, [0.3, 0, 0.75])
