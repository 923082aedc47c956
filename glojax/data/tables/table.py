"""A table with a target column as arrays ready for training, split into train, validation and test."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.util import hash_pandas_object

from glojax.data.splits import Split, Splits
from glojax.data.tables import columns, forms, limits, parts, scaling, summary, targets, transform
from glojax.data.tables.columns import Column, Wishes
from glojax.data.tables.scaling import TargetScale
from glojax.data.tables.sheet import Reading, Sheet, read_sheet
from glojax.data.tables.targets import Target
from glojax.data.tables.transform import Transform
from glojax.errors import quoted, short


class TableData(NamedTuple):
    """A data set read from a file. Targets of a regression are standardized."""

    splits: Splits  # x float32[examples, features]; labels int32 classes from 0, or float32 targets of a regression
    kind: str  # one of KINDS
    classes: tuple[str, ...]  # class names by label; empty for a regression
    features: tuple[str, ...]  # names of the columns of x; ``column=category`` for one-hot columns
    transform: Transform  # makes inputs of new rows
    target_mean: float = 0.0  # of the training part's targets, in their own units; ``transform.numbers`` gives these
    target_std: float = 1.0

    def with_note(self, title: str, text: str) -> "TableData":
        """The same with one more line in ``about``."""
        return self._replace(transform=replace(self.transform, about=(*self.transform.about, (title, text))))

    @property
    def about(self) -> str:
        """What every column was taken for, text of at most 80 columns."""
        return summary.printed(self.transform.about)


def read(
    path: str | os.PathLike[str],
    target: str,
    *,
    kind: str | None = None,
    numeric: Sequence[str] = (),
    categorical: Sequence[str] = (),
    ordinal: Mapping[str, Sequence[str]] | Sequence[str] = (),
    drop: Sequence[str] = (),
    missing: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool = True,
    target_gaps: bool = True,
    target_transform: str = "",
    test: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> TableData:
    """Read a file, and split its rows at random into 60% training, 20% validation and 20% test.

    The file is CSV, compressed by gzip or not, or Parquet if its name ends in ``.parquet``. A column of numbers, with
    thousands, decimal commas, percent, currencies or dates where all of it is written alike, is standardized, with gaps
    replaced by the median. Any other column is one-hot encoded, with gaps as a category of their own; a category that
    does not occur in the training part is 0 in all of its columns. Numeric columns come first. Constant columns, empty
    ones, and texts of more than ``MAX_CATEGORIES`` values are left out. Classes are numbered in the order of their
    numeric values, or of their names, and are in all three parts in proportion; a regression is split by its quantiles.
    Rows that are equal are in one part. All is learned from the training part alone.

    Args:
      path: the file. It must be within ``MAX_BYTES``, ``MAX_LINES`` and the other limits of this package.
      target: name of the column to predict.
      kind: one of ``KINDS``. Defaults to ``"regression"`` for more than 20 distinct numbers, ``"binary"`` for two
        distinct values, and ``"classification"`` otherwise.
      numeric: columns to read as numbers; text in them is an error.
      categorical: columns to one-hot encode even if they hold numbers.
      ordinal: columns that become one number, the place of their value in an order; a mapping has each column's order,
        otherwise it is that of the names.
      drop: columns to leave out.
      missing: cells that hold no value, beside ``GAPS``.
      delimiter, encoding: of a CSV file. Defaults to what the file suggests: commas, semicolons, tabs or bars; UTF-8,
        UTF-16 or cp1252.
      header: whether the first line names the columns. Otherwise they are called 1, 2, 3, ...
      target_gaps: whether rows without a target are left out. Otherwise they are refused.
      target_transform: ``"log"`` or ``"quantile"``: what the targets of a regression, where most are small and a few
        large, are turned into before they are standardized. Defaults to none.
      test: another file with the same columns in any order, for the test part; the first file has 80% training rows
        then. Defaults to a part of the first.
      seed: seed of the split, at least 0. Defaults to 0.

    Returns:
      The three parts, with the names of classes and features, and the transform for new rows.

    Raises:
      OSError: a file does not exist or cannot be read.
      ValueError: a file is malformed or beyond a limit, has too few rows or targets, text or infinity where a number
        is expected, a few texts in a column of numbers, or a first line that looks like data; or the kind or a column
        is unknown. The message names file, column and line.
    """
    _check_choice(path, "kind", kind, limits.KINDS)
    _check_choice(path, "target_transform", target_transform or None, scaling.TRANSFORMS)
    order = ordinal if isinstance(ordinal, Mapping) else dict.fromkeys(ordinal, ())
    wishes = Wishes(numeric, categorical, {name: tuple(values) for name, values in order.items()}, drop)
    reading = Reading(delimiter, encoding, tuple(missing), header)
    sheet = read_sheet(Path(path), reading, {target, *wishes.as_text})
    aim = targets.read_target(sheet, target, kind, keep_gaps=not target_gaps)
    found = columns.read_columns(sheet, target, wishes)
    taken = [column for column in found if column.kind != "dropped"]
    groups = _groups(taken, aim)
    chosen = parts.split(groups, aim.labels, by_class=bool(aim.classes), seed=seed, tested=test is None)
    made = _learned(sheet, aim, taken, chosen[0], reading, target_transform)
    split = [_part(sheet, aim, taken, rows, made) for rows in chosen]
    if test is not None:
        split.append(_tested(made, Path(test)))
    sizes, twins = [len(part.labels) for part in split], len(groups) - len(np.unique(groups))
    about = summary.described(sheet, aim, found, sizes, seed, twins, target_transform)
    if test is not None:
        about = (*about, ("Test", f"{short(Path(test).name, 60)}: {sizes[2]:,} rows"))
    made = replace(made, about=about)
    mean, std = made.target_mean, made.target_std
    return TableData(Splits(*split), aim.kind, aim.classes, made.features, made, mean, std)


def _learned(
    sheet: Sheet, aim: Target, taken: Sequence[Column], train: np.ndarray, reading: Reading, target_transform: str
) -> Transform:
    """How rows become inputs and labels, learned from the training part."""
    mean, std = _moments(sheet, aim, train)
    return Transform(
        target=aim.name,
        kind=aim.kind,
        classes=aim.classes,
        target_form=aim.form,
        target_mean=mean,
        target_std=std,
        encodings=transform.fit(sheet, taken, aim.rows[train]),
        missing=reading.missing,
        has_header=reading.header,
        target_scale=_scale(sheet, aim, train, target_transform),
        delimiter=reading.delimiter,
        encoding=reading.encoding,
    )


def _part(sheet: Sheet, aim: Target, taken: Sequence[Column], rows: np.ndarray, made: Transform) -> Split:
    """Some rows as inputs and labels."""
    values = {column.name: column.values for column in taken}
    x = transform.encoded(made.encodings, values, sheet, aim.rows[rows])
    return Split(x, _labels(sheet, aim, rows, made.target_scale))


def _check_choice(path: str | os.PathLike[str], field: str, given: str | None, allowed: Sequence[str]) -> None:
    if given is not None and given not in allowed:
        raise ValueError(f"{short(path)}: {field} is {quoted(given)}; allowed are {', '.join(allowed)}.")


def _groups(taken: Sequence[Column], aim: Target) -> np.ndarray:
    """Numbers that are the same for rows with the same inputs and target, uint64 ``[rows]``."""
    cells = {str(place): column.values[aim.rows] for place, column in enumerate(taken)}
    frame = pd.DataFrame({**cells, "target": aim.labels})
    groups = hash_pandas_object(frame, index=False).to_numpy()  # type: ignore[operator]  # pandas has no type for it
    # A class of fewer distinct rows than parts would not be in all of them; its rows are split one by one.
    strata = pd.Series(aim.labels if aim.classes else np.zeros(len(groups)))
    few = pd.Series(groups).groupby(strata).transform("nunique").to_numpy() < (3 if aim.classes else limits.FEWEST_ROWS)
    return np.where(few, np.arange(len(groups), dtype=np.uint64), groups)


def _moments(sheet: Sheet, aim: Target, train: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of a regression's training targets."""
    if aim.classes:
        return 0.0, 1.0
    mean, std = float(aim.labels[train].mean()), float(aim.labels[train].std())
    if std == 0:
        raise ValueError(
            f"{short(sheet.path)}: column {quoted(aim.name)}, the target, is {mean:g} throughout the training part."
        )
    return mean, std


def _scale(sheet: Sheet, aim: Target, train: np.ndarray, wanted: str) -> TargetScale:
    """How a regression's targets become labels."""
    where = f"{short(sheet.path)}: column {quoted(aim.name)}, the target,"
    if aim.classes:
        if wanted:
            raise ValueError(f"{where} is classes; target_transform is for a regression.")
        return TargetScale()
    if wanted == "log" and aim.labels.min() < 0:
        row = aim.rows[int(aim.labels.argmin())]
        raise ValueError(
            f"{where} is {aim.labels.min():g} in {sheet.place} {sheet.lines[row]}; the logarithm needs numbers of at "
            "least 0. --target-transform quantile takes any."
        )
    scale = scaling.fit_scale(aim.labels[train], wanted)
    if wanted == "log" and not scale.offset and aim.labels.min() == 0:  # 0 in other parts alone
        raise ValueError(f"{where} is 0 in a few rows, of which the training part has none; use quantile.")
    return scale


def _labels(sheet: Sheet, aim: Target, rows: np.ndarray, scale: TargetScale) -> np.ndarray:
    if aim.classes:
        return aim.labels[rows]
    return transform.as_float32(sheet, aim.name, scale.labels(aim.labels[rows]), aim.rows[rows])


def _tested(made: Transform, path: Path) -> Split:
    """The test part that is a file of its own."""
    sheet = made.sheet(path)
    if made.target not in sheet.frame:
        raise ValueError(f"{short(path)}: no column {quoted(made.target)}, the target.")
    rows = np.flatnonzero(sheet.column(made.target).notna())
    x = made.inputs(sheet)[rows]
    if made.classes:
        given = pd.Index(_classes_of(sheet, made)[rows])
        labels = pd.Index(_classes(made), dtype=given.dtype).get_indexer(given).astype(np.int32)
        if (unknown := np.flatnonzero(labels < 0)).size:
            row = rows[unknown[0]]
            raise ValueError(
                f"{short(path)}, {sheet.place} {sheet.lines[row]}: class {quoted(sheet.column(made.target).iloc[row])} "
                "is not in the training file."
            )
        return Split(x, labels)
    values, _, fits = columns.read_numbers(sheet, made.target, made.target_form)
    columns.refuse_text(sheet, made.target, fits)
    columns.check_finite(sheet, made.target, values)
    if made.target_scale.transform == "log" and values[rows].min() + made.target_scale.offset <= 0:
        row = rows[int(values[rows].argmin())]
        raise ValueError(
            f"{short(path)}, {sheet.place} {sheet.lines[row]}: the target is {values[row]:g}; it must be more than "
            f"{-made.target_scale.offset:g} for the logarithm."
        )
    return Split(x, transform.as_float32(sheet, made.target, made.target_scale.labels(values[rows]), rows))


def _classes_of(sheet: Sheet, made: Transform) -> np.ndarray:
    """The classes of a file's rows: text, or numbers where classes are numbers, so that 1.0 is 1."""
    if made.target_form is None:
        return sheet.column(made.target).to_numpy(object)
    return columns.read_numbers(sheet, made.target, made.target_form)[0]


def _classes(made: Transform) -> list[object]:
    if made.target_form is None:
        return list(made.classes)
    return list(forms.numbers(list(made.classes), made.target_form))
