"""Numbers as people write them: thousands, decimal commas, percent, currencies, dates. A whole column has one form."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

PLAIN, THOUSANDS, COMMA = "number", "thousands", "decimal comma"

_SPACES = "\u00a0\u202f\u2009\u2007"  # no-break, narrow, thin and figure space
_MINUS = str.maketrans({"−": "-", "‒": "-", "–": "-", **dict.fromkeys(_SPACES, " ")})
_UNIT = r"(?P<unit>%|[$€£¥₹₽]|USD|EUR|GBP|CHF|JPY)"
_TIME = r"(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_DATE = re.compile(rf"(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{4}}){_TIME}", re.ASCII)
_PATTERNS = {
    PLAIN: r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?i:inf(?:inity)?)",
    THOUSANDS: r"(?:\d{1,3}(?:[,' ’]\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)",
    COMMA: r"(?:\d{1,3}(?:[.' ’]\d{3})+(?:,\d+)?|\d+,?\d*|,\d+)(?:[eE][+-]?\d+)?",
}
DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y")
"""Forms of dates in the order in which they are tried; a time may follow."""


class Form(NamedTuple):
    """How the numbers of a column are written."""

    name: str  # one of PLAIN, THOUSANDS, COMMA and DATES
    unit: str = ""  # such as "%" or "€"

    def __str__(self) -> str:
        if self.name in DATES:
            return f"date {self.name}, as days"
        written = {PLAIN: "", THOUSANDS: "with thousands marked", COMMA: "with a decimal comma"}[self.name]
        return " ".join(part for part in (written, f"in {self.unit}" if self.unit else "") if part)


def form_of(cells: list[str], *, prefers_comma: bool = False) -> tuple[Form | None, np.ndarray]:
    """The form that fits the most of some distinct cells, and which of them it fits, bool ``[cells]``.

    Args:
      cells: stripped text.
      prefers_comma: whether "1,234" is 1.234, as where another column of the file has decimal commas.
    """
    tidied = [_tidied(cell) for cell in cells]
    units = pd.Series([unit for _, unit in tidied])
    unit = str(units.mode().iloc[0]) if len(units) else ""
    order = (PLAIN, COMMA, THOUSANDS) if prefers_comma else (PLAIN, THOUSANDS, COMMA)
    best, fits = None, np.zeros(len(cells), bool)
    for name in order:
        pattern = re.compile(rf"[+-]?(?:{_PATTERNS[name]})", re.ASCII)
        found = np.array([u == unit and pattern.fullmatch(text) is not None for text, u in tidied], bool)
        if found.sum() > fits.sum():
            best, fits = Form(name, unit), found
    if best is None or not fits.all():
        dated = np.array([_DATE.fullmatch(cell) is not None for cell in cells], bool)
        if len(cells) and dated.all():
            for name in DATES:
                if not np.isnan(numbers(cells, Form(name))).any():
                    return Form(name), dated
    return best, fits


def numbers(cells: list[str], form: Form) -> np.ndarray:
    """The numbers that cells of a form mean, float64 ``[cells]``, NaN for those of another form. Dates are days."""
    if form.name in DATES:
        dated = [_date_and_time(cell) for cell in cells]
        day = pd.to_datetime(pd.Series([date for date, _ in dated], dtype=object), format=form.name, errors="coerce")
        time = pd.to_timedelta(pd.Series([clock for _, clock in dated], dtype=object), errors="coerce")
        days = (day - pd.Timestamp(0)) / pd.Timedelta(days=1)
        return (days + time.fillna(pd.Timedelta(0)) / pd.Timedelta(days=1)).to_numpy(np.float64)
    pattern = re.compile(rf"[+-]?(?:{_PATTERNS[form.name]})", re.ASCII)
    values = np.full(len(cells), np.nan)
    for place, cell in enumerate(cells):
        text, unit = _tidied(cell)
        if unit == form.unit and pattern.fullmatch(text):
            digits = re.sub("[' ’]", "", text)
            if form.name == COMMA:
                digits = digits.replace(".", "").replace(",", ".")
            values[place] = float(digits.replace(",", ""))
    return values


_OTHER_ORDER = {"%m/%d/%Y": "%d/%m/%Y", "%m-%d-%Y": "%d-%m-%Y"}


def dates_are_ambiguous(cells: list[str], form: Form) -> bool:
    """Whether dates that are read with the month first, as "03/04/2024", may all have the day first and differ then."""
    if form.name not in _OTHER_ORDER:
        return False
    others = numbers(cells, Form(_OTHER_ORDER[form.name]))
    return not np.isnan(others).any() and bool((others != numbers(cells, form)).any())


def is_ambiguous(cells: list[str]) -> bool:
    """Whether all commas could mark thousands as well as decimals, as in "1,234"."""
    return all(re.fullmatch(r"[+-]?\d{1,3}(?:,\d{3})?", _tidied(cell)[0], re.ASCII) for cell in cells)


def _tidied(cell: str) -> tuple[str, str]:
    """A cell without its unit, with ASCII signs and spaces; and the unit."""
    text = cell.translate(_MINUS).strip()
    if text[:1] == "(" and text[-1:] == ")" and text[1:2] not in "+-":  # as accountants write what is below 0
        text = f"-{text[1:-1].strip()}"
    if not text or (text[-1].isdigit() and text[0] in "+-.,0123456789" and text[1:2] not in "$€£¥"):
        return text, ""
    if found := re.fullmatch(rf"(?P<number>.*?)\s*{_UNIT}", text):
        return found["number"], found["unit"]
    if found := re.fullmatch(rf"(?P<sign>[+-]?)\s*{_UNIT}\s*(?P<number>.*)", text):
        return found["sign"] + found["number"], found["unit"]
    return text, ""


def _date_and_time(cell: str) -> tuple[str, str]:
    """The date and the time of a cell, without a zone."""
    date, _, clock = cell.replace("T", " ").partition(" ")
    clock = re.sub(r"(?:Z|[+-]\d{2}:?\d{2})$", "", clock)
    return date, (clock + ":00" if clock.count(":") == 1 else clock) or "00:00:00"
