"""The command, as a user types it."""

import sys

import pytest
from typer.testing import CliRunner, Result

from glojax import cli


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What ``main`` says of a user's mistake, in one line, with exit status 2."""
    monkeypatch.setattr(sys, "argv", ["glojax", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("glojax: "), message
    assert "\n" not in message
    return message


def cells(line: str) -> list[str]:
    """Of a row of a table."""
    return [cell.strip() for cell in line.strip("│").split("│")]
