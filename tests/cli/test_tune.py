"""The command ``glojax tune``."""

import json
from pathlib import Path

import pytest
from as_typed import failed, run

from glojax import losses


@pytest.mark.slow
def test_tune_saves_what_it_found(tmp_path: Path) -> None:
    result = run("tune", "digits", "baikal", "--generations", 1, "--steps", 20, "--run-dir", tmp_path, "--json", "-")
    assert result.exit_code == 0, result.output
    loss = losses.load(tmp_path / "loss.json")
    assert str(loss.tree) == "log(y) - x / y"
    kept = json.loads(result.stdout)  # what is said for people is on standard error
    assert kept["loss"]["coefficients"] == list(loss.coefficients)
    assert f"{kept['start_fitness']:.4f} to {kept['fitness']:.4f}" in result.stderr


def test_the_run_directory_of_another_length_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("tune", "digits", "baikal", "--generations", 1, "--steps", 5, "--run-dir", tmp_path).exit_code == 0
    message = failed(monkeypatch, capsys, "tune", "digits", "baikal", "--steps", 6, "--run-dir", tmp_path, "--resume")
    assert "was begun with another number of steps" in message
