"""The command, as a user types it."""

import html
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from glojax import cli, evaluate, losses, statistics, tasks
from glojax.discovery import scoring

COMMANDS = ("search", "tune", "evaluate", "train", "bench", "show", "export", "report", "record", "runs")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What ``main`` says of a user's mistake, in one line, with exit status 2."""
    monkeypatch.setattr(sys, "argv", ["glojax", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("glojax: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: glojax {command}" in result.output


def test_a_search_ends_with_a_loss_a_comparison_and_a_report(tmp_path: Path) -> None:
    arguments = (
        "search",
        "--population",
        24,
        "--generations",
        2,
        "--tune-generations",
        1,
        "--seeds",
        2,
        "--no-random-search",
        "--tensorboard",
    )
    result = run(*arguments, "--steps", 40, "--run-dir", tmp_path)
    assert result.exit_code == 0, result.output
    output = result.output
    for text in ("search on digits-mlp 2/2", "tuning 2/2", "cross-entropy ", "cross-entropy, best rate", "found"):
        assert text in output
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
    again = run(*arguments, "--steps", 40, "--run-dir", tmp_path, "--resume")
    assert again.output.splitlines()[-3] == output.splitlines()[-3]


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
    rows = [f"{a:.3f},{'red' if b else 'blue'},{a + 2 * b + 0.1 * c:.3f}" for a, b, c in zip(
        random.normal(size=150), random.integers(2, size=150), random.normal(size=150), strict=True)]  # fmt: skip
    (tmp_path / "table.csv").write_text("\n".join(["size,colour,price", *rows]))
    arguments = ("search", "--csv", tmp_path / "table.csv", "--target", "price", "--population", 12, "--generations", 2)
    options = (
        "--steps",
        60,
        "--tune-generations",
        0,
        "--seeds",
        2,
        "--no-random-search",
        "--run-dir",
        tmp_path / "run",
    )
    result = run(*arguments, *options)
    assert result.exit_code == 0, result.output
    for text in ("search on table-price 2/2", "Squared error: best at", "validation r2", "squared error, best rate"):
        assert text in result.output
    loss = losses.load(tmp_path / "run" / "loss.json")
    assert loss.output == "identity"


def cells(line: str) -> list[str]:
    """Of a row of a table."""
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_evaluate_compares_each_loss_with_cross_entropy_at_its_best_rate() -> None:
    result = run("evaluate", "digits", "cross_entropy", "log(y) - x / y", "--seeds", 2, "--steps", 20)
    assert result.exit_code == 0, result.output
    first, second, baseline = (cells(line) for line in result.output.splitlines() if line.startswith("│"))
    given = [losses.cross_entropy, losses.baikal] + [losses.cross_entropy] * len(scoring.RATES)
    scores = evaluate(tasks.digits(steps=20), given, 2, rates=[1, 1, *scoring.RATES])
    best = scores[2:].mean(axis=1).argmax()
    assert first[:3] == ["cross_entropy", "x1", f"{scores[0].mean():.4f} ± {scores[0].std(ddof=1):.4f}"]
    assert second[4] == f"{statistics.welch(scores[2 + best], scores[1]):.2g}"
    assert baseline[:2] == ["cross-entropy", f"x{scoring.RATES[best]:g}"]
    assert baseline[4:] == ["", ""]
    assert (
        f"differences below {statistics.detectable(scores[2 + best].std(ddof=1), 2):.4f} cannot be told"
        in result.output
    )


@pytest.mark.parametrize("command", ["evaluate", "train", "tune", "search"])
def test_data_dir_reaches_the_task(
    command: str, tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorflow_datasets")
    losses = () if command == "search" else ("baikal",)
    message = failed(monkeypatch, capsys, command, "mnist", *losses, "--data-dir", tmp_path)
    assert f"or put these files into {tmp_path}" in message


def test_train_keeps_its_curves_and_goes_on(tmp_path: Path) -> None:
    arguments = ("train", "digits", "baikal", "--seeds", 2, "--steps", 60, "--points", 3, "--schedule", "cosine")
    result = run(*arguments, "--run-dir", tmp_path)
    assert result.exit_code == 0, result.output
    steps = [line.split()[1] for line in result.output.splitlines() if line.startswith("step ")]
    assert steps == ["20/60", "40/60", "60/60"]
    (baikal, *_) = json.loads((tmp_path / "curves.json").read_text())["rows"]
    ends = np.array(baikal["scores"])[:, -1]
    rows = [cells(line) for line in result.output.splitlines() if line.startswith("│ baikal")]
    assert [row[2] for row in rows] == [f"{end.mean():.4f} ± {end.std(ddof=1):.4f}" for end in ends.T]
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    again = run(*arguments, "--run-dir", tmp_path, "--resume")
    assert again.output.splitlines()[2:] == result.output.splitlines()[4:]


def test_tune_saves_what_it_found(tmp_path: Path) -> None:
    result = run("tune", "digits", "baikal", "--generations", 1, "--steps", 20, "--run-dir", tmp_path)
    assert result.exit_code == 0, result.output
    assert str(losses.load(tmp_path / "loss.json").tree) == "log(y) - x / y"


def test_show_prints_the_formula_and_draws_the_curve(tmp_path: Path) -> None:
    result = run("show", "baikal_cma", "--figure", tmp_path / "curve.png")
    assert "canonical    log(y) - x / y" in result.output
    assert "2 of 6 change training" in result.output
    assert (tmp_path / "curve.png").exists()


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("latex", "x \\, \\log\\left(y\\right)\n"),
        ("sympy", "x*log(y)\n"),
        ("json", losses.cross_entropy.to_json()),
        ("python", losses.cross_entropy.to_python()),
    ],
)
def test_export_writes_every_form(tmp_path: Path, form: str, expected: str) -> None:
    assert run("export", "cross_entropy", "--to", form).output == expected
    run("export", "cross_entropy", "--to", form, "--output", tmp_path / "out")
    assert (tmp_path / "out").read_text() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "digits", "log(y"), "column 6"),
        (("evaluate", "digits", "nothing.json"), "nothing.json"),
        (("evaluate", "digit", "baikal"), "'digit' is not known; allowed are digits"),
        (("show", "x + 1"), "needs both x (the label) and y"),
        (("show", "next_generation"), "not an expression tree"),
        (("search", "--population", 5), "elites is 6, population is 5; elites must be smaller than the population"),
        (("search", "--resume"), "--resume needs the --run-dir"),
        (("tune", "digits", "baikal", "--tensorboard"), "--tensorboard needs the --run-dir"),
        (("report", "none"), "none is not a run directory: it has no settings.json"),
        (("record", "none", "--output", "none.txt"), "none.txt: its ending must be .csv or .parquet"),
        (("record", "none", "--output", "none.csv"), "none is not a run directory"),
        (("runs", "none"), "none: there is no such folder"),
        (("train", "digits", "baikal", "--resume"), "--resume needs the --run-dir"),
        (("train", "digits", "baikal", "--weight-decay", -1), "weight_decay is -1.0; a finite number of at least 0"),
        (("search", "--steps", 0), "steps is 0"),
        (("search", "--csv", "none.csv"), "--csv needs --target"),
        (("search", "--csv", "none.csv", "--target", "a"), "none.csv"),
        (("search", "mine.py:task", "--csv", "none.csv", "--target", "a"), "--csv takes the place of a task"),
        (
            ("search", "--csv", "none.csv", "--target", "a", "--learning-rate", 0),
            "learning rate is 0.0; a number above",
        ),
        (("search", "nowhere.py:task"), "there is no file 'nowhere.py'"),
        (("evaluate", "nowhere.py:task", "baikal"), "there is no file 'nowhere.py'"),
        (("search", "--target", "a"), "--target goes with --csv alone"),
        (("search", "--optimizer", "adam"), "--optimizer goes with --csv alone"),
        (
            ("search", "--csv", "none.csv", "--target", "a", "--optimizer", "adan"),
            "optimizer is 'adan'; allowed are sgd",
        ),
        (("search", "--budget", "ten"), "--budget is 'ten'; candidate-steps such as 2e6, or minutes such as 10m"),
        (("search", "--budget", "-5"), "budget is -5; an integer from 1"),
        (("search", "--budget", "0m"), "minutes is 0.0; a number above 0"),
        (("search", "--screening", "finite,fast"), "screening holds 'fast'; allowed are finite, guided"),
        (("search", "--exhaustive", "--depth", 7), "depth is 7; an integer from 1 to 4"),
        (("search", "--exhaustive", "--preset", "paper"), "goes with neither --space taylor nor --preset paper"),
        (("search", "--exhaustive", "--generations", 3), "--exhaustive has no generations"),
        (("search", "--space", "taylor", "--budget", "1e5"), "--space taylor has no budget"),
        (("search", "--data-dir", "here"), "'digits' takes no data_dir; allowed for mnist, cifar10"),
        (("tune", "digits", "baikal", "--population", 2), "population is 2"),
    ],
)
def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple, message: str
) -> None:
    assert message in failed(monkeypatch, capsys, *arguments)


@pytest.mark.parametrize(("option", "value"), [("--seeds", 0), ("--tune-generations", -1)])
def test_a_number_that_would_fail_after_the_search_is_refused_before_it(option: str, value: int) -> None:
    result = run("search", option, value)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output


@pytest.mark.parametrize("command", [("search",), ("evaluate", "baikal"), ("train", "baikal"), ("tune", "baikal")])
def test_a_user_s_file_that_fails_is_one_line_with_the_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple
) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def task():\n    raise KeyError('gone')\n")
    message = failed(monkeypatch, capsys, command[0], f"{path}:task", *command[1:])
    assert message.endswith(f"mine.py:task' raises KeyError ({path}, line 2): 'gone'")


def test_the_run_directory_of_another_task_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("tune", "digits", "baikal", "--generations", 1, "--steps", 5, "--run-dir", tmp_path).exit_code == 0
    message = failed(monkeypatch, capsys, "tune", "digits", "baikal", "--steps", 6, "--run-dir", tmp_path, "--resume")
    assert "was begun with another number of steps; resume with the same one" in message
