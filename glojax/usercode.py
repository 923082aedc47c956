"""Errors of a user's own functions and files, told in one line: what was called, what it raised, and where."""

import os
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 300
_INSTALLED = (str(Path(__file__).parent), *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))


@contextmanager
def users_code(what: str) -> Iterator[None]:
    """Whatever is raised inside becomes a ``ValueError`` that begins with ``what``; the original is its cause."""
    try:
        yield
    except Exception as error:  # a user's code may raise anything
        message = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
        shown = message if len(message) <= _LONGEST else message[: _LONGEST - 3] + "..."
        raise ValueError(f"{what} raises {type(error).__name__}{_place(error)}: {shown}") from error


def _place(error: Exception) -> str:
    """The line of the user's that raised it, if there is one among those that led there."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if os.path.isfile(frame.filename) and not frame.filename.startswith(_INSTALLED)]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
