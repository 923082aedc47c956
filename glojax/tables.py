"""Tables: a CSV file with a target column as arrays ready for training, split into train, validation and test.

Text becomes numbers through scikit-learn. Whatever is learned of the data - medians, means, deviations, categories -
is learned of the training part alone.
"""

import csv
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glojax.data import Split, Splits

KINDS = ("classification", "binary", "regression")
_DELIMITERS = ",;\t"
_FEWEST_ROWS = 10
_MOST_CLASSES = 20  # a target of more distinct numbers is a regression, if it is left to us
_MOST_CATEGORIES = 100
_LARGEST = float(np.finfo(np.float32).max)


class Table(NamedTuple):
    """A data set read from a file; a regression's targets are standardized."""

    splits: Splits  # x float32[examples, features]; labels int32 from 0, or float32 of a regression
    kind: str  # of KINDS
    classes: tuple[str, ...]  # by label; none of a regression
    features: tuple[str, ...]  # names of the columns of x, ``column=category`` of those made of a category
    target_mean: float = 0.0  # a target in its own units is label * target_std + target_mean
    target_std: float = 1.0


class _Sheet(NamedTuple):
    """A file as text."""

    path: Path
    columns: dict[str, tuple[str, ...]]
    lines: list[int]  # where each row begins in the file


def read(
    path: str | os.PathLike[str],
    target: str,
    *,
    kind: str | None = None,
    numeric: Sequence[str] = (),
    categorical: Sequence[str] = (),
    seed: int = 0,
) -> Table:
    """A CSV file as a training, a validation and a test part of 60, 20 and 20 % of its rows.

    The file has a header and is UTF-8; commas, semicolons or tabs part its cells; numbers have a decimal point; an
    empty cell is a missing value. Columns of numbers alone are standardized, the missing values taking the median.
    Other columns become one column of 0 and 1 for each of their categories, missing values being one more; a category
    that the training part lacks is 0 in all of them. The numeric columns come first.

    Args:
      path: the file.
      target: the column to predict.
      kind: one of ``KINDS``. Left out: ``"regression"`` if the targets are more than 20 distinct numbers,
        ``"binary"`` if there are two distinct targets, and otherwise ``"classification"``. Classes are in the order
        of their numbers, or else of their names, and each is shared out among the parts by itself, so that every part
        has them all.
      numeric, categorical: columns to be taken as such, whatever they hold.
      seed: of the split.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a malformed file, rows or targets too few or missing, text or infinity for a number, a category of
        more than 100 values, an unknown kind or column; the message names file, column and line.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"{path}: kind is {kind!r}; allowed are {', '.join(KINDS)}.")
    sheet = _sheet(Path(path))
    numbers, categories = _inputs(sheet, target, numeric, categorical)
    kind, labels, classes = _target(sheet, target, kind)
    parts = _parts(labels, bool(classes), seed)
    inputs, features = _encoded(sheet, numbers, categories, parts)
    mean, std = 0.0, 1.0
    if kind == "regression":
        mean, std = float(labels[parts[0]].mean()), float(labels[parts[0]].std())
        if std == 0:
            raise ValueError(f"{path}: column {target!r}, the target, is {mean:g} throughout the training part.")
        labels = ((labels - mean) / std).astype(np.float32)
    splits = Splits(*(Split(x, labels[rows]) for x, rows in zip(inputs, parts, strict=True)))
    return Table(splits, kind, classes, features, mean, std)


# THE FILE


def _sheet(path: Path) -> _Sheet:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file.")
    records = _records(path, _delimiter(path))
    line, header = next(records, (1, []))
    _check_header(f"{path}, line {line}", header)
    rows, lines = [], []
    for line, cells in records:
        if len(cells) != len(header):
            raise ValueError(f"{path}, line {line}: {len(cells)} cells; the header has {len(header)}.")
        rows.append(cells)
        lines.append(line)
    if len(rows) < _FEWEST_ROWS:
        raise ValueError(f"{path}: {len(rows)} rows below the header; at least {_FEWEST_ROWS} are needed.")
    return _Sheet(path, dict(zip(header, zip(*rows, strict=True), strict=True)), lines)


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Cells without the space around them, and the line where their record begins; blank lines are left out."""
    line = 1
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            for cells in reader:
                if cells:
                    yield line, [cell.strip() for cell in cells]
                line = reader.line_num + 1
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path}, line {line}: not well-formed CSV in UTF-8 ({error}).") from None


def _delimiter(path: Path) -> str:
    """The delimiter that gives most of the first rows the header's length, and the longest one."""

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
    if "" in header:
        raise ValueError(f"{where}: column {header.index('') + 1} has no name; every column needs one.")
    if repeated := [name for place, name in enumerate(header) if name in header[:place]]:
        raise ValueError(f"{where}: two columns have the name {repeated[0]!r}; every column needs its own.")
    if header != [str(place) for place in range(len(header))] and all(_number(name) is not None for name in header):
        raise ValueError(f"{where}: only numbers ({', '.join(header)}); the first line must name the columns.")


# ITS COLUMNS


def _number(cell: str) -> float | None:
    """None for text; NaN for an empty cell."""
    try:
        return float(cell or "nan") if "_" not in cell else None
    except ValueError:
        return None


def _numbers(sheet: _Sheet, name: str, *, asked: bool) -> np.ndarray | None:
    """The column as float64, NaN for an empty cell; None if there is text in it and numbers were not asked for."""
    values, wrong = np.empty(len(sheet.lines)), None
    for row, cell in enumerate(sheet.columns[name]):
        value = _number(cell)
        if value is None and not asked:
            return None
        if value is None or (cell and not abs(value) <= _LARGEST):
            wrong = row if wrong is None else wrong
        values[row] = np.nan if value is None else value
    if wrong is not None:
        where, cell = f"{sheet.path}, line {sheet.lines[wrong]}", sheet.columns[name][wrong]
        raise ValueError(
            f"{where}: column {name!r} is numeric and holds {cell!r}; finite numbers of at most {_LARGEST:.1e}, with a "
            "decimal point, and empty cells are allowed."
        )
    return values


def _inputs(
    sheet: _Sheet, target: str, numeric: Sequence[str], categorical: Sequence[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The numeric columns, and the names of the categorical ones."""
    path, columns = sheet.path, list(sheet.columns)
    if target not in columns:
        raise ValueError(f"{path}: target {target!r} is not among the columns; they are {', '.join(columns)}.")
    columns.remove(target)
    if not columns:
        raise ValueError(f"{path}: {target!r}, the target, is the only column; another to predict it from is needed.")
    for option, names in (("numeric", numeric), ("categorical", categorical)):
        if unknown := [name for name in names if name not in columns]:
            raise ValueError(f"{path}: {option} has {unknown[0]!r}; columns allowed are {', '.join(columns)}.")
    if both := [name for name in numeric if name in categorical]:
        raise ValueError(f"{path}: column {both[0]!r} is in numeric and in categorical; it can be in one of them.")
    numbers, categories = {}, []
    for name in columns:
        if not any(sheet.columns[name]):
            raise ValueError(f"{path}: column {name!r} has empty cells alone; take it out of the file.")
        values = None if name in categorical else _numbers(sheet, name, asked=name in numeric)
        if values is None:
            _check_categories(sheet, name)
            categories.append(name)
        else:
            numbers[name] = values
    return numbers, categories


def _check_categories(sheet: _Sheet, name: str) -> None:
    cells = sheet.columns[name]
    if (count := len(set(cells) - {""})) > _MOST_CATEGORIES:
        text = next((row for row, cell in enumerate(cells) if _number(cell) is None), 0)
        raise ValueError(
            f"{sheet.path}: column {name!r} is categorical (line {sheet.lines[text]} has {cells[text]!r}) and has "
            f"{count} distinct values; at most {_MOST_CATEGORIES} are allowed. An identifier or free text?"
        )


def _target(sheet: _Sheet, target: str, kind: str | None) -> tuple[str, np.ndarray, tuple[str, ...]]:
    """The kind, float64 targets or int32 labels, and the names of the classes."""
    cells, where = sheet.columns[target], f"{sheet.path}: column {target!r}, the target,"
    if "" in cells:
        line, count = sheet.lines[cells.index("")], cells.count("")
        raise ValueError(f"{where} is empty in line {line} ({count} in all); every row needs a value.")
    numbers = _numbers(sheet, target, asked=kind == "regression")
    values = np.array(cells, object) if numbers is None else numbers
    _, first, labels, counts = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise ValueError(f"{where} is {cells[0]!r} in every row; at least two values are needed.")
    if numbers is not None and (kind == "regression" or (kind is None and len(counts) > _MOST_CLASSES)):
        return "regression", numbers, ()
    if kind == "binary" and len(counts) != 2:
        raise ValueError(f"{where} has {len(counts)} distinct values; kind 'binary' needs two.")
    if counts.min() < 3:
        row = first[counts.argmin()]
        hint = "" if numbers is None else "; kind 'regression' takes them as numbers"
        raise ValueError(
            f"{where} has class {cells[row]!r} (line {sheet.lines[row]}) in {counts.min()} of its rows; each of its "
            f"{len(counts)} classes needs at least 3, one for each part{hint}."
        )
    classes = tuple(cells[row] for row in first)
    return kind or ("binary" if len(classes) == 2 else "classification"), labels.astype(np.int32), classes


# ARRAYS


def _parts(labels: np.ndarray, by_class: bool, seed: int) -> list[np.ndarray]:
    """Rows of the training, validation and test part, in random order."""
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state

    random = check_random_state(seed)
    rows = np.arange(len(labels))
    # Each class by itself: one split stratified by all of them may leave a rare one out of a part.
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
    """Inputs of each part, float32, and the names of their columns."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    for name, values in numbers.items():
        if np.isnan(values[parts[0]]).all():
            raise ValueError(f"{sheet.path}: column {name!r} is empty throughout the training part; take it out.")
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
    features = encoder.get_feature_names_out(names)
    inputs = [np.asarray(encoder.transform(cells[part]), np.float32) for part in parts]
    return inputs, tuple(name.partition("__")[2] for name in features)  # each has the name of its block before it
