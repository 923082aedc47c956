"""What trains: the options, and what commands get of them."""

import inspect
from typing import Any

import pytest

from glojax.cli.training import ExecutorName, with_training

GIVEN: dict[str, Any] = {"group": 5, "executor": ExecutorName.local, "ray_address": None, "workers": None}


def traced() -> tuple[Any, list[dict[str, Any]]]:
    calls: list[dict[str, Any]] = []

    def command(name: str, *, trains: dict[str, Any]) -> None:
        calls.append({"name": name, **trains})

    return with_training(command), calls


def test_a_command_gets_the_arguments_that_the_library_trains_by() -> None:
    command, calls = traced()
    assert list(inspect.signature(command).parameters) == ["name", "group", "executor", "ray_address", "workers"]
    command(name="it", **GIVEN)
    assert calls == [{"name": "it", "executor": None, "group": 5}]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"workers": 2}, "--ray-address and --workers go with --executor ray alone"),
        ({"ray_address": "auto"}, "--ray-address and --workers go with --executor ray alone"),
        ({"executor": ExecutorName.ray, "devices": 2}, "--devices goes with --executor local"),
    ],
)
def test_options_that_do_not_fit_are_refused(changed: dict[str, Any], message: str) -> None:
    command, calls = traced()
    with pytest.raises(ValueError, match=message):
        command(name="it", **GIVEN | changed)
    assert calls == []
