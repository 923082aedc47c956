"""One candidate as the tables hold it."""

import math
from typing import Any

import pytest

from glojax.records.candidates import Record, checked, checked_funnel, from_row, to_row

RECORD = Record("x * log(y)", "log(y) * x", (1.5, -2.0), 0.5, (0.25, 0.75), 3.0, "trained", (0, 1), 7, 500, 0.25)


def test_a_row_holds_lists_as_json() -> None:
    assert to_row(RECORD) == (
        "x * log(y)", "log(y) * x", "[1.5, -2.0]", 0.5, "[0.25, 0.75]", 3.0, "trained", "[0, 1]", 7, 500, 0.25, "",
    )  # fmt: skip


def test_a_record_comes_back_from_its_row() -> None:
    for record in (RECORD, RECORD._replace(coefficients=(), scores=(), parents=(), seed=2**62)):
        assert from_row(to_row(record)) == record


def test_lists_become_tuples() -> None:
    record = RECORD._replace(coefficients=[1.5, -2.0], scores=[0.25, 0.75], parents=[0, 1])  # type: ignore[arg-type]
    assert checked(record) == RECORD


@pytest.mark.parametrize(
    "wrong",
    [
        {"expression": 1}, {"canonical": None}, {"fate": b"trained"}, {"seed": 1.0}, {"steps": True},
        {"parents": (0.0,)}, {"fitness": "high"}, {"fitness": math.nan}, {"rate": math.inf}, {"scores": (0.5, "a")},
        {"seconds": None}, {"coefficients": (True,)},
    ],
    ids=str,
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has a field of the wrong type"):
        checked(RECORD._replace(**wrong))


@pytest.mark.parametrize("columns", [("x", "x"), (*to_row(RECORD), 1), (*to_row(RECORD)[:2], 5, *to_row(RECORD)[3:])])
def test_columns_that_make_no_record_are_refused(columns: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_row(columns)


def test_a_funnel_is_integers_by_name() -> None:
    assert checked_funnel({"drawn": 9, "valid": 0}) == {"drawn": 9, "valid": 0}
    for wrong in ([], None, {"drawn": 1.0}, {"drawn": True}):
        with pytest.raises(ValueError, match="is not a funnel"):
            checked_funnel(wrong)
