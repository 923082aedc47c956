"""The coefficients of a tree that change training in independent ways (arXiv 1905.11528, section III-B)."""

from typing import Any

import numpy as np

from glojax.expressions import grammar
from glojax.expressions.trees import Tree


def identifiable_coefficients(tree: Tree) -> tuple[int, ...]:
    """Pre-order indices of the nodes whose coefficients change training in independent ways.

    Every node carries a factor of its value (arXiv 1905.11528, section III-B); training sees only df/dy, and
    many factors move it alike: of the six of ``log(y) - x / y`` two remain. Counted is the rank of
    the derivatives of df/dy by the factors at a generic point, in float64; a factor is kept, from the root down,
    if it adds to the rank. The root's factor, where kept, is the overall scale.

    Returns:
      The indices in increasing order; empty where df/dy vanishes or is nowhere finite on the probe points.
    """
    random = np.random.default_rng(0)
    y = np.linspace(0.03, 0.97, 48)
    x, y = np.repeat([0.0, 1.0], y.size), np.tile(y, 2)

    factors = random.uniform(0.8, 1.25, tree.size)
    with np.errstate(all="ignore"):
        # By a complex step, exact to rounding: the grammar's functions are analytic, and nothing is compiled.
        step = 1e-30
        columns = np.imag(_slope(tree, x, y, (factors + 1j * step * np.eye(tree.size)).T[..., None])) / step
        sound = np.isfinite(_slope(tree, x, y, factors)) & np.isfinite(columns).all(axis=0)
    rows = np.broadcast_to(columns, (tree.size, len(y)))[:, sound].T
    # One column at a time, orthogonalized against those kept: what is left of a dependent one is rounding.
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


def _slope(tree: Tree, x: np.ndarray, y: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """df/dy at points ``[points]``, in NumPy; ``factors`` of the nodes ``[nodes, ...]`` may be complex."""
    rows = {node.symbol: node for node in grammar.OPERATORS}
    remaining = iter(factors)

    def visit(node: Tree) -> tuple[Any, Any]:
        """Value and slope, which is None where the node does not depend on y."""
        factor = next(remaining)
        if not node.children:
            value = {"x": x, "y": y}.get(str(node.symbol), node.symbol)
            return factor * value, factor * np.ones_like(y) if node.symbol == "y" else None
        row, operands = rows[node.symbol], [visit(child) for child in node.children]
        assert row.value is not None
        assert row.partials is not None
        values = [value for value, _ in operands]
        value = row.value(np, *values)
        partials = row.partials(np, value, *values)
        terms = [partial * slope for partial, (_, slope) in zip(partials, operands, strict=True) if slope is not None]
        return factor * value, factor * sum(terms[1:], terms[0]) if terms else None

    slope = visit(tree)[1]
    return np.zeros_like(y) if slope is None else slope
