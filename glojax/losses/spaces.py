"""Vectors and the losses that they stand for: coefficients of a tree, or of a Taylor polynomial."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from glojax.expressions.coefficients import identifiable_coefficients
from glojax.expressions.trees import Tree
from glojax.losses import zoo
from glojax.losses.loss import Loss


class CoefficientSpace(NamedTuple):
    """Vectors, and the losses that they stand for: one tree with different coefficients."""

    tree: Tree
    start: np.ndarray  # float64[n]
    coefficients: Callable[[np.ndarray], tuple[float, ...]]  # of all nodes of the tree, for a vector float64[n]
    phase: str = "tune"  # what the record of a run calls a search of this space


def coefficient_space(tree: Tree) -> CoefficientSpace:
    """The identifiable coefficients of a tree, all of them 1 at the start."""
    nodes = list(identifiable_coefficients(tree))

    def coefficients(vector: np.ndarray) -> tuple[float, ...]:
        factors = np.ones(tree.size)
        factors[nodes] = vector
        return tuple(map(float, factors))

    return CoefficientSpace(tree, np.ones(len(nodes)), coefficients)


def taylor_space() -> CoefficientSpace:
    """Third-order Taylor polynomials by their 8 parameters, all 0 at the start (arXiv 2002.00059, section 3)."""

    def loss(vector: np.ndarray) -> Loss:
        return zoo.taylor((float(vector[0]), float(vector[1])), vector[2:].tolist())

    start = np.zeros(8)
    return CoefficientSpace(loss(start).tree, start, lambda vector: loss(vector).coefficients, "taylor")
