"""Trees: the candidates of a search, which are written, grown at random, enumerated and evaluated.

A ``Tree`` is an element-wise function f(x, y) of the label x and the prediction y. The loss of a sample is minus its
sum over the classes (arXiv 1905.11528, section III). ``log(y) - x / y`` is the Baikal loss.
"""

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from glojax.errors import quoted
from glojax.expressions import grammar
from glojax.expressions.grammar import OF_PAPER, Notation, Vocabulary

MAX_NODES = 128
"""Largest number of nodes of any tree; searches have a smaller bound of their own."""

_OPERATORS = {node.symbol: node for node in grammar.OPERATORS}
_VARIABLES = tuple(str(leaf.symbol) for leaf in grammar.VARIABLES)
_OWN = {variable: 1 << place for place, variable in enumerate(_VARIABLES)}
_BOTH = _OWN["x"] | _OWN["y"]

OPERATOR = 2 * grammar.MAX_INTEGER
"""The code of the grammar's first operator, less the size of its subtree."""

VARIABLE = OPERATOR - len(_VARIABLES)
"""The code of the first of ``grammar.VARIABLES``, which is x."""


def _int32(number: Any) -> bytes:
    return int(number).to_bytes(4, sys.byteorder, signed=True)


_Heads = tuple[int, int, Mapping[int, bytes] | None]
"""Of a symbol: how many operands it takes, the bit of a variable, and what its code begins with, by the tree's size."""

_UNKNOWN: _Heads = (0, 0, None)
_HEADS: Mapping[str, _Heads] = {
    str(symbol): (node.arity, 0, {size: _int32(OPERATOR + 256 * place + size) for size in range(MAX_NODES + 1)})
    for place, (symbol, node) in enumerate(_OPERATORS.items())
} | {name: (0, _OWN[name], {1: _int32(VARIABLE + place)}) for place, name in enumerate(_VARIABLES)}


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Tree:
    """A node of an expression with its subtrees. Its text is ``str(tree)``.

    Attributes:
      symbol: an operator or a variable of the grammar, or an integer.
      children: one subtree for each operand.
      size: number of nodes.
      code: the nodes in pre-order as int32, from which ``programs.encode`` reads many trees at once. An integer is
        itself, a variable is ``VARIABLE`` plus its place among the grammar's leaves, and an operator is ``OPERATOR``
        plus 256 times its place in the grammar plus the size of its subtree.

    Raises:
      ValueError: the symbol is unknown, the number of children is wrong, a child is no tree, an integer is beyond
        ``grammar.MAX_INTEGER``, or there are more than ``MAX_NODES`` nodes.

    Example:
        Tree("*", (Tree("x"), Tree("log", (Tree("y"),)))) == parse("x * log(y)")
    """

    symbol: str | int
    children: tuple["Tree", ...]
    # Stored, as a search makes and compares trees more often than it does anything else with them.
    size: int = field(repr=False)
    code: bytes = field(repr=False)
    _variables: int = field(repr=False)  # a bit for each that occurs

    def __init__(self, symbol: str | int, children: tuple["Tree", ...] = ()) -> None:
        size, variables = 1, 0
        for child in children if isinstance(children, tuple) else (None,):
            if not isinstance(child, Tree):
                raise ValueError(f"Tree.children is {quoted(children)}; a tuple of trees is expected.")
            size += child.size
            variables |= child._variables
        arity, own, heads = _HEADS.get(symbol, _UNKNOWN) if isinstance(symbol, str) else _UNKNOWN
        if heads is None:
            arity, heads = _arity(symbol), {1: _int32(symbol)}
        if len(children) != arity:
            raise ValueError(f"Tree: {symbol!r} takes {arity} operands, got {len(children)}.")
        if size > MAX_NODES:
            raise ValueError(f"Tree has {size} nodes; at most {MAX_NODES} are allowed.")
        _set_symbol(self, symbol)
        _set_children(self, children)
        _set_size(self, size)
        _set_code(self, heads[size] + b"".join([child.code for child in children]))
        _set_variables(self, variables | own)

    def __eq__(self, other: object) -> bool:
        return self.code == other.code if isinstance(other, Tree) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.code)

    def __reduce__(self) -> tuple[type["Tree"], tuple[str | int, tuple["Tree", ...]]]:
        return Tree, (self.symbol, self.children)  # hashes of text differ between processes

    def __str__(self) -> str:
        return _text(self)[0]

    @property
    def depth(self) -> int:
        """The number of edges from the root to the deepest leaf; 0 for a leaf."""
        return 1 + max(child.depth for child in self.children) if self.children else 0

    def nodes(self) -> Iterator["Tree"]:
        """Yield every subtree in pre-order: the root, then the nodes of each child. Its place is a node's index."""
        waiting: list[Tree] = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))

    def node(self, index: int) -> "Tree":
        """The subtree at a pre-order index.

        Raises:
          IndexError: ``index`` is beyond the tree's nodes.
        """
        if not 0 <= index < self.size:
            raise IndexError("Tree.node: index is beyond the tree's nodes.")
        node = self
        while index:
            index -= 1
            for child in node.children:
                if index < child.size:
                    node = child
                    break
                index -= child.size
        return node

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
        """Tell whether the leaf ``variable``, such as ``"x"`` or ``"y"``, occurs."""
        return bool(self._variables & _OWN.get(variable, 0))

    @property
    def is_constant(self) -> bool:
        """Whether its leaves are all integers."""
        return not self._variables

    @property
    def has_x_and_y(self) -> bool:
        """Whether both x and y occur, which a loss requires (arXiv 1905.11528, section III-A)."""
        return self._variables & _BOTH == _BOTH


# What object.__setattr__ does for a frozen class, in two thirds of the time.
_set_symbol, _set_children, _set_size, _set_code, _set_variables = (
    getattr(Tree, name).__set__ for name in ("symbol", "children", "size", "code", "_variables")
)


def check_candidate(tree: Tree, max_nodes: int) -> None:
    """Check a tree from outside.

    Raises:
      ValueError: it lacks x or y, or has too many nodes.
    """
    if not tree.has_x_and_y:
        raise ValueError(f"{quoted(str(tree))} lacks {'y' if tree.depends_on('x') else 'x'}; a loss has both x and y.")
    if tree.size > max_nodes:
        raise ValueError(f"{quoted(str(tree))} has {tree.size} nodes; at most {max_nodes} are allowed (max_nodes).")


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
    rows = {node.symbol: node for node in (*grammar.operators(protected), *grammar.LEAVES, *grammar.VARIABLES)}
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


@lru_cache(maxsize=2**14)
def _text(tree: Tree) -> tuple[str, int]:
    """What ``write`` gives in the grammar's notation, and how tightly it binds; small trees are met again and again."""
    style = (_OPERATORS.get(tree.symbol) or grammar.leaf(tree.symbol, 0)).text
    operands = [
        text if binds >= place else f"({text})"
        for (text, binds), place in zip(map(_text, tree.children), style.operands, strict=True)
    ]
    return style.template.format(*operands), style.binds


# GROWING AND ENUMERATING


def draw_symbol(random: np.random.Generator, arity: int | None = None, vocabulary: Vocabulary = OF_PAPER) -> str | int:
    """Draw a symbol by the grammar's weights.

    Args:
      random: the source of randomness.
      arity: draw among the nodes with this number of operands, of which there must be one. Defaults to all nodes.
      vocabulary: what is drawn from. Defaults to that of the paper.
    """
    symbols, shares = _drawn(arity, vocabulary)
    return symbols[bisect_right(shares, random.random())]


@lru_cache
def _drawn(arity: int | None, vocabulary: Vocabulary) -> tuple[list[str | int], list[float]]:
    """Symbols with this number of operands, and the sums of their shares of the weight."""
    rows = [node for node in vocabulary.nodes() if arity is None or node.arity == arity]
    shares = np.cumsum(np.array([row.weight for row in rows], dtype=float))
    return [row.symbol for row in rows], (shares / shares[-1]).tolist()


def grow(random: np.random.Generator, max_depth: int = 2, vocabulary: Vocabulary = OF_PAPER) -> Tree:
    """Grow a random tree from the root (arXiv 1905.11528, section III-A).

    Each node is drawn by weight among all nodes, and at ``max_depth`` among the leaves.

    Args:
      random: the source of randomness.
      max_depth: largest depth of the tree. Defaults to 2.
      vocabulary: what is drawn from. Defaults to that of the paper.
    """
    symbol = draw_symbol(random, 0 if max_depth == 0 else None, vocabulary)
    return Tree(symbol, tuple(grow(random, max_depth - 1, vocabulary) for _ in range(_arity(symbol))))


def enumerate_trees(depth: int, vocabulary: Vocabulary = OF_PAPER) -> Iterator[Tree]:
    """Yield every tree of depth at most ``depth`` over the leaves x, y, 1 and -1, and those that it names, each once.

    There are 4, 80 and 25,844 trees of depth at most 0, 1 and 2 of the paper's operators, and 2.7 billion of depth at
    most 3. Only trees of depth below ``depth`` are kept in memory.

    Args:
      depth: largest depth; a leaf has depth 0.
      vocabulary: what trees are made of. Defaults to that of the paper.

    Raises:
      ValueError: ``depth`` is negative.
    """
    if depth < 0:
        raise ValueError(f"enumerate_trees: depth is {depth}; it must be at least 0.")
    yield from (Tree(leaf.symbol) for leaf in vocabulary.leaf_rows)
    if depth == 0:
        return
    operands = list(enumerate_trees(depth - 1, vocabulary))
    for operator in vocabulary.rows():
        if operator.arity == 1:
            yield from (Tree(operator.symbol, (operand,)) for operand in operands)
        else:
            yield from (Tree(operator.symbol, (left, right)) for left in operands for right in operands)


def count_trees(depth: int, vocabulary: Vocabulary = OF_PAPER) -> int:
    """Count the trees that ``enumerate_trees`` yields."""
    leaves = count = len(vocabulary.leaf_rows)
    for _ in range(depth):
        count = leaves + sum(count**operator.arity for operator in vocabulary.rows())
    return count


# EVALUATING


def evaluate(
    tree: Tree,
    x: Any,
    y: Any,
    xp: Any,
    protected: bool = False,
    coefficients: Sequence[Any] | None = None,
    given: Mapping[str, Any] | None = None,
) -> Any:
    """Compute f(x, y) node by node in the array library ``xp``.

    Args:
      tree: f(x, y).
      x: labels: an array or a symbol.
      y: predictions, which broadcast with ``x``.
      xp: ``numpy``, ``jax.numpy``, or a symbolic namespace that has ``asarray`` and what the grammar's rows call.
      protected: use the protected operators. Defaults to False.
      coefficients: the factor of each node's value in pre-order. Defaults to all 1.
      given: values of other leaves by their names, which broadcast with ``x`` and ``y``. Defaults to none.

    Returns:
      The value, of the shape to which x and y broadcast; a scalar if f uses neither.

    Example:
        evaluate(parse("x * log(y)"), labels, predictions, numpy)
    """
    rows = {node.symbol: node for node in grammar.operators(protected)}
    variables: dict[str | int, Any] = {"x": x, "y": y}
    variables.update(given or {})
    factors = iter(coefficients) if coefficients is not None else None

    def visit(node: Tree) -> Any:
        factor = next(factors) if factors is not None else None
        if node.symbol in rows:
            function = rows[node.symbol].value
            assert function is not None
            value = function(xp, *(visit(child) for child in node.children))
        else:
            is_variable = isinstance(node.symbol, str)
            value = variables[node.symbol] if is_variable else xp.asarray(node.symbol, dtype=getattr(y, "dtype", None))
        return value if factor is None else factor * value

    return visit(tree)
