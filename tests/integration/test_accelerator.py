"""The script of measurements on an accelerator, run whole on a CPU in tiny sizes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
sys.path.insert(0, str(EXPERIMENTS))

import accelerator  # noqa: E402
import accelerator_values  # noqa: E402


def run(folder: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The status of the tiny measurements, and the lines on record."""
    command = [sys.executable, str(EXPERIMENTS / "accelerator.py"), "--tiny", "--output", str(folder), *options]
    environment = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # compiled for a moment only
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, [*accelerator.read_lines(folder / accelerator.FILE).values()]


@pytest.mark.slow
def test_everything_is_measured_and_every_value_is_right(tmp_path: Path) -> None:
    status, lines = run(tmp_path)
    assert [line.get("error") for line in lines] == [None] * len(lines)
    assert status == 0
    found = {line["measurement"]: line for line in lines}
    names = ["machine", *(name for name, _ in accelerator.measurements(accelerator.TINY))]
    assert list(found) == names
    for name in names[1:4]:
        assert found[name]["passed"]
    for mode in ("float64", "float64, protected"):
        assert found["values of the interpreter"][mode]["agree"] == 1
    trained = found["digits, 4 candidates"]
    assert trained["seconds"] == pytest.approx(4 * 10 / trained["candidate-steps a second"]["median"])
    assert 0 < found["host share"]["host share, without the first"] < 1


@pytest.mark.slow
def test_when_the_time_is_up_it_ends_at_once(tmp_path: Path) -> None:
    status, lines = run(tmp_path, "--minutes", "0.05")
    assert status == accelerator.TIME_IS_UP
    assert len(lines) < 4


def test_measurements_of_another_machine_are_refused(tmp_path: Path) -> None:
    accelerator.write_line(tmp_path / accelerator.FILE, {"measurement": "machine", "platform": "gpu"})
    with pytest.raises(SystemExit, match="is of another machine"):
        accelerator.measure(accelerator.TINY, tmp_path / accelerator.FILE)


def test_what_failed_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = iter([ValueError("no device"), {"passed": True}])

    def measured() -> dict[str, Any]:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(accelerator, "measurements", lambda sizes: iter([("one", measured)]))
    path = tmp_path / accelerator.FILE
    assert not accelerator.measure(accelerator.TINY, path)
    assert accelerator.read_lines(path)["one"]["error"] == "ValueError: no device"
    assert accelerator.measure(accelerator.TINY, path)
    assert accelerator.read_lines(path)["one"]["passed"]
    assert accelerator.measure(accelerator.TINY, path)  # and not once more


def test_a_line_that_was_cut_off_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def measured(name: str) -> Any:
        return name, lambda: taken.append(name) or {}

    monkeypatch.setattr(accelerator, "measurements", lambda sizes: map(measured, ("one", "two")))
    path = tmp_path / accelerator.FILE
    accelerator.measure(accelerator.TINY, path)
    path.write_bytes(path.read_bytes()[:-5])
    assert list(accelerator.read_lines(path)) == ["machine", "one"]
    accelerator.measure(accelerator.TINY, path)
    assert taken == ["one", "two", "two"]
    assert list(accelerator.read_lines(path)) == ["machine", "one", "two"]


def test_values_agree_within_a_relative_tolerance_and_where_they_are_not_finite() -> None:
    expected = [np.array([1.0, np.nan, np.inf, 200.0])]
    found = accelerator_values.agreement([np.array([1.1, np.nan, -np.inf, 201.0])], expected, 0.01)
    assert found == {"agree": 0.5, "largest": pytest.approx(0.1), "points": 4}
