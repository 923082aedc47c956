"""What all commands have in common: help, and mistakes that are one line."""

from pathlib import Path

import pytest
from as_typed import failed, run

COMMANDS = ("search", "tune", "evaluate", "train", "bench", "show", "export", "report", "record", "runs", "transfer")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: glojax {command}" in result.output


@pytest.mark.parametrize("command", ["evaluate", "train", "tune", "search"])
def test_data_dir_reaches_the_task(
    command: str, tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorflow_datasets")
    losses = () if command == "search" else ("baikal",)
    message = failed(monkeypatch, capsys, command, "mnist", *losses, "--data-dir", tmp_path)
    assert f"or put these files into {tmp_path}" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "digits", "log(y"), "column 6"),
        (("evaluate", "digits", "nothing.json"), "nothing.json"),
        (("evaluate", "digit", "baikal"), "'digit' is not known; allowed are digits"),
        (("show", "x + 1"), "needs both x (the label) and y"),
        (("show", "next_generation"), "not an expression tree"),
        (("search", "--population", 1), "SearchConfig.population is 1; an integer from 2 to 100000 is allowed"),
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
        (("search", "--exhaustive", "--depth", 7), "depth is 7; an integer from 1 to 3"),
        (("search", "--exhaustive", "--preset", "paper"), "goes with neither --space taylor nor --preset paper"),
        (("search", "--exhaustive", "--generations", 3), "--exhaustive has no generations"),
        (("search", "--space", "taylor", "--budget", "1e5"), "--space taylor has no budget"),
        (("search", "--data-dir", "here"), "'noisy-digits' takes no data_dir; allowed for mnist, cifar10"),
        (("tune", "digits", "baikal", "--population", 2), "population is 2"),
    ],
)
def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple, message: str
) -> None:
    assert message in failed(monkeypatch, capsys, *arguments)


@pytest.mark.parametrize("command", [("search",), ("evaluate", "baikal"), ("train", "baikal"), ("tune", "baikal")])
def test_a_user_s_file_that_fails_is_one_line_with_the_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple
) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def task():\n    raise KeyError('gone')\n")
    message = failed(monkeypatch, capsys, command[0], f"{path}:task", *command[1:])
    assert message.endswith(f"mine.py:task' raises KeyError ({path}, line 2): 'gone'")
