"""Every distinct function up to a depth, and how many trees compute it.

There are 2.7 billion trees of depth at most 3, and they compute less than a million finite functions. Trees that
compute the same are interchangeable inside larger ones, so functions are combined instead of trees, from the leaves up
(observational equivalence: Albarghouthi, Gulwani and Kincaid 2013, "Recursive program synthesis", CAV). Two trees
compute the same here if their values are equal on a grid, infinities included, where their slopes df/dy are infinite is
the same, and they contain the same of x and y. The slope is that of the interpreter: ``sqrt(y - y)`` has none, and
``y - y`` has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from glojax.expressions import grammar
from glojax.expressions.grammar import OF_PAPER, Vocabulary
from glojax.expressions.slopes import operate
from glojax.expressions.trees import Tree

MAX_DEPTH = 3
"""Largest depth that can be enumerated: the functions of depth 3 have too many pairs."""

GRID = (0.0217, 0.0449, 0.0811, 0.1129, 0.2309, 0.3303, 0.4127, 0.5903, 0.6907, 0.7717, 0.8819, 0.9691)
"""Values of y: no constant of shallow trees, and close enough that an absolute value bends between two of them.

None is so small that a difference of two powers of 1 / y is rounding alone.
"""

_CLOSE = 1e-7  # functions are equal that differ by less, in units of values above ``_SMALL``
_SMALL = 1e-3
_CHUNK = 2**15  # functions that are made at once

Grid = tuple[np.ndarray, np.ndarray]
"""x and y, ``float64[points]`` each."""


def grid(labels: Sequence[float] = (0.0, 1.0)) -> Grid:
    """Every label with every y of ``GRID``.

    Args:
      labels: values of x. Defaults to those of one-hot labels; soft labels lie between, and tell more functions apart.
    """
    return crossed(np.asarray(labels, float), np.asarray(GRID))


def crossed(labels: np.ndarray, predictions: np.ndarray) -> Grid:
    """Every label with every prediction, label by label."""
    x, y = np.meshgrid(labels, predictions, indexing="ij")
    return x.ravel(), y.ravel()


@dataclass(frozen=True, eq=False)
class Functions:
    """Distinct functions, those of the smallest trees first.

    Attributes:
      values: ``float64[functions, points]``, f(x, y).
      slopes: ``float64[functions, points]``, df/dy.
      has_x: ``bool[functions]``, whether x occurs in the trees that compute it.
      has_y: ``bool[functions]``, whether y does.
      counts: ``int64[functions]``, how many trees compute it.
      sizes: ``int64[functions]``, nodes of the smallest of them.
      operands: ``int64[functions, 2]``, the places of that tree's operands in ``below``; -1 where there is none.
      rows: ``int64[functions]``, the place in ``symbols`` of that at its root.
      below: the functions that it is made of; ``None`` at depth 0.
      points: x and y of the grid.
      symbols: of all operators and leaves that trees are made of.
    """

    values: np.ndarray = field(repr=False)
    slopes: np.ndarray = field(repr=False)
    has_x: np.ndarray = field(repr=False)
    has_y: np.ndarray = field(repr=False)
    counts: np.ndarray = field(repr=False)
    sizes: np.ndarray = field(repr=False)
    rows: np.ndarray = field(repr=False)
    operands: np.ndarray = field(repr=False)
    below: "Functions | None" = field(repr=False)
    points: Grid = field(repr=False)
    symbols: tuple[str | int, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.counts)

    def tree(self, place: int) -> Tree:
        """The smallest tree that computes a function; of equally small ones, one of them."""
        operands = (operand for operand in self.operands[place].tolist() if operand >= 0)
        return Tree(self.symbols[self.rows[place]], tuple(self._trees_below[operand] for operand in operands))

    @cached_property
    def _trees_below(self) -> list[Tree]:
        return [] if self.below is None else list(map(self.below.tree, range(len(self.below))))


class Enumerated(NamedTuple):
    """All trees up to a depth, by what they compute."""

    functions: Functions  # whose values and slopes are finite on the whole grid
    others: dict[tuple[bool, bool], int]  # how many trees compute none of these, by whether they contain x and y


def enumerate_functions(
    depth: int,
    points: Grid | None = None,
    *,
    protected: bool = False,
    keep_infinite: bool = False,
    vocabulary: Vocabulary = OF_PAPER,
) -> Enumerated:
    """Every distinct function that trees of depth at most ``depth`` compute.

    Args:
      depth: largest depth of the trees; a leaf has depth 0.
      points: where functions are compared. Defaults to ``grid()``.
      protected: use the protected operators.
      keep_infinite: keep functions that are infinite somewhere, as operands of larger trees may be.
      vocabulary: what trees are made of. Defaults to that of the paper.

    Returns:
      The functions, and how many trees compute none of them.

    Raises:
      ValueError: ``depth`` is not from 0 to ``MAX_DEPTH``.
    """
    if not 0 <= depth <= MAX_DEPTH:
        raise ValueError(f"enumerate_functions: depth is {depth}; 0 to {MAX_DEPTH} is allowed.")
    points = grid() if points is None else points
    rows = vocabulary.nodes(protected)
    found, lost = None, np.zeros((2, 2), object)
    with np.errstate(all="ignore"):
        for level in range(depth + 1):
            found, lost = _level(rows, points, found, lost, is_last=level == depth and not keep_infinite)
    assert found is not None
    return Enumerated(found, {(bool(x), bool(y)): int(lost[x, y]) for x in (0, 1) for y in (0, 1)})


class _Made(NamedTuple):
    """Functions that were made from those below, without their values: columns of ``Functions``."""

    keys: np.ndarray  # uint64[functions], equal where functions are
    has_x: np.ndarray
    has_y: np.ndarray
    counts: np.ndarray
    sizes: np.ndarray
    rows: np.ndarray
    operands: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["_Made"]) -> "_Made":
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def at(self, places: np.ndarray) -> "_Made":
        return _Made(*(column[places] for column in self))

    def distinct(self) -> "_Made":
        """One of each, with the smallest tree; the smallest of all first."""
        order = np.lexsort((self.sizes, self.keys))
        keys = self.keys[order]
        first = np.flatnonzero(np.r_[np.ones(min(1, len(keys)), bool), keys[1:] != keys[:-1]])
        counts = np.add.reduceat(self.counts[order], first) if len(first) else self.counts
        kept = self.at(order[first])._replace(counts=counts)
        return kept.at(np.lexsort((*kept.operands.T[::-1], kept.rows, kept.sizes)))


def _level(
    rows: Sequence[grammar.Node], points: Grid, below: Functions | None, lost: np.ndarray, *, is_last: bool
) -> tuple[Functions, np.ndarray]:
    """The functions one level up, and how many trees compute none of them, ``[contains x, contains y]``.

    NaN stays NaN in every larger tree. An infinite value may become finite again, so it is lost on the last level only.
    """
    lost = _containing(lost, below, rows)
    parts: list[_Made] = []
    for row, operands in _combinations(rows, below):
        values, slopes = _computed(rows[row], points, below, operands)
        made = _described(rows[row], row, below, operands)
        fine = np.isfinite(values) & np.isfinite(slopes) if is_last else ~(np.isnan(values) | np.isnan(slopes))
        is_fine = fine.all(axis=1)
        np.add.at(lost, (made.has_x[~is_fine].astype(int), made.has_y[~is_fine].astype(int)), made.counts[~is_fine])
        (kept,) = np.nonzero(is_fine)
        keys = _keys(values[kept] + 0.0 if is_last else values[kept], slopes[kept], made.at(kept))
        parts.append(made.at(kept)._replace(keys=keys).distinct())
    found = _Made.joined(parts).distinct()
    values, slopes = (np.empty((len(found.keys), len(points[0]))) for _ in range(2))
    for row, node in enumerate(rows):
        (places,) = np.nonzero(found.rows == row)
        for first in range(0, len(places), _CHUNK):
            some = places[first : first + _CHUNK]
            values[some], slopes[some] = _computed(node, points, below, found.operands[some])
    return Functions(values, slopes, *found[1:], below, points, tuple(row.symbol for row in rows)), lost


def _containing(lost: np.ndarray, below: Functions | None, rows: Sequence[grammar.Node]) -> np.ndarray:
    """How many trees have an operand that is lost."""
    found = np.zeros((2, 2), object)
    if below is None:
        return found
    kept = np.zeros((2, 2), object)
    np.add.at(kept, (below.has_x.astype(int), below.has_y.astype(int)), below.counts)
    arities = [row.arity for row in rows]
    places = [(x, y) for x in (0, 1) for y in (0, 1)]
    for one in places:
        found[one] += arities.count(1) * lost[one]
        for other in places:
            pairs = lost[one] * lost[other] + lost[one] * kept[other] + kept[one] * lost[other]
            found[max(one[0], other[0]), max(one[1], other[1])] += arities.count(2) * pairs
    return found


def _combinations(rows: Sequence[grammar.Node], below: Functions | None) -> Iterator[tuple[int, np.ndarray]]:
    """Every leaf, and every operator on every function or pair of functions, as a row with operands."""
    everything = np.arange(0 if below is None else len(below))
    for row, node in enumerate(rows):
        if node.arity == 0:
            yield row, np.full((1, 2), -1)
        elif node.arity == 1 and below is not None:
            yield row, np.stack([everything, np.full_like(everything, -1)], axis=1)
        elif below is not None:
            step = max(1, _CHUNK // len(below))
            for first in range(0, len(below), step):
                left = everything[first : first + step]
                yield row, np.stack([np.repeat(left, len(below)), np.tile(everything, len(left))], axis=1)


def _computed(
    node: grammar.Node, points: Grid, below: Functions | None, operands: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes ``[functions, points]``, as ``programs.value_and_slope`` computes them."""
    x, y = points
    if not node.arity:
        variables = {"x": x, "y": y, **_apart(len(y))}
        values = variables[node.symbol] if isinstance(node.symbol, str) else np.full_like(y, node.symbol)
        return values[None], np.full((1, len(y)), float(node.symbol == "y"))
    assert below is not None
    places = operands[:, : node.arity].T
    depends = [below.has_y[place, None] for place in places]
    return operate(
        node, np, depends, [below.values[place] for place in places], [below.slopes[place] for place in places]
    )


def _apart(points: int) -> dict[str, np.ndarray]:
    """Values of the other leaves at each point, unlike what shallow trees compute of x and y."""
    at = np.arange(1, points + 1)
    return {name: 0.03 + 0.94 * (at * root % 1) for name, root in (("prior", 2**0.5), ("progress", 3**0.5))}


def _described(node: grammar.Node, row: int, below: Functions | None, operands: np.ndarray) -> _Made:
    count = len(operands)
    if below is None or not node.arity:
        has_x, has_y = (np.full(count, node.symbol == name) for name in ("x", "y"))
        counts, sizes = np.ones(count, np.int64), np.ones(count, np.int64)
    else:
        given = operands[:, : node.arity]
        has_x, has_y = (np.asarray(has[given].any(axis=1)) for has in (below.has_x, below.has_y))
        counts, sizes = below.counts[given].prod(axis=1), 1 + below.sizes[given].sum(axis=1)
    return _Made(np.zeros(count, np.uint64), has_x, has_y, counts, sizes, np.full(count, row), operands)


def _keys(values: np.ndarray, slopes: np.ndarray, made: _Made) -> np.ndarray:
    """Numbers ``uint64[functions]`` that are equal where functions are: a hash of their rounded values.

    Two of a million different functions have one hash with a chance of about 1e-7.
    """
    contains = np.stack([made.has_x, made.has_y], axis=1)
    # The sign of 0 decides the sign of an infinite quotient.
    negative_zero = (values == 0) & np.signbit(values)
    # Finite slopes follow from the values, or belong to an infinite value, of whose reciprocal the slope is 0.
    infinite = np.where(np.isinf(slopes), slopes, 0.0)
    return hashed(np.concatenate([rounded(values) + negative_zero * 0.5, infinite, contains], axis=1))


def rounded(values: np.ndarray) -> np.ndarray:
    """Whole numbers that are equal where values are, up to rounding errors; infinities stay what they are."""
    return np.round(np.arcsinh(values / _SMALL) / _CLOSE) + 0.0


def hashed(columns: np.ndarray) -> np.ndarray:
    """A hash ``uint64[rows]`` of each row of numbers ``float64[rows, columns]``."""
    bits = np.ascontiguousarray(columns).view(np.uint64)
    found = np.zeros(len(columns), np.uint64)
    for column in bits.T:  # the mixing step of splitmix64 (Steele, Lea and Flood 2014)
        found = (found ^ column) + np.uint64(0x9E3779B97F4A7C15)
        found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        found ^= found >> np.uint64(31)
    return found
