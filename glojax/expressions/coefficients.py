"""The coefficients of a tree that change training in independent ways.

Every node of a tree carries a coefficient, a factor of its value (arXiv 1905.11528, section III-B). Training sees only
df/dy, and many coefficients change it alike; those that tuning need not search are found here and dropped.
"""

from typing import Any

import numpy as np

from glojax.expressions import grammar
from glojax.expressions.slopes import value_and_slope
from glojax.expressions.trees import Tree


class _Analytic:
    """NumPy, with functions that keep the derivative which the imaginary part of a complex step is."""

    @staticmethod
    def abs(a: Any) -> np.ndarray:
        return np.where(np.real(a) < 0, -a, a)

    @staticmethod
    def maximum(a: Any, b: Any) -> np.ndarray:
        return np.where(np.real(a) < np.real(b), b, a)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


_ANALYTIC = _Analytic()


def identifiable_coefficients(tree: Tree) -> tuple[int, ...]:
    """Find the nodes whose coefficients change df/dy in independent ways.

    The derivatives of df/dy by all coefficients at a generic point form a matrix, computed in float64. From the root
    down, a coefficient is kept if its column adds to the rank. The root's coefficient, if kept, is the overall scale.

    Args:
      tree: any tree.

    Returns:
      Pre-order indices of the nodes, in increasing order. Empty if df/dy is 0, or finite at none of the probe points.

    Example:
        identifiable_coefficients(parse("log(y) - x / y"))  # (0, 1): two of six
    """
    random = np.random.default_rng(0)
    y = np.linspace(0.03, 0.97, 48)
    x, y = np.repeat([0.0, 1.0], y.size), np.tile(y, 2)

    factors = random.uniform(0.8, 1.25, tree.size)
    given = {str(row.symbol): random.uniform(0.03, 0.97, y.size) for row in grammar.CONTEXT_LEAVES}
    with np.errstate(all="ignore"):
        # A complex step is exact to rounding, as the grammar's functions are analytic in pieces, and compiles nothing.
        step = 1e-30
        steps = (factors + 1j * step * np.eye(tree.size)).T[..., None]
        columns = np.imag(value_and_slope(tree, x, y, _ANALYTIC, steps, given=given)[1]) / step
        slope = value_and_slope(tree, x, y, _ANALYTIC, factors, given=given)[1]
        sound = np.isfinite(slope) & np.isfinite(columns).all(axis=0)
    rows = np.broadcast_to(columns, (tree.size, len(y)))[:, sound].T
    # Each column is orthogonalized against those kept; of a dependent one only rounding remains.
    kept: list[int] = []
    norms = np.linalg.norm(rows, axis=0)
    basis = np.zeros((len(rows), 0))
    for index, (column, norm) in enumerate(zip(rows.T, norms, strict=True)):
        if norm <= 1e-12 * max(1, norms.max()):  # rounding
            continue
        rest = column / norm
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
        if np.linalg.norm(rest) > 1e-7:
            kept.append(index)
            basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
    return tuple(kept)
