"""How figures look: in a page, where they take its colours and fonts, and as images."""

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

from glojax import (
    files,
)

COLORS = ("#1f6fb4", "#c2410c", "#15803d", "#7e3fb0", "#6b7280")
"""Of lines. A page has them as the CSS variables ``--c0`` and so on, and so others where it is dark."""

_INK = "#1b1c1e"  # of text and axes; a page has it as its own colour

_STYLE: dict[Any, Any] = {
    "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
    "grid.color": _INK, "grid.alpha": 0.13, "grid.linewidth": 0.6, "axes.grid": True, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "axes.titlesize": 10,
    "axes.prop_cycle": cycler.cycler(color=COLORS), "lines.linewidth": 1.7,
    "font.size": 9.5, "legend.frameon": False, "legend.fontsize": 9,
    "text.parse_math": False,  # names of tasks are no formulas
    "svg.hashsalt": "glojax", "svg.fonttype": "none",
}  # fmt: skip


def style(**changes: Any) -> AbstractContextManager[None]:
    """The settings of matplotlib under which figures are made and written."""
    settings: dict[Any, Any] = _STYLE | changes
    return matplotlib.rc_context(settings)


def panel(draw: Callable[..., None], *arguments: Any, size: tuple[float, float] = (5.0, 3.0), rows: int = 1) -> Figure:
    """A figure of its own of ``draw(axes, *arguments)``; its size is in inches, and ``axes`` several if rows are."""
    with style():
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots(rows, sharex=True), *arguments)
        # Laid out once: otherwise it depends a little on what the figure was written as before.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def to_svg(figure: Figure, name: str, description: str, *, text_as_paths: bool = False) -> str:
    """A figure as an SVG element to stand in a page: the same bytes for the same figure.

    Args:
      figure: made under ``style``.
      name: unlike that of any other figure in the page.
      description: for those who do not see it.
      text_as_paths: draw text, in the size that the figure gives it, in place of leaving it to the page's font.
    """
    written = io.StringIO()
    with style(**{"svg.fonttype": "path"} if text_as_paths else {}):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)  # it is for all of the page
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
    """Write a figure that was made under ``style`` as an image, whose format the path's ending names."""
    written = io.BytesIO()
    with style():
        figure.savefig(written, format=Path(path).suffix.removeprefix(".") or "png", dpi=150)
    files.write_atomically(path, written.getvalue())
