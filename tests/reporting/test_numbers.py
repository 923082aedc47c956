"""How numbers are written."""

import math

import numpy as np
import pytest
import scipy.stats

from glojax.reporting import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98765, "0.9877"),
        (-0.5, "-0.5000"),
        (99.99, "99.9900"),
        (123.456, "123.5"),
        (1234567.0, "1.235e+06"),
        (0.0, "0.0000"),
        (0.0000123, "1.2e-05"),
        (math.inf, "infinite"),
        (math.nan, ""),
    ],
)
def test_a_metric_has_four_decimals_or_four_digits(value: float, text: str) -> None:
    assert numbers.number(value) == text


def test_differences_and_effects_have_a_sign() -> None:
    assert [numbers.signed(value) for value in (0.25, -0.25, 0.0, -150.0)] == ["+0.2500", "−0.2500", "+0.0000", "−150"]
    assert [numbers.effect(value) for value in (1.456, -0.2, 0.0)] == ["+1.46", "−0.20", "+0.00"]


def test_a_small_p_value_is_a_bound() -> None:
    written = {0.5: "0.5", 0.0123: "0.012", 0.0001: "0.0001", 0.00009: "< 0.0001", 0.0: "< 0.0001"}
    assert {p: numbers.p_value(p) for p in written} == written


def test_a_rate_has_three_digits_or_no_decimals() -> None:
    written = {0.7231: "0.723", 1.0: "1", 26.18: "26.2", 999.4: "999", 5541.7: "5,542"}
    assert {value: numbers.rate(value) for value in written} == written
    assert numbers.rate_in_words(1.0) == "the task's learning rate"
    assert numbers.rate_in_words(0.7231) == "0.723 times the task's learning rate"


def test_counts_have_a_plural() -> None:
    counts = [numbers.counted(count, "finalist") for count in (0, 1, 1200)]
    assert counts == ["0 finalists", "1 finalist", "1,200 finalists"]


def test_mean_and_interval_are_those_of_students_t() -> None:
    values = np.array([0.5, 0.6, 0.55, 0.7])
    assert numbers.mean(values) == f"{values.mean():.4f} ± {values.std(ddof=1):.4f}"
    low, high = scipy.stats.t.interval(0.95, 3, values.mean(), scipy.stats.sem(values))
    assert numbers.interval(values) == f"{low:.4f} to {high:.4f}"


def test_failed_trainings_and_single_seeds_have_no_interval() -> None:
    assert numbers.mean(np.array([1.0, np.inf])) == "infinite"
    assert numbers.interval(np.array([1.0, np.inf])) == ""
    assert numbers.interval(np.array([1.0])) == ""
