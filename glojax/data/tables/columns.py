"""What each column of a table is taken for, and why."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from glojax.data.tables import forms, limits
from glojax.data.tables.forms import Form
from glojax.data.tables.sheet import Sheet
from glojax.errors import listed, quoted, short

_MOSTLY = 0.9  # share of a column's cells that are numbers, from which the others look like mistakes
_MANY = 10  # distinct texts, from which it is odd if they look like numbers, or most rows have their own
_LIKE_NUMBER = re.compile(r"[^\w\s]{0,3}\s*\d")  # behind a sign, a currency, a bracket or a quote
_ID = re.compile(r"(.*[_ .-])?(id|index|key|uuid|guid|row|nr|no)", re.IGNORECASE)
_CODE = re.compile(r".*(zip|postal|postcode|plz|phone).*", re.IGNORECASE)


class Wishes(NamedTuple):
    """What a user asks of columns."""

    numeric: Sequence[str] = ()
    categorical: Sequence[str] = ()
    ordinal: Mapping[str, tuple[str, ...]] = {}  # the order of a column's values; () for that of their names
    drop: Sequence[str] = ()

    @property
    def as_text(self) -> set[str]:
        """Columns whose cells are not turned into numbers when they are read."""
        return {*self.categorical, *self.ordinal}


class Column(NamedTuple):
    """A column of the inputs."""

    name: str
    kind: str  # "number", "ordinal", "category" or "dropped"
    values: np.ndarray  # [rows]: float64 with NaN for gaps, or text with None for them
    gaps: int
    why: str = ""  # it is dropped, or what is particular
    form: Form = Form(forms.PLAIN)
    order: tuple[str, ...] = ()  # of an ordinal column
    warning: str = ""


def has_decimal_commas(sheet: Sheet) -> bool:
    """Whether the commas of some column can only be decimal commas, so that others are read alike."""
    for _, column in sheet.frame.items():
        if column.dtype == object:
            distinct = [str(value) for value in column.dropna().unique()[:2000]]
            form, fits = forms.form_of(distinct)
            if form is not None and form.name == forms.COMMA and fits.all() and any("," in cell for cell in distinct):
                return True
    return False


def read_columns(sheet: Sheet, target: str, wishes: Wishes) -> list[Column]:
    """What every column but the target is taken for.

    Raises:
      ValueError: wishes that do not fit the file, a column of mostly numbers, text where numbers are asked for, or a
        number that float32 cannot hold.
    """
    names = [name for name in sheet.frame if name != target]
    _check_wishes(sheet, names, wishes)
    comma = has_decimal_commas(sheet)
    found = [_read_column(sheet, name, wishes, comma) for name in names]
    if not [column for column in found if column.kind != "dropped"]:
        left = "; ".join(f"{column.name}: {column.why}" for column in found)
        raise ValueError(
            f"{short(sheet.path)}: {quoted(target)}, the target, is the only column that is left; at least one other "
            f"is needed to predict from ({short(left, 120) or 'the file has no other'})."
        )
    _check_width(sheet, found)
    return found


def read_numbers(
    sheet: Sheet, name: str, form: Form | None, *, comma: bool = False
) -> tuple[np.ndarray, Form, np.ndarray]:
    """A column as numbers, float64 ``[rows]``, the form they have, and whether each row's cell is of it or a gap.

    Args:
      sheet: the file.
      name: the column.
      form: the form. Defaults to the one that fits the most cells.
      comma: whether the file has decimal commas.
    """
    column = sheet.column(name)
    if column.dtype != object:
        if pd.api.types.is_datetime64_any_dtype(column):
            column = (column - pd.Timestamp(0)) / pd.Timedelta(days=1)
        values = column.to_numpy(np.float64, na_value=np.nan)
        return values, form or Form(forms.PLAIN), np.ones(len(values), bool)
    codes, distinct = pd.factorize(column)
    cells = [str(cell) for cell in distinct]
    if form is None:
        form = forms.form_of(cells, prefers_comma=comma)[0] or Form(forms.PLAIN)
    values = np.append(forms.numbers(cells, form), np.nan)
    fits = np.append(~np.isnan(values[:-1]), True)
    return values[codes], form, fits[codes]


def check_finite(sheet: Sheet, name: str, values: np.ndarray) -> None:
    """Refuse infinity, and numbers that float32 cannot hold."""
    if (wrong := np.flatnonzero(~np.isnan(values) & ~(np.abs(values) <= limits.LARGEST))).size:
        raise _not_numbers(sheet, name, wrong)


def refuse_text(sheet: Sheet, name: str, fits: np.ndarray) -> None:
    """Refuse cells that are no numbers, in a column that must be."""
    if not fits.all():
        raise _not_numbers(sheet, name, np.flatnonzero(~fits))


def _not_numbers(sheet: Sheet, name: str, rows: np.ndarray) -> ValueError:
    return ValueError(
        f"{short(sheet.path)}, {sheet.place} {sheet.lines[rows[0]]}: column {quoted(name)} is numeric and holds "
        f"{quoted(str(sheet.column(name).iloc[rows[0]]))}; finite numbers of at most {limits.LARGEST:.1e}, all written "
        "alike, and gaps are allowed."
    )


def _read_column(sheet: Sheet, name: str, wishes: Wishes, comma: bool) -> Column:
    column = sheet.column(name)
    gaps = int(column.isna().sum())

    def dropped(why: str) -> Column:
        return Column(name, "dropped", np.zeros(0), gaps, why)

    if name in wishes.drop:
        return dropped("as asked")
    if gaps == len(column):
        return dropped("empty")
    if name in wishes.ordinal:
        return _ordinal(sheet, name, wishes.ordinal[name], gaps)
    if name not in wishes.categorical:
        values, form, fits = read_numbers(sheet, name, None, comma=comma)
        if name in wishes.numeric:
            refuse_text(sheet, name, fits)
        if fits.all():
            check_finite(sheet, name, values)
            return _number(sheet, name, values, form, gaps)
        refuse_mistakes(sheet, name, fits & column.notna().to_numpy())
    distinct = column.nunique()
    if distinct == 1 and not gaps:
        return dropped(f"{short(column.iloc[0], 30)} in every row")
    if distinct > limits.MAX_CATEGORIES:
        if name in wishes.categorical:
            raise ValueError(
                f"{short(sheet.path)}: column {quoted(name)} is categorical and has {distinct:,} distinct values; at "
                f"most {limits.MAX_CATEGORIES} are allowed. An identifier or free text?"
            )
        return dropped(f"{distinct:,} distinct texts, an identifier or free text")
    warning = _text_warning(name, [str(cell) for cell in column.dropna().unique()], len(column) - gaps)
    return Column(
        name, "category", column.to_numpy(object), gaps, warning="" if name in wishes.categorical else warning
    )


def _text_warning(name: str, distinct: Sequence[str], count: int) -> str:
    """What to look at in a column of so many cells of text; "" where nothing is odd."""
    like_numbers = [cell for cell in distinct if _LIKE_NUMBER.match(cell)]
    if len(distinct) >= _MANY and len(like_numbers) >= _MOSTLY * len(distinct):
        cells = ", ".join(quoted(cell, 20) for cell in like_numbers[:3])
        return (
            f"{name} is taken for text, and looks like numbers or dates of a form that is not known, or of several "
            f"({cells}): --categorical or --drop?"
        )
    if len(distinct) >= _MANY and 2 * len(distinct) > count:
        return f"{name} has {len(distinct):,} texts in {count:,} rows, an identifier or free text: --drop?"
    return alike_warning(name, distinct)


def alike_warning(name: str, distinct: Sequence[str]) -> str:
    """Values of a column that differ in case or spaces alone; "" where none do."""
    folded: dict[str, str] = {}
    for cell in distinct:
        same = folded.setdefault(" ".join(cell.casefold().split()), cell)
        if same != cell:
            return f"{name} has {quoted(same, 20)} and {quoted(cell, 20)}, which may be the same"
    return ""


def _number(sheet: Sheet, name: str, values: np.ndarray, form: Form, gaps: int) -> Column:
    known = values[~np.isnan(values)]
    is_whole = bool((known == np.floor(known)).all()) and form.name == forms.PLAIN
    counts = is_whole and not gaps and bool((np.diff(values) == 1).all())
    if counts and name.startswith("Unnamed: ") and values[0] in (0, 1):
        return Column(name, "dropped", np.zeros(0), gaps, "counts rows: an index (pandas: index=False)")
    if known.min() == known.max():
        return Column(name, "dropped", np.zeros(0), gaps, f"{known[0]:g} in every row")
    warning, why = "", str(form)
    if name in sheet.codes or (is_whole and _CODE.fullmatch(name)):
        warning = f"{name} looks like codes, not quantities: --categorical or --drop?"
    elif is_whole and (counts or (_ID.fullmatch(name) and len(np.unique(known)) == len(values))):
        warning = f"{name} looks like an identifier: --drop {name}?"
    if form.name in (forms.THOUSANDS, forms.COMMA):
        cells = [str(cell) for cell in sheet.column(name).dropna().unique()]
        if forms.is_ambiguous(cells) and any("," in cell for cell in cells):
            example = next(cell for cell in cells if "," in cell)
            value = forms.numbers([example], form)[0]
            warning = f"{name}: {example} is read as {value:g}; commas could mean the other"
    if form.name in forms.DATES:
        cells = [str(cell) for cell in sheet.column(name).dropna().unique()]
        if forms.dates_are_ambiguous(cells, form):
            warning = f"{name}: {cells[0]} is read with the month first; the day could be first"
    return Column(name, "number", values, gaps, why, form, warning=warning)


def _ordinal(sheet: Sheet, name: str, order: tuple[str, ...], gaps: int) -> Column:
    column = sheet.column(name)
    distinct = sorted(str(value) for value in column.dropna().unique())
    order = order or tuple(distinct)
    if unknown := [value for value in distinct if value not in order]:
        raise ValueError(
            f"{short(sheet.path)}: ordinal column {quoted(name)} holds {quoted(unknown[0])}, which its order "
            f"({listed(order)}) lacks."
        )
    return Column(name, "ordinal", ordinal_values(column, order), gaps, " < ".join(order), order=order)


def ordinal_values(column: pd.Series, order: Sequence[str]) -> np.ndarray:
    """Places in an order, float64 ``[rows]``, with NaN for gaps and for what the order lacks."""
    return column.map({value: float(place) for place, value in enumerate(order)}).to_numpy(np.float64)


def refuse_mistakes(sheet: Sheet, name: str, is_number: np.ndarray) -> None:
    """Refuse a column of numbers in which a few cells are text."""
    column = sheet.column(name)
    given = column.notna().to_numpy()
    if is_number.sum() < _MOSTLY * given.sum() or cast(pd.Series, column[is_number]).nunique() < 3:
        return
    wrong = np.flatnonzero(given & ~is_number)
    cells = list(dict.fromkeys(quoted(cell, 30) for cell in column.iloc[wrong[:1000]]))
    raise ValueError(
        f"{short(sheet.path)}, {sheet.place} {sheet.lines[wrong[0]]}: column {quoted(name)} is mostly numbers, but "
        f"{len(wrong):,} of its {given.sum():,} cells are not written like the others: {listed(cells)}. Correct them, "
        "or call them gaps (--missing), the column categories (--categorical), or leave it out (--drop)."
    )


def _check_wishes(sheet: Sheet, names: list[str], wishes: Wishes) -> None:
    path = short(sheet.path)
    asked = {field: list(getattr(wishes, field)) for field in wishes._fields}
    seen: dict[str, str] = {}
    for option, wanted in asked.items():
        if unknown := [name for name in wanted if name not in names]:
            raise ValueError(f"{path}: {option} has {quoted(unknown[0])}; columns allowed are {listed(names)}.")
        for name in wanted:
            if seen.setdefault(name, option) != option:
                raise ValueError(
                    f"{path}: column {quoted(name)} is in {seen[name]} and in {option}; it can be in only one of them."
                )


def _check_width(sheet: Sheet, columns: list[Column]) -> None:
    taken = [column for column in columns if column.kind != "dropped"]
    width = sum(pd.Series(column.values).nunique(dropna=False) if column.kind == "category" else 1 for column in taken)
    if width > limits.MAX_COLUMNS or width * len(sheet.lines) > limits.MAX_VALUES:
        raise ValueError(
            f"{short(sheet.path)}: with a column for each category the inputs have {width:,} columns in "
            f"{len(sheet.lines):,} rows; at most {limits.MAX_COLUMNS:,} columns and {limits.MAX_VALUES:,} numbers in "
            "all are allowed."
        )
