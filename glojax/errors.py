"""Helpers for error messages: short, one line, however large the input, and clear about whose code failed.

``short``, ``quoted`` and ``listed`` put untrusted input into a message. ``users_code`` turns whatever a user's model,
loss or task raises into a ``ValueError`` that names it.
"""

import os
import reprlib
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_MAX_NAMES = 10
_MAX_MESSAGE = 300
_INSTALLED = (str(Path(__file__).parent), *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))


def short(text: object, limit: int = 200) -> str:
    """Shorten a text or a path to ``limit`` characters by cutting out its middle.

    Args:
      text: anything with a readable ``str``.
      limit: the largest number of characters. Defaults to 200.

    Returns:
      The text itself if it fits, and otherwise its beginning, ``...`` and its end.
    """
    text = str(text)
    if len(text) <= limit:
        return text
    end = (limit - 3) // 2
    return f"{text[: limit - 3 - end]}...{text[-end:]}"


def quoted(value: object, limit: int = 60) -> str:
    """Write a value as ``repr`` does, in at most ``limit`` characters.

    Only a part of a large value is read, so the cost does not grow with it.

    Args:
      value: any value.
      limit: the largest number of characters. Defaults to 60.
    """
    short_repr = _Repr()
    short_repr.maxstring = short_repr.maxother = limit
    return short(short_repr.repr(value), limit)


def listed(names: Sequence[object]) -> str:
    """Join names with commas; of more than ten, show the first ten and their number."""
    shown = ", ".join(short(name, 60) for name in names[:_MAX_NAMES])
    return shown if len(names) <= _MAX_NAMES else f"{shown}, ... ({len(names):,} in all)"


class _Repr(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to print integers of more than 4,300 digits and is slow for large ones.
        return repr(x) if x.bit_length() <= 200 else f"<integer of {x.bit_length()} bits>"


@contextmanager
def users_code(what: str) -> Iterator[None]:
    """Turn any exception raised inside the block into a ``ValueError`` that begins with ``what``.

    Args:
      what: whose code runs, such as ``"Task.model"``.

    Raises:
      ValueError: the block raised. The message has the exception's type, its text and the line of the user's code
        that led to it; the exception itself is the cause.

    Example:
        with users_code("Task.augment"):
            x = task.augment(key, x)
    """
    try:
        yield
    except Exception as error:  # a user's code may raise anything
        message = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
        shown = message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 3] + "..."
        raise ValueError(f"{what} raises {type(error).__name__}{_place(error)}: {shown}") from error


def _place(error: Exception) -> str:
    """File and line of the user's code where the error arose, if the traceback passes through any."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if os.path.isfile(frame.filename) and not frame.filename.startswith(_INSTALLED)]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
