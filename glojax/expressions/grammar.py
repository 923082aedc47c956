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

LARGEST, LARGEST_EXPONENT = 1e30, 69.0
"""The largest value of a protected power, and the operand above which a protected exponential grows no more: with 1e30
too."""

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
      drawn: whether a search has it that is not told its operators (``Vocabulary``). Defaults to True.
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
    drawn: bool = True


def _function(symbol: str, weight: float, latex: Notation, python: str = "", **mathematics: Any) -> Node:
    arity = len(latex.operands)
    places = "(" + ", ".join(["{}"] * arity) + ")"
    any_operands = (ANY,) * arity
    text, in_python = (Notation(name + places, operands=any_operands) for name in (symbol, f"jnp.{python or symbol}"))
    return Node(symbol, arity, weight, text, latex, in_python, **mathematics)


def _infix(symbol: str, weight: float, binds: int, latex: Notation, **mathematics: Any) -> Node:
    # Left-associative: the right operand must bind more tightly, so that the text keeps the shape of the tree.
    notation = Notation("{} " + symbol + " {}", binds, (binds, binds + 1))
    return Node(symbol, 2, weight, notation, latex, notation, **mathematics)


def leaf(symbol: str | int, weight: float, *, drawn: bool = True) -> Node:
    """Make the row of a variable or an integer.

    Args:
      symbol: the variable's name, or the integer.
      weight: relative frequency in random draws.
      drawn: whether a search has it that is not told its leaves (``Vocabulary``).
    """
    written = Notation(str(symbol), operands=())
    # -1 is put in parentheses in LaTeX, where "x - -1" reads badly.
    latex = written if isinstance(symbol, str) or symbol >= 0 else written._replace(binds=SUM)
    if len(str(symbol)) > 1 and isinstance(symbol, str):
        latex = written._replace(template=rf"\mathrm{{{{{symbol}}}}}")
    return Node(symbol, 0, weight, written, latex, written, drawn=drawn)


def _sign(xp: Any, a: Any) -> Any:
    # Unlike xp.sign, 1 at 0, so that a protected denominator never vanishes.
    return xp.where(a < 0, -1.0, 1.0)


def _fits(xp: Any, a: Any, b: Any) -> Any:
    return b * xp.log(xp.maximum(xp.abs(a), PROTECTION)) < LARGEST_EXPONENT


def _protected_power(xp: Any, a: Any, b: Any) -> Any:
    fits = _fits(xp, a, b)  # the branch that is not taken must not put infinity into gradients
    return xp.where(fits, xp.maximum(xp.abs(a), PROTECTION) ** xp.where(fits, b, 0.0), LARGEST)


def _share(xp: Any, a: Any, b: Any) -> Any:
    # Of two equal operands each is half of the greater one, as for jax.grad.
    return xp.where(a > b, 1.0, xp.where(a < b, 0.0, 0.5))


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
    _function(
        "exp", 1, Notation(r"\exp\left({}\right)"), drawn=False,
        value=lambda xp, a: xp.exp(a),
        partials=lambda xp, v, a: (v,),
    ),
    _function(
        "tanh", 1, Notation(r"\tanh\left({}\right)"), drawn=False,
        value=lambda xp, a: xp.tanh(a),
        partials=lambda xp, v, a: (1 - v * v,),
    ),
    _function(
        "abs", 1, Notation(r"\left|{}\right|"), drawn=False,
        value=lambda xp, a: xp.abs(a),
        partials=lambda xp, v, a: (2 * _share(xp, a, 0.0) - 1,),
        monomial_log=lambda a: a,
    ),
    _function(
        "max", 1, Notation(r"\max\left({}, {}\right)", operands=(ANY, ANY)), "maximum", drawn=False,
        value=lambda xp, a, b: xp.maximum(a, b),
        partials=lambda xp, v, a, b: (_share(xp, a, b), _share(xp, b, a)),
    ),
    _function(
        "power", 1, Notation("{}^{{{}}}", POWER, (ATOM, ANY)), "pow", drawn=False,
        value=lambda xp, a, b: a**b,
        # As for jax.grad, a power of 0 does not depend on its exponent, and one with the exponent 0 not on its base.
        partials=lambda xp, v, a, b: (
            xp.where(b == 0, 0.0, b * a ** xp.where(b == 0, 1.0, b - 1)),
            xp.log(xp.where(a == 0, 1.0, a)) * v,
        ),
    ),
)  # fmt: skip

LEAVES: tuple[Node, ...] = (leaf("x", 3), leaf("y", 3), leaf(1, 1), leaf(-1, 1))
"""The leaves that are drawn and enumerated; mutation makes other integers."""

CONTEXT_LEAVES: tuple[Node, ...] = (leaf("prior", 1, drawn=False), leaf("progress", 1, drawn=False))
"""Leaves of a search that names them: of a class, the share of the training labels that it has; of a step, the share of
a training's steps that were taken before it. ``expressions.context`` gives them their values."""

VARIABLES: tuple[Node, ...] = tuple(row for row in (*LEAVES, *CONTEXT_LEAVES) if isinstance(row.symbol, str))
"""All leaves that are no integers."""

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
    "exp": dict(
        value=lambda xp, a: xp.exp(xp.minimum(a, LARGEST_EXPONENT)),
        partials=lambda xp, v, a: (xp.where(a < LARGEST_EXPONENT, v, 0.0),),
        python=Notation(f"jnp.exp(jnp.minimum({{}}, {LARGEST_EXPONENT}))"),
        latex=Notation(rf"\exp\left(\min\left({{}}, {LARGEST_EXPONENT:.0f}\right)\right)"),
    ),
    "power": dict(
        value=_protected_power,
        partials=lambda xp, v, a, b: (
            xp.where((xp.abs(a) > PROTECTION) & _fits(xp, a, b), b * v / a, 0.0),
            xp.where(_fits(xp, a, b), xp.log(xp.maximum(xp.abs(a), PROTECTION)) * v, 0.0),
        ),
        python=Notation("protected_power({}, {})", operands=(ANY, ANY)),
        latex=Notation(r"\mathrm{{ppow}}\left({}, {}\right)", operands=(ANY, ANY)),
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


PAPER, ALL = "paper", "all"
"""What stands for several operators in a list of them: those that are drawn by default, and all."""


@dataclass(frozen=True)
class Vocabulary:
    """What trees are made of: some of the operators, x, y and the integers, and leaves that not every search has.

    Attributes:
      operators: their symbols, or ``PAPER`` and ``ALL``, which are written out. Defaults to those of arXiv 1905.11528.
      leaves: symbols of ``CONTEXT_LEAVES``. Defaults to none.

    Raises:
      ValueError: an unknown operator, or none, or an unknown leaf.

    Example:
      ``Vocabulary(("paper", "exp"), leaves=("progress",))``
    """

    operators: tuple[str, ...] = (PAPER,)
    leaves: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._write_out_operators()
        given = tuple(self.leaves) if isinstance(self.leaves, list | tuple) else (self.leaves,)
        allowed = [str(row.symbol) for row in CONTEXT_LEAVES]
        if unknown := [name for name in given if name not in allowed]:
            raise ValueError(f"leaves holds {unknown[0]!r}; allowed are {', '.join(allowed)}.")
        object.__setattr__(self, "leaves", tuple(name for name in allowed if name in given))

    def _write_out_operators(self) -> None:
        given = tuple(self.operators) if isinstance(self.operators, list | tuple) else (self.operators,)
        every = [str(row.symbol) for row in OPERATORS]
        groups = {PAPER: [str(row.symbol) for row in OPERATORS if row.drawn], ALL: every}
        allowed = [*groups, *every]
        unknown = [name for name in given if name not in allowed]
        if unknown or not given:
            holds = f"holds {unknown[0]!r}" if unknown else "is empty"
            raise ValueError(f"operators {holds}; allowed are {', '.join(allowed)}.")
        wanted = {symbol for name in given for symbol in groups.get(name, [name])}
        object.__setattr__(self, "operators", tuple(symbol for symbol in every if symbol in wanted))

    def rows(self, protected: bool = False) -> tuple[Node, ...]:
        """The rows of its operators, in the order of the table."""
        return tuple(row for row in operators(protected) if row.symbol in self.operators)

    def has(self, arity: int) -> bool:
        """Whether there is a leaf, for 0, or an operator with so many operands."""
        return any(node.arity == arity for node in self.nodes())

    def nodes(self, protected: bool = False) -> tuple[Node, ...]:
        """The rows of its operators, then those of the leaves."""
        return self.rows(protected) + self.leaf_rows

    @property
    def leaf_rows(self) -> tuple[Node, ...]:
        """The rows of all its leaves."""
        return LEAVES + tuple(row for row in CONTEXT_LEAVES if row.symbol in self.leaves)


OF_PAPER = Vocabulary()
"""The operators of arXiv 1905.11528."""

NODES: tuple[Node, ...] = OF_PAPER.nodes()
"""The rows of what is drawn by default."""

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
