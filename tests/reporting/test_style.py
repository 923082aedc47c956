"""How figures look in a page."""

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes

from glojax.reporting import style


def draw(axes: Axes, label: str) -> None:
    axes.plot([0, 1], [0, 1], label=label)
    axes.plot([0, 1], [1, 0], "--", label="other")
    axes.legend()


def parsed(svg: str) -> ElementTree.Element:
    """As in a page, whose parser knows the name space."""
    return ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns:xlink="l" ', 1))


def test_an_svg_takes_colours_and_fonts_of_its_page_and_refers_to_itself_alone() -> None:
    svg = style.to_svg(style.panel(draw, "found"), "curve", "A line & another")
    root = parsed(svg)
    assert root.attrib["aria-label"] == "A line & another"
    assert root.attrib["viewBox"] == "0 0 360 216"
    assert {"var(--c0)", "var(--c1)"} <= set(re.findall(r"var\(--c\d\)", svg))
    assert "currentColor" in svg
    assert not re.findall(r"#[0-9a-f]{6}", svg)
    assert "<style" not in svg
    assert "DejaVu" not in svg
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids)) > 10
    assert all(name.startswith("curve-") for name in ids)
    references = re.findall(r'(?:xlink:href="|url\()#([^")]*)', svg)
    assert references
    assert set(references) <= set(ids)
    assert "http" not in svg


def test_the_same_figure_is_the_same_svg() -> None:
    first, second = (style.to_svg(style.panel(draw, "found"), "curve", "") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("label", ["$x$", "<b>&", "\\frac{", "a$b"])
def test_labels_are_text_and_neither_formulas_nor_markup(label: str) -> None:
    root = parsed(style.to_svg(style.panel(draw, label), "curve", label))
    assert label in [element.text for element in root.iter() if element.tag.endswith("text")]
    assert root.attrib["aria-label"] == label


def test_a_panel_has_its_size_and_as_many_axes_as_rows() -> None:
    drawn: list[object] = []
    figure = style.panel(lambda axes, *given: drawn.extend([axes, *given]), 1, "two", size=(4.0, 2.5), rows=3)
    axes, *given = drawn
    assert np.shape(axes) == (3,)
    assert given == [1, "two"]
    assert len(figure.axes) == 3
    assert figure.get_size_inches().tolist() == [4.0, 2.5]


def test_the_style_holds_within_its_context_alone() -> None:
    before = matplotlib.rcParams["font.size"]
    with style.style(**{"axes.grid": False}):
        assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["axes.grid"]) == (9.5, False)
        assert matplotlib.rcParams["axes.prop_cycle"].by_key()["color"] == list(style.COLORS)
    assert matplotlib.rcParams["font.size"] == before


def test_text_as_paths_leaves_no_text(tmp_path: Path) -> None:
    root = parsed(style.to_svg(style.panel(draw, "found"), "curve", "", text_as_paths=True))
    assert not [element for element in root.iter() if element.tag.endswith("text")]


def test_an_image_has_150_points_to_the_inch_and_the_format_of_its_ending(tmp_path: Path) -> None:
    figure = style.panel(draw, "found", size=(2.0, 1.0))
    for name, start in (("new/image.png", b"\x89PNG"), ("image.pdf", b"%PDF"), ("image", b"\x89PNG")):
        style.save(figure, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    assert matplotlib.image.imread(tmp_path / "new" / "image.png").shape[:2] == (150, 300)
