"""Names of phases, today's and those of schema 4."""

import pytest

from glojax.records import phases


def test_finals_and_the_baseline_are_kept_beside_their_phase() -> None:
    assert phases.finals_of("tune") == "tune finals"
    assert phases.baseline_of("search") == "search baseline"


@pytest.mark.parametrize(
    ("stored", "current"),
    [
        ("search control", "search baseline"),
        ("random search control", "random search baseline"),
        ("search baseline", "search baseline"),
        ("search", "search"),
        ("tune finals", "tune finals"),
        ("control", "control"),
    ],
)
def test_only_the_old_name_of_the_baseline_changes(stored: str, current: str) -> None:
    assert phases.current_name(stored) == current
    assert stored in phases.stored_names(current)
    assert {phases.current_name(name) for name in phases.stored_names(current)} == {current}
