"""The rows of a comparison."""

import numpy as np

from glojax import losses
from glojax.records.comparisons import Comparison, best_rows, loss_identity, rows_of

KEPT = {
    "steps": [10, 20],
    "rows": [
        {"name": "found", "rate": 1.0, "scores": [[[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.6], [0.7, 0.8]]]},
        {"name": "found, best rate", "rate": 30.0, "scores": [[[0.1], [0.3]], [[0.5], [0.7]]]},
    ],
}


def test_rows_have_the_last_scores_of_each_split() -> None:
    with_test, without = rows_of(KEPT)
    assert (with_test.name, with_test.rate, with_test.steps) == ("found", 1.0, [10, 20])
    assert with_test.scores.shape == (2, 2, 2)
    np.testing.assert_array_equal(with_test.validation, [0.3, 0.7])
    np.testing.assert_array_equal(with_test.test, [0.4, 0.8])
    np.testing.assert_array_equal(without.validation, [0.3, 0.7])
    assert without.test.shape == (0,)


def test_the_row_that_stands_for_a_loss_is_never_worse_on_validation_than_that_at_the_tasks_rate() -> None:
    def row(name: str, rate: float, *validation: float) -> Comparison:
        return Comparison(name, rate, [10], np.array(validation)[:, None, None])

    rows = [
        row("squared error", 1.0, 0.81, 0.82),
        row("found", 1.0, 0.7, 0.8),
        row("alone", 1.0, 0.5, 0.5),
        row("squared error, best rate", 3.0, 0.95, 0.6),
        row("found, best rate", 9.0, 0.8, 0.8),
    ]
    assert best_rows(rows) == {"squared error": rows[0], "found": rows[4], "alone": rows[2]}


def test_a_loss_is_recognized_by_tree_coefficients_and_protection() -> None:
    loss = losses.Loss("x * log(y)", (2.0, 1.0, 1.0, 0.5), protected=True)
    assert loss_identity(loss) == ["x * log(y)", [2.0, 1.0, 1.0, 0.5], True]
    same = losses.Loss("x * log(y)", (2.0, 1.0, 1.0, 0.5), protected=True)
    others = [losses.Loss("x * log(y)", protected=True), losses.Loss("x * log(y)", (2.0, 1.0, 1.0, 0.5))]
    assert loss_identity(same) == loss_identity(loss)
    assert all(loss_identity(other) != loss_identity(loss) for other in others)
