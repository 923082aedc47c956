"""The column that is predicted: numbers of a regression, or classes."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from glojax.data.tables import columns, forms, limits
from glojax.data.tables.forms import Form
from glojax.data.tables.sheet import Sheet
from glojax.errors import listed, quoted, short


class Target(NamedTuple):
    """The target in the rows that have one."""

    name: str
    kind: str  # one of limits.KINDS
    labels: np.ndarray  # float64[rows] numbers of a regression, or int32[rows] classes from 0
    classes: tuple[str, ...]  # their names; none for a regression
    rows: np.ndarray  # int64[rows], of the file's rows those that are not gaps
    why: str
    form: Form | None  # how numbers are written; None for text


def read_target(sheet: Sheet, name: str, kind: str | None, *, keep_gaps: bool = False) -> Target:
    """Read the target.

    Args:
      sheet: the file.
      name: the target's column, whose cells were kept as text.
      kind: one of ``limits.KINDS``, or None for what its values suggest.
      keep_gaps: whether a gap is refused. Defaults to leaving out its row.

    Raises:
      ValueError: an unknown column, text in numbers, fewer than two values, too many classes, or a rare one.
    """
    if name not in sheet.frame:
        names = list(sheet.frame)
        hint = " With one column, --delimiter may help." if len(names) == 1 else ""
        raise ValueError(
            f"{short(sheet.path)}: target {quoted(name)} is not among the columns; they are {listed(names)}.{hint}"
        )
    where = f"{short(sheet.path)}: column {quoted(name)}, the target,"
    rows = np.flatnonzero(sheet.column(name).notna())
    missing = len(sheet.lines) - len(rows)
    if missing and (keep_gaps or len(rows) < limits.FEWEST_ROWS):
        line = sheet.lines[int(sheet.column(name).isna().to_numpy().argmax())]
        raise ValueError(f"{where} is empty in {sheet.place} {line} ({missing:,} in all); every row needs a value.")
    numbers, form = _numbers(sheet, name, required=kind == "regression")
    values = sheet.column(name).to_numpy(object) if numbers is None else numbers
    labels, distinct = pd.factorize(values[rows], sort=True)
    if len(distinct) < 2:
        raise ValueError(
            f"{where} is {quoted(str(sheet.column(name).iloc[rows[0]]))} in every row; at least two values are needed."
        )
    if numbers is not None and (kind == "regression" or (kind is None and len(distinct) > limits.MOST_CLASSES)):
        why = "as asked" if kind else f"{len(distinct):,} distinct numbers; --kind classification takes them as classes"
        return Target(name, "regression", numbers[rows], (), rows, why, form)
    _check_classes(sheet, name, kind, labels.astype(np.int64), rows, numbers is not None)
    places = np.unique(labels, return_index=True)[1]
    classes = tuple(str(sheet.column(name).iloc[row]) for row in rows[places])
    chosen = kind or ("binary" if len(classes) == 2 else "classification")
    few = "distinct numbers; --kind regression takes them as numbers" if numbers is not None else "distinct texts"
    why = "as asked" if kind else f"{len(classes)} {few}"
    return Target(name, chosen, labels.astype(np.int32), classes, rows, why, form)


def _numbers(sheet: Sheet, name: str, *, required: bool) -> tuple[np.ndarray | None, Form | None]:
    comma = columns.has_decimal_commas(sheet)
    values, form, fits = columns.read_numbers(sheet, name, None, comma=comma)
    if required:
        columns.refuse_text(sheet, name, fits)
    if not fits.all():
        columns.refuse_mistakes(sheet, name, fits & sheet.column(name).notna().to_numpy())
        return None, None
    if form.name in forms.DATES and not required:
        return None, None  # a few dates may be classes
    columns.check_finite(sheet, name, values)
    return values, form


def _check_classes(
    sheet: Sheet, name: str, kind: str | None, labels: np.ndarray, rows: np.ndarray, is_number: bool
) -> None:
    where = f"{short(sheet.path)}: column {quoted(name)}, the target,"
    counts = np.bincount(labels)
    hint = "; kind 'regression' takes them as numbers" if is_number else ""
    if kind == "binary" and len(counts) != 2:
        raise ValueError(f"{where} has {len(counts)} distinct values; kind 'binary' needs two.")
    if len(counts) > limits.MAX_CLASSES:
        raise ValueError(f"{where} has {len(counts):,} classes; at most {limits.MAX_CLASSES:,} are allowed{hint}.")
    if counts.min() < 3:
        row = rows[int((labels == counts.argmin()).argmax())]
        rare = int((counts < 3).sum())
        more = f" ({rare - 1} more such classes)" if rare > 1 else ""
        raise ValueError(
            f"{where} has class {quoted(sheet.column(name).iloc[row])} ({sheet.place} {sheet.lines[row]}) in "
            f"{counts.min()} of its rows{more}; each of its {len(counts)} classes needs at least 3, one for each "
            f"part{hint}."
        )
