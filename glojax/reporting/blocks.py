"""What a report is made of: pictures, tables, paragraphs and source, and how numbers are written in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from matplotlib.figure import Figure

from glojax.reporting import style


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
      name: of its image, unlike that of any other.
      figure: made under ``style.style``.
      caption: below it.
      description: for those who do not see it.
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
        """It, to stand in a page."""
        return style.to_svg(self.figure, self.name, self.description, text_as_paths=self.text_as_paths)


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
