"""A table as a pandas frame: CSV of any of its dialects, or Parquet."""

import csv
import re
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from glojax import files
from glojax.data.tables import limits
from glojax.data.tables.source import examined, opened, records
from glojax.errors import listed, quoted, short

_SAMPLE = 2000  # rows, of which the text is looked at for leading zeros


class Sheet(NamedTuple):
    """The cells of a file."""

    path: Path
    frame: pd.DataFrame  # numbers, or text without spaces around it; NaN for gaps
    lines: np.ndarray  # int64[rows], the line of the file, or the row of a Parquet file, where each row begins
    about: str  # how it was read
    codes: tuple[str, ...] = ()  # columns of numbers with leading zeros
    place: str = "line"

    def column(self, name: str) -> pd.Series:
        """The cells of a column."""
        return cast(pd.Series, self.frame[name])


class Reading(NamedTuple):
    """Options of reading a file."""

    delimiter: str | None = None
    encoding: str | None = None
    missing: tuple[str, ...] = ()  # further cells that hold no value
    header: bool = True  # whether the first line names the columns

    @property
    def gaps(self) -> list[str]:
        """All cells that hold no value."""
        return [*limits.GAPS, *self.missing]


def read_sheet(path: Path, reading: Reading, as_text: Collection[str] = ()) -> Sheet:
    """Read a file, ``.parquet`` or CSV.

    Args:
      path: the file.
      reading: how.
      as_text: columns whose cells are kept as text, even if all are numbers.

    Raises:
      ValueError: malformed, beyond a limit, without a header, or a first line that looks like data.
      OSError: the file cannot be read.
    """
    if path.suffix == ".parquet":
        return _parquet(path, as_text)
    source = examined(path, reading.delimiter, reading.encoding)
    try:
        with opened(path, source.encoding) as text:
            if source.has_hint:
                text.readline()
            first = next(records(text, source.delimiter), [])
            sample = list(islice(records(text, source.delimiter), _SAMPLE))
    except csv.Error as error:
        raise ValueError(f"{short(path)}, line {source.lines[0]}: not well-formed CSV ({error}).") from None
    if not first:
        raise ValueError(f"{short(path)}, line 1: no header; the first line must name the columns.")
    where = f"{short(path)}, line {source.lines[0]}"
    names = _names(where, first, sample) if reading.header else [str(place + 1) for place in range(len(first))]
    lines = source.lines[1:] if reading.header else source.lines
    if len(lines) < limits.FEWEST_ROWS:
        raise ValueError(
            f"{short(path)}: {len(lines)} rows below the header; at least {limits.FEWEST_ROWS} are needed."
        )
    with opened(path, source.encoding) as text:
        for _ in range(int(lines[0]) - 1):  # hint, blank lines and header
            text.readline()
        frame = _csv(path, text, source.delimiter, names, reading.gaps, as_text)
    if truths := [name for name, column in frame.items() if pd.api.types.is_bool_dtype(column)]:
        return read_sheet(path, reading, {*as_text, *truths})  # pandas would not tell TRUE from True
    if len(frame) != len(lines):
        raise ValueError(
            f"{short(path)}: not well-formed CSV; {len(lines):,} rows by its line ends, {len(frame):,} read."
        )
    codes = [
        name for place, name in enumerate(names) if _has_leading_zeros([row[place] for row in sample if row[place:]])
    ]
    called = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}.get(source.delimiter, source.delimiter)
    encoding = source.encoding.removesuffix("-sig")
    sheet = Sheet(path, frame, lines, f"cells between {called}, {encoding}", tuple(codes))
    _check_cells(sheet)
    return sheet


def _csv(path: Path, text: Any, delimiter: str, names: list[str], gaps: list[str], as_text: Collection[str]) -> Any:
    dtypes: Any = {place: str for place, name in enumerate(names) if name in as_text}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                text,
                sep=delimiter,
                header=None,
                names=list(range(len(names))),
                index_col=False,
                dtype=dtypes,
                skipinitialspace=True,
                keep_default_na=False,
                na_values=gaps,
                low_memory=False,
            )
    except (
        ValueError,
        OverflowError,
        pd.errors.ParserWarning,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
    ) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{short(path)}: not well-formed CSV ({short(said, 120)}).") from None
    frame.columns = names
    return frame if frame.dtypes.eq(bool).any() else tidied(frame, gaps)


def tidied(frame: pd.DataFrame, gaps: Sequence[str]) -> pd.DataFrame:
    """Columns of numbers as they are, others as text without spaces around it, and None for gaps."""
    return pd.DataFrame({name: _tidy(column, gaps) for name, column in frame.items()})


def _tidy(column: pd.Series, gaps: Sequence[str]) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column
    codes, distinct = pd.factorize(column)
    texts = np.array([*(str(value).strip() for value in distinct), None], object)
    empty = {*gaps, *(gap.strip() for gap in gaps)}
    texts[:-1] = [None if text in empty else text for text in texts[:-1]]
    return pd.Series(texts[codes], dtype=object)


def _parquet(path: Path, as_text: Collection[str]) -> Sheet:
    with files.open_to_read(path, limits.MAX_BYTES) as file:
        try:
            frame = pd.read_parquet(file)
        except ImportError:
            raise ValueError(f"{short(path)}: Parquet needs pyarrow; run: pip install 'glojax[parquet]'.") from None
        except Exception as error:  # pyarrow raises errors of its own
            raise ValueError(f"{short(path)}: not Parquet ({short(' '.join(str(error).split()), 100)}).") from None
    frame.columns = [str(name) for name in frame.columns]
    _check_names(short(path), list(frame.columns))
    if frame.shape[0] * frame.shape[1] > limits.MAX_CELLS or frame.shape[1] > limits.MAX_COLUMNS:
        raise ValueError(f"{short(path)}: more than {limits.MAX_CELLS:,} cells or {limits.MAX_COLUMNS:,} columns.")
    if len(frame) < limits.FEWEST_ROWS:
        raise ValueError(f"{short(path)}: {len(frame)} rows; at least {limits.FEWEST_ROWS} are needed.")
    frame = frame.reset_index(drop=True)
    columns = {
        name: _tidy(column.astype(object) if name in as_text else column, ("", "NaT")) for name, column in frame.items()
    }
    sheet = Sheet(path, pd.DataFrame(columns), np.arange(1, len(frame) + 1), "Parquet", place="row")
    _check_cells(sheet)
    return sheet


# CHECKING


def _check_cells(sheet: Sheet) -> None:
    for name, column in sheet.frame.items():
        if column.dtype == object:
            lengths = column.str.len()
            if lengths.max() > limits.MAX_CELL_CHARACTERS:
                line = sheet.lines[int(lengths.idxmax())]
                raise ValueError(
                    f"{short(sheet.path)}, {sheet.place} {line}: a cell of more than {limits.MAX_CELL_CHARACTERS:,} "
                    f"characters in column {quoted(name)}."
                )


def _names(where: str, header: list[str], sample: list[list[str]]) -> list[str]:
    """The names of the columns, after a check that the first line is not data. An index without a name gets one."""
    columns = [[row[place] for row in sample if row[place:]] for place in range(len(header))]
    names = list(header)
    for place, name in enumerate(names):
        if name == "":
            cells = columns[place]
            counts = [str(start + row) for start in (0, 1) for row in range(len(cells))]
            if cells and (cells in (counts[: len(cells)], counts[len(cells) :]) or not any(cells)):
                names[place] = f"Unnamed: {place}"
            else:
                raise ValueError(f"{where}: column {place + 1} has no name; every column needs one.")
    is_number = [_is_number(name) for name in header]
    alike = [place for place, number in enumerate(is_number) if number and columns[place] and _mostly(columns[place])]
    if alike and not _counts([float(header[place]) for place in alike]):
        raise ValueError(
            _looks_like_data(
                where, header if all(is_number) else [header[place] for place in alike], "only numbers" * all(is_number)
            )
        )
    if len(header) > 1 and sample and all(name in cells for name, cells in zip(header, columns, strict=True)):
        raise ValueError(_looks_like_data(where, header, ""))
    _check_names(where, names)
    return names


def _looks_like_data(where: str, cells: list[str], what: str) -> str:
    return (
        f"{where}: {what or 'cells that look like data'} ({listed(cells)}); the first line must name the columns. For "
        "a file without names, --no-header calls them 1, 2, 3, ..."
    )


def _check_names(where: str, names: list[str]) -> None:
    ((name, count),) = Counter(names).most_common(1) or [("", 0)]
    if count > 1:
        raise ValueError(f"{where}: two columns have the name {quoted(name)}; every column needs its own.")


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell, re.ASCII) is not None


def _mostly(cells: list[str]) -> bool:
    return sum(_is_number(cell) for cell in cells) > len(cells) / 2


def _counts(numbers: list[float]) -> bool:
    """Whether names count, as years or places do."""
    steps = set(np.diff(numbers))
    regular = len(numbers) > 1 and len(steps) == 1 and (steps == {1} or (len(numbers) > 2 and min(steps) > 0))
    return bool(regular) and all(number.is_integer() for number in numbers)


def _has_leading_zeros(cells: list[str]) -> bool:
    """Whether cells are whole numbers of which some begin with 0, as zip codes do."""
    given = [cell for cell in cells if cell not in limits.GAPS]
    return all(cell.isdigit() for cell in given) and any(len(cell) > 1 and cell[0] == "0" for cell in given)
