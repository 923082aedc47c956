"""The command ``glojax search``."""

import dataclasses
import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from as_typed import cells, run

from glojax import losses, tasks
from glojax.cli import options, searching
from glojax.records.comparisons import Comparison


def test_a_search_ends_with_a_loss_a_comparison_and_a_report(tmp_path: Path) -> None:
    sizes = ["--population", "24", "--generations", "2", "--tune-generations", "1", "--seeds", "2", "--steps", "40"]
    arguments = ("search", *sizes, "--no-random-search", "--tensorboard", "--run-dir", tmp_path)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    output = result.output
    for text in ("search on digits-mlp 2/2", "tuning 2/2", "cross-entropy ", "cross-entropy, best rate", "found"):
        assert text in output
    assert "Noise: one training of it scatters by 0.0" in output
    largest = np.bincount(tasks.digits().splits["test"].labels).max() / 360
    assert f"One prediction for all examples has a test accuracy of {largest:.4f}." in output
    assert "Warning" not in output
    loss = losses.load(tmp_path / "loss.json")
    assert f"f(x, y) = {loss}" in output
    assert f"Report       {tmp_path / 'report.html'}" in output
    assert str(loss) in html.unescape((tmp_path / "report.html").read_text())
    assert (tmp_path / "report" / "overview.png").stat().st_size > 10_000
    scalars = {"search", "tune", "comparison cross-entropy", "comparison found", "comparison found, tuned"}
    assert {path.name for path in (tmp_path / "tensorboard").iterdir()} <= scalars
    assert {path.parent.name for path in tmp_path.glob("tensorboard/*/events*")} >= scalars - {
        "comparison found, tuned"
    }
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["phases"]["search"]["population"] == 24
    again = run(*arguments, "--resume")
    assert again.output.splitlines()[-3] == output.splitlines()[-3]


@pytest.mark.parametrize(
    ("task", "constant", "scores", "warned"),
    [
        (tasks.digits, 37 / 360, (0.1, 0.09), True), (tasks.digits, 37 / 360, (0.2, 0.1), False),
        (tasks.diabetes, 0.0, (0.0, 0.0), True), (tasks.diabetes, 0.0, (0.3, 0.1), False),
    ],
)  # fmt: skip
def test_it_warns_where_no_loss_is_better_than_one_prediction_for_all(
    capsys: pytest.CaptureFixture[str], task: Any, constant: float, scores: tuple[float, float], warned: bool
) -> None:
    rows = [Comparison("a", 1.0, [500], np.full((3, 1, 2), score)) for score in scores]
    searching._say_constant(options.console_of(), task(), rows)
    shown = capsys.readouterr().out
    assert f"of {constant:.4f}." in shown
    assert ("Warning: no loss is better than that" in shown) == warned


def test_it_warns_of_errors_that_are_no_less(capsys: pytest.CaptureFixture[str]) -> None:
    task = dataclasses.replace(tasks.diabetes(), metric="mae")
    labels = task.splits["test"].labels
    constant = np.abs(labels - np.median(labels)).mean()
    for error, warned in ((constant + 0.01, True), (constant - 0.01, False)):
        rows = [Comparison("a", 1.0, [500], np.full((3, 1, 2), 1 / (1 + error)))]
        searching._say_constant(options.console_of(), task, rows)
        shown = capsys.readouterr().out
        assert f"One prediction for all examples has a test mae of {constant:.4f}." in shown
        assert ("Warning" in shown) == warned


def test_an_exhaustive_search_prints_its_coverage_and_where_known_losses_stand(tmp_path: Path) -> None:
    arguments = ("search", "--exhaustive", "--candidate-seeds", 1, "--seeds", 2, "--steps", 20, "--no-random-search")
    result = run(*arguments, "--run-dir", tmp_path)
    assert result.exit_code == 0, result.output
    assert "Of 25,844 trees of depth at most 2: 25,844 drawn > 9,496 valid > 7,028 finite > " in result.output
    ranked = [cells(line) for line in result.output.splitlines() if line.startswith("│")]
    known = {row[4]: row[1] for row in ranked if len(row) == 5 and row[4]}
    assert known["baikal"] == "log(y) - x / y"
    assert {"cross_entropy", "baikal"} <= set(known)
    shown = html.unescape((tmp_path / "report.html").read_text())
    assert "Of 25,844 trees of depth at most 2, 25,844 were drawn." in shown
    assert "log(y) - x / y (baikal)" in shown
    assert losses.load(tmp_path / "loss.json").tree.has_x_and_y


def test_taylor_polynomials_are_searched_beside_random_trees(tmp_path: Path) -> None:
    arguments = ("search", "--space", "taylor", "--generations", 2, "--seeds", 2, "--steps", 10)
    result = run(*arguments, "--run-dir", tmp_path)
    assert result.exit_code == 0, result.output
    for text in ("Taylor polynomials on digits-mlp 3/3", "Random search found", "random search, best rate", "Noise: "):
        assert text in result.output
    assert losses.load(tmp_path / "loss.json").tree == losses.taylor_mnist.tree


def test_a_table_is_searched(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    size, red, noise = random.normal(size=150), random.integers(2, size=150), random.normal(size=150)
    rows = [
        f"{a:.3f},{'red' if b else 'blue'},{a + 2 * b + 0.1 * c:.3f}" for a, b, c in zip(size, red, noise, strict=True)
    ]
    (tmp_path / "table.csv").write_text("\n".join(["size,colour,price", *rows]))
    table = ("--csv", tmp_path / "table.csv", "--target", "price")
    sizes = [
        "--population",
        "12",
        "--generations",
        "2",
        "--steps",
        "60",
        "--tune-generations",
        "0",
        "--seeds",
        "2",
        "--no-random-search",
    ]
    result = run("search", *table, *sizes, "--run-dir", tmp_path / "run")
    assert result.exit_code == 0, result.output
    for text in ("search on table-price 2/2", "Squared error: best at", "validation r2", "squared error, best rate"):
        assert text in result.output
    loss = losses.load(tmp_path / "run" / "loss.json")
    assert loss.output == "identity"
