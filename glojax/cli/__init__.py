"""The ``glojax`` command: it reads options, calls the library, and prints what comes back.

Commands:

- ``searching``: ``search``, of several tasks in ``joint_searching``; ``search_settings`` has its options.
- ``tune``: ``tune``.
- ``comparing``: ``evaluate`` and ``train``.
- ``transferring``: ``transfer``.
- ``measuring``: ``bench``.
- ``showing``: ``show`` and ``export``.
- ``reading``: ``report``, ``record`` and ``runs``.

What they share:

- ``options``: the app, common options, and the task that a command works on.
- ``table_options``: the options of a table in place of a named task.
- ``trackers``: options of what tracks a search.
- ``training``: options for what trains, and the executor that they choose.
- ``multiprocess``: options to run one command in several processes.
- ``signatures``: decorators that add options to a command.
- ``json_results``: the option ``--json``.
- ``help_panels``: the panels of options in a command's help.
- ``comparison_tables``: how comparisons are printed.
- ``progress``: a line about the search under way.

Modules import the library inside functions, so that ``glojax --help`` starts without JAX.

May import every package.
"""

import sys
from typing import Annotated

import typer
from rich.console import Console

from glojax.cli import comparing, measuring, reading, searching, showing, transferring, tune
from glojax.cli.help_panels import sort_commands
from glojax.cli.options import app, plain
from glojax.errors import short
from glojax.version import version

__all__ = ["app", "comparing", "main", "measuring", "reading", "searching", "showing", "transferring", "tune"]

sort_commands(app)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"glojax {version()}")
        raise typer.Exit


@app.callback()
def _options_of_all(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command; a user's mistake is reported in one line, with exit status 2."""
    try:
        app()
    except (ValueError, ImportError, OSError) as error:
        Console(stderr=True, highlight=False).print(f"[bold red]glojax:[/] {plain(_one_line(error))}", soft_wrap=True)
        sys.exit(2)


def _one_line(error: Exception) -> str:
    """The error's message with spaces for line ends, and escapes for what a terminal would act on."""
    text = " ".join(short(error, 1000).splitlines())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
