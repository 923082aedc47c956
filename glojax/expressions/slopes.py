"""The value and the slope df/dy of one operator, and of one tree, in any array library.

The interpreter (``programs``) does the same for trees that are data of a compiled program. Here the tree itself is
traced, so that coefficients may be traced, or complex.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from glojax.expressions import grammar
from glojax.expressions.trees import Tree


def operate(
    node: grammar.Node, xp: Any, depends: Sequence[Any] | Any, values: Sequence[Any], slopes: Sequence[Any]
) -> tuple[Any, Any]:
    """Value and slope of an operator; an operand that does not depend on y adds no slope, whatever its partial.

    Args:
      node: the operator; operands beyond its arity are not looked at.
      xp: what the grammar's rows call, as of ``value_and_slope``.
      depends: bool of each operand, whether it depends on y; it broadcasts with the values.
      values: of each operand, of one shape.
      slopes: of each operand.
    """
    assert node.value is not None
    assert node.partials is not None
    operands = values[: node.arity]
    value = node.value(xp, *operands)
    terms = [
        xp.where(depends[place], partial * slopes[place], 0)
        for place, partial in enumerate(node.partials(xp, value, *operands))
    ]
    return value, sum(terms[1:], terms[0])


def value_and_slope(
    tree: Tree,
    x: Any,
    y: Any,
    xp: Any,
    factors: Sequence[Any] | Any,
    protected: bool = False,
    given: Mapping[str, Any] | None = None,
) -> tuple[Any, Any]:
    """Compute f(x, y) and df/dy node by node, by the rows of the grammar.

    An operand that does not depend on y adds no slope, whatever its partial derivative.

    Args:
      tree: f(x, y).
      x: labels ``[...]``.
      y: predictions, of the shape of ``x``.
      xp: what the grammar's rows call: ``jax.numpy``, or NumPy with functions of its own.
      factors: the factor of each node's value in pre-order, ``[nodes, ...]``, each of which broadcasts with ``y``.
      protected: use the protected operators. Defaults to False.
      given: values of other leaves by their names, of the shape of ``x``. Defaults to none.

    Returns:
      Value and slope, of the shape to which y and the factors that count broadcast.
    """
    rows = {node.symbol: node for node in grammar.operators(protected)}
    variables = {"x": x, "y": y, **(given or {})}
    remaining = iter(factors)

    def visit(node: Tree) -> tuple[Any, Any]:
        """Compute value and slope; the slope is None if the node does not depend on y."""
        factor = next(remaining)
        if not node.children:
            value = variables[node.symbol] if isinstance(node.symbol, str) else node.symbol
            return factor * value, factor * xp.ones_like(y) if node.symbol == "y" else None
        row, operands = rows[node.symbol], [visit(child) for child in node.children]
        assert row.value is not None
        assert row.partials is not None
        values = [value for value, _ in operands]
        value = row.value(xp, *values)
        partials = row.partials(xp, value, *values)
        terms = [partial * slope for partial, (_, slope) in zip(partials, operands, strict=True) if slope is not None]
        return factor * value, factor * sum(terms[1:], terms[0]) if terms else None

    value, slope = visit(tree)
    return value, xp.zeros_like(y) if slope is None else slope
