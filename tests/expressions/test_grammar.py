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
    exp=sympy.exp,
    tanh=sympy.tanh,
    abs=sympy.Abs,
    maximum=sympy.Max,
    minimum=sympy.Min,
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
    if node.symbol in ("log", "sqrt", "power") and not protected:
        grids = [grid[grids[0] > 0] for grid in grids]
    return grids


def bounded(node: Node, operands: list[np.ndarray]) -> list[np.ndarray]:
    """Those of operands at which the operator is no more than a protected one ever is."""
    fits = np.abs(value_of(node, operands)) < grammar.LARGEST
    return [operand[fits] for operand in operands]


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


def protected_power(a: Any, b: Any) -> Any:
    """A power by its logarithm, which is cut off at 69."""
    logarithm = b * jnp.log(jnp.maximum(jnp.abs(a), PROTECTION))
    return jnp.where(logarithm < 69, jnp.exp(logarithm), 1e30)


HELPERS = {"protected_divide": protected_divide, "protected_power": protected_power}


# MATHEMATICS


@pytest.mark.few(2)
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
        ("exp", (-2.0,), np.e**-2),
        ("tanh", (0.5,), (np.e - 1) / (np.e + 1)),
        ("abs", (-3.5,), 3.5),
        ("max", (2.0, -5.0), 2),
        ("max", (-5.0, 2.0), 2),
        ("power", (0.25, 1.5), 0.125),
        ("power", (4.0, -0.5), 0.5),
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
        ("exp", (100.0,), np.exp(69)),
        ("power", (-0.25, 1.5), 0.125),
        ("power", (0.0, 2.0), 1e-14),
        ("power", (0.0, -20.0), 1e30),
    ],
)
def test_protected_operators_have_the_values_of_their_definition(symbol, operands, expected):
    (node,) = [node for node in operators(protected=True) if node.symbol == symbol]
    assert node.value(np, *map(np.float64, operands)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("raw", "protected"), list(zip(operators(), operators(protected=True), strict=True)))
def test_protected_equals_raw_digit_for_digit_away_from_singularities(raw, protected):
    operands = bounded(raw, operands_of(raw, REGULAR))
    np.testing.assert_array_equal(value_of(protected, operands), value_of(raw, operands))
    for one, other in zip(partials_of(protected, operands), partials_of(raw, operands), strict=True):
        # That of a power is written otherwise, so that it is finite, and is rounded once more.
        np.testing.assert_allclose(one, other, rtol=2e-15 if raw.symbol == "power" else 0, atol=0)


@pytest.mark.few(8)
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
    assert differing == ["log", "sqrt", "/", "exp", "power"]


@each_operator
def test_monomial_log_is_the_logarithm_of_the_value(node):
    operands = operands_of(node, REGULAR[REGULAR > 0])
    if node.symbol in ("log", "+", "-", "exp", "tanh", "max", "power"):
        assert node.monomial_log is None
    else:
        expected = np.log(value_of(node, operands))
        np.testing.assert_allclose(node.monomial_log(*map(np.log, operands)), expected, rtol=1e-12, atol=1e-14)


# DRAWING


@pytest.mark.parametrize(
    ("symbol", "operands", "partials"),
    [
        ("abs", (0.0,), (0.0,)),  # as jax.grad has it
        ("max", (1.5, 1.5), (0.5, 0.5)),
        ("power", (0.0, 1.0), (1.0, 0.0)),
        ("power", (0.0, 2.0), (0.0, 0.0)),
        ("power", (0.0, 0.0), (0.0, 0.0)),
        ("power", (-2.0, 2.0), (-4.0, None)),  # only the exponent must not vary below 0
    ],
)
def test_partials_at_corners(symbol, operands, partials):
    (node,) = [node for node in operators() if node.symbol == symbol]
    for found, expected in zip(partials_of(node, [np.array([value]) for value in operands]), partials, strict=True):
        assert expected is None or found[0] == expected


# VOCABULARIES


def test_a_vocabulary_is_written_out_in_the_order_of_the_table():
    paper = ("log", "square", "sqrt", "+", "-", "*", "/")
    assert grammar.OF_PAPER.operators == paper
    assert grammar.Vocabulary(("exp", "paper", "exp")).operators == (*paper, "exp")
    assert grammar.Vocabulary(("all",)).operators == tuple(row.symbol for row in operators())
    assert grammar.Vocabulary(("max", "log", "+")) == grammar.Vocabulary(("+", "max", "log"))
    few = grammar.Vocabulary(("max", "log"))
    assert [row.symbol for row in few.nodes()] == ["log", "max", "x", "y", 1, -1]
    assert [row.value for row in few.rows(protected=True)] == [
        row.value for row in operators(protected=True) if row.symbol in ("log", "max")
    ]
    assert few.has(0)
    assert few.has(2)
    assert not grammar.Vocabulary(("+",)).has(1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("sin",), "operators holds 'sin'; allowed are paper, all, log"),
        ((), "operators is empty; allowed are paper"),
        ("log,exp", "operators holds 'log,exp'"),
        (None, "operators holds None"),
        ((["log"],), r"operators holds \['log'\]"),
    ],
)
def test_what_is_no_vocabulary_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        grammar.Vocabulary(given)


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
        evaluated = eval(text, {"jnp": jnp, "a": a, "b": b, **HELPERS})
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
