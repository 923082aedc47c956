"""What errors say of input: however large it is, its part of a message is short."""

import reprlib
from collections.abc import Sequence
from typing import Any

_MOST_NAMES = 10


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
