"""The ``glojax`` command: thin; everything it does is a call of the library."""

import sys

from rich.console import Console

from glojax.cli import comparing, measuring, searching, several, showing
from glojax.cli.shared import app, plain

__all__ = ["app", "comparing", "main", "measuring", "searching", "several", "showing"]


def main() -> None:
    """Run the command; an error of the user's is one line and exit status 2, an interruption 130."""
    try:
        app()
    except (ValueError, ImportError, OSError) as error:
        Console(stderr=True, highlight=False).print(f"[bold red]glojax:[/] {plain(str(error))}", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        print("glojax: stopped; a run with --run-dir goes on with --resume.", file=sys.stderr)
        sys.exit(130)
