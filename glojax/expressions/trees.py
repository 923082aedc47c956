"""Trees: the candidates of a search, which are parsed, written, grown at random, enumerated and evaluated.

A ``Tree`` is an element-wise function f(x, y) of the label x and the prediction y. The loss of a sample is minus its
sum over the classes (arXiv 1905.11528, section III). ``log(y) - x / y`` is the Baikal loss.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glojax.errors import quoted
from glojax.expressions import grammar
from glojax.expressions.grammar import Notation

MAX_NODES = 128
"""Largest number of nodes of any tree; searches have a smaller bound of their own."""

MAX_CHARACTERS = 10_000
"""Longest text of an expression; ``MAX_NODES`` nodes need a tenth of it."""

MAX_NESTING = MAX_NODES
"""Most levels of parentheses, functions and signs in an expression; the text of a tree never has more."""

_OPERATORS = {node.symbol: node for node in grammar.OPERATORS}
_VARIABLES = tuple(leaf.symbol for leaf in grammar.LEAVES if isinstance(leaf.symbol, str))


@dataclass(frozen=True, slots=True)
class Tree:
    """A node of an expression with its subtrees. Its text is ``str(tree)``.

    Attributes:
      symbol: an operator or a variable of the grammar, or an integer.
      children: one subtree for each operand.
      size: number of nodes.

    Raises:
      ValueError: the symbol is unknown, the number of children is wrong, a child is no tree, an integer is beyond
        ``grammar.MAX_INTEGER``, or there are more than ``MAX_NODES`` nodes.

    Example:
        Tree("*", (Tree("x"), Tree("log", (Tree("y"),)))) == parse("x * log(y)")
    """

    symbol: str | int
    children: tuple["Tree", ...] = ()
    size: int = field(init=False, compare=False, repr=False)  # stored, as breeding asks every node for it

    def __post_init__(self) -> None:
        size = 1
        for child in self.children if isinstance(self.children, tuple) else (self.children,):
            if not isinstance(child, Tree):
                raise ValueError(f"Tree.children is {quoted(self.children)}; a tuple of trees is expected.")
            size += child.size
        object.__setattr__(self, "size", size)
        arity = _arity(self.symbol)
        if len(self.children) != arity:
            raise ValueError(f"Tree: {self.symbol!r} takes {arity} operands, got {len(self.children)}.")
        if arity and self.size > MAX_NODES:
            raise ValueError(f"Tree has {self.size} nodes; at most {MAX_NODES} are allowed.")

    def __str__(self) -> str:
        return write(self, lambda node: node.text)

    @property
    def depth(self) -> int:
        """The number of edges from the root to the deepest leaf; 0 for a leaf."""
        return 1 + max(child.depth for child in self.children) if self.children else 0

    def nodes(self) -> Iterator["Tree"]:
        """Yield every subtree in pre-order: the root, then the nodes of each child. Its place is a node's index."""
        yield self
        for child in self.children:
            yield from child.nodes()

    def replaced(self, index: int, subtree: "Tree") -> "Tree":
        """Make a copy of this tree in which ``subtree`` replaces a node.

        Args:
          index: pre-order index of the node.
          subtree: what replaces it.

        Raises:
          IndexError: ``index`` is beyond the tree's nodes.
          ValueError: the copy would have more than ``MAX_NODES`` nodes.
        """
        if index == 0:
            return subtree
        index -= 1
        children = list(self.children)
        for place, child in enumerate(children):
            if index < child.size:
                children[place] = child.replaced(index, subtree)
                return Tree(self.symbol, tuple(children))
            index -= child.size
        raise IndexError("Tree.replaced: index is beyond the tree's nodes.")

    def depends_on(self, variable: str) -> bool:
        """Tell whether the leaf ``variable``, ``"x"`` or ``"y"``, occurs."""
        return any(node.symbol == variable for node in self.nodes())

    @property
    def has_x_and_y(self) -> bool:
        """Whether both variables occur, which a loss requires (arXiv 1905.11528, section III-A)."""
        return all(self.depends_on(variable) for variable in _VARIABLES)


def _arity(symbol: str | int) -> int:
    if isinstance(symbol, int) and not isinstance(symbol, bool):
        if abs(symbol) > grammar.MAX_INTEGER:
            raise ValueError(f"Tree: the integer {quoted(symbol)} is beyond ±{grammar.MAX_INTEGER}.")
        return 0
    if isinstance(symbol, str):
        if symbol in _OPERATORS:
            return _OPERATORS[symbol].arity
        if symbol in _VARIABLES:
            return 0
    allowed = [*_OPERATORS, *_VARIABLES, "an integer"]
    raise ValueError(f"Tree: unknown symbol {quoted(symbol)}; allowed are {', '.join(map(str, allowed))}.")


# WRITING


def write(
    tree: Tree,
    notation: Callable[[grammar.Node], Notation],
    protected: bool = False,
    coefficients: Sequence[str] | None = None,
) -> str:
    """Write a tree in one of the grammar's notations.

    Args:
      tree: the tree.
      notation: picks the notation from a row, for example ``lambda node: node.latex``.
      protected: write the protected operators. Defaults to False.
      coefficients: text of the factor of each node in pre-order; an empty text writes none. Defaults to none.

    Returns:
      The text, with no more parentheses than the notation requires.
    """
    rows = {node.symbol: node for node in grammar.operators(protected)} | {leaf.symbol: leaf for leaf in grammar.LEAVES}
    product = notation(rows["*"])
    factors = iter(coefficients if coefficients is not None else [""] * tree.size)

    def bracketed(text: str, binds: int, place: int) -> str:
        return text if binds >= place else f"({text})"

    def visit(node: Tree) -> tuple[str, int]:
        factor = next(factors)
        row = rows.get(node.symbol) or grammar.leaf(node.symbol, 0)
        style = notation(row)
        operands = [bracketed(*visit(child), place) for child, place in zip(node.children, style.operands, strict=True)]
        text, binds = style.template.format(*operands), style.binds
        if factor:
            text = product.template.format(factor, bracketed(text, binds, product.operands[1]))
            binds = product.binds
        return text, binds

    return visit(tree)[0]


# PARSING

_TOKEN = re.compile(r"\s*(?:(?P<number>\d[\w.]*)|(?P<name>[A-Za-z_]\w*)|(?P<sign>[-+*/()])|(?P<other>\S))")


def parse(text: str) -> Tree:
    """Parse an expression; the inverse of ``str(tree)``.

    A minus before anything but a number is a product with -1.

    Args:
      text: variables ``x`` and ``y``, integers, the grammar's functions, ``+ - * /`` and parentheses; at most
        ``MAX_CHARACTERS`` characters, ``MAX_NESTING`` levels of nesting and ``MAX_NODES`` nodes.

    Returns:
      The tree.

    Raises:
      ValueError: the expression is wrong; the message has the column, from 1, and what is expected there.

    Example:
        parse("log(y) - x / y").size  # 6
    """
    if not isinstance(text, str):
        raise ValueError(f"parse: an expression is a string, got {type(text).__name__}.")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"parse: the expression has {len(text)} characters; at most {MAX_CHARACTERS} are allowed.")
    return _Parser(text).expression()


class _Parser:
    """Precedence climbing over the infix rows of the grammar."""

    def __init__(self, text: str):
        self.text = text
        self.tokens = [
            (match[match.lastgroup or 0], match.start(match.lastgroup or 0)) for match in _TOKEN.finditer(text)
        ]
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

    def expression(self) -> Tree:
        tree = self.infix(grammar.SUM)
        if self.token:
            raise self.fail("an operator or the end")
        return tree

    def infix(self, binds: int) -> Tree:
        tree = self.operand()
        while True:
            row = _OPERATORS.get(self.token)
            if row is None or row.arity != 2 or row.text.binds < binds:
                return tree
            self.place += 1
            tree = self.node(row.symbol, (tree, self.infix(row.text.binds + 1)))

    def operand(self) -> Tree:
        token = self.token
        if token == "-":
            self.place += 1
            if self.token.isdigit():
                return self.integer(-1)
            self.deeper()
            negated = self.operand()
            self.nesting -= 1
            return self.node("*", (self.node(-1), negated))
        if token == "(":
            return self.parenthesized()
        if token in _VARIABLES:
            self.place += 1
            return self.node(token)
        row = _OPERATORS.get(token)
        if row is not None and row.arity == 1:
            self.place += 1
            return self.node(token, (self.parenthesized(),))
        if token[:1].isdigit():
            return self.integer(1)
        functions = [str(node.symbol) for node in grammar.OPERATORS if node.arity == 1]
        raise self.fail(f"{', '.join(map(str, _VARIABLES))}, an integer, {', '.join(functions)}, '-' or '('")

    def integer(self, sign: int) -> Tree:
        if not (self.token.isascii() and self.token.isdigit()):
            raise self.fail("an integer (real coefficients are given beside the tree, not in it)")
        if len(self.token) > 9 or int(self.token) > grammar.MAX_INTEGER:
            raise self.fail(f"an integer of magnitude at most {grammar.MAX_INTEGER}")
        value = sign * int(self.token)
        self.place += 1
        return self.node(value)

    def parenthesized(self) -> Tree:
        if self.token != "(":
            raise self.fail("'('")
        self.place += 1
        self.deeper()
        tree = self.infix(grammar.SUM)
        self.nesting -= 1
        if self.token != ")":
            raise self.fail("an operator or ')'")
        self.place += 1
        return tree

    def deeper(self) -> None:
        # Each level takes three calls; Python allows 1,000 in all.
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.fail(f"at most {MAX_NESTING} levels of nesting")

    def node(self, symbol: str | int, children: tuple[Tree, ...] = ()) -> Tree:
        self.size += 1
        if self.size > MAX_NODES:
            raise ValueError(f"parse: the expression has more than {MAX_NODES} nodes.")
        return Tree(symbol, children)


# GROWING AND ENUMERATING


def draw_symbol(random: np.random.Generator, arity: int | None = None) -> str | int:
    """Draw a symbol by the grammar's weights.

    Args:
      random: the source of randomness.
      arity: draw among the nodes with this number of operands. Defaults to all nodes.
    """
    rows = [node for node in grammar.NODES if arity is None or node.arity == arity]
    weights = np.array([row.weight for row in rows], dtype=float)
    return rows[random.choice(len(rows), p=weights / weights.sum())].symbol


def grow(random: np.random.Generator, max_depth: int = 2) -> Tree:
    """Grow a random tree from the root (arXiv 1905.11528, section III-A).

    Each node is drawn by weight among all nodes, and at ``max_depth`` among the leaves.

    Args:
      random: the source of randomness.
      max_depth: largest depth of the tree. Defaults to 2.
    """
    symbol = draw_symbol(random, arity=0 if max_depth == 0 else None)
    return Tree(symbol, tuple(grow(random, max_depth - 1) for _ in range(_arity(symbol))))


def enumerate_trees(depth: int) -> Iterator[Tree]:
    """Yield every tree of depth at most ``depth`` over the leaves x, y, 1 and -1, each once.

    There are 4, 80 and 25,844 trees of depth at most 0, 1 and 2, and 2.7 billion of depth at most 3. Only trees of
    depth below ``depth`` are kept in memory.

    Args:
      depth: largest depth; a leaf has depth 0.

    Raises:
      ValueError: ``depth`` is negative.
    """
    if depth < 0:
        raise ValueError(f"enumerate_trees: depth is {depth}; it must be at least 0.")
    yield from (Tree(leaf.symbol) for leaf in grammar.LEAVES)
    if depth == 0:
        return
    operands = list(enumerate_trees(depth - 1))
    for operator in grammar.OPERATORS:
        if operator.arity == 1:
            yield from (Tree(operator.symbol, (operand,)) for operand in operands)
        else:
            yield from (Tree(operator.symbol, (left, right)) for left in operands for right in operands)


def count_trees(depth: int) -> int:
    """Count the trees that ``enumerate_trees`` yields."""
    count = len(grammar.LEAVES)
    for _ in range(depth):
        count = len(grammar.LEAVES) + sum(count**operator.arity for operator in grammar.OPERATORS)
    return count


# EVALUATING


def evaluate(
    tree: Tree, x: Any, y: Any, xp: Any, protected: bool = False, coefficients: Sequence[Any] | None = None
) -> Any:
    """Compute f(x, y) node by node in the array library ``xp``.

    Args:
      tree: f(x, y).
      x: labels: an array or a symbol.
      y: predictions, which broadcast with ``x``.
      xp: ``numpy``, ``jax.numpy``, or a symbolic namespace that has ``asarray`` and what the grammar's rows call.
      protected: use the protected operators. Defaults to False.
      coefficients: the factor of each node's value in pre-order. Defaults to all 1.

    Returns:
      The value, of the shape to which x and y broadcast; a scalar if f uses neither.

    Example:
        evaluate(parse("x * log(y)"), labels, predictions, numpy)
    """
    rows = {node.symbol: node for node in grammar.operators(protected)}
    variables: dict[str | int, Any] = {"x": x, "y": y}
    factors = iter(coefficients) if coefficients is not None else None

    def visit(node: Tree) -> Any:
        factor = next(factors) if factors is not None else None
        if node.symbol in rows:
            function = rows[node.symbol].value
            assert function is not None
            value = function(xp, *(visit(child) for child in node.children))
        else:
            value = variables.get(node.symbol)
            if value is None:
                value = xp.asarray(node.symbol, dtype=getattr(y, "dtype", None))
        return value if factor is None else factor * value

    return visit(tree)
