"""Learning curves as a run keeps them."""

import json

import numpy as np

from glojax.records.curves import Curves, Row, to_json


def row(name: str, rate: float, *ends: float) -> Row:
    """A row of two points and one split, whose seeds end at these scores."""
    return Row(name, rate, np.array([[[0.9], [end]] for end in ends], np.float32))


def test_the_baseline_is_shown_at_the_rate_with_the_best_mean_end() -> None:
    given = [row("a", 1.0, 0.5, 0.6), row("b", 2.0, 0.1, 0.2)]
    baseline = [
        row("cross-entropy", 1.0, 0.9, 0.1),
        row("cross-entropy", 3.0, 0.6, 0.6),
        row("cross-entropy", 9.0, 0.5),
    ]
    shown = Curves([10, 20], ("validation",), given, baseline).shown
    assert [(one.name, one.rate) for one in shown] == [("a", 1.0), ("b", 2.0), ("cross-entropy", 3.0)]


def test_without_a_baseline_the_given_losses_are_shown() -> None:
    given = [row("a", 1.0, 0.5)]
    assert Curves([10, 20], ("validation",), given, []).shown == given


def test_json_has_all_rows_and_null_where_a_point_is_not_reached() -> None:
    rows = [Row("a", 0.5, np.array([[[0.12345678, 0.5], [np.nan, np.nan]]], np.float32))]
    text = to_json(Curves([10, 20], ("validation", "test"), rows, [row("cross-entropy", 3.0, 0.25)]))
    assert text.endswith("}\n")
    assert "NaN" not in text
    content = json.loads(text)
    assert content == {
        "steps": [10, 20],
        "splits": ["validation", "test"],
        "rows": [
            {"name": "a", "rate": 0.5, "scores": [[[0.123457, 0.5], [None, None]]]},
            {"name": "cross-entropy", "rate": 3.0, "scores": [[[0.9], [0.25]]]},
        ],
    }
