"""The canonical form against evaluation in exact enough arithmetic, and rule by rule."""

from collections.abc import Iterator

import numpy as np
import pytest
from budgets import cases
from expression_samples import grown
from hypothesis import example, given
from hypothesis import strategies as st

from glojax.expressions import grammar, parsing, trees
from glojax.expressions.canonical import canonical
from glojax.expressions.grammar import MAX_INTEGER
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree

ROWS = {node.symbol: node for node in grammar.OPERATORS}
X = np.repeat([0.0, 1.0], 4)
Y = np.tile([0.0237, 0.3119, 0.6431, 0.9713], 2)

some_trees = st.recursive(
    (st.sampled_from(["x", "y"]) | st.sampled_from(["x", "y"]) | st.integers(-4, 4)).map(Tree),
    lambda below: (
        st.builds(lambda symbol, a: Tree(symbol, (a,)), st.sampled_from(["log", "square", "sqrt"]), below)
        | st.builds(lambda symbol, a, b: Tree(symbol, (a, b)), st.sampled_from(["+", "-", "*", "/"]), below, below)
    ),
    max_leaves=10,
)


def node_values(tree: Tree, dtype: type, zeros: np.random.Generator | None = None) -> Iterator[np.ndarray]:
    """The value of every node at every point, the root's last; ``zeros`` draws the sign of each zero anew."""
    operands = []
    for child in tree.children:
        for value in node_values(child, dtype, zeros):
            yield value
        operands.append(value)
    if tree.children:
        value = ROWS[tree.symbol].value(np, *operands)
    else:
        leaves = {"x": X, "y": Y}
        value = np.broadcast_to(leaves.get(tree.symbol, tree.symbol), X.shape).astype(dtype)
    if zeros is not None:
        signed = np.copysign(np.zeros_like(value), zeros.choice([-1.0, 1.0], X.shape))
        value = np.where(value == 0, signed, value)
    yield value


def value_and_trust(tree: Tree) -> tuple[np.ndarray, np.ndarray]:
    """The tree's value in extended precision, and the points where it says what exact arithmetic would.

    Left out are points where rounding decides (a node differs between float64 and extended precision, as
    y - (1 + y) + 1 does), where a node comes near overflow or underflow, and where the sign of a zero decides,
    which exact arithmetic has not: 1 / log(1 / (0 - x)) is finite at x = 0 only because 0 - 0 is +0.
    """
    with np.errstate(all="ignore"):
        trusted = np.ones(X.shape, bool)
        for rounded, value in zip(node_values(tree, np.float64), node_values(tree, np.longdouble), strict=True):
            finite = np.isfinite(value)
            trusted &= finite == np.isfinite(rounded)
            size = abs(np.where(finite, value, 1))
            trusted &= ~finite | (abs(rounded - value) <= 1e-9 * size)
            trusted &= (size == 0) | ((size > 1e-100) & (size < 1e100))
        random = np.random.default_rng(0)
        for _ in range(4):
            *_, signed = node_values(tree, np.longdouble, random)
            trusted &= np.isfinite(signed) == finite
    return value, trusted


def assert_same_function(tree: Tree) -> tuple[int, int]:
    """The canonical form has the tree's value where that is finite, and is not finite elsewhere."""
    form = canonical(tree)
    (value, trusted), (form_value, form_trusted) = value_and_trust(tree), value_and_trust(form)
    trusted &= form_trusted
    finite = np.isfinite(value)
    np.testing.assert_array_equal(
        np.isfinite(form_value)[trusted], finite[trusted], err_msg=f"{tree} and its form {form} are finite elsewhere"
    )
    expected, found = value[trusted & finite], form_value[trusted & finite]
    scale = np.maximum(1, abs(expected))
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-8, err_msg=f"{tree} became {form}")
    return int(trusted.sum()), int((trusted & ~finite).sum())


def form(text: str) -> str:
    return str(canonical(parse(text)))


# CANONICAL FORM


@given(some_trees)
@cases(300)
def test_a_canonical_form_is_its_own(tree):
    assert canonical(canonical(tree)) == canonical(tree)


@given(some_trees)
@example(parse("x / (log(x) - 2 * log(x))"))
@example(parse("y / (1 / x - 2 / x)"))
@example(parse("y / (0 * log(x) + log(x))"))
@example(parse("y / (log(x) - 0 * log(x))"))
@example(parse("y / (0 * (1 / x) - 1 / x)"))
@example(parse("1 / (1 / x + y - 3 * (1 / x))"))
@cases(300)
def test_a_canonical_form_is_the_same_function_and_finite_at_the_same_points(tree):
    assert_same_function(tree)


@pytest.mark.slow
def test_the_canonical_forms_of_grown_trees_are_the_same_functions():
    counts = np.array([assert_same_function(tree) for tree in grown(800, seed=0, max_depth=6, max_size=40)])
    points, singular = counts.sum(axis=0)
    # Few points are left out, and the others say something about both kinds.
    assert points > 0.9 * 800 * X.size
    assert singular > 0.1 * points


def test_canonical_forms_of_grown_trees_are_their_own():
    for tree in grown(800, seed=1, max_depth=6, max_size=60):
        assert canonical(canonical(tree)) == canonical(tree)


def test_every_tree_of_depth_one_has_the_same_function_as_its_form():
    for tree in trees.enumerate_trees(1):
        assert_same_function(tree)
        assert canonical(canonical(tree)) == canonical(tree)


@pytest.mark.slow
def test_trees_of_one_form_have_one_value():
    values = {}
    for tree in list(trees.enumerate_trees(2))[::17]:
        value, trusted = value_and_trust(tree)
        if trusted.all() and np.isfinite(value).all():
            np.testing.assert_allclose(values.setdefault(canonical(tree), value), value, rtol=1e-12, atol=1e-15)
    assert len(values) > 300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # order of sums and products
        ("y + x", "x + y"),
        ("y * x", "x * y"),
        ("x + (y + 1)", "x + y + 1"),
        ("1 + (y + x)", "x + y + 1"),
        ("x - (y - 1)", "x - y + 1"),
        ("y * (sqrt(y) * x)", "sqrt(y) * x * y"),
        ("(x * y) * log(y)", "log(y) * x * y"),
        # equal terms and factors
        ("y + y", "2 * y"),
        ("y + x + y", "x + 2 * y"),
        ("x - 2 * y + y", "x - y"),
        ("y - y", "0"),
        ("x * y - y * x", "0"),
        ("y * y", "square(y)"),
        ("y * x * y", "square(y) * x"),
        ("y * y * y", "square(y) * y"),
        ("square(y) * y", "square(y) * y"),
        ("sqrt(y) * sqrt(y)", "square(sqrt(y))"),
        # identities
        ("x + 0", "x"),
        ("0 + y", "y"),
        ("x - 0", "x"),
        ("1 * x", "x"),
        ("x * 1", "x"),
        ("x / 1", "x"),
        ("x * 0", "0"),
        ("0 * (x + y)", "0"),
        ("0 * log(y)", "0"),
        ("0 * sqrt(x)", "0"),
        ("0 / y", "0"),
        ("y / y", "1"),
        ("sqrt(y) / sqrt(y)", "1"),
        ("log(1)", "0"),
        # folding
        ("2 + 3", "5"),
        ("2 * 3 - 7", "-1"),
        ("square(-3)", "9"),
        ("square(square(square(3)))", "6561"),
        ("sqrt(9)", "3"),
        ("sqrt(0)", "0"),
        ("6 / 3", "2"),
        ("6 / 4", "3 * (1 / 2)"),
        ("2 * (x + y)", "2 * x + 2 * y"),
        ("2 * x / 2", "x"),
        ("2 * x / (4 * y)", "x / (2 * y)"),
        ("log(2 - 1 + y - y)", "0"),
        # signs
        ("0 - x", "-1 * x"),
        ("-1 * -1 * x", "x"),
        ("x + -1 * y", "x - y"),
        ("x - -1 * y", "x + y"),
        ("-1 * x * y", "-1 * (x * y)"),
        ("-1 * x * (-1 * y)", "x * y"),
        ("-1 * x / y", "-1 * (x / y)"),
        ("x / (-1 * y)", "-1 * (x / y)"),
        ("-1 * x / (-1 * y)", "x / y"),
        ("square(-1 * x)", "square(x)"),
        ("x - log(y) * -1", "log(y) + x"),
        # inside functions
        ("log(y + x)", "log(x + y)"),
        ("sqrt(y * 1)", "sqrt(y)"),
        ("log(y) - x / y", "log(y) - x / y"),
    ],
)
def test_equals_become_one_form(text, expected):
    assert form(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # one is NaN or infinite where the other is finite
        ("0 * log(x)", "0"),
        ("0 * (1 / x)", "0"),
        ("0 * sqrt(y - 1)", "0"),
        ("0 * (x / (y - y))", "0"),
        ("log(x) - log(x)", "0"),
        ("1 / x - 1 / x", "0"),
        ("0 / x", "0"),
        ("x / x", "1"),
        ("log(x) / log(x)", "1"),
        ("(x - y) / (x - y)", "1"),
        ("x * y / x", "y"),
        ("x / y * y / x", "1"),
        ("y / x * x", "y"),
        ("square(sqrt(x - y))", "x - y"),
        ("log(x) - log(x) + y", "y"),
        # infinity less infinity is NaN, and 1 over it not 0
        ("log(x) - 2 * log(x)", "-1 * log(x)"),
        ("1 / x - 2 / x", "-1 * (1 / x)"),
        ("0 * log(x) + log(x)", "log(x)"),
        # the sign of the operand is lost
        ("sqrt(square(x - y))", "x - y"),
        ("log(square(x - y))", "2 * log(x - y)"),
        # the order matters
        ("x - y", "y - x"),
        ("x / y", "y / x"),
        ("x - (y - 1)", "x - y - 1"),
        ("x / (y / 2)", "x / y / 2"),
        # functions of different arguments
        ("log(x)", "log(y)"),
        ("sqrt(2)", "2"),
        ("log(x * y)", "log(x) + log(y)"),
        ("x / 0", "0"),
        ("0 / 0", "1"),
        ("y / 3", "0"),
    ],
)
def test_these_are_kept_apart(one, other):
    assert form(one) != form(other)


@pytest.mark.parametrize(
    "pair",
    [
        ("y / x + y / x", "2 * (y / x)"),
        ("3 * log(x) - log(x) * -2", "5 * log(x)"),
        ("log(x) + 1 + log(x)", "2 * log(x) + 1"),
    ],
)
def test_infinite_terms_of_one_sign_are_collected(pair):
    assert form(pair[0]) == form(pair[1])


def test_folding_stops_at_once_at_the_bound_on_integers():
    tree = Tree(3)
    for _ in range(100):
        tree = Tree("square", (tree,))
    # Folded without a bound the integer would have 10^30 digits.
    assert canonical(tree) == tree


@pytest.mark.parametrize(
    "text",
    [
        f"{MAX_INTEGER} + 1",
        f"-{MAX_INTEGER} - 1",
        f"{MAX_INTEGER} * x + x",
        "square(4097)",
        "4097 * (4097 * x)",
        "square(square(square(square(3))))",
    ],
)
def test_a_tree_beyond_the_bound_on_integers_is_its_own_form(text):
    assert canonical(parse(text)) == parse(text)


@pytest.mark.parametrize("text", [f"{MAX_INTEGER - 1} + 1", "square(4096)", f"-{MAX_INTEGER} + 0"])
def test_integers_are_folded_up_to_the_bound(text):
    assert abs(canonical(parse(text)).symbol) == MAX_INTEGER


def test_a_tree_whose_form_is_too_large_is_its_own_form():
    # Distributing the 3 over 32 different terms takes 64 nodes more than the tree has.
    terms, leaves = [], ["x", "y"]
    for count in range(1, 32):
        terms.append(f"log({leaves[count % 2]} + {count})")
    tree = parse("3 * (" + " + ".join(terms[:25]) + ")")
    assert tree.size < trees.MAX_NODES < tree.size + 2 * 24
    assert canonical(tree) == tree


@given(some_trees)
@cases(100)
def test_a_canonical_form_keeps_within_the_bounds_of_trees(tree):
    assert canonical(tree).size <= trees.MAX_NODES
    assert parsing.parse(str(canonical(tree))) == canonical(tree)
