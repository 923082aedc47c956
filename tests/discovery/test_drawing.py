"""Trees drawn by what they compute."""

from collections import Counter

import numpy as np
import pytest

from glojax.discovery import genetics, screening
from glojax.discovery.drawing import draw_by_function, points_of
from glojax.discovery.screening import Settings
from glojax.expressions import functions, grammar
from glojax.expressions.grammar import Vocabulary
from glojax.tasks.problems import KINDS

CLASSES = Settings(given=screening.probe(), kind=KINDS["classification"], protected=False, room=31)


@pytest.mark.parametrize(("depth", "nodes"), [(1, 3), (1, 32), (2, 7), (3, 9), (3, 32), (5, 40)])
def test_trees_have_both_variables_and_keep_their_bounds(depth: int, nodes: int) -> None:
    found = draw_by_function(np.random.default_rng(0), CLASSES, 500, max_depth=depth, max_nodes=nodes)
    assert len(found) == 500
    assert all(tree.has_x_and_y for tree in found)
    assert max(tree.depth for tree in found) <= depth
    assert max(tree.size for tree in found) <= nodes
    if nodes > 2**depth:
        assert max(tree.depth for tree in found) == depth


def test_the_same_seed_draws_the_same_trees() -> None:
    one, same, other = (
        draw_by_function(np.random.default_rng(seed), CLASSES, 50, max_depth=3, max_nodes=32) for seed in (0, 0, 1)
    )
    assert one == same
    assert one != other


@pytest.mark.slow
def test_every_pair_of_functions_is_an_operand_as_often() -> None:
    """At depth 1 the operands are x, y, 1 and -1, and the operators have the grammar's weights."""
    found = draw_by_function(np.random.default_rng(0), CLASSES, 20_000, max_depth=1, max_nodes=3)
    weights = {row.symbol: row.weight for row in grammar.OF_PAPER.rows() if row.arity == 2}
    counts = Counter(tree.symbol for tree in found)
    for symbol, weight in weights.items():
        assert counts[symbol] / len(found) == pytest.approx(weight / sum(weights.values()), abs=0.015)
    pairs = Counter(tuple(child.symbol for child in tree.children) for tree in found)
    assert {*pairs} == {("x", "y"), ("y", "x")}
    assert pairs["x", "y"] / len(found) == pytest.approx(0.5, abs=0.015)


def test_trees_are_drawn_of_a_vocabulary_by_its_weights() -> None:
    found = draw_by_function(
        np.random.default_rng(0),
        CLASSES,
        4000,
        max_depth=1,
        max_nodes=3,
        vocabulary=Vocabulary(("max", "power", "log")),
    )
    counts = Counter(tree.symbol for tree in found)
    assert {*counts} == {"max", "power"}
    assert counts["max"] / len(found) == pytest.approx(0.5, abs=0.03)


def test_operands_are_smallest_trees_of_functions_that_differ() -> None:
    found = draw_by_function(np.random.default_rng(0), CLASSES, 20_000, max_depth=3, max_nodes=32)
    operands = Counter(child for tree in found for child in tree.children)
    expected = functions.enumerate_functions(2, functions.grid(), keep_infinite=True).functions
    assert {*operands} == {expected.tree(place) for place in range(len(expected))}
    assert len(operands) == len(expected) > len(functions.enumerate_functions(2).functions)  # 1 / log(x) is finite


def test_far_more_gradients_than_by_growing() -> None:
    def distinct(trees: list) -> int:
        found = screening.examine(trees, CLASSES)
        return len(np.unique(found.direction[found.guided], axis=0))

    random = np.random.default_rng(0)
    grown = genetics.draw_trees(random, 2000, 3, 32, True)
    drawn = draw_by_function(random, CLASSES, 2000, max_depth=3, max_nodes=32)
    assert distinct(drawn) > 5 * distinct(grown) > 50


def test_functions_of_a_regression_are_told_apart_at_its_labels() -> None:
    labels = np.linspace(5, 9, 100, dtype=np.float32)[:, None]
    given = screening.Probe(labels + 1, labels, labels[::-1], np.ones((8, 100, 1), np.float32))
    x, y = points_of(Settings(given=given, kind=KINDS["regression"], protected=False, room=7))
    assert (x.min(), x.max()) == (5, 9)
    assert (y.min(), y.max()) == (6, 10)
