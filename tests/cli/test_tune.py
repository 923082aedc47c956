"""The command ``glojax tune``."""

from pathlib import Path

import pytest
from as_typed import failed, run

from glojax import losses


def test_tune_saves_what_it_found(tmp_path: Path) -> None:
    result = run("tune", "digits", "baikal", "--generations", 1, "--steps", 20, "--run-dir", tmp_path)
    assert result.exit_code == 0, result.output
    assert str(losses.load(tmp_path / "loss.json").tree) == "log(y) - x / y"


def test_the_run_directory_of_another_length_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("tune", "digits", "baikal", "--generations", 1, "--steps", 5, "--run-dir", tmp_path).exit_code == 0
    message = failed(monkeypatch, capsys, "tune", "digits", "baikal", "--steps", 6, "--run-dir", tmp_path, "--resume")
    assert "was begun with another number of steps" in message
