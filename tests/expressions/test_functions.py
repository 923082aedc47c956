"""Every distinct function up to a depth, against all trees one by one."""

from functools import cache, partial
from typing import NamedTuple

import jax
import numpy as np
import pytest

from glojax.expressions import functions
from glojax.expressions.functions import Enumerated, Grid, enumerate_functions, hashed, rounded
from glojax.expressions.grammar import Vocabulary
from glojax.expressions.parsing import parse
from glojax.expressions.programs import encode, value_and_slope
from glojax.expressions.trees import Tree, count_trees, enumerate_trees, evaluate, grow

SOFT = (0.0, 0.3, 1.0)
BOTH = [(x, y) for x in (False, True) for y in (False, True)]  # whether x and y occur
EVERY_TREE = [
    *((depth, protected, (0.0, 1.0)) for depth in (0, 1, 2) for protected in (False, True)),
    (2, False, SOFT),
]


class All(NamedTuple):
    """What trees compute on a grid, one by one."""

    population: list[Tree]
    values: np.ndarray  # float64[trees, points]
    finite: np.ndarray  # bool[trees], value and slope are, as the interpreter computes them
    has: np.ndarray  # bool[trees, 2], whether x and y occur


def values_of(population: list[Tree], points: Grid, protected: bool = False) -> np.ndarray:
    x, y = points
    with np.errstate(all="ignore"):
        return np.stack([np.broadcast_to(evaluate(tree, x, y, np, protected), y.shape) for tree in population])


def one_by_one(population: list[Tree], points: Grid, protected: bool = False) -> All:
    run = jax.jit(jax.vmap(partial(value_and_slope, protected=protected), in_axes=(0, None, None)))
    found = run(encode(population, None, 7), *(part.astype(np.float32) for part in points))
    value, slope = (np.isfinite(np.asarray(part)).all(axis=1) for part in found)
    has = np.array([[tree.depends_on("x"), tree.depends_on("y")] for tree in population])
    return All(population, values_of(population, points, protected), value & slope, has)


@cache
def every_tree(depth: int, protected: bool, labels: tuple[float, ...]) -> tuple[Enumerated, All]:
    points = functions.grid(labels)
    found = enumerate_functions(depth, points, protected=protected)
    return found, one_by_one(list(enumerate_trees(depth)), points, protected)


def projected(values: np.ndarray) -> np.ndarray:
    """A number for each function, by which functions that differ are apart."""
    return np.arcsinh(values) @ np.random.default_rng(0).uniform(1, 2, values.shape[1])


def classes(values: np.ndarray) -> list[np.ndarray]:
    """The places of equal functions, class by class in the order of ``projected``."""
    keys = projected(values)
    order = np.argsort(keys, kind="stable")
    found = np.split(order, np.flatnonzero(np.diff(keys[order]) > 1e-9) + 1) if len(keys) else []
    for places in found:
        np.testing.assert_allclose(values[places], np.broadcast_to(values[places[0]], values[places].shape), 1e-9, 1e-9)
    return found


# WITH OTHER OPERATORS


@pytest.mark.slow
@pytest.mark.parametrize("protected", [False, True])
def test_functions_of_all_operators_are_the_classes_of_equal_trees(protected: bool) -> None:
    points, every = functions.grid(), Vocabulary(("all",))
    found = enumerate_functions(1, points, protected=protected, vocabulary=every)
    population = list(enumerate_trees(1, every))
    # Leaves, unary operators on them, and binary ones on pairs.
    assert len(population) == count_trees(1, every) == 4 + 6 * 4 + 6 * 4**2
    trees = one_by_one(population, points, protected)
    for has in BOTH:
        (places,) = np.nonzero((found.functions.has_x == has[0]) & (found.functions.has_y == has[1]))
        (same,) = np.nonzero((trees.has == has).all(axis=1) & trees.finite)
        expected = [len(members) for members in classes(trees.values[same])]
        places = places[np.argsort(projected(found.functions.values[places]))]
        assert found.functions.counts[places].tolist() == expected
        assert found.others[has] == ((trees.has == has).all(axis=1) & ~trees.finite).sum()


def test_trees_of_a_vocabulary_have_its_operators_alone() -> None:
    few = Vocabulary(("+", "tanh"))
    found = enumerate_functions(2, vocabulary=few).functions
    assert found.counts.sum() == count_trees(2, few) == len(list(enumerate_trees(2, few)))
    used = {node.symbol for place in range(len(found)) for node in found.tree(place).nodes()}
    assert used == {"+", "tanh", "x", "y", 1, -1}


# AGAINST ALL TREES


@pytest.mark.few(1)
@pytest.mark.parametrize(("depth", "protected", "labels"), EVERY_TREE)
def test_every_tree_is_counted_once(depth: int, protected: bool, labels: tuple[float, ...]) -> None:
    (found, others), trees = every_tree(depth, protected, labels)
    assert found.counts.sum() + sum(others.values()) == len(trees.population) == count_trees(depth)
    for has in BOTH:
        mine, theirs = (found.has_x == has[0]) & (found.has_y == has[1]), (trees.has == has).all(axis=1)
        assert found.counts[mine].sum() == (theirs & trees.finite).sum()
        assert others[has] == (theirs & ~trees.finite).sum()
    if protected:
        assert set(others.values()) == {0}


@pytest.mark.few(1)
@pytest.mark.parametrize(("depth", "protected", "labels"), EVERY_TREE)
def test_functions_are_the_classes_of_equal_trees(depth: int, protected: bool, labels: tuple[float, ...]) -> None:
    (found, _), trees = every_tree(depth, protected, labels)
    for has in BOTH:
        (places,) = np.nonzero((found.has_x == has[0]) & (found.has_y == has[1]))
        places = places[np.argsort(projected(found.values[places]))]
        (same,) = np.nonzero((trees.has == has).all(axis=1) & trees.finite)
        expected = [same[members] for members in classes(trees.values[same])]
        assert found.counts[places].tolist() == [len(members) for members in expected]
        assert found.sizes[places].tolist() == [
            min(trees.population[place].size for place in members) for members in expected
        ]
        if expected:
            firsts = trees.values[[members[0] for members in expected]]
            np.testing.assert_allclose(found.values[places], firsts, rtol=1e-9, atol=1e-9)


@pytest.mark.few(1)
@pytest.mark.parametrize(("depth", "protected", "labels"), EVERY_TREE)
def test_a_function_has_the_smallest_tree_that_computes_it(
    depth: int, protected: bool, labels: tuple[float, ...]
) -> None:
    (found, _), _ = every_tree(depth, protected, labels)
    population = [found.tree(place) for place in range(len(found))]
    assert [tree.size for tree in population] == found.sizes.tolist() == sorted(found.sizes)
    assert [(tree.depends_on("x"), tree.depends_on("y")) for tree in population] == list(
        zip(found.has_x, found.has_y, strict=True)
    )
    assert max(tree.depth for tree in population) == depth
    x, y = found.points
    np.testing.assert_array_equal(found.values, values_of(population, (x, y), protected))
    step = 1e-6
    after, before = (values_of(population, (x, y + sign * step), protected) for sign in (1, -1))
    size = np.abs(found.values).max(axis=1, keepdims=True)
    assert (np.abs(found.slopes - (after - before) / (2 * step)) <= 1e-6 * (size + np.abs(found.slopes))).all()


def test_the_functions_of_depth_1_are_these() -> None:
    found, others = enumerate_functions(1)
    written = [str(found.tree(place)) for place in range(len(found))]
    assert written[:4] == ["x", "y", "1", "-1"]
    assert written[4:8] == ["log(y)", "log(1)", "square(y)", "sqrt(y)"]
    counts = dict(zip(written, found.counts.tolist(), strict=True))
    assert len(counts) == 32
    assert (counts["x"], counts["y"], counts["1"], counts["-1"]) == (7, 4, 8, 5)
    assert (counts["x + y"], counts["x - y"], counts["y - x"], counts["x * y"], counts["x / y"]) == (2, 1, 1, 2, 1)
    # Lost are log(-1) and sqrt(-1); log(x), x / x, 1 / x and -1 / x; and y / x.
    assert [others[has] for has in BOTH] == [2, 0, 4, 1]


def test_x_minus_x_is_not_the_number_0() -> None:
    found, _ = enumerate_functions(1)
    (zeros,) = np.nonzero((found.values == 0).all(axis=1))
    assert sorted((bool(found.has_x[place]), bool(found.has_y[place])) for place in zeros) == [
        (False, False), (False, True), (True, False),
    ]  # fmt: skip


# DEPTH 3


def _keys(values: np.ndarray) -> np.ndarray:
    return hashed(rounded(values))


@cache
def _of_depth_3() -> Enumerated:
    return enumerate_functions(3)


@pytest.mark.slow
def test_all_of_depth_3_are_counted() -> None:
    found, others = _of_depth_3()
    both = found.has_x & found.has_y
    assert found.counts.sum() + sum(others.values()) == count_trees(3) == 2_671_726_880
    assert found.counts[both].sum() + others[True, True] == 1_992_971_216
    assert found.counts[both].sum() == 1_065_793_398
    assert (len(found), both.sum(), len(np.unique(_keys(found.values)))) == (571_424, 485_746, 562_812)
    assert len(np.unique(_keys(found.values[both]))) == 485_746
    # Those of depth 2 are among them, of more trees, some of which are deeper and have fewer nodes.
    below, _ = enumerate_functions(2)
    place = dict(zip(_keys(found.values[both]).tolist(), np.flatnonzero(both).tolist(), strict=True))
    inner = below.has_x & below.has_y
    again = [place[key] for key in _keys(below.values[inner]).tolist()]
    assert (found.sizes[again] <= below.sizes[inner]).all()
    assert (found.counts[again] > below.counts[inner]).all()


@pytest.mark.slow
def test_on_another_grid_there_are_as_many_functions_of_depth_3() -> None:
    y = np.sort(np.random.default_rng(11).uniform(0.02, 0.98, 20))
    found, others = enumerate_functions(3, functions.crossed(np.array([0.0, 1.0]), y))
    both = found.has_x & found.has_y
    assert (len(found), both.sum()) == (571_424, 485_746)
    assert (found.counts[both].sum(), others) == (1_065_793_398, _of_depth_3().others)


@pytest.mark.slow
def test_random_trees_of_depth_3_are_among_its_functions() -> None:
    random = np.random.default_rng(0)
    population = [parse("1 / (log(x) + y)"), parse("x / log(y / y)"), parse("sqrt(square(x - y))")]
    while len(population) < 203:
        tree = grow(random, 3)
        if tree.depth == 3:
            population.append(tree)
    trees = one_by_one(population, functions.grid())
    assert trees.finite[:3].tolist() == [True, False, True]  # of the first an infinite value becomes 0
    assert 50 < trees.finite.sum() < 150
    (found, _), keys = _of_depth_3(), {}
    for has in BOTH:
        mine = (found.has_x == has[0]) & (found.has_y == has[1])
        keys[has] = dict(zip(_keys(found.values[mine]).tolist(), found.sizes[mine].tolist(), strict=True))
    there = [
        keys[tuple(has)].get(key, np.inf) <= tree.size
        for tree, key, has in zip(population, _keys(trees.values).tolist(), trees.has.tolist(), strict=True)
    ]
    # x / y has the values of 1 / (y / x), whose slope is not finite.
    assert [population[place] for place in np.flatnonzero(trees.finite & ~np.array(there))] == []
    assert not any(np.array(there) & ~np.isfinite(trees.values).all(axis=1))


# GRIDS


@pytest.mark.parametrize("seed", range(3))
def test_on_another_grid_there_are_as_many_functions(seed: int) -> None:
    y = np.sort(np.random.default_rng(seed).uniform(0.005, 0.995, 12))
    found, others = enumerate_functions(2, functions.crossed(np.array([0.0, 1.0]), y))
    expected = every_tree(2, False, (0.0, 1.0))[0]
    assert len(found) == len(expected.functions) == 899
    assert others == expected.others
    assert sorted(found.counts) == sorted(expected.functions.counts)


def test_soft_labels_tell_more_functions_apart() -> None:
    hard, soft = (every_tree(2, False, labels)[0].functions for labels in ((0.0, 1.0), SOFT))
    assert [int((found.has_x & found.has_y).sum()) for found in (hard, soft)] == [528, 722]

    def keys(points: Grid) -> set[int]:
        return set(_keys(values_of([parse("x * y"), parse("square(x) * y")], points)).tolist())

    assert (len(keys(hard.points)), len(keys(soft.points))) == (1, 2)


def test_a_grid_is_every_label_with_every_prediction() -> None:
    x, y = functions.crossed(np.array([0.0, 1.0]), np.array([0.25, 0.5, 0.75]))
    assert x.tolist() == [0, 0, 0, 1, 1, 1]
    assert y.tolist() == [0.25, 0.5, 0.75, 0.25, 0.5, 0.75]
    x, y = functions.grid((0.0, 0.5, 1.0))
    assert (len(x), sorted(set(x)), tuple(sorted(set(y)))) == (36, [0, 0.5, 1], functions.GRID)


@pytest.mark.parametrize("depth", [-1, 4])
def test_other_depths_are_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=f"enumerate_functions: depth is {depth}; 0 to 3 is allowed"):
        enumerate_functions(depth)


# EQUAL NUMBERS


def test_numbers_that_differ_by_rounding_errors_are_rounded_to_one() -> None:
    values = np.array([1e-9, 0.3, -0.3, 2.0, 1e6, -1e12, 1e200])
    np.testing.assert_array_equal(rounded(values * (1 + 1e-15)), rounded(values))
    assert (rounded(values * (1 + 1e-6))[1:] != rounded(values)[1:]).all()
    assert (np.abs(rounded(values)) % 1 == 0).all()
    # 1e-10 is the unit near 0, and a ten-millionth that of large numbers.
    assert rounded(np.array([0.4e-10, 0.6e-10, 1e-10, 2e-10])).tolist() == [0, 1, 1, 2]
    assert np.diff(rounded(np.array([1.0, 1 + 1e-7, 1 + 2e-7]))).tolist() == [1, 1]


def test_zero_has_one_sign_and_infinities_stay() -> None:
    found = rounded(np.array([0.0, -0.0, -1e-14, np.inf, -np.inf]))
    assert found.tolist() == [0, 0, 0, np.inf, -np.inf]
    assert not np.signbit(found[:3]).any()


def test_rows_have_one_hash_if_they_are_equal() -> None:
    rows = np.random.default_rng(0).integers(-3, 3, (100_000, 4)).astype(float)
    rows[::7, 1] = np.inf
    found = hashed(rows)
    assert found.dtype == np.uint64
    assert len(np.unique(found)) == len(np.unique(rows, axis=0))
    np.testing.assert_array_equal(found, np.concatenate([hashed(rows[:5]), hashed(rows[5:])]))
    _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(found, found[first][which.reshape(-1)])
    assert hashed(np.array([[1.0, 2.0]])) != hashed(np.array([[2.0, 1.0]]))
    assert hashed(np.zeros((0, 3))).shape == (0,)


def test_hashes_are_spread_over_all_bits() -> None:
    found = hashed(np.arange(4096.0)[:, None])
    ones = [int((found >> np.uint64(bit) & np.uint64(1)).sum()) for bit in range(64)]
    assert 2048 - 200 < min(ones) <= max(ones) < 2048 + 200  # 32 is the standard deviation
