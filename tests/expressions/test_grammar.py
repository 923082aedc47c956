"""The node table: every row's mathematics against JAX, NumPy and sympy, and its notations against literal text."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from glojax.expressions import grammar
from glojax.expressions.grammar import MAX_INTEGER, PROTECTION, Node, operators, power
from glojax.expressions.parsing import parse
from glojax.expressions.trees import write

# Operands on both sides of each singularity; 1e-3 is far outside the protection, 1e-9 well inside of it.
REGULAR = np.array([-30.0, -2.5, -1.0, -0.3, -1e-3, 1e-3, 0.3, 1.0, 2.5, 30.0])
SINGULAR = np.array([-PROTECTION / 2, -1e-9, -1e-300, -0.0, 0.0, 1e-300, 1e-9, PROTECTION / 2])
SYMBOLIC = SimpleNamespace(
    log=sympy.log,
    sqrt=sympy.sqrt,
    maximum=sympy.Max,
    where=lambda condition, a, b: sympy.Piecewise((a, condition), (b, True)),
)

each_operator = pytest.mark.parametrize("node", operators(), ids=lambda node: node.symbol)
each_protected = pytest.mark.parametrize("node", operators(protected=True), ids=lambda node: node.symbol)
each_row = pytest.mark.parametrize(
    "node",
    [*operators(), *operators(protected=True)],
    ids=[f"{variant} {node.symbol}" for variant in ("raw", "protected") for node in operators()],
)


def is_protected(node: Node) -> bool:
    return any(node is row for row in operators(protected=True))


def operands_of(node: Node, points: np.ndarray, protected: bool = False) -> list[np.ndarray]:
    """Every combination of the points that the operator is defined at: one array for each operand."""
    grids = [grid.ravel() for grid in np.meshgrid(*[points] * node.arity)]
    if node.symbol in ("log", "sqrt") and not protected:
        grids = [grid[grids[0] > 0] for grid in grids]
    return grids


def derivatives(function: Callable[..., Any], operands: list[np.ndarray]) -> list[np.ndarray]:
    """The derivative by each operand as jax.grad finds it, in float64."""
    with jax.enable_x64(True):
        places = tuple(range(len(operands)))
        gradient = jax.vmap(jax.grad(function, argnums=places))
        return [np.asarray(one) for one in gradient(*map(jnp.asarray, operands))]


def partials_of(node: Node, operands: list[np.ndarray]) -> list[np.ndarray]:
    with jax.enable_x64(True):
        arrays = [jnp.asarray(operand) for operand in operands]
        partials = node.partials(jnp, node.value(jnp, *arrays), *arrays)
        return [np.broadcast_to(np.asarray(partial), operands[0].shape) for partial in partials]


def value_of(node: Node, operands: list[np.ndarray]) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(node.value(np, *operands))


def protected_divide(a: Any, b: Any) -> Any:
    return a / jnp.where(b < 0, jnp.minimum(b, -PROTECTION), jnp.maximum(b, PROTECTION))


# MATHEMATICS


@each_row
def test_partials_are_the_gradient_of_the_value(node):
    operands = operands_of(node, REGULAR, is_protected(node))
    expected = derivatives(lambda *at: node.value(jnp, *at), operands)
    for partial, reference in zip(partials_of(node, operands), expected, strict=True):
        np.testing.assert_allclose(partial, reference, rtol=1e-12)


@each_row
def test_partials_are_one_for_each_operand(node):
    operands = operands_of(node, REGULAR, is_protected(node))
    assert len(partials_of(node, operands)) == node.arity


@each_row
def test_value_is_the_same_through_numpy_jax_and_sympy(node):
    operands = operands_of(node, REGULAR, is_protected(node))
    expected = value_of(node, operands)
    with jax.enable_x64(True):
        np.testing.assert_allclose(node.value(jnp, *map(jnp.asarray, operands)), expected, rtol=1e-14)
    names = sympy.symbols("a b", real=True)[: node.arity]
    symbolic = node.value(SYMBOLIC, *names)
    exact = [
        float(symbolic.subs(dict(zip(names, map(sympy.Float, at), strict=True)))) for at in zip(*operands, strict=True)
    ]
    np.testing.assert_allclose(exact, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("symbol", "operands", "expected"),
    [
        ("log", (np.e,), 1),
        ("log", (1.0,), 0),
        ("square", (-3.0,), 9),
        ("sqrt", (6.25,), 2.5),
        ("+", (2.0, -5.0), -3),
        ("-", (2.0, -5.0), 7),
        ("*", (2.0, -5.0), -10),
        ("/", (2.0, -5.0), -0.4),
    ],
)
@pytest.mark.parametrize("protected", [False, True])
def test_value_is_what_the_symbol_says(symbol, operands, expected, protected):
    (node,) = [node for node in operators(protected) if node.symbol == symbol]
    assert node.value(np, *map(np.float64, operands)) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("symbol", "operands", "expected"),
    [
        ("log", (-np.e,), 1),
        ("log", (0.0,), np.log(1e-7)),
        ("log", (-1e-9,), np.log(1e-7)),
        ("sqrt", (-6.25,), 2.5),
        ("sqrt", (0.0,), 0),
        ("/", (3.0, 0.0), 3e7),
        ("/", (3.0, 1e-9), 3e7),
        ("/", (3.0, -1e-9), -3e7),
        ("/", (0.0, 0.0), 0),
    ],
)
def test_protected_operators_have_the_values_of_their_definition(symbol, operands, expected):
    (node,) = [node for node in operators(protected=True) if node.symbol == symbol]
    assert node.value(np, *map(np.float64, operands)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("raw", "protected"), list(zip(operators(), operators(protected=True), strict=True)))
def test_protected_equals_raw_digit_for_digit_away_from_singularities(raw, protected):
    operands = operands_of(raw, REGULAR)
    np.testing.assert_array_equal(value_of(protected, operands), value_of(raw, operands))
    for one, other in zip(partials_of(protected, operands), partials_of(raw, operands), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each_protected
def test_protected_is_finite_everywhere_and_so_are_its_partials(node, dtype):
    with np.errstate(under="ignore"):
        points = np.concatenate([REGULAR, SINGULAR]).astype(dtype)
    operands = operands_of(node, points, protected=True)
    value = value_of(node, operands)
    assert np.isfinite(value).all()
    # np.where computes the branch it does not take.
    with np.errstate(all="ignore"):
        for partial in node.partials(np, value, *operands):
            assert np.isfinite(partial).all()
    with jax.enable_x64(dtype == np.float64):
        arrays = [jnp.asarray(operand) for operand in operands]
        for result in (value := node.value(jnp, *arrays), *node.partials(jnp, value, *arrays)):
            assert np.isfinite(result).all()
            assert jnp.result_type(result) in (dtype, jnp.result_type(1.0))


@pytest.mark.parametrize(("symbol", "place"), [("log", 0), ("sqrt", 0), ("/", 1)])
def test_protected_is_flat_inside_the_protection(symbol, place):
    (node,) = [node for node in operators(protected=True) if node.symbol == symbol]
    operands = operands_of(node, SINGULAR, protected=True)
    np.testing.assert_array_equal(partials_of(node, operands)[place], 0)


def test_only_the_singular_operators_differ_when_protected():
    differing = [raw.symbol for raw, safe in zip(operators(), operators(protected=True), strict=True) if raw != safe]
    assert differing == ["log", "sqrt", "/"]


@each_operator
def test_monomial_log_is_the_logarithm_of_the_value(node):
    operands = operands_of(node, REGULAR[REGULAR > 0])
    if node.symbol in ("log", "+", "-"):
        assert node.monomial_log is None
    else:
        expected = np.log(value_of(node, operands))
        np.testing.assert_allclose(node.monomial_log(*map(np.log, operands)), expected, rtol=1e-12, atol=1e-14)


# DRAWING


def test_weights_are_those_of_the_paper():
    weights = {node.symbol: node.weight for node in grammar.NODES}
    assert weights == {
        **{"log": 3, "square": 1, "sqrt": 2},
        **{"+": 1, "-": 1, "*": 1, "/": 1},
        **{"x": 3, "y": 3, 1: 1, -1: 1},
    }


def test_protected_rows_stand_at_the_opcodes_of_the_raw_ones():
    raw, safe = operators(), operators(protected=True)
    assert [(node.symbol, node.arity, node.weight, node.text) for node in raw] == [
        (node.symbol, node.arity, node.weight, node.text) for node in safe
    ]


def test_integers_are_exact_in_float32_up_to_the_bound():
    assert np.float32(MAX_INTEGER) - np.float32(MAX_INTEGER - 1) == 1
    assert np.float32(MAX_INTEGER + 1) == np.float32(MAX_INTEGER)


# NOTATIONS


@each_row
def test_python_notation_evaluates_to_the_value(node):
    operands = operands_of(node, REGULAR, is_protected(node))
    with jax.enable_x64(True):
        a, b = map(jnp.asarray, (*operands, operands[0])[:2])
        text = node.python.template.format(*["a", "b"][: node.arity])
        evaluated = eval(text, {"jnp": jnp, "a": a, "b": b, "protected_divide": protected_divide})
        np.testing.assert_allclose(evaluated, value_of(node, operands), rtol=1e-14)


@each_row
def test_every_notation_has_a_place_for_each_operand(node):
    for notation in (node.text, node.latex, node.python):
        assert len(notation.operands) == node.arity
        written = notation.template.format(*["OPERAND"] * node.arity)
        assert written.count("OPERAND") == node.arity
        assert written.count("{") == written.count("}")


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("x", "x"),
        ("-1", "-1"),
        ("7", "7"),
        ("x - -1", "x - (-1)"),
        ("-1 * x", r"(-1) \, x"),
        ("log(y) - x / y", r"\log\left(y\right) - \frac{x}{y}"),
        ("x * log(y)", r"x \, \log\left(y\right)"),
        ("x - (y - 1)", "x - (y - 1)"),
        ("x - y - 1", "x - y - 1"),
        ("x * (y + 1)", r"x \, (y + 1)"),
        ("x * (y * y)", r"x \, (y \, y)"),
        ("(x + y) / (x - y)", r"\frac{x + y}{x - y}"),
        ("x * (x / y)", r"x \, (\frac{x}{y})"),
        ("square(y)", "y^{2}"),
        ("square(-1)", "(-1)^{2}"),
        ("square(x + y)", "(x + y)^{2}"),
        ("square(square(y))", "(y^{2})^{2}"),
        ("square(log(y))", r"\log\left(y\right)^{2}"),
        ("sqrt(x + square(y))", r"\sqrt{x + y^{2}}"),
    ],
)
def test_latex_is_written_with_the_parentheses_it_needs(text, latex):
    assert write(parse(text), lambda node: node.latex) == latex


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("log(y)", r"\log\left(\max\left(\left|y\right|, 1e-07\right)\right)"),
        ("sqrt(x - y)", r"\sqrt{\left|x - y\right|}"),
        ("(x + y) / y", r"\mathrm{pdiv}\left(x + y, y\right)"),
        ("square(x / y)", r"\mathrm{pdiv}\left(x, y\right)^{2}"),
    ],
)
def test_protected_operators_are_written_as_what_they_do(text, latex):
    assert write(parse(text), lambda node: node.latex, protected=True) == latex


@pytest.mark.parametrize(
    ("text", "raw", "protected"),
    [
        ("log(y)", "jnp.log(y)", "jnp.log(jnp.maximum(jnp.abs(y), 1e-07))"),
        ("sqrt(x - y)", "jnp.sqrt(x - y)", "jnp.sqrt(jnp.abs(x - y))"),
        ("x * ((x + y) / y)", "x * ((x + y) / y)", "x * protected_divide(x + y, y)"),
        ("square(x) - -1", "jnp.square(x) - -1", "jnp.square(x) - -1"),
    ],
)
def test_python_is_written_raw_and_protected(text, raw, protected):
    assert write(parse(text), lambda node: node.python) == raw
    assert write(parse(text), lambda node: node.python, protected=True) == protected


def test_coefficients_are_written_as_factors_of_their_nodes():
    tree = parse("log(y) - x / y")
    factors = ["2.0", "", "3.0", "", "0.5", "4.0"]
    assert write(tree, lambda node: node.text, coefficients=factors) == "2.0 * (log(3.0 * y) - 0.5 * x / (4.0 * y))"


# POWERS


def test_the_power_of_an_operator_is_known_only_from_powers():
    rows = {row.symbol: row for row in operators()}
    assert power(np, rows["*"], [(2.0, 1.0), (3.0, 0.5)]) == (6.0, 1.5)
    assert power(np, rows["/"], [(6.0, 1.0), (3.0, 2.0)]) == (2.0, -1.0)
    assert power(np, rows["square"], [(-3.0, 1.0)]) == (9.0, 2.0)
    assert power(np, rows["sqrt"], [(9.0, 1.0)]) == (3.0, 0.5)
    assert power(np, rows["*"], [(2.0, 1.0), None]) is None
    assert power(np, rows["+"], [(2.0, 1.0), (3.0, 1.0)]) is None
    assert power(np, rows["log"], [(2.0, 1.0)]) is None
