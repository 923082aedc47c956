"""A loss as a typeset formula."""

import re

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

from glojax.expressions import export
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.reporting.style import style

_FORMULA_SIZE = 17  # in points
_FORMULA_WIDTH = 72  # characters in a line, about


def formula(loss: Loss) -> Figure:
    """A figure of f(x, y) of a loss as one writes it by hand, with a long sum in several lines."""
    lines = [f"${line}$" for line in _lines(loss)]
    font = FontProperties(size=_FORMULA_SIZE, math_fontfamily="stix")
    parser = MathTextParser("path")
    measured = [parser.parse(line, 72, font)[:3] for line in lines]  # width, height, depth; in points
    gap = 0.4 * _FORMULA_SIZE
    width = max(width for width, _, _ in measured) + gap
    height = sum(height for _, height, _ in measured) + gap * len(lines)
    with style(**{"text.parse_math": True}):
        figure = Figure(figsize=(width / 72, height / 72))
        top = height - gap / 2
        for line, (_, size, depth) in zip(lines, measured, strict=True):
            figure.text(gap / 2 / width, (top - size + depth) / height, line, font=font, va="baseline")
            top -= size + gap
    return figure


def _lines(loss: Loss) -> list[str]:
    lines, length = [r"f(x, y) = "], 8
    for number, latex in enumerate(_terms(loss.tree, loss.coefficients, loss.protected)):
        size = len(re.sub(r"\\[a-z]+|[{}\\, ]", "", latex))
        if number and length + size > _FORMULA_WIDTH:
            lines.append(r"\quad\quad ")
            length = 4
        lines[-1] += latex + " "
        length += size
    return [_polished(line) for line in lines]


def _polished(latex: str) -> str:
    """LaTeX with parentheses as high as their content, and a dot between two numbers that are multiplied."""
    latex = re.sub(r"(?<!\\left)\(", r"\\left(", re.sub(r"(?<!\\right)\)", r"\\right)", latex))
    return re.sub(r"(\d|\)) \\, (?=\d)", r"\1 \\cdot ", latex).replace(r"\frac", r"\dfrac")


def _terms(tree: Tree, coefficients: tuple[float, ...], protected: bool) -> list[str]:
    """The terms of a sum in LaTeX, each but the first with its sign."""
    if tree.symbol not in ("+", "-") or coefficients[0] != 1:
        return [export.to_latex(tree, coefficients, protected)]
    left, right = tree.children
    first, last = coefficients[1 : 1 + left.size], coefficients[1 + left.size :]
    # Exported as a right operand, so that it gets the parentheses that it needs there.
    alone = Tree(tree.symbol, (Tree("y"), right))
    latex = export.to_latex(alone, (1.0, 1.0, *last), protected).removeprefix("y ")
    return [*_terms(left, first, protected), latex]
