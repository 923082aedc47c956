"""The options of a table on the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from as_typed import failed, run

from glojax.cli import options, table_options
from glojax.cli.options import app
from glojax.data import tables
from glojax.discovery import full_training


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A table without a header, whose cells are between colons."""
    rows = [f"{i}:{'SML'[i % 3]}:{i * 7 % 50}:{('n', 'y')[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    return tmp_path / "t.csv"


ODD = ["--target", "4", "--delimiter", ":", "--no-header", "--drop", "1", "--ordinal", "2=S,M,L", "--missing", "49"]


def made(monkeypatch: pytest.MonkeyPatch, *arguments: object, keep_in: Path | None = None) -> Any:
    """The task that a command with the options of a table makes of its arguments."""
    import typer
    from typer.testing import CliRunner

    monkeypatch.setattr(options, "prepare", lambda devices: None)
    made: list[Any] = []
    tried = typer.Typer()

    @tried.command()
    @table_options.with_task_or_table
    def command(task: str = "", *, make_task: options.MakeTask) -> None:
        made.append(make_task(None, keep_in=keep_in))

    result = CliRunner().invoke(tried, [str(argument) for argument in arguments])
    assert result.exception is None, result.output
    return made[0], " ".join(result.output.split())


def test_options_of_a_table_reach_the_reader_and_what_was_read_is_printed_and_kept(
    odd: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task, text = made(monkeypatch, "--csv", odd, *ODD, "--metric", "f1:1", keep_in=tmp_path / "run")
    for said in ("4: 2 classes", "2 (S < M < L)", "1 (as asked)", "3 2: filled"):
        assert said in text
    transform = tables.load_transform(tmp_path / "run" / "table.json")
    assert transform.features == ("2", "3")
    assert json.loads((tmp_path / "run" / "table.json").read_text())["about"][1][0] == "Target"
    np.testing.assert_array_equal(transform(odd)[:0], np.zeros((0, 2)))  # its delimiter is on record
    assert (task.metric_name, task.problem.output) == ("f1:1", "sigmoid")


def test_a_run_directory_that_holds_a_run_keeps_its_table(
    odd: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "settings.json").write_text("{}")
    made(monkeypatch, "--csv", odd, *ODD, keep_in=tmp_path)
    assert not (tmp_path / "table.json").exists()


def test_a_transformed_target_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = "\n".join(f"{i % 7},{np.exp(i / 9):.3f}" for i in range(60))
    (tmp_path / "t.csv").write_text(f"a,b\n{rows}\n")
    task, text = made(
        monkeypatch, "--csv", tmp_path / "t.csv", "--target", "b", "--target-transform", "log", "--metric", "mae"
    )
    assert "trained as its logarithm" in text
    assert task.is_error
    assert task.metric_name == "mae"


def test_a_table_takes_the_place_of_the_task_before_losses(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def train(task: Any, named: Any, *_: Any, **__: Any) -> None:
        given.append((task.name, list(named)))
        raise ValueError("enough")

    monkeypatch.setattr(full_training, "train", train)
    for command in ("evaluate", "train"):
        run(command, "--csv", odd, *ODD, "cross_entropy", "brier")
    assert given == [("t-4", ["cross_entropy", "brier"])] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "digits"], "a loss is needed"),
        (["evaluate"], "a task, or --csv with a table, is needed"),
        (["tune", "digits", "baikal", "focal"], "tune takes a task, or --csv, and one loss; 2 were given"),
        (["train", "--csv", "t.csv", "baikal"], "--csv needs --target"),
        (["train", "digits", "baikal", "--target", "a"], "--target goes with --csv alone"),
        (["bench", "--target", "a"], "--target goes with --csv alone"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in failed(monkeypatch, capsys, *arguments)


def test_every_command_that_trains_takes_a_table() -> None:
    for command in ("search", "tune", "train", "evaluate", "bench"):
        (found,) = (one for one in app.registered_commands if one.callback and one.callback.__name__ == command)
        assert {"csv", "target", "target_transform"} <= set(found.callback.__signature__.parameters)  # type: ignore[union-attr]
