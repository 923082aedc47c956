"""Spaces of coefficients that tuning searches: of any tree, and of Taylor polynomials.

A vector of numbers goes in, the coefficients of all nodes of one tree come out.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from glojax.expressions.coefficients import identifiable_coefficients
from glojax.expressions.trees import Tree
from glojax.losses import zoo
from glojax.losses.loss import Loss


class CoefficientSpace(NamedTuple):
    """Vectors of n numbers, each of which gives one tree other coefficients."""

    tree: Tree
    start: np.ndarray  # float[n], the vector that tuning begins with
    coefficients: Callable[[np.ndarray], tuple[float, ...]]  # from float[n] to the factor of each node in pre-order
    phase: str = "tune"  # what the record of a run calls a search of this space
    nodes: tuple[int, ...] = ()  # the nodes whose factors are the vector; none where they are made of it otherwise


def coefficient_space(tree: Tree, start: Sequence[float] | None = None) -> CoefficientSpace:
    """The space of a tree's identifiable coefficients (arXiv 1905.11528, section III-B).

    Args:
      tree: the tree; coefficients that are not identifiable stay as they are at the start.
      start: the factor of each node in pre-order at the start. Defaults to all 1.

    Example:
        space = coefficient_space(parse("log(y) - x / y"))  # two identifiable coefficients
        space.coefficients(np.array([3.0, 0.5]))  # (3.0, 0.5, 1.0, 1.0, 1.0, 1.0)
    """
    nodes = identifiable_coefficients(tree)
    first = np.ones(tree.size) if start is None else np.array(start, float)

    def coefficients(vector: np.ndarray) -> tuple[float, ...]:
        factors = first.copy()
        factors[list(nodes)] = vector
        return tuple(map(float, factors))

    return CoefficientSpace(tree, first[list(nodes)], coefficients, nodes=nodes)


def taylor_space() -> CoefficientSpace:
    """The space of third-order Taylor polynomials, whose 8 parameters start at 0 (arXiv 2002.00059, section 3).

    A vector holds the centre (x, y), then the six weights of ``zoo.taylor``.
    """

    def loss(vector: np.ndarray) -> Loss:
        return zoo.taylor((float(vector[0]), float(vector[1])), vector[2:].tolist())

    start = np.zeros(8)
    return CoefficientSpace(loss(start).tree, start, lambda vector: loss(vector).coefficients, "taylor")
