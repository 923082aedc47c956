"""The text of a CSV file: its encoding, its delimiter, and where its rows begin, found before anything is read.

Limits are checked here, one piece of text after another, so that a file beyond them costs neither time nor memory.
"""

import codecs
import contextlib
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np

from glojax import files
from glojax.data.tables import limits
from glojax.errors import quoted, short

ENCODINGS = ("utf-8-sig", "cp1252")
"""Tried in this order where no mark at the beginning tells the encoding."""

_DELIMITERS = ",;\t|"
_PIECE = 2**20  # characters


class Source(NamedTuple):
    """How a file is read."""

    path: Path
    encoding: str
    delimiter: str
    has_hint: bool  # its first line is Excel's "sep=;"
    lines: np.ndarray  # int64[rows], the line where each row begins, with the header's


def examined(path: Path, delimiter: str | None, encoding: str | None) -> Source:
    """Find out how a file is read, and check it against the limits.

    Args:
      path: the file, which may be compressed by gzip.
      delimiter: one character. Defaults to the one by which the first rows have as many cells as the header.
      encoding: such as ``"utf-8"``. Defaults to what its first bytes tell, UTF-8, or cp1252 where it cannot be UTF-8.

    Raises:
      ValueError: an unknown encoding, text that is not of it, rows of unequal length, or a limit; with the line.
      OSError: the file cannot be read.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ValueError(
            f"{short(path)}: delimiter is {quoted(delimiter)}; one character other than a quote is needed."
        )
    choices = [encoding] if encoding is not None else _encodings(path)
    failed = UnicodeError()
    for choice in choices:
        try:
            with opened(path, choice) as text:
                head = text.read(_PIECE // 4)
            hint = head[:5].lower().startswith("sep=") and head[5:6] in ("\n", "")
            found = delimiter or (head[4] if hint and head[4:5].strip("\n") else _delimiter(head))
            with opened(path, choice) as text:
                if hint:
                    text.readline()
                return Source(path, choice, found, hint, _rows(path, text, found, 2 if hint else 1))
        except LookupError:
            raise ValueError(f"{short(path)}: encoding is {quoted(choice)}, which Python does not know.") from None
        except UnicodeError as error:
            failed = error
    raise ValueError(f"{short(path)}: not text in {choices[-1]} ({short(failed, 120)}); --encoding names another.")


@contextlib.contextmanager
def opened(path: Path, encoding: str) -> Iterator[io.TextIOWrapper]:
    """Open a file as text, whatever ends its lines; compressed by gzip, too."""
    with files.open_to_read(path, limits.MAX_BYTES) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            with io.TextIOWrapper(cast(Any, gzip.open(file) if packed else file), encoding=encoding) as text:
                yield text
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{short(path)}: damaged gzip ({short(error, 60)}).") from None


def records(text: IO[str], delimiter: str) -> Iterator[list[str]]:
    """Stripped cells of each record that is not blank."""
    for cells in csv.reader(text, delimiter=delimiter, skipinitialspace=True):
        if any(cells) or len(cells) > 1:
            yield [cell.strip() for cell in cells]


def _encodings(path: Path) -> list[str]:
    with opened(path, "latin-1") as text:
        head = text.read(400).encode("latin-1")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ["utf-16"]
    if len(head) > 9 and not head[1::2].strip(b"\0") and head[::2].strip(b"\0"):
        return ["utf-16-le"]  # without a mark every other byte of Latin letters is 0
    return list(ENCODINGS)


def _delimiter(head: str) -> str:
    """The delimiter by which most of the first rows have as many cells as the header; of several, the most cells."""

    def score(delimiter: str) -> tuple[int, int]:
        try:
            header, *rows = (len(cells) for cells in islice(records(io.StringIO(head), delimiter), 20))
        except (ValueError, csv.Error):
            return -1, 0
        return (rows.count(header), header) if header > 1 else (-1, 0)

    return max(_DELIMITERS, key=score)


def _rows(path: Path, text: io.TextIOWrapper, delimiter: str, line: int) -> np.ndarray:
    """The line of each row that is not blank; every row must have as many cells as the first."""
    found: list[np.ndarray] = []
    rows, width, size, inside, rest = 0, 0, 0, False, b""
    while piece := text.read(_PIECE):
        size += len(piece)
        if size > limits.MAX_BYTES:
            raise ValueError(f"{short(path)}: more than {limits.MAX_BYTES:,} characters of text; remove rows.")
        if "\0" in piece:
            at = line + rest.count(b"\n") + piece[: piece.index("\0")].count("\n")
            raise ValueError(f"{short(path)}, line {at}: a NUL character, which text has not.")
        lines, cells, line, rest, inside = _ends(rest + piece.encode(), delimiter, line)
        if len(rest) > limits.MAX_ROW_CHARACTERS:
            raise _too_long(path, line)
        rows, width = _checked(path, lines, cells, rows, width)
        found.append(lines)
    if rest:
        if inside:
            raise ValueError(f"{short(path)}, line {line}: not well-formed CSV; a quote is not closed.")
        lines, cells, *_ = _ends(rest + b"\n", delimiter, line)
        _checked(path, lines, cells, rows, width)
        found.append(lines)
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _too_long(path: Path, line: int) -> ValueError:
    return ValueError(f"{short(path)}, line {line}: a row of more than {limits.MAX_ROW_CHARACTERS:,} characters.")


def _ends(whole: bytes, delimiter: str, line: int) -> tuple[np.ndarray, np.ndarray, int, bytes, bool]:
    """Lines and numbers of cells of the rows that end in a piece of text; the line, the text and the state after it."""
    data = np.frombuffer(whole, np.uint8)
    breaks = np.flatnonzero(data == 10)
    ends = breaks
    marks = np.flatnonzero(data == np.frombuffer(delimiter.encode(), np.uint8)[0])
    inside = False
    if b'"' in whole:
        quotes = np.flatnonzero(data == 34)
        ends = breaks[np.searchsorted(quotes, breaks) % 2 == 0]
        marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    starts = np.concatenate([[0], ends + 1])
    inside = b'"' in whole and whole.count(b'"', int(starts[-1])) % 2 == 1
    numbers = line + np.searchsorted(breaks, starts)
    cells = np.diff(np.searchsorted(marks, starts)) + 1
    lengths = np.diff(starts) - 1
    filled = lengths > 0
    short_ones = np.flatnonzero(filled & (cells == 1))
    blank = [place for place in short_ones if not whole[starts[place] : ends[place]].strip()]
    filled[blank] = False
    if (lengths > limits.MAX_ROW_CHARACTERS).any():
        cells[lengths > limits.MAX_ROW_CHARACTERS] = -1
    return numbers[:-1][filled], cells[filled], int(numbers[-1]), whole[starts[-1] :], inside


def _checked(path: Path, lines: np.ndarray, cells: np.ndarray, rows: int, width: int) -> tuple[int, int]:
    """Check some rows; the number of rows and of columns up to there."""
    if not len(lines):
        return rows, width
    if (cells < 0).any():
        raise _too_long(path, int(lines[cells < 0][0]))
    if not rows:
        width = int(cells[0])
        if width > limits.MAX_COLUMNS:
            raise ValueError(
                f"{short(path)}, line {lines[0]}: {width:,} columns; at most {limits.MAX_COLUMNS:,} are allowed."
            )
    if (wrong := np.flatnonzero(cells != width)).size:
        place = wrong[0]
        raise ValueError(f"{short(path)}, line {lines[place]}: {cells[place]:,} cells; the header has {width:,}.")
    if lines[-1] > limits.MAX_LINES:
        raise ValueError(
            f"{short(path)}, line {lines[lines > limits.MAX_LINES][0]}: at most {limits.MAX_LINES:,} lines are "
            "allowed; remove rows."
        )
    most = limits.MAX_CELLS // width + 1  # with the header
    if rows + len(lines) > most:
        raise ValueError(
            f"{short(path)}, line {lines[max(most - rows, 0)]}: more than {limits.MAX_CELLS:,} cells up to here; "
            "remove rows."
        )
    return rows + len(lines), width
