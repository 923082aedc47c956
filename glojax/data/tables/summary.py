"""What a table was taken for, in words."""

import textwrap
from collections.abc import Sequence

import numpy as np

from glojax.data.tables.columns import Column, alike_warning
from glojax.data.tables.scaling import SKEWED, skewness
from glojax.data.tables.sheet import Sheet
from glojax.data.tables.targets import Target
from glojax.errors import listed, short

_WIDTH = 80
_INDENT = 11


def described(
    sheet: Sheet,
    target: Target,
    columns: Sequence[Column],
    sizes: Sequence[int],
    seed: int,
    twins: int,
    target_transform: str = "",
) -> tuple[tuple[str, str], ...]:
    """Lines of a title and a text.

    Args:
      sheet: the file.
      target: the target.
      columns: the other columns.
      sizes: rows of the training, validation and test parts.
      seed: seed of the split.
      twins: rows that equal an earlier one.
      target_transform: of a regression, or "".
    """
    size = f"{len(sheet.lines):,} rows, {sheet.frame.shape[1]:,} columns; {sheet.about}"
    found = [("Table", f"{short(sheet.path.name, 60)}: {size}"), ("Target", _target(target))]
    if missing := len(sheet.lines) - len(target.rows):
        found.append(("", f"{missing:,} rows without it are left out (--no-target-gaps refuses them)"))
    if target_transform:
        found.append(("", f"trained as its {_TRANSFORMED[target_transform]}; metrics are of the target itself"))
    elif not target.classes and abs(skew := skewness(target.labels)) > SKEWED:
        found.append(("", f"skewed ({skew:.1f}): {_offered(target.labels, skew)} may suit it"))
    for title, kind in (("Numbers", "number"), ("Ordinal", "ordinal"), ("One-hot", "category")):
        if names := [_named(column) for column in columns if column.kind == kind]:
            found.append((title, f"{len(names):,}: {listed(names)}"))
    if left := [f"{short(column.name, 40)} ({column.why})" for column in columns if column.kind == "dropped"]:
        found.append(("Dropped", listed(left)))
    for title, kinds, filled in (
        ("Gaps", ("number", "ordinal"), "filled with the training part's median"),
        ("Gaps", ("category",), "a category of their own"),
    ):
        if gaps := [f"{column.name} {column.gaps:,}" for column in columns if column.gaps and column.kind in kinds]:
            found.append((title, f"{listed(gaps)}: {filled}"))
    by = "classes" if target.classes else "quantiles of the target"
    counts = " / ".join(f"{rows:,}" for rows in sizes)
    same = f"; {twins:,} rows equal others, which stay on one side" if twins else ""
    found.append(("Parts", f"{counts} rows for training, validation and test, by {by}, seed {seed}{same}"))
    if warning := alike_warning(target.name, target.classes):
        found.append(("Look at", warning))
    found += [("Look at", column.warning) for column in columns if column.warning]
    return tuple(found)


_TRANSFORMED = {"log": "logarithm", "quantile": "normal score"}


def _offered(labels: np.ndarray, skew: float) -> str:
    return "--target-transform " + ("log or quantile" if labels.min() >= 0 and skew > 0 else "quantile")


def printed(lines: Sequence[tuple[str, str]]) -> str:
    """The lines as text of at most 80 columns."""
    made = []
    for title, text in lines:
        wrapped = textwrap.wrap(" ".join(text.split()), _WIDTH - _INDENT) or [""]
        made += [f"{title if not place else '':<{_INDENT}}{line}" for place, line in enumerate(wrapped)]
    return "\n".join(made)


def _target(target: Target) -> str:
    if not target.classes:
        low, middle, high = np.quantile(target.labels, [0, 0.5, 1])
        return f"{target.name}: regression, {low:.6g} to {high:.6g}, median {middle:.6g} ({target.why})"
    counts = np.bincount(target.labels)
    classes = [f"{name} ({count:,})" for name, count in zip(target.classes, counts, strict=True)]
    return f"{target.name}: {len(classes)} classes ({target.why}): {listed(classes)}"


def _named(column: Column) -> str:
    name = short(column.name, 40)
    if column.kind == "category":
        return f"{name} ({len(set(column.values) - {None})})"
    return f"{name} ({short(column.why, 60)})" if column.why else name
