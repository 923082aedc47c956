"""The ``glojax`` command: thin; everything it does is a call of the library."""

import sys

from rich.console import Console

from glojax.cli import comparing, measuring, reading, searching, showing, tuning
from glojax.cli.options import app, plain
from glojax.errors import short

__all__ = ["app", "comparing", "main", "measuring", "reading", "searching", "showing", "tuning"]


def main() -> None:
    """Run the command; an error of the user's is one line and exit status 2."""
    try:
        app()
    except (ValueError, ImportError, OSError) as error:
        Console(stderr=True, highlight=False).print(f"[bold red]glojax:[/] {plain(_one_line(error))}", soft_wrap=True)
        sys.exit(2)


def _one_line(error: Exception) -> str:
    """What it says, its line ends as spaces and what a terminal would act on as escapes."""
    text = " ".join(short(error, 1000).splitlines())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
