"""The value of f(x, y), exact where a prediction is nearly 0 or nearly 1.

A floating number y cannot tell both: 1 - y of a confident prediction would be 0, and its logarithm infinite. So the
logarithms of y and of 1 - y come from the network's outputs, and a node that is c * y**k * (1 - y)**m by construction
has the logarithm log(c) + k log(y) + m log(1 - y).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glojax.expressions import grammar
from glojax.expressions.trees import Tree

Coefficients = Sequence[float] | Sequence[jax.Array] | jax.Array
"""The factor of each node's value in pre-order; an array may be traced."""


@dataclass(frozen=True)
class Predicted:
    """Labels and predictions of a minibatch, of one shape and type.

    Attributes:
      x: labels.
      y: predictions.
      log_y: their logarithm; ``None`` where y is no probability.
      complement: makes 1 - y and its logarithm of a probability.
      leaves: values of ``prior`` and ``progress``, which broadcast to ``y``, where the tree has them.
    """

    x: jax.Array
    y: jax.Array
    log_y: jax.Array | None
    complement: Callable[[], tuple[jax.Array, jax.Array]]
    leaves: Mapping[str, jax.Array] = field(default_factory=dict)

    @cached_property
    def rest(self) -> tuple[jax.Array, jax.Array]:
        """1 - y and its logarithm, computed once and only for a tree that takes it."""
        return self.complement()


class _Value(NamedTuple):
    value: jax.Array | float
    power: grammar.Power | None = None  # (c, k) of a value that is c * y**k * (1 - y)**m; c is a float or an array
    rest_power: float = 0.0  # m
    is_power: Any = True  # bool[], whether it is, where coefficients that are traced decide it
    label: Any = None  # a of a value that is a * x

    @property
    def constant(self) -> Any:
        """The value of a constant, or ``None``."""
        return self.power[0] if self.power and self.power[1] == self.rest_power == 0 and self.is_power is True else None

    @property
    def factor(self) -> Any:
        """The factor of y in a multiple of y, or ``None``."""
        is_y = self.power and self.power[1] == 1 and self.rest_power == 0 and self.is_power is True
        return self.power[0] if self.power and is_y else None


def evaluate(tree: Tree, coefficients: Coefficients, given: Predicted, protected: bool) -> jax.Array:
    """Compute f(x, y) at every entry.

    Args:
      tree: f(x, y).
      coefficients: the factor of each node's value in pre-order, ``[nodes]``.
      given: x, y, and what is exact of y at its ends.
      protected: use the protected operators, which are bounded instead.

    Returns:
      f, of the shape of ``y``.
    """
    factors = (factor if isinstance(factor, jax.Array) else float(factor) for factor in coefficients)
    rows = {node.symbol: node for node in grammar.operators(protected)}

    def visit(node: Tree) -> _Value:
        factor = next(factors)
        if isinstance(node.symbol, int):
            found = _Value(float(node.symbol), (float(node.symbol), 0.0))
        elif node.symbol == "y":
            found = _Value(given.y, (1.0, 1.0))
        elif node.symbol == "x":
            found = _Value(given.x, label=1.0)
        elif isinstance(node.symbol, str) and not node.children:
            found = _Value(given.leaves[node.symbol])
        else:
            operands = [visit(child) for child in node.children]
            found = (_plain if protected else _exact)(rows[node.symbol], operands, given)
        return found if type(factor) is float and factor == 1 else _scaled(factor, found)

    return jnp.broadcast_to(_array(visit(tree).value, given.y), given.y.shape)


def _scaled(factor: Any, found: _Value) -> _Value:
    return found._replace(
        value=factor * found.value,
        power=found.power and (factor * found.power[0], found.power[1]),
        label=None if found.label is None else factor * found.label,
    )


def _array(value: jax.Array | float, like: jax.Array) -> jax.Array:
    return value if isinstance(value, jax.Array) else jnp.asarray(value, like.dtype)


def _plain(row: grammar.Node, operands: Sequence[_Value], given: Predicted) -> _Value:
    assert row.value is not None
    return _Value(row.value(jnp, *(_array(each.value, given.y) for each in operands)))


def _exact(row: grammar.Node, operands: Sequence[_Value], given: Predicted) -> _Value:
    if given.log_y is not None:
        found = None
        if row.symbol == "log" and operands[0].power is not None:
            found = _logarithm(operands[0], operands[0].power, given.log_y, given)
        elif row.symbol in ("+", "-"):
            found = _sum_with_y(operands, -1.0 if row.symbol == "-" else 1.0, given)
        if found is not None:
            return found
    value = _plain(row, operands, given).value
    power = _power(row, [each.power for each in operands])
    if power is None:
        return _Value(value)
    assert row.monomial_log is not None
    return _Value(value, power, row.monomial_log(*(each.rest_power for each in operands)), _all_of(operands))


def _power(row: grammar.Node, powers: Sequence[grammar.Power | None]) -> grammar.Power | None:
    if any(power is not None and isinstance(power[0], jax.Array) for power in powers):
        return grammar.power(jnp, row, powers)
    with np.errstate(all="ignore"):  # as in arrays, a constant may be outside an operator's domain
        made = grammar.power(np, row, [power and (np.float64(power[0]), power[1]) for power in powers])
    return made and (float(made[0]), made[1])


def _all_of(operands: Iterable[_Value]) -> Any:
    traced = [each.is_power for each in operands if each.is_power is not True]
    return jnp.all(jnp.stack(traced)) if traced else True


def _logarithm(operand: _Value, power: grammar.Power, log_y: jax.Array, given: Predicted) -> _Value:
    exact = jnp.log(_array(power[0], given.y))
    if power[1]:
        exact += power[1] * log_y
    if operand.rest_power:
        exact += operand.rest_power * given.rest[1]
    if operand.is_power is True:
        return _Value(exact)
    # The branch that is not taken must not put NaN into gradients.
    direct = jnp.log(jnp.where(operand.is_power, 1.0, operand.value))
    return _Value(jnp.where(operand.is_power, exact, direct))


def _sum_with_y(operands: Sequence[_Value], sign: float, given: Predicted) -> _Value | None:
    """The sum of a multiple of y and a constant, or a multiple of x, without cancellation where y is nearly 1."""
    left, right = operands
    if right.factor is not None:
        first, sign_of_first, factor = left, 1.0, sign * right.factor
    elif left.factor is not None:
        first, sign_of_first, factor = right, sign, left.factor
    else:
        return None
    if first.constant is not None:
        return _constant_and_y(sign_of_first * first.constant, factor, given)
    if first.label is not None:
        return _label_and_y(sign_of_first * first.label, factor, given)
    return None


def _constant_and_y(constant: Any, factor: Any, given: Predicted) -> _Value | None:
    """Compute p + q y, which is (p + q) - q (1 - y); where p + q is 0, it is p (1 - y)."""
    total = constant + factor
    if not isinstance(total, jax.Array):
        return _Value(constant * given.rest[0], (constant, 0.0), 1.0) if total == 0 else None
    is_power = total == 0
    value = jnp.where(is_power, total - factor * given.rest[0], constant + factor * given.y)
    # c of c (1 - y); its derivatives by p and q are those of p + q y.
    of_rest = jnp.where(is_power, total / given.rest[0] - factor, 1.0)
    return _Value(value, (of_rest, 0.0), 1.0, is_power)


def _label_and_y(multiple: Any, factor: Any, given: Predicted) -> _Value | None:
    """Compute p x + q y, which is p (x - 1) + (p + q) - q (1 - y)."""
    total = multiple + factor
    if not isinstance(total, jax.Array) and total != 0:
        return None
    near_1 = multiple * (given.x - 1) + total - factor * given.rest[0]
    return _Value(jnp.where(given.y > 0.5, near_1, multiple * given.x + factor * given.y))
