"""LaTeX and sympy: each is the same function as the loss it was made from."""

import sys

import numpy as np
import pytest
import sympy
from expression_samples import RANDOM_LOSSES, TREES_OF_THE_ZOO, nested

from glojax import losses
from glojax.expressions import trees
from glojax.expressions.export import factors, to_latex, to_sympy
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss

# SYMPY


def lambdified(expression: sympy.Expr, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.broadcast_to(sympy.lambdify(sympy.symbols("x y", real=True), expression, "numpy")(x, y), y.shape)


@pytest.mark.parametrize(
    "loss",
    [*TREES_OF_THE_ZOO.values(), *RANDOM_LOSSES[:24], *(Loss(e.tree, e.coefficients, True) for e in RANDOM_LOSSES[:8])],
    ids=lambda loss: f"{loss}{' protected' * loss.protected}",
)
def test_the_sympy_expression_is_the_tree_wherever_that_is_finite(loss: Loss):
    y = np.tile([0.01, 0.2, 0.47, 0.9, 0.999], 2)
    x = np.repeat([0.0, 1.0], 5)
    with np.errstate(all="ignore"):
        expected = np.broadcast_to(trees.evaluate(loss.tree, x, y, np, loss.protected, loss.coefficients), y.shape)
    finite = np.isfinite(expected)
    if not finite.any():
        return  # sympy's complex infinity has no name in NumPy
    value = lambdified(loss.sympy(), x, y)
    np.testing.assert_allclose(value[finite], expected[finite], rtol=1e-9, atol=1e-9)


def test_sympy_expressions_can_be_compared_and_differentiated():
    x, y = sympy.symbols("x y", real=True)
    assert losses.baikal.sympy() == sympy.log(y) - x / y
    assert sympy.simplify(sympy.diff(losses.baikal.sympy(), y) - (1 / y + x / y**2)) == 0
    assert to_sympy(parse("sqrt(square(y))"), [1.0, 1.0, 1.0]) == sympy.Abs(y)
    assert to_sympy(parse("log(y)"), [2.0, 1.0], protected=True) == 2 * sympy.log(sympy.Max(1e-7, sympy.Abs(y)))


@pytest.mark.parametrize("text", ["x / (1 / (y - 1) + y)", "y / (y / (y - x) / 9 - 1)", "1 / (1 / (1 / (y - x)))"])
def test_a_protected_quotient_within_a_denominator_keeps_its_sign(text: str):
    tree, y, x = parse(text), np.tile([0.01, 0.2, 0.47, 0.9, 0.999], 2), np.repeat([0.0, 1.0], 5)
    expected = trees.evaluate(tree, x, y, np, protected=True)
    assert (expected < 0).any()
    np.testing.assert_allclose(lambdified(to_sympy(tree, [1.0] * tree.size, True), x, y), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("tree", "protected", "message"),
    [
        (nested(["square"] * 100, "3"), False, r"may have integers of 2048 bits"),
        (parse("power(1000, power(1000, 1000))"), False, r"may have integers of \d+ bits"),
        (nested(["exp"] * 100, "power(x, power(x, y))"), True, r"and \d+ nodes"),
        (nested(["square"] * 100, "3 * y"), False, r"integers of 2048 bits"),
        (nested([*["square"] * 20, "sqrt"], "1 + 16777213"), False, r"integers of 3328 bits"),
        (parse("x / (" * 40 + "y" + ")" * 40), True, r"and \d+ nodes; at most 2000 bits and 256 nodes"),
        (nested(["log"] * 100, "y"), True, r"and 257 nodes"),
    ],
    ids=["constants", "powers", "exponentials", "factors", "roots", "denominators", "logarithms"],
)
def test_what_grows_without_bound_is_refused_before_it_does(tree: Tree, protected: bool, message: str):
    with pytest.raises(ValueError, match=message) as error:
        to_sympy(tree, [1.0] * tree.size, protected)
    assert len(str(error.value)) < 1000


def test_squares_of_what_has_no_integers_are_exact_whatever_their_number():
    y = sympy.symbols("y", real=True)
    assert to_sympy(nested(["square"] * 100, "y"), [1.0] * 101) == y ** (2**100)
    assert to_sympy(parse("square(square(y))"), [3.0, 1.0, 2.0]) == 48 * y**4


def test_without_sympy_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(ImportError, match=r"pip install 'glojax\[sympy\]'"):
        losses.baikal.sympy()


# LATEX


@pytest.mark.parametrize(
    ("loss", "latex"),
    [
        (losses.cross_entropy, r"x \, \log\left(y\right)"),
        (losses.baikal, r"\log\left(y\right) - \frac{x}{y}"),
        (losses.brier, r"(-1) \, (x - y)^{2}"),
        (Loss("sqrt(x) - -1 * y"), r"\sqrt{x} - (-1) \, y"),
        (Loss("x - y", (1, -2.5, 1 / 3)), r"(-2.5) \, x - 0.3333 \, y"),
        (Loss("x - y", (1, 1, 2e-7)), r"x - 2 \cdot 10^{-7} \, y"),
        (Loss("x - y", (1, 1, -1.5e12)), r"x - (-1.5 \cdot 10^{12}) \, y"),
        (Loss("x / y", protected=True), r"\mathrm{pdiv}\left(x, y\right)"),
    ],
)
def test_latex_is_written_as_in_a_paper(loss: Loss, latex: str):
    assert loss.latex() == latex
    assert to_latex(loss.tree, loss.coefficients, loss.protected) == latex


def test_factors_are_rounded_and_a_factor_of_1_is_not_written():
    assert factors([1.0, 1, 0.123456, -2.0, 1e-9, 0.0], 3) == ["", "", "0.123", "-2", "1e-09", "0"]
