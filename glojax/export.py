"""Exports of a tree with coefficients: LaTeX, a sympy expression, and Python source that needs only jax."""

import keyword
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from glojax import grammar, trees
from glojax.trees import Tree


def factors(coefficients: Sequence[float], digits: int) -> list[str]:
    """Text of each node's factor to so many significant digits; empty for 1, which is not written."""
    return ["" if value == 1 else f"{value:.{digits}g}" for value in coefficients]


def to_latex(tree: Tree, coefficients: Sequence[float], protected: bool = False) -> str:
    """f(x, y) in LaTeX, coefficients to four digits."""
    return trees.write(tree, lambda node: node.latex, protected, factors(coefficients, 4))


def to_sympy(tree: Tree, coefficients: Sequence[float], protected: bool = False) -> Any:
    """f(x, y) as a sympy expression in the real symbols ``x`` and ``y``.

    Raises:
      ImportError: sympy is missing.
    """
    try:
        import sympy
    except ImportError:
        raise ImportError("sympy is not installed; it comes with: pip install 'glojax[sympy]'") from None

    class Namespace:
        """The array functions that the grammar calls, in sympy's names."""

        maximum = staticmethod(sympy.Max)

        @staticmethod
        def where(condition: Any, chosen: Any, other: Any) -> Any:
            return sympy.Piecewise((chosen, condition), (other, True))

        @staticmethod
        def asarray(value: int, dtype: None = None) -> Any:
            return sympy.Integer(value)

        def __getattr__(self, name: str) -> Any:
            return getattr(sympy, name)

    exact = [sympy.Integer(int(value)) if value == int(value) else sympy.Float(value) for value in coefficients]
    x, y = sympy.symbols("x y", real=True)
    return trees.evaluate(tree, x, y, Namespace(), protected, exact)


_SOURCE = '''"""A loss function found by glojax: f(x, y) = {formula}."""

import jax
import jax.numpy as jnp
{helper}

def {name}(logits, labels, axis=-1, where=None):
    """Minus the sum over classes of f(x, y), where x is the label and y the softmax of the logits.

    Args:
      logits: floating, [..., classes] along axis.
      labels: one-hot or soft labels of the same shape.
      axis: the axis of the classes.
      where: entries to take part; the others are left out of softmax and sum.

    Returns:
      The loss of every sample: the shape of logits without axis.
    """
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    x = labels.astype(dtype)
    log_y = jax.nn.log_softmax(logits.astype(dtype), axis=axis, where=where)
    if where is not None:
        log_y, x = jnp.where(where, log_y, -1.0), jnp.where(where, x, 0.0)
    # y is kept where 1 / y**2 is finite; its gradient passes as if it were not.
    kept = jnp.maximum(log_y, 0.45 * jnp.log(jnp.finfo(dtype).tiny))
    y = jnp.exp(log_y + jax.lax.stop_gradient(kept - log_y))
    f = {expression}
    return -jnp.sum(jnp.broadcast_to(f, y.shape), axis=axis, where=where)
'''

_PROTECTED_DIVIDE = f'''

def protected_divide(a, b):
    """A quotient whose denominator is kept {grammar.PROTECTION} away from zero."""
    return a / (jnp.where(b < 0, -1.0, 1.0) * jnp.maximum(jnp.abs(b), {grammar.PROTECTION}))
'''


def to_python(tree: Tree, coefficients: Sequence[float], protected: bool = False, name: str = "loss") -> str:
    """Source of a module with one function, ``name(logits, labels, axis=-1, where=None)``, that imports only jax.

    Raises:
      ValueError: ``name`` is no Python identifier.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"to_python: name is {name!r}; a Python identifier is allowed.")
    expression, _, _ = _source(tree, list(coefficients), {row.symbol: row for row in grammar.operators(protected)})
    formula = trees.write(tree, lambda node: node.text, protected, factors(coefficients, 6))
    helper = _PROTECTED_DIVIDE if "protected_divide" in expression else ""
    return _SOURCE.format(formula=formula, helper=helper, name=name, expression=expression)


def _source(tree: Tree, coefficients: list[float], rows: dict[str | int, grammar.Node]) -> "_Source":
    """Source of the value, how tightly it binds, and (c, k) where it is c * y**k by construction.

    The logarithm of such a power is written with ``log_y``, which is exact where y underflows.
    """
    if not (tree.depends_on("x") or tree.depends_on("y")):
        return _constant_source(tree, coefficients, rows)
    factor, rest = coefficients[0], coefficients[1:]
    operands = []
    for child in tree.children:
        operands.append(_source(child, rest[: child.size], rows))
        rest = rest[child.size :]
    if operands:
        text, binds, power = _operation_source(rows[tree.symbol], operands)
    else:
        text, binds, power = str(tree.symbol), grammar.ATOM, (1.0, 1.0) if tree.symbol == "y" else None
    if factor != 1:
        text, binds = f"{factor!r} * {text if binds > grammar.PRODUCT else f'({text})'}", grammar.PRODUCT
        power = power and (factor * power[0], power[1])
    return text, binds, power


_Source = tuple[str, int, tuple[float, float] | None]


def _operation_source(row: grammar.Node, operands: list[_Source]) -> _Source:
    places = zip(operands, row.python.operands, strict=True)
    inner = [text if binds >= place else f"({text})" for (text, binds, _), place in places]
    text, binds = row.python.template.format(*inner), row.python.binds
    powers = [power for _, _, power in operands if power is not None]
    if len(powers) < len(operands) or row not in grammar.OPERATORS:
        return text, binds, None
    constants, exponents = zip(*powers, strict=True)
    if row.symbol == "log":
        log_y = "log_y" if exponents[0] == 1 else f"{exponents[0]!r} * log_y"
        if constants[0] == 1:
            return log_y, grammar.PRODUCT, None
        return f"{_number(_quietly(np.log, constants[0]))} + {log_y}", grammar.SUM, None
    if row.monomial_log is None or row.value is None:
        return text, binds, None
    return text, binds, (_quietly(partial(row.value, np), *constants), row.monomial_log(*exponents))


def _constant_source(tree: Tree, coefficients: list[float], rows: dict[str | int, grammar.Node]) -> _Source:
    protected = rows["log"] not in grammar.OPERATORS
    value = _quietly(lambda zero: trees.evaluate(tree, zero, zero, np, protected, coefficients), 0.0)
    return _number(value), grammar.ATOM if value >= 0 else grammar.SUM, (value, 0.0)


def _quietly(function: Callable[..., Any], *values: float) -> float:
    with np.errstate(all="ignore"):
        return float(function(*map(np.float64, values)))


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else "jnp.nan" if math.isnan(value) else f"{'-' * (value < 0)}jnp.inf"
