"""Parsing: from the text of an expression to a tree, and to the coefficients in it.

A real number is the coefficient of what it multiplies, so that the text of a tuned loss gives back its tree and its
coefficients, to the digits that it was written with. Whole numbers are leaves.
"""

import math
import re
from typing import NamedTuple

from glojax.errors import quoted
from glojax.expressions import grammar
from glojax.expressions.trees import MAX_NODES, Tree

MAX_CHARACTERS = 10_000
"""Longest text of an expression; ``trees.MAX_NODES`` nodes need a tenth of it."""

MAX_NESTING = MAX_NODES
"""Most levels of parentheses, functions and signs in an expression; the text of a tree never has more."""

MAX_EXPONENT = 16
"""Largest exponent of a power that is written as squares, products, a root and a quotient."""

_OPERATORS = {node.symbol: node for node in grammar.OPERATORS}
_VARIABLES = tuple(leaf.symbol for leaf in grammar.VARIABLES)
_OTHER_NAMES = {"ln": "log", "√": "sqrt", "pow": "power"}
_OTHER_SIGNS = str.maketrans("−–×·⋅∗÷", "--****/")
_SUPERSCRIPTS = {"²": 2.0, "³": 3.0}

_PREFIX = re.compile(r"\s*(?:Found loss\s+)?f\s*\(\s*x\s*,\s*y\s*\)\s*=")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\.?\d(?:[eE][-+](?=\d)|[^\W²³]|\.)*)|(?P<name>[A-Za-z_][^\W²³]*|√)"
    r"|(?P<sign>\*\*|[-+*/(),^²³])|(?P<other>\S))"
)
_REAL = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)


def _is_made_of_squares(exponent: float) -> bool:
    return 0 < abs(exponent) <= MAX_EXPONENT and (2 * exponent).is_integer()


class _Part(NamedTuple):
    tree: Tree
    coefficients: tuple[float, ...]  # of its nodes, in pre-order
    is_real: bool = False  # a real number, which may become a coefficient

    def scaled(self, factor: float) -> "_Part":
        return _Part(self.tree, (factor * self.coefficients[0], *self.coefficients[1:]), self.is_real)


def parse(text: str) -> Tree:
    """Parse an expression without real numbers; the inverse of ``str(tree)``.

    A minus before anything but a number is a product with -1.

    Args:
      text: variables ``x`` and ``y``, ``prior`` and ``progress``, integers, the grammar's functions, ``+ - * /``,
        powers, and parentheses; at most ``MAX_CHARACTERS`` characters, ``MAX_NESTING`` levels of nesting and
        ``MAX_NODES`` nodes.

    Returns:
      The tree.

    Raises:
      ValueError: the expression is wrong; the message has the column, from 1, and what is expected there.

    Example:
        parse("log(y) - x / y").size  # 6
    """
    return _Parser(text, reals=False).expression().tree


def parse_with_coefficients(text: str) -> tuple[Tree, tuple[float, ...]]:
    """Parse an expression with real numbers; the inverse of ``str(loss)``, to the digits in the text.

    A real number, one with a point or an exponent, is the coefficient of what it multiplies; elsewhere it is that of a
    leaf 1. The text may begin with ``f(x, y) =``.

    Args:
      text: as for ``parse``, with real numbers.

    Returns:
      The tree, and a coefficient for each node in pre-order.

    Raises:
      ValueError: as by ``parse``; also a number beyond the range of float64.

    Example:
        parse_with_coefficients("0.5 * log(y) - 2.0 * x / y")[1]  # (1.0, 0.5, 1.0, 1.0, 2.0, 1.0)
    """
    part = _Parser(text, reals=True).expression()
    return part.tree, part.coefficients


class _Parser:
    """Precedence climbing over the infix rows of the grammar."""

    def __init__(self, text: str, reals: bool):
        if not isinstance(text, str):
            raise ValueError(f"parse: an expression is a string, got {type(text).__name__}.")
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"parse: the expression has {len(text)} characters; at most {MAX_CHARACTERS} are allowed.")
        self.text, self.reals = text, reals
        prefix = _PREFIX.match(text)
        matches = _TOKEN.finditer(text.translate(_OTHER_SIGNS), prefix.end() if prefix else 0)
        self.tokens = [(match[match.lastgroup or 0], match.start(match.lastgroup or 0)) for match in matches]
        self.place = 0
        self.nesting = 0
        self.size = 0

    @property
    def token(self) -> str:
        return self.tokens[self.place][0] if self.place < len(self.tokens) else ""

    def fail(self, expected: str) -> ValueError:
        at_end = self.place >= len(self.tokens)
        column = len(self.text) + 1 if at_end else self.tokens[self.place][1] + 1
        found = "the end" if at_end else quoted(self.token)
        return ValueError(f"parse: column {column} of {quoted(self.text)}: expected {expected}, found {found}.")

    def expression(self) -> _Part:
        part = self.infix(grammar.SUM)
        if self.token:
            raise self.fail("an operator or the end")
        return part

    def infix(self, binds: int) -> _Part:
        part = self.operand()
        while True:
            row = _OPERATORS.get(self.token)
            if row is None or row.arity != 2 or row.text.binds < binds:
                return part
            self.place += 1
            right = self.infix(row.text.binds + 1)
            if row.symbol == "*" and (part.is_real or right.is_real):
                self.size -= 1  # of the leaf that the number was
                real, other = (part, right) if part.is_real else (right, part)
                part = other.scaled(real.coefficients[0])
            else:
                part = self.node(row.symbol, part, right)

    def operand(self) -> _Part:
        """A power, or what a sign stands before."""
        if self.token not in ("-", "+"):
            part = self.primary()
            while self.is_power(self.place):
                part = self.power(part)
            return part
        sign = -1 if self.token == "-" else 1
        self.place += 1
        if self.is_number() and not self.is_power(self.place + 1):
            return self.number(sign)
        self.deeper()
        part = self.operand()
        self.nesting -= 1
        return part if sign == 1 else self.node("*", self.node(-1), part)

    def power(self, base: _Part) -> _Part:
        sign = self.token
        self.place += 1
        return self.raised(base, _SUPERSCRIPTS[sign] if sign in _SUPERSCRIPTS else self.exponent())

    def is_power(self, place: int) -> bool:
        return place < len(self.tokens) and self.tokens[place][0] in ("**", "^", *_SUPERSCRIPTS)

    def exponent(self) -> float:
        """A number, perhaps with a sign, or in parentheses a number or a fraction."""
        expected = (
            "an exponent: "
            + ("a number other than 0" if self.reals else f"a multiple of 0.5 up to {MAX_EXPONENT}")
            + " (the power of any two expressions is power(a, b))"
        )
        inside = self.token == "("
        self.place += inside
        sign = -1.0 if self.token == "-" else 1.0
        self.place += self.token in ("-", "+")
        value = sign * self.real(expected)
        if inside and self.token == "/":
            self.place += 1
            divisor = self.real(expected)
            value = value / divisor if divisor else math.inf
        if inside:
            if self.token != ")":
                raise self.fail("')'")
            self.place += 1
        allowed = value != 0 and math.isfinite(value) and (self.reals or _is_made_of_squares(value))
        if not allowed or self.is_power(self.place):
            self.place -= 1
            raise self.fail(expected)
        return value

    def raised(self, base: _Part, exponent: float) -> _Part:
        """A power as squares, products, a root and a quotient; with any other exponent as the operator."""
        base = base._replace(is_real=False)
        if not _is_made_of_squares(exponent):
            return self.node("power", base, self.node(1)._replace(coefficients=(exponent,)))
        if exponent < 0:
            return self.node("/", self.node(1), self.raised(base, -exponent))
        if exponent == 0.5:
            return self.node("sqrt", base)
        if exponent == 1:
            return base
        if exponent % 2 == 0:
            return self.node("square", self.raised(base, exponent / 2))
        # What is left of an odd exponent is 1, and of a half one a root.
        first = 1.0 if exponent % 1 == 0 else 0.5
        self.grow(base.tree.size)
        return self.node("*", self.raised(base, first), self.raised(base, exponent - first))

    def primary(self) -> _Part:
        token = _OTHER_NAMES.get(self.token, self.token)
        if token == "(":
            return self.arguments(1)[0]
        if token in _VARIABLES:
            self.place += 1
            return self.node(token)
        row = _OPERATORS.get(token)
        if row is not None and row.text.binds == grammar.ATOM:
            is_root = self.token == "√"
            self.place += 1
            return self.node(token, *([self.under_root()] if is_root else self.arguments(row.arity)))
        if self.is_number():
            return self.number(1)
        functions = [str(node.symbol) for node in grammar.OPERATORS if node.text.binds == grammar.ATOM]
        number = "a number" if self.reals else "an integer"
        raise self.fail(f"{', '.join(map(str, _VARIABLES))}, {number}, {', '.join(functions)}, '-' or '('")

    def under_root(self) -> _Part:
        self.deeper()
        part = self.primary()
        self.nesting -= 1
        return part

    def is_number(self) -> bool:
        return self.token[:1].isdigit() or (self.token[:1] == "." and self.token[1:2].isdigit())

    def number(self, sign: int) -> _Part:
        if self.token.isascii() and self.token.isdigit():
            if len(self.token) > 9 or int(self.token) > grammar.MAX_INTEGER:
                raise self.fail(f"an integer of magnitude at most {grammar.MAX_INTEGER}")
            value = sign * int(self.token)
            self.place += 1
            return self.node(value)
        if not self.reals:
            hint = " (a real number is a coefficient: it goes with the text to glojax.Loss)"
            raise self.fail(f"an integer{hint * bool(_REAL.fullmatch(self.token))}")
        value = sign * self.real("a number such as 2, 0.5 or 1e-3")
        return self.node(1)._replace(coefficients=(value,), is_real=True)

    def real(self, expected: str) -> float:
        """The value of a number of any form."""
        if not _REAL.fullmatch(self.token):
            raise self.fail(expected)
        value = float(self.token)
        if not math.isfinite(value):
            raise self.fail("a finite number")
        self.place += 1
        return value

    def arguments(self, count: int) -> list[_Part]:
        """So many expressions in parentheses, with commas between them."""
        if self.token != "(":
            raise self.fail("'('")
        self.place += 1
        self.deeper()
        parts = []
        for closing in [*[","] * (count - 1), ")"]:
            parts.append(self.infix(grammar.SUM))
            if self.token != closing:
                raise self.fail(f"an operator or '{closing}'")
            self.place += 1
        self.nesting -= 1
        return parts

    def deeper(self) -> None:
        # Each level takes up to five calls; Python allows 1,000 in all.
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.fail(f"at most {MAX_NESTING} levels of nesting")

    def node(self, symbol: str | int, *children: _Part) -> _Part:
        self.grow(1)
        coefficients = tuple(value for child in children for value in child.coefficients)
        return _Part(Tree(symbol, tuple(child.tree for child in children)), (1.0, *coefficients))

    def grow(self, nodes: int) -> None:
        self.size += nodes
        if self.size > MAX_NODES:
            raise ValueError(f"parse: the expression has more than {MAX_NODES} nodes.")
