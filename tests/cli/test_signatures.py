"""Options that decorators add: the signature that typer reads, and the old name of an option."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from as_typed import run
from typer.testing import CliRunner

import glojax
from glojax.cli.signatures import renamed_option, with_options
from glojax.discovery import full_training


def test_options_follow_the_command_s_own_and_what_is_made_of_them_is_hidden() -> None:
    called: list[Any] = []

    def command(name: str, size: int = 3, *, made: str) -> None:
        """Make it."""
        called.append((name, size, made))

    def options(first: str = "a", second: bool = False) -> None: ...

    def joined(*, first: str, second: bool, **given: Any) -> None:
        command(made=f"{first} {second}", **given)

    wrapped = with_options(command, joined, options, instead_of=("made",))
    parameters = inspect.signature(wrapped).parameters
    assert list(parameters) == ["name", "size", "first", "second"]
    assert [parameters[name].default for name in ("size", "first", "second")] == [3, "a", False]
    assert {parameters[name].kind for name in ("first", "second")} == {inspect.Parameter.KEYWORD_ONLY}
    assert wrapped.__annotations__ == {"name": str, "size": int, "first": str, "second": bool, "return": None}
    assert (wrapped.__name__, wrapped.__doc__) == ("command", "Make it.")
    app = typer.Typer()
    app.command()(wrapped)
    assert CliRunner().invoke(app, ["it", "--second", "--size", "4"]).exit_code == 0
    assert called == [("it", 4, "a True")]


def test_options_can_precede_one_of_the_command_s_own() -> None:
    called: list[Any] = []

    def command(name: str = "it", last: bool = False, *, made: str) -> None:
        called.append((name, made, last))

    def options(first: str = "a", second: int = 2) -> None: ...

    def joined(*, first: str, second: int, **given: Any) -> None:
        command(made=first * second, **given)

    wrapped = with_options(command, joined, options, instead_of=("made",), before="last")
    assert list(inspect.signature(wrapped).parameters) == ["name", "first", "second", "last"]
    app = typer.Typer()
    app.command()(wrapped)
    given = CliRunner().invoke(app, ["--first", "b", "--last"])
    assert (given.exit_code, called) == (0, [("it", "bb", True)])


@pytest.mark.parametrize(
    ("given", "expected", "warning"),
    [
        ([], True, ""),
        (["--no-new-name"], False, ""),
        (["--old"], True, "glojax: --old is now --new-name; the old name goes.\n"),
        (["--no-old"], False, "glojax: --no-old is now --no-new-name; the old name goes.\n"),
    ],
)
def test_the_old_name_of_an_option_is_hidden_and_warns_and_works(
    given: list[str], expected: bool, warning: str
) -> None:
    called: list[bool] = []

    @renamed_option("old", "new_name")
    def command(new_name: Annotated[bool, typer.Option(help="What it does.")] = True) -> None:
        called.append(new_name)

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, given)
    assert (result.exit_code, called, result.stderr) == (0, [expected], warning)
    assert "--old" not in CliRunner().invoke(app, ["--help"]).output


@pytest.mark.parametrize("command", ["evaluate", "train", "search"])
def test_commands_that_had_a_control_still_take_it(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[bool] = []

    def stop(job: Any, given: Any, config: Any, *_: Any, **__: Any) -> None:
        asked.append(config.baseline)
        raise ValueError("stopped here")

    def stop_search(job: Any, config: Any, *_: Any, **__: Any) -> None:
        asked.append(config.random_search)
        raise ValueError("stopped here")

    monkeypatch.setattr(full_training, "train", stop)
    monkeypatch.setattr(glojax, "discover", stop_search, raising=False)
    arguments = ("--run-dir", tmp_path) if command == "search" else ("baikal",)
    new = "random-search" if command == "search" else "baseline"
    for option, warned in (("--no-control", True), (f"--no-{new}", False)):
        result = run(command, "digits", *arguments, option)
        assert str(result.exception) == "stopped here"
        assert (f"glojax: --no-control is now --no-{new}; the old name goes." in result.stderr) == warned
    assert asked == [False, False]
