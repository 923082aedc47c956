"""How figures look: in a page, whose colours and fonts they take, and as images."""

import io
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cycler
import matplotlib
from matplotlib.figure import Figure

from glojax import files

COLORS = ("#1f6fb4", "#c2410c", "#15803d", "#7e3fb0", "#6b7280")
"""Colours of lines. A page defines them as the CSS variables ``--c0`` and so on, with others in dark mode."""

_INK = "#1b1c1e"  # of text and axes; in a page, the colour of its text

_STYLE: dict[Any, Any] = dict.fromkeys(
    ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), _INK
) | {
    "grid.alpha": 0.13,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.titlesize": 10,
    "axes.prop_cycle": cycler.cycler(color=COLORS),
    "lines.linewidth": 1.7,
    "font.size": 9.5,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "text.parse_math": False,  # names of tasks are not formulas
    "svg.hashsalt": "glojax",
    "svg.fonttype": "none",
}


def style(**changes: Any) -> AbstractContextManager[None]:
    """A context with the settings of matplotlib under which figures are made and written.

    Args:
      **changes: settings that differ.
    """
    settings: dict[Any, Any] = _STYLE | changes
    return matplotlib.rc_context(settings)


def panel(draw: Callable[..., None], *arguments: Any, size: tuple[float, float] = (5.0, 3.0), rows: int = 1) -> Figure:
    """A figure of one panel.

    Args:
      draw: called as ``draw(axes, *arguments)``.
      *arguments: for ``draw``.
      size: in inches.
      rows: how many axes there are, one below another; ``draw`` gets all of them if it is more than 1.
    """
    with style():
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots(rows, sharex=True), *arguments)
        # Lay it out only once: otherwise the layout depends a little on the formats it was written in before.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def to_svg(figure: Figure, name: str, description: str, *, text_as_paths: bool = False) -> str:
    """A figure as an SVG element for a page; equal figures give equal bytes.

    Args:
      figure: made under ``style``.
      name: unique in the page.
      description: for readers who cannot see it.
      text_as_paths: draw text at the size it has in the figure, instead of leaving it to the page's font.

    Returns:
      The element, which refers to nothing outside of itself but the page's colours.
    """
    written = io.StringIO()
    with style(**{"svg.fonttype": "path"} if text_as_paths else {}):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)  # it applies to the whole page
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", text)
    text = text.replace(_INK, "currentColor")
    for number, color in enumerate(COLORS):
        text = text.replace(color, f"var(--c{number})")
    width = re.search(r'width="([\d.]+)pt"', text)
    assert width is not None
    label = re.sub(r'[<>&"]', lambda found: f"&#{ord(found[0])};", description)
    opening = re.search(r"<svg[^>]*>", text)
    assert opening is not None
    view = re.search(r'viewBox="[^"]*"', opening[0])
    assert view is not None
    head = f'<svg {view[0]} role="img" aria-label="{label}" style="--width: {float(width[1]):.0f}px">'
    return head + text[opening.end() :].rstrip()


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure that was made under ``style`` as an image; the ending of the path is its format."""
    written = io.BytesIO()
    with style():
        figure.savefig(written, format=Path(path).suffix.removeprefix(".") or "png", dpi=150)
    files.write_atomically(path, written.getvalue())
