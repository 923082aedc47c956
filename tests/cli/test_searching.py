"""The command ``glojax search``."""

import html
import json
from pathlib import Path

import numpy as np
import pytest
from as_typed import cells, run

from glojax import losses, tasks
from glojax.records import summary
from glojax.reporting import conclusions

pytestmark = pytest.mark.slow


def test_a_search_ends_with_a_loss_a_comparison_and_a_report(tmp_path: Path) -> None:
    sizes = ["--population", "24", "--generations", "2", "--tune-generations", "1", "--seeds", "2", "--steps", "40"]
    arguments = ("search", *sizes, "--no-random-search", "--full-steps", 90, "--tensorboard", "--run-dir", tmp_path)
    result = run(*arguments, "--json", tmp_path / "result.json")
    assert result.exit_code == 0, result.output
    output = result.output
    for text in (
        "digits-mlp, 40% label noise: 40 steps", "label noise 2/2", "tuning 2/2", "cross-entropy, best rate",
        "Comparison over 2 fresh seeds", "best known loss, best rate", "As a user trains: 90 steps, cosine decay",
    ):  # fmt: skip
        assert text in output
    assert "Noise: one training of it scatters by 0.0" in output
    largest = np.bincount(tasks.digits().splits["test"].labels).max() / 360
    assert f"One prediction for all examples has a test accuracy of {largest:.4f}." in output
    said = conclusions.sentences(summary.read(tmp_path))
    shown = " ".join(output.split())
    assert all(sentence in shown for sentence in said[:2])
    loss = losses.load(tmp_path / "loss.json")
    assert f"f(x, y) = {loss}" in output
    assert f"Report       {tmp_path / 'report.html'}" in output
    assert str(loss) in html.unescape((tmp_path / "report.html").read_text())
    assert (tmp_path / "report" / "overview.png").stat().st_size > 10_000
    scalars = {"search", "tune", "comparison cross-entropy", "comparison found", "comparison found, tuned"}
    scalars |= {"comparison best known loss"}
    assert {path.name for path in (tmp_path / "tensorboard").iterdir()} <= scalars
    assert {path.parent.name for path in tmp_path.glob("tensorboard/*/events*")} >= scalars - {
        "comparison found, tuned"
    }
    kept = json.loads((tmp_path / "result.json").read_text())
    assert (kept["loss"]["text"], kept["report"]) == (str(loss), str(tmp_path / "report.html"))
    assert kept["conclusions"] == conclusions.about_comparison(summary.read(tmp_path))
    printed = [cells(line) for line in output.splitlines() if line.startswith("│")]
    shown_rows = [row for row in printed if row[0] != "largest class"]
    assert len(printed) == len(shown_rows) + 2
    assert [[row["loss"], f"x{row['rate']:.3g}"] for row in kept["comparison"] + kept["full_training"]] == [
        row[:2] for row in shown_rows
    ]
    assert [f"{row['test']:.4f} ± {row['test_std']:.4f}" for row in kept["comparison"] + kept["full_training"]] == [
        row[3] for row in shown_rows
    ]
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["phases"]["search"]["population"] == 24
    again = run(*arguments, "--resume")
    assert again.output.splitlines()[-3] == output.splitlines()[-3]


def test_an_exhaustive_search_prints_its_coverage_and_where_known_losses_stand(tmp_path: Path) -> None:
    arguments = (
        "search",
        "--exhaustive",
        "--candidate-seeds",
        1,
        "--seeds",
        2,
        "--steps",
        20,
        "--full-steps",
        0,
        "--no-random-search",
    )
    result = run(*arguments, "--run-dir", tmp_path)
    assert result.exit_code == 0, result.output
    for text in (
        "All 25,844 trees of depth at most 2 are covered: 528 finite functions of x and y, 178 gradients, 147 but for "
        "their size.",
        "Trees and losses: 25,844 drawn > 9,496 valid > 7,028 finite > 3,409 guided > 128 distinct > 46 trainable > "
        "46 trained > 46 finished.",
    ):
        assert text in result.output
    assert "The budget ended" not in result.output
    ranked = [cells(line) for line in result.output.splitlines() if line.startswith("│")]
    known = {row[4]: row[1] for row in ranked if len(row) == 5 and row[4]}
    assert known["baikal"] == "log(y) - x / y"
    assert {"cross_entropy", "baikal"} <= set(known)
    shown = html.unescape((tmp_path / "report.html").read_text())
    assert "All 25,844 trees of depth at most 2 were covered: they compute 528 finite functions" in shown
    assert "log(y) - x / y (baikal)" in shown
    assert losses.load(tmp_path / "loss.json").tree.has_x_and_y


def test_an_exhaustive_search_says_how_far_its_budget_went(tmp_path: Path) -> None:
    sizes = ("--candidate-seeds", 1, "--seeds", 2, "--steps", 10, "--full-steps", 0, "--no-random-search")
    options = ("--exhaustive", "--screening", "finite,guided,distinct", "--one-rate", "--budget", 1, *sizes)
    result = run("search", *options, "--run-dir", tmp_path)
    assert result.exit_code == 0, result.output
    assert "> 165 distinct > 64 trained > 64 finished." in result.output
    assert "The budget ended the search at 64 of 165 losses, the smallest first." in result.output
    shown = html.unescape((tmp_path / "report.html").read_text())
    assert "165 losses passed the screening, and 64 of them were trained, the smallest first." in shown


def test_taylor_polynomials_are_searched_beside_random_trees(tmp_path: Path) -> None:
    arguments = ("search", "--space", "taylor", "--generations", 2, "--seeds", 2, "--steps", 10)
    result = run(*arguments, "--full-steps", 0, "--run-dir", tmp_path)
    assert result.exit_code == 0, result.output
    assert "As a user trains" not in result.output
    for text in (
        "Taylor polynomials on digits-mlp, 40% label noise 3/3",
        "Random search found",
        "random search, best rate",
        "Too few seeds to say whether the loss is better: 2, of at least 5.",
    ):
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
        "--full-steps",
        "90",
        "--no-random-search",
    ]
    result = run("search", *table, *sizes, "--run-dir", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "best known loss, best rate" in result.output
    for text in ("search on table-price 2/2", "Squared error: best at", "validation r2", "squared error, best rate"):
        assert text in result.output
    loss = losses.load(tmp_path / "run" / "loss.json")
    assert loss.output == "identity"
