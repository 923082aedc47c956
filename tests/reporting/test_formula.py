"""Formulas as one writes them by hand."""

from xml.etree import ElementTree

import pytest

from glojax import losses
from glojax.losses.loss import Loss
from glojax.reporting import formula, style


@pytest.mark.parametrize("name", [name for name, loss in losses.ZOO.items() if isinstance(loss, Loss)])
def test_the_formula_of_every_known_loss_is_drawn(name: str) -> None:
    figure = formula.formula(losses.ZOO[name])  # type: ignore[arg-type]
    svg = style.to_svg(figure, "formula", name, text_as_paths=True)
    root = ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns:xlink="l" ', 1))  # as a page's parser knows it
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
