"""The grammar: a table with one row for each operator and leaf, which holds all that the library knows about it.

A loss is a tree over the label ``x`` (one entry of a one-hot label, 0 or 1) and the prediction ``y`` (one entry of the
softmax output, in (0, 1)); arXiv 1905.11528, section III. Parsing, writing, random growth, the interpreter, gradients,
LaTeX, sympy and exported source all read this table, so a new operator is a new row.

The mathematics is written once for every array library: ``value`` and ``partials`` take the namespace ``xp``
(``jax.numpy``, ``numpy`` or a symbolic one) as their first argument.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

ANY, SUM, PRODUCT, POWER, ATOM = range(5)
"""How tightly a notation binds; an operand that binds less tightly than its place demands gets parentheses."""

PROTECTION = 1e-7
"""Distance from a singularity, in units of the operand, within which protected operators differ from raw ones."""

MAX_INTEGER = 2**24
"""Largest magnitude of an integer in a tree; all integers up to it are exact in float32."""


class Notation(NamedTuple):
    """How a node is written."""

    template: str  # with one {} for each operand
    binds: int = ATOM  # how tightly the result binds
    operands: tuple[int, ...] = (ANY,)  # how tightly each operand must bind to need no parentheses


@dataclass(frozen=True)
class Node:
    """One row of the table.

    Attributes:
      symbol: name of the node in a tree and in text, or an integer.
      arity: number of operands, 0 for a leaf.
      weight: relative frequency in random draws (arXiv 1905.11528, section III-A).
      text: how the node is written in expressions.
      latex: how the node is written in LaTeX.
      python: how the node is written in Python source.
      value: ``value(xp, *operands)``; ``None`` for a leaf.
      partials: ``partials(xp, value, *operands)``, the derivative of the value by each operand; ``None`` for a leaf.
      monomial_log: the exponent of y in the value from those in the operands, for an operator that makes powers of y
        of powers of y, such as ``*``. It keeps ``log`` exact where y underflows. Defaults to ``None``.
    """

    symbol: str | int
    arity: int
    weight: float
    text: Notation
    latex: Notation
    python: Notation
    value: Callable[..., Any] | None = None
    partials: Callable[..., tuple[Any, ...]] | None = None
    monomial_log: Callable[..., Any] | None = None


def _function(symbol: str, weight: float, latex: Notation, **mathematics: Any) -> Node:
    return Node(symbol, 1, weight, Notation(symbol + "({})"), latex, Notation(f"jnp.{symbol}({{}})"), **mathematics)


def _infix(symbol: str, weight: float, binds: int, latex: Notation, **mathematics: Any) -> Node:
    # Left-associative: the right operand must bind more tightly, so that the text keeps the shape of the tree.
    notation = Notation("{} " + symbol + " {}", binds, (binds, binds + 1))
    return Node(symbol, 2, weight, notation, latex, notation, **mathematics)


def leaf(symbol: str | int, weight: float) -> Node:
    """Make the row of a variable or an integer.

    Args:
      symbol: the variable's name, or the integer.
      weight: relative frequency in random draws.
    """
    written = Notation(str(symbol), operands=())
    # -1 is put in parentheses in LaTeX, where "x - -1" reads badly.
    latex = written if isinstance(symbol, str) or symbol >= 0 else written._replace(binds=SUM)
    return Node(symbol, 0, weight, written, latex, written)


def _sign(xp: Any, a: Any) -> Any:
    # Unlike xp.sign, 1 at 0, so that a protected denominator never vanishes.
    return xp.where(a < 0, -1.0, 1.0)


OPERATORS: tuple[Node, ...] = (
    _function(
        "log", 3, Notation(r"\log\left({}\right)"),
        value=lambda xp, a: xp.log(a),
        partials=lambda xp, v, a: (1 / a,),
    ),
    _function(
        "square", 1, Notation("{}^{{2}}", POWER, (ATOM,)),
        value=lambda xp, a: a * a,
        partials=lambda xp, v, a: (2 * a,),
        monomial_log=lambda a: 2 * a,
    ),
    _function(
        "sqrt", 2, Notation(r"\sqrt{{{}}}"),
        value=lambda xp, a: xp.sqrt(a),
        partials=lambda xp, v, a: (0.5 / v,),
        monomial_log=lambda a: 0.5 * a,
    ),
    _infix(
        "+", 1, SUM, Notation("{} + {}", SUM, (SUM, PRODUCT)),
        value=lambda xp, a, b: a + b,
        partials=lambda xp, v, a, b: (1.0, 1.0),
    ),
    _infix(
        "-", 1, SUM, Notation("{} - {}", SUM, (SUM, PRODUCT)),
        value=lambda xp, a, b: a - b,
        partials=lambda xp, v, a, b: (1.0, -1.0),
    ),
    _infix(
        "*", 1, PRODUCT, Notation(r"{} \, {}", PRODUCT, (PRODUCT, POWER)),
        value=lambda xp, a, b: a * b,
        partials=lambda xp, v, a, b: (b, a),
        monomial_log=lambda a, b: a + b,
    ),
    _infix(
        "/", 1, PRODUCT, Notation(r"\frac{{{}}}{{{}}}", PRODUCT, (ANY, ANY)),
        value=lambda xp, a, b: a / b,
        partials=lambda xp, v, a, b: (1 / b, -v / b),
        monomial_log=lambda a, b: a - b,
    ),
)  # fmt: skip

LEAVES: tuple[Node, ...] = (leaf("x", 3), leaf("y", 3), leaf(1, 1), leaf(-1, 1))
"""The leaves that are drawn and enumerated; mutation makes other integers."""

NODES: tuple[Node, ...] = OPERATORS + LEAVES
"""All rows."""

# What differs from the raw operators. Away from singularities the values are equal, digit for digit.
_PROTECTED: dict[str, dict[str, Any]] = {
    "log": dict(
        value=lambda xp, a: xp.log(xp.maximum(abs(a), PROTECTION)),
        partials=lambda xp, v, a: (xp.where(abs(a) > PROTECTION, 1 / a, 0.0),),
        python=Notation(f"jnp.log(jnp.maximum(jnp.abs({{}}), {PROTECTION}))"),
        latex=Notation(rf"\log\left(\max\left(\left|{{}}\right|, {PROTECTION}\right)\right)"),
    ),
    "sqrt": dict(
        value=lambda xp, a: xp.sqrt(abs(a)),
        partials=lambda xp, v, a: (xp.where(abs(a) > PROTECTION, 0.5 * _sign(xp, a) / v, 0.0),),
        python=Notation("jnp.sqrt(jnp.abs({}))"),
        latex=Notation(r"\sqrt{{\left|{}\right|}}"),
    ),
    "/": dict(
        value=lambda xp, a, b: a / (_sign(xp, b) * xp.maximum(abs(b), PROTECTION)),
        partials=lambda xp, v, a, b: (
            1 / (_sign(xp, b) * xp.maximum(abs(b), PROTECTION)),
            xp.where(abs(b) > PROTECTION, -v / b, 0.0),
        ),
        python=Notation("protected_divide({}, {})", operands=(ANY, ANY)),
        latex=Notation(r"\mathrm{{pdiv}}\left({}, {}\right)", operands=(ANY, ANY)),
    ),
}

PROTECTED_OPERATORS: tuple[Node, ...] = tuple(
    replace(node, **_PROTECTED.get(str(node.symbol), {})) for node in OPERATORS
)


def operators(protected: bool = False) -> tuple[Node, ...]:
    """Give the rows of the operators in the order of their opcodes.

    Protected operators are defined everywhere: ``log(max(|a|, 1e-7))``, ``sqrt(|a|)``, and a quotient whose
    denominator is kept at least 1e-7 away from zero. Further than that from a singularity they are equal to the raw
    ones.

    Args:
      protected: give the protected operators, not the paper's raw ones. Defaults to False.
    """
    return PROTECTED_OPERATORS if protected else OPERATORS


Power = tuple[Any, float]
"""``(c, k)`` of a value that is ``c * y**k`` by construction."""


def power(xp: Any, row: Node, powers: Sequence[Power | None]) -> Power | None:
    """The power of y that a raw operator makes of powers of y.

    The logarithm of ``c * y**k`` is ``log(c) + k * log(y)``, and log(y) is exact where y itself underflows.

    Args:
      xp: the array namespace of the constants c.
      row: the operator.
      powers: ``(c, k)`` of each operand, or ``None`` for an operand that is no power of y.

    Returns:
      ``(c, k)`` of the operator's value, or ``None`` where it is not known to be a power of y.
    """
    known = [each for each in powers if each is not None]
    if row.monomial_log is None or row.value is None or len(known) < len(powers):
        return None
    constants, exponents = zip(*known, strict=True)
    return row.value(xp, *constants), row.monomial_log(*exponents)
