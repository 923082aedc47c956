"""How figures look in a page, and formulas."""

import re
from xml.etree import ElementTree

import pytest
from matplotlib.axes import Axes

from glojax import losses
from glojax.losses.loss import Loss
from glojax.reporting import formula, style


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


@pytest.mark.parametrize("name", [name for name, loss in losses.ZOO.items() if isinstance(loss, Loss)])
def test_the_formula_of_every_known_loss_is_drawn(name: str) -> None:
    figure = formula.formula(losses.ZOO[name])  # type: ignore[arg-type]
    root = parsed(style.to_svg(figure, "formula", name, text_as_paths=True))
    width, height = (float(value) for value in root.attrib["viewBox"].split()[2:])
    assert 100 < width < 800
    assert 15 < height < 150
    assert sum(element.tag.endswith("use") for element in root.iter()) > 8


def test_a_sum_is_broken_between_its_terms_and_keeps_its_parentheses() -> None:
    loss = Loss("log(x + y) / sqrt(y) - (y - 1) + x * (x + (y - -1))")
    assert formula._terms(loss.tree, loss.coefficients, False) == [
        r"\frac{\log\left(x + y\right)}{\sqrt{y}}", "- (y - 1)", r"+ x \, (x + (y - (-1)))",
    ]  # fmt: skip
    assert len(formula._lines(losses.taylor_mnist)) == 3
    # A sum with a coefficient is one term.
    tuned = Loss("x * log(y) + y", (2.0, *[1.0] * 5))
    assert formula._terms(tuned.tree, tuned.coefficients, False) == [tuned.latex()]


def test_a_formula_has_high_parentheses_and_a_sign_between_numbers() -> None:
    assert formula._polished(r"2.5 \, 1 + (-3) \, 2 \, (\frac{x}{y})") == (
        r"2.5 \cdot 1 + \left(-3\right) \cdot 2 \, \left(\dfrac{x}{y}\right)"
    )
