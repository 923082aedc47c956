"""What errors say of input and of users' own code: one short line, however large the input."""

import os
import reprlib
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_MOST_NAMES = 10
_LONGEST = 300
_INSTALLED = (str(Path(__file__).parent), *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))


def short(text: object, most: int = 200) -> str:
    """A text, or that of a path, with the middle left out where it has more than ``most`` characters."""
    text = str(text)
    if len(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{text[: most - 3 - end]}...{text[-end:]}"


def quoted(value: object, most: int = 60) -> str:
    """``repr`` of a value in at most ``most`` characters; only a part of a large one is looked at."""
    short_repr = _Repr()
    short_repr.maxstring = short_repr.maxother = most
    return short(short_repr.repr(value), most)


def listed(names: Sequence[Any]) -> str:
    """Names with commas between them, the first ten of many."""
    shown = ", ".join(short(name, 60) for name in names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown}, ... ({len(names):,} in all)"


class _Repr(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write an integer of more than 4,300 digits, and takes long for others.
        return repr(x) if x.bit_length() <= 200 else f"<integer of {x.bit_length()} bits>"


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
