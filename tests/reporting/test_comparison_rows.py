"""Comparisons as rows of plain values."""

import numpy as np
import pytest
from scipy import stats

from glojax.records.comparisons import Comparison
from glojax.reporting.comparison_rows import comparison_rows


def test_rows_hold_means_deviations_and_intervals_of_the_metric() -> None:
    random = np.random.default_rng(0)
    scores = 0.3 + 0.01 * random.standard_normal((6, 3, 2))
    scores[4, -1] = 0
    (row,) = comparison_rows("r2", lambda part: 2 * part, [Comparison("mine", 0.3, [1, 2, 3], scores)])
    assert (row["loss"], row["rate"], row["trainings"], row["failed"]) == ("mine", 0.3, 6, 1)
    for place, split in enumerate(("validation", "test")):
        last = 2 * scores[:, -1, place]
        low, high = stats.t.interval(0.95, 5, last.mean(), stats.sem(last))
        expected = [last.mean(), last.std(ddof=1), low, high]
        assert [row[split + end] for end in ("", "_std", "_low", "_high")] == pytest.approx(expected, rel=1e-6)


def test_without_a_test_set_there_are_no_columns_of_it() -> None:
    (row,) = comparison_rows("accuracy", np.asarray, [Comparison("mine", 1.0, [5], np.full((2, 1, 1), 0.5))])
    assert [name for name in row if name.startswith("test")] == []
    assert row["validation"] == 0.5
