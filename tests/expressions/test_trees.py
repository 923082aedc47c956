"""Trees as values, as text, grown at random and enumerated."""

import dataclasses
import inspect
import itertools
import pickle
from collections import Counter
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from budgets import cases
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from glojax.expressions import grammar
from glojax.expressions.grammar import MAX_INTEGER
from glojax.expressions.parsing import parse
from glojax.expressions.trees import MAX_NODES, Tree, draw_symbol, enumerate_trees, evaluate, grow, write

SIGNIFICANCE = 1e-3  # the seeds are fixed: a test that passes goes on passing
OPERAND = "expected x, y, prior, progress, an integer, log, square, sqrt, exp, tanh, abs, max, power, '-' or '('"
REAL = "expected an integer (a real number is a coefficient: it goes with the text to glojax.Loss)"
integers = st.integers(-9, 9) | st.integers(-MAX_INTEGER, MAX_INTEGER)


@st.composite
def trees_of_size(draw: st.DrawFn, size: int) -> Tree:
    """A tree of exactly so many nodes; deep where there is little room for another shape."""
    if size == 1:
        return Tree(draw(st.sampled_from(["x", "y"]) | integers))
    if size == 2 or (size <= 40 and draw(st.integers(0, 3)) == 0):
        return Tree(draw(st.sampled_from(["log", "square", "sqrt"])), (draw(trees_of_size(size - 1)),))
    # A large tree is split into parts that both count: a draw is several calls a level.
    least = 1 if size <= 40 else size // 4
    left = draw(st.integers(least, size - 1 - least))
    symbol = draw(st.sampled_from(["+", "-", "*", "/"]))
    return Tree(symbol, (draw(trees_of_size(left)), draw(trees_of_size(size - 1 - left))))


some_trees = st.integers(1, 20).flatmap(trees_of_size)
all_trees = some_trees | st.sampled_from([40, 80, MAX_NODES - 1, MAX_NODES]).flatmap(trees_of_size)


def nested(symbol: str, depth: int) -> Tree:
    tree = Tree("y")
    for _ in range(depth):
        tree = Tree(symbol, (tree,))
    return tree


def grown(count: int, seed: int, max_depth: int) -> list[Tree]:
    random = np.random.default_rng(seed)
    return [grow(random, max_depth) for _ in range(count)]


def assert_frequencies(outcomes: list[str | int], rows: list[grammar.Node]) -> None:
    """Chi-square of how often each symbol was seen against the weights of its row."""
    counts = Counter(outcomes)
    weights = np.array([row.weight for row in rows], float)
    assert set(counts) <= {row.symbol for row in rows}
    observed = [counts[row.symbol] for row in rows]
    assert stats.chisquare(observed, weights / weights.sum() * len(outcomes)).pvalue > SIGNIFICANCE


# VALUES


def test_a_tree_is_frozen():
    tree = parse("log(y)")
    with pytest.raises(dataclasses.FrozenInstanceError):
        tree.symbol = "sqrt"
    with pytest.raises(dataclasses.FrozenInstanceError):
        tree.children = ()


@given(all_trees)
@cases(50)
def test_equal_trees_are_one_key(tree):
    again = parse(str(tree))
    assert again is not tree
    assert again == tree
    assert hash(again) == hash(tree)
    assert {tree: "found"}[again] == "found"
    assert pickle.loads(pickle.dumps(tree)) == tree


def test_trees_that_differ_in_order_are_not_equal():
    assert parse("x + y") != parse("y + x")


@pytest.mark.parametrize(
    ("symbol", "children", "message"),
    [
        ("log", 0, "'log' takes 1 operands, got 0"),
        ("sqrt", 2, "'sqrt' takes 1 operands, got 2"),
        ("+", 1, "'\\+' takes 2 operands, got 1"),
        ("/", 3, "'/' takes 2 operands, got 3"),
        ("x", 1, "'x' takes 0 operands, got 1"),
        (-1, 2, "-1 takes 0 operands, got 2"),
    ],
)
def test_a_wrong_number_of_operands_is_an_error(symbol, children, message):
    with pytest.raises(ValueError, match=message):
        Tree(symbol, (Tree("y"),) * children)


@pytest.mark.parametrize("symbol", ["z", "sin", "", "X", "1", 2.0, True, None, ("x",)])
def test_an_unknown_symbol_is_an_error_that_lists_the_known_ones(symbol):
    with pytest.raises(
        ValueError,
        match=r"unknown symbol .*; allowed are log, square, .*, /, exp, tanh, abs, max, power, x, y, prior, ",
    ):
        Tree(symbol)


@pytest.mark.parametrize("integer", [0, 1, -1, MAX_INTEGER, -MAX_INTEGER])
def test_an_integer_within_the_bound_is_a_leaf(integer):
    assert parse(str(integer)) == Tree(integer)


@pytest.mark.parametrize("integer", [MAX_INTEGER + 1, -MAX_INTEGER - 1, 10**30])
def test_an_integer_beyond_the_bound_is_an_error(integer):
    with pytest.raises(ValueError, match="is beyond ±16777216"):
        Tree(integer)
    with pytest.raises(ValueError, match="an integer of magnitude at most 16777216"):
        parse(str(integer))


def test_a_tree_has_at_most_so_many_nodes():
    full = nested("square", MAX_NODES - 1)
    assert full.size == MAX_NODES
    with pytest.raises(ValueError, match="Tree has 129 nodes; at most 128 are allowed"):
        Tree("square", (full,))


@pytest.mark.parametrize(
    ("text", "size", "depth", "nodes"),
    [
        ("y", 1, 0, ["y"]),
        ("-3", 1, 0, ["-3"]),
        ("log(y)", 2, 1, ["log(y)", "y"]),
        ("log(y) - x / y", 6, 2, ["log(y) - x / y", "log(y)", "y", "x / y", "x", "y"]),
        ("x - (1 + sqrt(y))", 6, 3, ["x - (1 + sqrt(y))", "x", "1 + sqrt(y)", "1", "sqrt(y)", "y"]),
    ],
)
def test_nodes_are_counted_and_listed_in_pre_order(text, size, depth, nodes):
    tree = parse(text)
    assert (tree.size, tree.depth) == (size, depth)
    assert [str(node) for node in tree.nodes()] == nodes


@given(some_trees)
@cases(50)
def test_size_and_depth_agree_with_the_nodes(tree):
    assert tree.size == len(list(tree.nodes()))
    assert tree.depth == (1 + max(child.depth for child in tree.children) if tree.children else 0)


@given(some_trees, some_trees, st.data())
@cases(100)
def test_replaced_puts_the_subtree_where_nodes_finds_it(tree, subtree, data):
    before, text = list(tree.nodes()), str(tree)
    index = data.draw(st.integers(0, tree.size - 1))
    after = list(tree.replaced(index, subtree).nodes())
    removed = before[index].size
    assert after[index : index + subtree.size] == list(subtree.nodes())
    assert len(after) == len(before) - removed + subtree.size
    symbols = [[node.symbol for node in nodes] for nodes in (before, after)]
    assert symbols[1][:index] == symbols[0][:index]
    assert symbols[1][index + subtree.size :] == symbols[0][index + removed :]
    assert str(tree) == text
    assert tree.replaced(index, before[index]) == tree


@pytest.mark.parametrize("index", [6, 7, 1000])
def test_replaced_refuses_an_index_beyond_the_tree(index):
    with pytest.raises(IndexError):
        parse("log(y) - x / y").replaced(index, Tree("x"))


@pytest.mark.parametrize(
    ("text", "x", "y"), [("x", True, False), ("log(y)", False, True), ("y - x", True, True), ("1 + -1", False, False)]
)
def test_the_variables_of_a_tree_are_found(text, x, y):
    tree = parse(text)
    assert (tree.depends_on("x"), tree.depends_on("y"), tree.has_x_and_y) == (x, y, x and y)


# TEXT


@pytest.mark.slow
@given(all_trees)
@cases(100)
def test_parse_is_the_inverse_of_str(tree):
    assert parse(str(tree)) == tree


@pytest.mark.parametrize("tree", list(enumerate_trees(1)), ids=str)
def test_parse_is_the_inverse_of_str_on_every_small_tree(tree):
    assert parse(str(tree)) == tree


@pytest.mark.parametrize("frames", [0, 300])
def test_parse_reads_what_str_writes_down_to_its_deepest_nesting(frames: int):
    def called(depth: int) -> Tree:
        return called(depth - 1) if depth else parse(str(tree))

    tree = nested("log", MAX_NODES - 1)
    assert called(frames) == tree


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("log(y)-x/y", "log(y) - x / y"),
        ("  x\t*\nlog( y )  ", "x * log(y)"),
        ("((x))", "x"),
        ("x - y - 1", "x - y - 1"),
        ("(x - y) - 1", "x - y - 1"),
        ("x - (y - 1)", "x - (y - 1)"),
        ("x + (y + 1)", "x + (y + 1)"),
        ("x + y * x", "x + y * x"),
        ("(x + y) * x", "(x + y) * x"),
        ("x / y / x", "x / y / x"),
        ("x / (y / x)", "x / (y / x)"),
        ("x / y * x", "x / y * x"),
        ("x * (y / x)", "x * (y / x)"),
        ("-2", "-2"),
        ("- 2", "-2"),
        ("x--1", "x - -1"),
        ("-x", "-1 * x"),
        ("-(x + y)", "-1 * (x + y)"),
        ("--x", "-1 * (-1 * x)"),
        ("-x * y", "-1 * x * y"),
        ("-log(y) - x", "-1 * log(y) - x"),
        ("x * -y", "x * (-1 * y)"),
        ("0012", "12"),
    ],
)
def test_parse_binds_as_mathematics_does(text, written):
    assert str(parse(text)) == written


@pytest.mark.parametrize(
    ("text", "column", "expected", "found"),
    [
        ("", 1, OPERAND, "the end"),
        ("   ", 4, OPERAND, "the end"),
        ("(", 2, OPERAND, "the end"),
        ("()", 2, OPERAND, "')'"),
        ("log()", 5, OPERAND, "')'"),
        ("x +", 4, OPERAND, "the end"),
        ("-", 2, OPERAND, "the end"),
        ("foo", 1, OPERAND, "'foo'"),
        ("log(sin(y))", 5, OPERAND, "'sin'"),
        ("X", 1, OPERAND, "'X'"),
        ("x1 + y", 1, OPERAND, "'x1'"),
        ("x y", 3, "expected an operator or the end", "'y'"),
        ("log(x))", 7, "expected an operator or the end", "')'"),
        ("x $ y", 3, "expected an operator or the end", "'$'"),
        ("x 2", 3, "expected an operator or the end", "'2'"),
        ("log x", 5, "expected '('", "'x'"),
        ("y * sqrt", 9, "expected '('", "the end"),
        ("log(x", 6, "expected an operator or ')'", "the end"),
        ("sqrt(x, y)", 7, "expected an operator or ')'", "','"),
        ("(x - (y)", 9, "expected an operator or ')'", "the end"),
        (
            "2.5 * x",
            1,
            REAL,
            "'2.5'",
        ),
        (
            "x * 1e3",
            5,
            REAL,
            "'1e3'",
        ),
        ("2x", 1, "expected an integer", "'2x'"),
        ("1_000", 1, "expected an integer", "'1_000'"),
        ("x + ²", 5, "expected an integer", "'²'"),
        ("٣", 1, "expected an integer", "'٣'"),
        ("16777217", 1, "expected an integer of magnitude at most 16777216", "'16777217'"),
        ("x - -16777217", 6, "expected an integer of magnitude at most 16777216", "'16777217'"),
    ],
)
def test_parse_says_the_column_and_what_it_expected_there(text, column, expected, found):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        parse(text)
    assert str(error.value) == f"parse: column {column} of {text!r}: {expected}, found {found}."


def test_parse_shortens_the_expression_in_its_error():
    with pytest.raises(ValueError, match="column 101 of ") as error:
        parse("x + " * 25 + "?" * 200)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize("value", [None, 3, b"x", ["x"], Tree("x")])
def test_parse_takes_only_strings(value):
    with pytest.raises(ValueError, match="an expression is a string, got"):
        parse(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(" * 10_000, "at most 128 levels of nesting"),
        ("(" * 5_000 + ")" * 5_000, "at most 128 levels of nesting"),
        ("-" * 10_000, "at most 128 levels of nesting"),
        ("log(" * 2_500, "at most 128 levels of nesting"),
        ("(" * 129 + "x" + ")" * 129, "column 130 .*at most 128 levels of nesting"),
        ("(" * 10_000 + "x" + ")" * 10_000, "has 20001 characters; at most 10000 are allowed"),
        ("log(" * 10_000, "has 40000 characters"),
        ("x" * 1_000_000, "has 1000000 characters"),
        ("9" * 1_000_000, "has 1000000 characters"),
        ("x+" * 500_000, "has 1000000 characters"),
        ("9" * 10_000, "an integer of magnitude at most"),
        ("x+" * 5_000, "has more than 128 nodes"),
        ("+".join(["x"] * 65), "has more than 128 nodes"),
    ],
    ids=lambda value: value[:12],
)
def test_parse_refuses_oversized_text_without_working_through_it(text, message):
    with pytest.raises(ValueError, match=message) as error:
        parse(text)
    assert len(str(error.value)) < 300


def test_parse_accepts_trees_up_to_the_bound():
    assert parse("+".join(["x"] * 64)).size == MAX_NODES - 1
    assert parse("log(" + "+".join(["x"] * 64) + ")").size == MAX_NODES


@pytest.mark.slow
@pytest.mark.parametrize("protected", [False, True])
@given(tree=some_trees)
@cases(40)
def test_python_text_means_what_the_tree_means(tree, protected):
    def protected_divide(a: jax.Array, b: jax.Array) -> jax.Array:
        return a / jnp.where(b < 0, jnp.minimum(b, -1e-7), jnp.maximum(b, 1e-7))

    x, y = jnp.asarray([0.0, 1.0, 0.0, 1.0]), jnp.asarray([0.1, 0.2, 0.7, 0.9])
    # An integer is an array to the tree and Python's own in the text, where 1 / 0 would raise: it is named here.
    numbers = {node.symbol for node in tree.nodes() if isinstance(node.symbol, int)}
    names = {"jnp": jnp, "x": x, "y": y, "protected_divide": protected_divide}
    names |= {named_integer(number).template: jnp.asarray(number, y.dtype) for number in numbers}
    text = write(
        tree, lambda node: node.python if node.arity or node.symbol in names else named_integer(node.symbol), protected
    )
    np.testing.assert_array_equal(eval(text, names), evaluate(tree, x, y, jnp, protected))


def named_integer(number: int) -> grammar.Notation:
    return grammar.Notation(f"n{number}".replace("-", "_"), operands=())


# GROWING


@pytest.mark.parametrize("arity", [None, 0, 1, 2])
def test_symbols_are_drawn_by_the_weights_of_the_paper(arity):
    random = np.random.default_rng(0)
    rows = [node for node in grammar.NODES if arity in (None, node.arity)]
    assert_frequencies([draw_symbol(random, arity) for _ in range(20_000)], rows)


def test_roots_of_grown_trees_have_the_frequencies_of_the_paper():
    # arXiv 1905.11528, section III-A: log, x and y three times as likely, sqrt twice; 17 parts in all.
    roots = Counter(tree.symbol for tree in grown(20_000, seed=1, max_depth=2))
    paper = {"log": 3, "square": 1, "sqrt": 2, "+": 1, "-": 1, "*": 1, "/": 1, "x": 3, "y": 3, 1: 1, -1: 1}
    observed, parts = [roots[symbol] for symbol in paper], np.array(list(paper.values()))
    assert sum(observed) == 20_000
    assert stats.chisquare(observed, parts / parts.sum() * 20_000).pvalue > SIGNIFICANCE


def test_places_at_the_maximal_depth_are_leaves_by_their_weights():
    deepest = [tree.children[0].symbol for tree in grown(20_000, seed=2, max_depth=1) if tree.children]
    assert_frequencies(deepest, list(grammar.LEAVES))


@pytest.mark.parametrize("max_depth", range(6))
def test_grown_trees_never_exceed_the_maximal_depth_and_reach_it(max_depth):
    depths = {tree.depth for tree in grown(2_000, seed=3, max_depth=max_depth)}
    assert depths == set(range(max_depth + 1))


def test_growth_repeats_from_its_seed():
    assert grown(50, seed=4, max_depth=3) == grown(50, seed=4, max_depth=3)
    assert grown(50, seed=4, max_depth=3) != grown(50, seed=5, max_depth=3)


# ENUMERATING


@pytest.fixture(scope="module")
def depth_two() -> list[Tree]:
    return list(enumerate_trees(2))


@pytest.mark.parametrize(("depth", "count"), [(0, 4), (1, 80)])
def test_shallow_trees_are_all_enumerated_once(depth, count):
    found = list(enumerate_trees(depth))
    assert len(found) == len(set(found)) == count
    assert {tree.depth for tree in found} == set(range(depth + 1))


def test_trees_of_depth_two_are_all_enumerated_once(depth_two):
    # Four leaves, three unary and four binary operators over the 80 trees of depth at most 1.
    assert len(depth_two) == 4 + 3 * 80 + 4 * 80**2 == 25_844
    assert len(set(depth_two)) == 25_844
    assert max(tree.depth for tree in depth_two) == 2


def test_so_many_trees_of_depth_two_have_both_variables(depth_two):
    # Counted without the trees: n(v) of depth at most d that avoid the variables v, then inclusion and exclusion.
    def avoiding(leaves: int, depth: int) -> int:
        below = leaves if depth == 0 else avoiding(leaves, depth - 1)
        return below if depth == 0 else leaves + 3 * below + 4 * below**2

    expected = avoiding(4, 2) - 2 * avoiding(3, 2) + avoiding(2, 2)
    assert sum(tree.has_x_and_y for tree in depth_two) == expected == 9_496


def test_every_grown_tree_of_depth_two_is_among_the_enumerated(depth_two):
    assert set(grown(500, seed=6, max_depth=2)) <= set(depth_two)


def test_trees_of_depth_three_come_one_at_a_time():
    generator = enumerate_trees(3)
    assert inspect.isgenerator(generator)
    first = list(itertools.islice(generator, 30_000))
    assert len(set(first)) == 30_000
    assert inspect.getgeneratorstate(generator) == inspect.GEN_SUSPENDED
    # All that is kept are the trees below the root.
    assert len(generator.gi_frame.f_locals["operands"]) == 25_844
    generator.close()


@pytest.mark.parametrize("depth", [-1, -10])
def test_a_negative_depth_is_an_error(depth):
    with pytest.raises(ValueError, match=f"depth is {depth}; it must be at least 0"):
        next(enumerate_trees(depth))


# EVALUATING


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("log(y) - x / y", lambda x, y: np.log(y) - x / y),
        ("x * log(y)", lambda x, y: x * np.log(y)),
        ("x - (y - 1)", lambda x, y: x - y + 1),
        ("square(sqrt(y) + 2)", lambda x, y: (np.sqrt(y) + 2) ** 2),
        ("3", lambda x, y: 3.0),
    ],
)
def test_evaluate_computes_the_function(text: str, function: Callable[[np.ndarray, np.ndarray], np.ndarray]):
    x, y = np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.5, 0.9])
    np.testing.assert_allclose(evaluate(parse(text), x, y, np), function(x, y), rtol=1e-15)


def test_evaluate_multiplies_each_node_by_its_coefficient():
    x, y = np.array([0.0, 1.0]), np.array([0.2, 0.9])
    value = evaluate(parse("log(y) - x / 4"), x, y, np, coefficients=[2.0, 3.0, 5.0, 7.0, 11.0, 13.0])
    np.testing.assert_allclose(value, 2 * (3 * np.log(5 * y) - 7 * (11 * x / (13 * 4))), rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_evaluate_keeps_the_dtype_of_the_prediction(dtype):
    x, y = np.array([0.0, 1.0], dtype), np.array([0.2, 0.9], dtype)
    for text in ("y + 1", "x / (y - -1)", "5"):
        assert evaluate(parse(text), x, y, np).dtype == dtype


def test_evaluate_can_be_protected():
    with np.errstate(all="ignore"):
        assert np.isnan(evaluate(parse("sqrt(y - 1)"), 0.0, np.float64(0.75), np))
    assert evaluate(parse("sqrt(y - 1)"), 0.0, np.float64(0.75), np, protected=True) == 0.5
