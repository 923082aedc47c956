"""What a report is made of: pictures, tables, paragraphs and source, and how numbers are written in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from glojax import controls, drawing


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
      name: of its image, unlike that of any other.
      figure: made under ``drawing.style``.
      caption: below it.
      description: for those who do not see it.
      text_as_paths: as for ``drawing.to_svg``.
    """

    kind: ClassVar[str] = "picture"
    name: str
    figure: Figure
    caption: str
    description: str
    text_as_paths: bool = False

    @property
    def svg(self) -> str:
        """It, to stand in a page."""
        return drawing.to_svg(self.figure, self.name, self.description, text_as_paths=self.text_as_paths)


@dataclass(frozen=True)
class Table:
    """A table; ``summary`` is the line that stands for one that is folded away."""

    kind: ClassVar[str] = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    summary: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph; ``is_lead`` one that is to be read if nothing else is."""

    kind: ClassVar[str] = "text"
    text: str
    is_lead: bool = False


@dataclass(frozen=True)
class Source:
    """Source code; ``summary`` as a table's."""

    kind: ClassVar[str] = "source"
    text: str
    summary: str = ""


Block = Picture | Table | Text | Source


class Code(str):
    """A cell of a table that is code."""

    is_code = True


class Section(NamedTuple):
    """A part of a report."""

    name: str
    title: str
    blocks: list[Block]


# NUMBERS


def number(value: float) -> str:
    """A metric, to four digits after the point or, where it is large, four in all; nothing for NaN."""
    if not np.isfinite(value):
        return "infinite" if np.isinf(value) else ""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.4g}"


def signed(value: float) -> str:
    """The same of a difference."""
    return f"{'−' if value < 0 else '+'}{number(abs(value))}"


def effect(value: float) -> str:
    """An effect size."""
    return f"{value:+.2f}".replace("-", "−")


def p_value(p: float) -> str:
    """To two digits."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def rate(value: float) -> str:
    """A scale of the learning rate."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def mean(values: np.ndarray) -> str:
    """Mean and standard deviation of a metric ``[seeds]``."""
    if not np.isfinite(values).all():
        return "infinite"
    summary = controls.summarize(values)
    return f"{number(summary.mean)} ± {number(summary.std)}"


def interval(values: np.ndarray) -> str:
    """The 95% interval of the mean, if there is one."""
    if len(values) < 2 or not np.isfinite(values).all():
        return ""
    summary = controls.summarize(values)
    return f"{number(summary.low)} to {number(summary.high)}"
