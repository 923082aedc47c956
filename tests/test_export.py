"""Exports: each says the same function as the loss it was made from."""

import ast
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
import sympy

from glojax import losses, trees
from glojax.export import factors, power, to_latex, to_python, to_sympy
from glojax.grammar import OPERATORS
from glojax.losses import ZOO, Loss
from glojax.trees import MAX_NODES, Tree, grow, parse

TREES_OF_THE_ZOO = {name: loss for name, loss in ZOO.items() if isinstance(loss, Loss)}
# Ordinary, confident, tied, and saturated in every way; a label that is soft, and two masks.
LOGITS = np.array(
    [[0.3, -1.2, 2.0], [9, -9, 0], [1, 1, 1], [1e4, -1e4, 0], [-1e4, 1e4, 1e4], [-1e4, -1e4, -1e4], [1e4, 0, -1e4]]
)
LABELS = np.array([[0, 0, 1], [1, 0, 0], [0.2, 0.5, 0.3], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
ENTRIES = np.array([[1, 0, 1], [1, 1, 1], [1, 1, 0], [0, 1, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1]], bool)
SAMPLES = np.array([1, 1, 0, 1, 0, 1, 1], bool)


def random_losses(count: int) -> list[Loss]:
    """Raw and protected ones, every other with coefficients of either sign, and every fourth with a 0 among them."""
    random = np.random.default_rng(7)
    found: list[Loss] = []
    while len(found) < count:
        tree = grow(random, int(random.integers(2, 6)))
        if not tree.has_x_and_y or not random.integers(3, 12) < tree.size < 32:
            continue
        coefficients = random.uniform(-2, 2, tree.size) if len(found) % 2 else np.ones(tree.size)
        if len(found) % 4 == 3:
            coefficients[random.integers(tree.size)] = 0.0
        found.append(Loss(tree, tuple(coefficients)))
    return found


RANDOM_LOSSES = random_losses(50)


def executed(source: str, name: str = "loss") -> Callable[..., jax.Array]:
    imported = {
        alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"jax", "jax.numpy"}
    names: dict[str, Any] = {}
    exec(compile(source, "<export>", "exec"), names)
    return names[name]


def assert_equal_on_edge_values(loss: Loss) -> None:
    function = executed(loss.to_python())
    for x64 in (False, True):
        # Folded constants are rounded once, to float64, and Loss's at each node: what cancels amplifies it.
        tolerance = dict(rtol=1e-10, atol=1e-10) if x64 else dict(rtol=2e-4, atol=2e-4)
        with jax.enable_x64(x64):
            for where in (None, ENTRIES, SAMPLES):
                expected = loss(LOGITS, LABELS, where=where)
                value = function(LOGITS, LABELS, where=where)
                assert value.dtype == expected.dtype
                np.testing.assert_allclose(value, expected, **tolerance, err_msg=str(loss))
            transposed = function(LOGITS.T, LABELS.T, axis=0, where=SAMPLES)
            np.testing.assert_allclose(transposed, expected, **tolerance, err_msg=str(loss))


# PYTHON


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("name", TREES_OF_THE_ZOO)
def test_the_source_of_a_known_loss_is_equal_to_it_on_edge_values(name: str, protected: bool):
    loss = TREES_OF_THE_ZOO[name]
    assert_equal_on_edge_values(Loss(loss.tree, loss.coefficients, protected))


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("loss", RANDOM_LOSSES, ids=str)
def test_the_source_of_a_random_loss_is_equal_to_it_on_edge_values(loss: Loss, protected: bool):
    assert_equal_on_edge_values(Loss(loss.tree, loss.coefficients, protected))


@pytest.mark.parametrize(
    "expression",
    [
        "x * log(y * y)",
        "x * log(2 * y * sqrt(y))",
        "x * log(3 / square(y))",
        "x * log(y / y)",
        "x * log(y) * log(2)",
        "x * log(-1 * y)",
        "x * y / (1 - 1)",
        "x * y * sqrt(-1)",
        "x * y - log(0)",
        "x * y * square(square(square(16777216)))",
        "x - (y - (x - (y - 1)))",
        "x / (y / (x + -1)) * (y * -3)",
    ],
)
@pytest.mark.parametrize("protected", [False, True])
def test_powers_constants_and_parentheses_are_written_as_they_are_evaluated(expression: str, protected: bool):
    assert_equal_on_edge_values(Loss(expression, protected=protected))


@pytest.mark.parametrize("name", TREES_OF_THE_ZOO)
def test_gradients_of_the_source_are_those_of_the_loss(name: str):
    loss = TREES_OF_THE_ZOO[name]
    function = executed(loss.to_python())
    expected = jax.grad(lambda logits: loss(logits, LABELS, where=ENTRIES).sum())(LOGITS)
    gradient = jax.jit(jax.grad(lambda logits: function(logits, LABELS, where=ENTRIES).sum()))(LOGITS)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


def test_the_source_reads_as_the_mathematics():
    assert "    f = log_y - x / y\n" in losses.baikal.to_python()
    assert "    f = x * (-0.6931471805599453 + 2.0 * log_y)\n" in Loss("x * log(y * y / 2)").to_python()
    coefficients = (1.0, 0.1 + 0.2, 1.0)
    assert "    f = 0.30000000000000004 * x * y\n" in Loss("x * y", coefficients).to_python()
    source = Loss("x / y", protected=True).to_python()
    assert "    f = protected_divide(x, y)\n" in source
    assert "def protected_divide(a, b):" in source
    assert "protected_divide" not in losses.baikal.to_python()


def test_a_long_formula_is_written_in_several_lines():
    source = losses.taylor_mnist.to_python()
    body = source[source.index("    f1 = ") :]
    assert max(map(len, body.splitlines())) <= 120
    assert executed(source).__doc__


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("symbol", ["log", "sqrt", "square", "+", "-", "*", "/"])
def test_the_deepest_trees_are_written_so_that_python_reads_them(symbol: str, protected: bool):
    tree = parse("x + y")
    while tree.size <= MAX_NODES - 2:
        tree = Tree(symbol, (tree,) if symbol in ("log", "sqrt", "square") else (Tree("y"), tree))
    source = to_python(tree, [1.5] * tree.size, protected)
    assert executed(source)


def test_the_function_has_the_given_name_and_a_docstring():
    assert "Args:" in (executed(losses.baikal.to_python("baikal"), "baikal").__doc__ or "")


@pytest.mark.parametrize("name", ["", "two words", "1st", "class", "None", "f(x)", "a;b", "jax", "jnp"])
def test_a_name_that_python_or_the_source_cannot_use_is_refused(name: str):
    with pytest.raises(ValueError, match=r"to_python: name is .*; a Python identifier"):
        losses.baikal.to_python(name)


def test_the_power_of_an_operator_is_known_only_from_powers():
    rows = {row.symbol: row for row in OPERATORS}
    assert power(np, rows["*"], [(2.0, 1.0), (3.0, 0.5)]) == (6.0, 1.5)
    assert power(np, rows["/"], [(6.0, 1.0), (3.0, 2.0)]) == (2.0, -1.0)
    assert power(np, rows["square"], [(-3.0, 1.0)]) == (9.0, 2.0)
    assert power(np, rows["sqrt"], [(9.0, 1.0)]) == (3.0, 0.5)
    assert power(np, rows["*"], [(2.0, 1.0), None]) is None
    assert power(np, rows["+"], [(2.0, 1.0), (3.0, 1.0)]) is None
    assert power(np, rows["log"], [(2.0, 1.0)]) is None


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
