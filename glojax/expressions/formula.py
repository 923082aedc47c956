"""The formula of a loss as Python statements, in which ``x``, ``y`` and what is exact of y at its ends are names.

``log_y`` is the logarithm of y, ``rest`` is 1 - y and ``log_rest`` its logarithm; ``losses.evaluation`` says where a
tree takes them. Formulas that are too long for a line are written in several.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from glojax.expressions import grammar, trees
from glojax.expressions.trees import Tree

_LONGEST = 64  # characters of an operator's operands in one line; it also keeps nesting far from Python's limit


class _Source(NamedTuple):
    text: str
    binds: int  # how tightly it binds
    power: grammar.Power | None = None  # (c, k) of a value that is c * y**k * (1 - y)**m
    rest_power: float = 0.0  # m
    label: float | None = None  # a of a value that is a * x

    @property
    def constant(self) -> float | None:
        """The value of a constant, or ``None``."""
        return self.power[0] if self.power and self.power[1] == self.rest_power == 0 else None

    @property
    def factor(self) -> float | None:
        """The factor of y in a multiple of y, or ``None``."""
        return self.power[0] if self.power and self.power[1] == 1 and self.rest_power == 0 else None


def statements(tree: Tree, coefficients: Sequence[float], protected: bool, has_log: bool) -> list[str]:
    """Write the assignment of ``f``, after those of parts that would make its line too long; constants are folded.

    Args:
      tree: f(x, y).
      coefficients: the factor of each node in pre-order.
      protected: use the protected operators.
      has_log: whether y is a probability, so that there are ``log_y``, ``rest`` and ``log_rest``.

    Returns:
      Lines of Python, which call ``jnp``.
    """
    rows = {row.symbol: row for row in grammar.operators(protected)}
    is_exact = has_log and not protected
    factors = iter(coefficients)
    lines: list[str] = []

    def visit(node: Tree) -> _Source:
        if node.is_constant:
            values = [next(factors) for _ in range(node.size)]
            return _folded(node, values, rows, protected)
        factor = next(factors)
        if node.children:
            found = operate(rows[node.symbol], [visit(child) for child in node.children])
        elif node.symbol == "y":
            found = _Source("y", grammar.ATOM, (1.0, 1.0))
        elif node.symbol == "x":
            found = _Source("x", grammar.ATOM, label=1.0)
        else:
            found = _Source(str(node.symbol), grammar.ATOM)
        return found if factor == 1 else _scaled(factor, found)

    def operate(row: grammar.Node, operands: list[_Source]) -> _Source:
        powers = [each.power for each in operands]
        if is_exact and row.symbol == "log" and powers[0] is not None:
            return _logarithm(*powers[0], operands[0].rest_power)
        if is_exact and row.symbol in ("+", "-"):
            made = _sum_with_y(operands, -1.0 if row.symbol == "-" else 1.0)
            if made is not None:
                return made
        if sum(len(each.text) for each in operands) > _LONGEST:
            operands = [named(operand) for operand in operands]
        places = zip(operands, row.python.operands, strict=True)
        inner = [each.text if each.binds >= place else f"({each.text})" for each, place in places]
        power = None if protected else _quiet_power(row, powers)
        rest_power = row.monomial_log(*(each.rest_power for each in operands)) if power and row.monomial_log else 0.0
        return _Source(row.python.template.format(*inner), row.python.binds, power, rest_power)

    def named(operand: _Source) -> _Source:
        if len(operand.text) <= _LONGEST // 3:
            return operand
        lines.append(f"f{len(lines) + 1} = {operand.text}")
        return operand._replace(text=f"f{len(lines)}", binds=grammar.ATOM)

    text = visit(tree).text
    return [*lines, f"f = {text}"]


def _folded(node: Tree, values: Sequence[float], rows: dict[str | int, grammar.Node], protected: bool) -> _Source:
    """A part without variables is a number."""
    value = _quietly(lambda zero: trees.evaluate(node, zero, zero, np, protected, values), 0.0)
    # As in Loss, a sum is no power of y, even a sum of constants.
    is_power = all(not part.children or rows[part.symbol].monomial_log for part in node.nodes())
    binds = grammar.SUM if value < 0 else grammar.ATOM
    return _Source(_number(value), binds, (value, 0.0) if is_power else None)


def _scaled(factor: float, found: _Source) -> _Source:
    text = found.text if found.binds > grammar.PRODUCT else f"({found.text})"
    return found._replace(
        text=f"{factor!r} * {text}",
        binds=grammar.PRODUCT,
        power=found.power and (factor * found.power[0], found.power[1]),
        label=None if found.label is None else factor * found.label,
    )


def _sum_with_y(operands: Sequence[_Source], sign: float) -> _Source | None:
    """Write p + q y and p x + q y without cancellation where y is nearly 1, if p + q is 0."""
    left, right = operands
    if right.factor is not None:
        first, sign_of_first, factor = left, 1.0, sign * right.factor
    elif left.factor is not None:
        first, sign_of_first, factor = right, sign, left.factor
    else:
        return None
    multiple = first.constant if first.constant is not None else first.label
    if multiple is None or sign_of_first * multiple + factor != 0:
        return None
    is_label = first.constant is None
    made = _Source("jnp.where(y > 0.5, x - 1 + rest, x - y)" if is_label else "rest", grammar.ATOM)
    made = made if is_label else made._replace(power=(1.0, 0.0), rest_power=1.0)
    return made if -factor == 1 else _scaled(-factor, made)


def _logarithm(constant: float, exponent: float, rest_power: float) -> _Source:
    """Write ``log(constant * y**exponent * (1 - y)**rest_power)``."""
    if exponent == rest_power == 0:  # an array, as Python's own operators would raise when a number is divided by zero
        return _Source(f"{_number(_quietly(np.log, constant))} * jnp.ones_like(y)", grammar.PRODUCT)
    terms = [] if constant == 1 else [_number(_quietly(np.log, constant))]
    for power, name in ((exponent, "log_y"), (rest_power, "log_rest")):
        if power:
            terms.append(name if power == 1 else f"{power!r} * {name}")
    # A single logarithm of a power 1 needs no parentheses.
    binds = grammar.SUM if len(terms) > 1 else grammar.PRODUCT if "*" in terms[0] else grammar.ATOM
    return _Source(" + ".join(terms), binds)


def _quiet_power(row: grammar.Node, powers: list[grammar.Power | None]) -> grammar.Power | None:
    with np.errstate(all="ignore"):
        made = grammar.power(np, row, [each and (np.float64(each[0]), each[1]) for each in powers])
    return made and (float(made[0]), made[1])


def _quietly(function: Callable[..., Any], *values: float) -> float:
    with np.errstate(all="ignore"):
        return float(function(*map(np.float64, values)))


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else "jnp.nan" if math.isnan(value) else f"{'-' * (value < 0)}jnp.inf"
