"""``glojax search`` of several tasks."""

from pathlib import Path

import pytest
from as_typed import run

from glojax.losses.loss import load


@pytest.mark.slow
def test_one_loss_is_found_for_several_tasks_and_compared_on_each(tmp_path: Path) -> None:
    sizes = ["--population", 4, "--generations", 1, "--seeds", 2, "--steps", 10, "--train-examples", 100]
    arguments = ("search", "digits", "noisy-digits", *sizes, "--full-steps", 0, "--run-dir", tmp_path / "run")
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    for text in ("search on 2 tasks 1/1", "joint fitness", "Random search found", "Comparison over 2 fresh seeds"):
        assert text in result.output
    reports = sorted((tmp_path / "run").glob("*/report.html"))
    assert len(reports) == 2
    assert all(str(path) in result.output for path in reports)
    loss = load(tmp_path / "run" / "loss.json")
    assert f"f(x, y) = {loss}" in result.output
    assert all(load(path.parent / "loss.json") == loss for path in reports)
    again = run(*arguments, "--resume")
    assert again.output.splitlines()[-3:] == result.output.splitlines()[-3:]


def test_tasks_that_cannot_share_a_loss_are_refused_at_once(tmp_path: Path) -> None:
    result = run("search", "digits", "diabetes", "--run-dir", tmp_path / "run")
    assert isinstance(result.exception, ValueError)
    assert "'digits-mlp' and 'diabetes' cannot share a loss" in str(result.exception)
    assert not (tmp_path / "run").exists()
