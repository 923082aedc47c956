"""Tables: a CSV file with a target column as arrays ready for training, split into train, validation and test.

    table = glojax.tables.read("wine.csv", "cultivar")
    table.splits.train.x  # float32[examples, features]

Text becomes numbers through scikit-learn. Medians, means, deviations and categories are learned from the training part
alone, so that nothing of the other parts leaks into it.
"""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glojax import files
from glojax.data.splits import Split, Splits
from glojax.errors import listed, quoted, short

KINDS = ("classification", "binary", "regression")

# A table is held in memory, as text and as numbers; larger ones are refused before they are read.
MAX_BYTES = 2**28
"""Largest size of a file."""
MAX_LINES = 1_000_000
"""Most lines, including blank lines and those within quotes."""
MAX_ROW_CHARACTERS = 1_000_000
"""Longest row, including the header."""
MAX_CELL_CHARACTERS = 10_000
"""Longest cell."""
MAX_COLUMNS = 10_000
"""Most columns, of the file and of the inputs made from it, where each category has its own."""
MAX_CELLS = 10_000_000
"""Most cells."""
MAX_VALUES = 100_000_000
"""Most numbers in the inputs, rows times columns."""
MAX_CLASSES = 1000
"""Most classes of a target."""

_DELIMITERS = ",;\t"
_FEWEST_ROWS = 10
_MOST_CLASSES = 20  # by default, a target with more distinct numbers is a regression
_MOST_CATEGORIES = 100
_LARGEST = float(np.finfo(np.float32).max)


class TableData(NamedTuple):
    """A data set read from a file. Targets of a regression are standardized."""

    splits: Splits  # x float32[examples, features]; labels int32 classes from 0, or float32 targets of a regression
    kind: str  # one of KINDS
    classes: tuple[str, ...]  # class names by label; empty for a regression
    features: tuple[str, ...]  # names of the columns of x; ``column=category`` for one-hot columns
    target_mean: float = 0.0  # a target in its own units is label * target_std + target_mean
    target_std: float = 1.0


class _Sheet(NamedTuple):
    """The cells of a file as text."""

    path: Path
    columns: dict[str, tuple[str, ...]]
    lines: list[int]  # line of the file where each row begins


def read(
    path: str | os.PathLike[str],
    target: str,
    *,
    kind: str | None = None,
    numeric: Sequence[str] = (),
    categorical: Sequence[str] = (),
    seed: int = 0,
) -> TableData:
    """Read a CSV file and split its rows at random into 60% training, 20% validation and 20% test.

    The file is UTF-8 with a header. Cells are separated by commas, semicolons or tabs, numbers have a decimal point,
    and an empty cell is a missing value. A column that holds only numbers is standardized, with missing values replaced
    by the median. Any other column is one-hot encoded, with missing values as a category of their own; a category that
    does not occur in the training part is 0 in all of its columns. Numeric columns come first. Classes are numbered in
    the order of their numeric values, or of their names, and every class is in all three parts.

    Args:
      path: the file. It must be within ``MAX_BYTES``, ``MAX_LINES`` and the other limits of this module.
      target: name of the column to predict.
      kind: one of ``KINDS``. Defaults to ``"regression"`` for more than 20 distinct numbers, ``"binary"`` for two
        distinct values, and ``"classification"`` otherwise.
      numeric: columns to read as numbers; text in them is an error.
      categorical: columns to one-hot encode even if they hold numbers.
      seed: seed of the split, at least 0. Defaults to 0.

    Returns:
      The three parts, with the names of classes and features.

    Raises:
      OSError: the file does not exist or cannot be read.
      ValueError: the file is malformed or beyond a limit, has too few rows or targets, text or infinity where a number
        is expected, or a column of more than 100 categories; or the kind or a column is unknown. The message names
        file, column and line.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"{short(path)}: kind is {quoted(kind)}; allowed are {', '.join(KINDS)}.")
    sheet = _sheet(Path(path))
    numbers, categories = _inputs(sheet, target, numeric, categorical)
    kind, labels, classes = _target(sheet, target, kind)
    parts = _parts(labels, bool(classes), seed)
    inputs, features = _encoded(sheet, numbers, categories, parts)
    mean, std = 0.0, 1.0
    if kind == "regression":
        mean, std = float(labels[parts[0]].mean()), float(labels[parts[0]].std())
        if std == 0:
            raise ValueError(
                f"{short(path)}: column {quoted(target)}, the target, is {mean:g} throughout the training part."
            )
        labels = _as_float32(sheet, (labels - mean) / std, np.arange(len(labels)), (target,))
    splits = Splits(*(Split(x, labels[rows]) for x, rows in zip(inputs, parts, strict=True)))
    return TableData(splits, kind, classes, features, mean, std)


# READING CELLS


def _sheet(path: Path) -> _Sheet:
    records = _records(path, _delimiter(path))
    line, header = next(records, (1, []))
    _check_header(f"{short(path)}, line {line}", header)
    rows, lines = [], []
    for line, cells in records:
        if len(cells) != len(header):
            raise ValueError(f"{short(path)}, line {line}: {len(cells):,} cells; the header has {len(header):,}.")
        if len(header) * len(rows) >= MAX_CELLS:
            raise ValueError(f"{short(path)}, line {line}: more than {MAX_CELLS:,} cells up to here; remove rows.")
        rows.append(cells)
        lines.append(line)
    if len(rows) < _FEWEST_ROWS:
        raise ValueError(f"{short(path)}: {len(rows)} rows below the header; at least {_FEWEST_ROWS} are needed.")
    return _Sheet(path, dict(zip(header, zip(*rows, strict=True), strict=True)), lines)


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped cells of each record; blank lines are skipped."""
    line, room = 1, MAX_ROW_CHARACTERS

    def where() -> str:
        return f"{short(path)}, line {line}"

    def bounded() -> Iterator[str]:
        """Lines of the file, while a row stays within the limit; the reader itself has none."""
        nonlocal room
        while text := file.readline(room + 1):
            room -= len(text)
            if room < 0:
                raise ValueError(f"{where()}: a row of more than {MAX_ROW_CHARACTERS:,} characters.")
            yield text

    with io.TextIOWrapper(files.open_to_read(path, MAX_BYTES), encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(bounded(), delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            for cells in reader:
                if line > MAX_LINES:
                    raise ValueError(f"{where()}: at most {MAX_LINES:,} lines are allowed; remove rows.")
                if any(len(cell) > MAX_CELL_CHARACTERS for cell in cells):
                    raise ValueError(f"{where()}: a cell of more than {MAX_CELL_CHARACTERS:,} characters.")
                if cells:
                    yield line, [cell.strip() for cell in cells]
                line, room = reader.line_num + 1, MAX_ROW_CHARACTERS
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{where()}: not well-formed CSV in UTF-8 ({error}).") from None


def _delimiter(path: Path) -> str:
    """The delimiter by which most of the first rows have as many cells as the header; of several, the most cells."""

    def score(delimiter: str) -> tuple[int, int]:
        try:
            header, *rows = (len(cells) for _, cells in islice(_records(path, delimiter), 20))
        except ValueError:
            return -1, 0
        return (rows.count(header), header) if header > 1 else (-1, 0)

    return max(_DELIMITERS, key=score)


def _check_header(where: str, header: list[str]) -> None:
    if not header:
        raise ValueError(f"{where}: no header; the first line must name the columns.")
    if len(header) > MAX_COLUMNS:
        raise ValueError(f"{where}: {len(header):,} columns; at most {MAX_COLUMNS:,} are allowed.")
    if "" in header:
        raise ValueError(f"{where}: column {header.index('') + 1} has no name; every column needs one.")
    ((name, count),) = Counter(header).most_common(1)
    if count > 1:
        raise ValueError(f"{where}: two columns have the name {quoted(name)}; every column needs its own.")
    if header != [str(place) for place in range(len(header))] and all(_number(name) is not None for name in header):
        raise ValueError(f"{where}: only numbers ({listed(header)}); the first line must name the columns.")


# CHECKING COLUMNS


def _number(cell: str) -> float | None:
    """The number in a cell: None for text, NaN for an empty cell."""
    try:
        return float(cell or "nan") if cell.isascii() and "_" not in cell else None
    except ValueError:
        return None


def _numbers(sheet: _Sheet, name: str, *, required: bool) -> np.ndarray | None:
    """A column as float64 with NaN for empty cells; None if it has text and the user did not call it numeric."""
    values, wrong = np.empty(len(sheet.lines)), None
    for row, cell in enumerate(sheet.columns[name]):
        value = _number(cell)
        if value is None and not required:
            return None
        if value is None or (cell and not abs(value) <= _LARGEST):
            wrong = row if wrong is None else wrong
        values[row] = np.nan if value is None else value
    if wrong is not None:
        where, cell = f"{short(sheet.path)}, line {sheet.lines[wrong]}", sheet.columns[name][wrong]
        raise ValueError(
            f"{where}: column {quoted(name)} is numeric and holds {quoted(cell)}; finite numbers of at most "
            f"{_LARGEST:.1e}, with a decimal point, and empty cells are allowed."
        )
    return values


def _inputs(
    sheet: _Sheet, target: str, numeric: Sequence[str], categorical: Sequence[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The numeric columns, and the names of the categorical ones."""
    path, columns = short(sheet.path), list(sheet.columns)
    if target not in columns:
        raise ValueError(f"{path}: target {quoted(target)} is not among the columns; they are {listed(columns)}.")
    columns.remove(target)
    if not columns:
        raise ValueError(
            f"{path}: {quoted(target)}, the target, is the only column; at least one other is needed to predict from."
        )
    for option, names in (("numeric", numeric), ("categorical", categorical)):
        if unknown := [name for name in names if name not in columns]:
            raise ValueError(f"{path}: {option} has {quoted(unknown[0])}; columns allowed are {listed(columns)}.")
    if both := [name for name in numeric if name in categorical]:
        raise ValueError(
            f"{path}: column {quoted(both[0])} is in numeric and in categorical; it can be in only one of them."
        )
    numbers, categories = {}, []
    for name in columns:
        if not any(sheet.columns[name]):
            raise ValueError(f"{path}: column {quoted(name)} is empty in every row; remove it from the file.")
        values = None if name in categorical else _numbers(sheet, name, required=name in numeric)
        if values is None:
            _check_categories(sheet, name)
            categories.append(name)
        else:
            numbers[name] = values
    width = len(numbers) + sum(len(set(sheet.columns[name])) for name in categories)
    if width > MAX_COLUMNS or width * len(sheet.lines) > MAX_VALUES:
        raise ValueError(
            f"{path}: with a column for each category the inputs have {width:,} columns in {len(sheet.lines):,} rows; "
            f"at most {MAX_COLUMNS:,} columns and {MAX_VALUES:,} numbers in all are allowed."
        )
    return numbers, categories


def _check_categories(sheet: _Sheet, name: str) -> None:
    cells = sheet.columns[name]
    if (count := len(set(cells) - {""})) > _MOST_CATEGORIES:
        text = next((row for row, cell in enumerate(cells) if _number(cell) is None), 0)
        raise ValueError(
            f"{short(sheet.path)}: column {quoted(name)} is categorical (line {sheet.lines[text]} has "
            f"{quoted(cells[text])}) and has "
            f"{count} distinct values; at most {_MOST_CATEGORIES} are allowed. An identifier or free text?"
        )


def _target(sheet: _Sheet, target: str, kind: str | None) -> tuple[str, np.ndarray, tuple[str, ...]]:
    """Kind of the target, its float64 values or int32 labels, and the names of its classes."""
    cells, where = sheet.columns[target], f"{short(sheet.path)}: column {quoted(target)}, the target,"
    if "" in cells:
        line, count = sheet.lines[cells.index("")], cells.count("")
        raise ValueError(f"{where} is empty in line {line} ({count} in all); every row needs a value.")
    numbers = _numbers(sheet, target, required=kind == "regression")
    values = np.array(cells, object) if numbers is None else numbers
    _, first, labels, counts = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise ValueError(f"{where} is {quoted(cells[0])} in every row; at least two values are needed.")
    if numbers is not None and (kind == "regression" or (kind is None and len(counts) > _MOST_CLASSES)):
        return "regression", numbers, ()
    if kind == "binary" and len(counts) != 2:
        raise ValueError(f"{where} has {len(counts)} distinct values; kind 'binary' needs two.")
    hint = "" if numbers is None else "; kind 'regression' takes them as numbers"
    if len(counts) > MAX_CLASSES:
        raise ValueError(f"{where} has {len(counts):,} classes; at most {MAX_CLASSES:,} are allowed{hint}.")
    if counts.min() < 3:
        row = first[counts.argmin()]
        raise ValueError(
            f"{where} has class {quoted(cells[row])} (line {sheet.lines[row]}) in {counts.min()} of its rows; each of "
            f"its {len(counts)} classes needs at least 3, one for each part{hint}."
        )
    classes = tuple(cells[row] for row in first)
    return kind or ("binary" if len(classes) == 2 else "classification"), labels.astype(np.int32), classes


# ENCODING


def _parts(labels: np.ndarray, by_class: bool, seed: int) -> list[np.ndarray]:
    """Rows of the training, validation and test parts, in random order."""
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state

    random = check_random_state(seed)
    rows = np.arange(len(labels))
    # Each class is split by itself: a stratified split of all rows may leave a rare class out of a part.
    groups = [rows[labels == label] for label in range(labels.max() + 1)] if by_class else [rows]
    shares = []
    for group in groups:
        size = round(0.2 * len(group))
        rest, test = train_test_split(group, test_size=size, random_state=random)
        shares.append((*train_test_split(rest, test_size=size, random_state=random), test))
    return [random.permutation(np.concatenate(part)) for part in zip(*shares, strict=True)]


def _encoded(
    sheet: _Sheet, numbers: dict[str, np.ndarray], categories: list[str], parts: list[np.ndarray]
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Inputs of each part, float32 ``[rows, features]``, and the names of the features."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    for name, values in numbers.items():
        if np.isnan(values[parts[0]]).all():
            raise ValueError(
                f"{short(sheet.path)}: column {quoted(name)} is empty throughout the training part; remove it."
            )
    names, split = [*numbers, *categories], len(numbers)
    cells = np.empty((len(sheet.lines), len(names)), object)
    for place, name in enumerate(names):
        cells[:, place] = numbers.get(name, sheet.columns[name])
    filled: dict[str, Any] = dict(missing_values="", strategy="constant", fill_value="missing")
    one_hot: dict[str, Any] = dict(sparse_output=False, dtype=np.float32, feature_name_combiner="{}={}".format)
    scale = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    encode = make_pipeline(SimpleImputer(**filled), OneHotEncoder(handle_unknown="ignore", **one_hot))
    blocks = [("numeric", scale, list(range(split))), ("categorical", encode, list(range(split, len(names))))]
    encoder = ColumnTransformer([block for block in blocks if block[2]]).fit(cells[parts[0]])
    # scikit-learn puts the name of the block before each.
    features = tuple(name.partition("__")[2] for name in encoder.get_feature_names_out(names))
    return [_as_float32(sheet, np.asarray(encoder.transform(cells[part])), part, features) for part in parts], features


def _as_float32(sheet: _Sheet, values: np.ndarray, rows: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Scaled values of some rows as float32, of one column ``[rows]`` or several ``[rows, names]``."""
    with np.errstate(over="ignore"):
        made = values.astype(np.float32)
    if not np.isfinite(made).all():
        row, column = np.argwhere(~np.isfinite(made.reshape(len(rows), -1)))[0]
        raise ValueError(
            f"{short(sheet.path)}, line {sheet.lines[rows[row]]}: column {quoted(names[column])} is so far from the "
            "training values that float32 cannot hold it after scaling."
        )
    return made
