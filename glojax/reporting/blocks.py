"""What the sections of a report are made of: pictures, tables, paragraphs and source code."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from matplotlib.figure import Figure

from glojax.reporting import style

MOST_ROWS = 300
"""Rows of a table that are shown."""


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
      name: unique in the report; also the name of its image file.
      figure: made under ``style.style``.
      caption: shown below it.
      description: for readers who cannot see it.
      text_as_paths: as for ``style.to_svg``.
    """

    kind: ClassVar[str] = "picture"
    name: str
    figure: Figure
    caption: str
    description: str
    text_as_paths: bool = False

    @property
    def svg(self) -> str:
        """The figure as an SVG element for a page."""
        return style.to_svg(self.figure, self.name, self.description, text_as_paths=self.text_as_paths)


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      head: names of the columns.
      rows: texts of the cells.
      caption: shown below it.
      summary: if given, the table is folded away under this line.
    """

    kind: ClassVar[str] = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    summary: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph; ``is_lead`` marks the one to read if nothing else is read."""

    kind: ClassVar[str] = "text"
    text: str
    is_lead: bool = False


@dataclass(frozen=True)
class Source:
    """Source code; if ``summary`` is given, it is folded away under this line."""

    kind: ClassVar[str] = "source"
    text: str
    summary: str = ""


Block = Picture | Table | Text | Source


class Code(str):
    """A table cell that holds code."""

    is_code = True


class Section(NamedTuple):
    """A section of a report."""

    name: str
    title: str
    blocks: list[Block]


def cut_remark(rows: Sequence[object]) -> str:
    """What a caption adds if only the first ``MOST_ROWS`` rows are shown."""
    return f" (the first {MOST_ROWS:,} of {len(rows):,}; the record has all)" if len(rows) > MOST_ROWS else ""
