"""The canonical form of a tree, under which the search remembers its fitness.

Trees with the same canonical form are the same function of x in {0, 1} and y in (0, 1) in exact arithmetic, and they
are not finite at the same points. A rule that could turn NaN into a number, such as ``0 * log(x)`` into 0, is applied
only where the term is provably finite. So a candidate never gets a fitness that its own training would not have given.
"""

import math
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from glojax.expressions import grammar, trees
from glojax.expressions.trees import Tree

_ONE = Tree(1)


@lru_cache(maxsize=2**12)
def canonical(tree: Tree) -> Tree:
    """Rewrite a tree to the form that it shares with all its equals under the rules below.

    Sums and products are flattened and sorted. Equal terms and factors are collected: ``y + y`` becomes ``2 * y``,
    and ``y * y`` becomes ``square(y)``. Identities are removed, integers are folded and distributed over sums, and
    signs are pulled out of products, quotients and squares.

    Args:
      tree: any tree.

    Returns:
      The canonical form, which is its own canonical form. It is the tree itself if an integer would exceed
      ``grammar.MAX_INTEGER``, or the form ``trees.MAX_NODES``.

    Example:
        str(canonical(parse("y + y - 1 * x")))  # "2 * y - x"
    """
    try:
        return _to_tree(_sum_of(tree))
    except _TooLarge:
        return tree


class _TooLarge(Exception):
    """An integer or a tree exceeds its bound."""


_Sum = Mapping[Tree, int]
"""A subtree as a sum: the integer multiple of each term. The constant is the multiple of the term 1."""


@lru_cache(maxsize=2**13)
def _sum_of(tree: Tree) -> _Sum:
    symbol = tree.symbol
    if isinstance(symbol, int):
        return {_ONE: symbol}
    if not tree.children:
        return {tree: 1}
    operands = [_sum_of(child) for child in tree.children]
    if symbol in ("+", "-"):
        return _add(symbol, *operands)
    if symbol == "square":
        return _multiply(operands[0], operands[0])
    if symbol == "*":
        return _multiply(*operands)
    if symbol == "/":
        return _divide(*operands)
    return _apply(symbol, tuple(_to_tree(operand) for operand in operands))


def _add(symbol: str, left: _Sum, right: _Sum) -> _Sum:
    sign = 1 if symbol == "+" else -1
    if any(_clash(left[term], sign * right[term]) and not _finite(term) for term in left.keys() & right.keys()):
        return {_bounded_tree(symbol, (_to_tree(left), _to_tree(right))): 1}
    total = dict(left)
    for term, multiple in right.items():
        total[term] = _bounded(total.get(term, 0) + sign * multiple)
    return _without_zeros(total)


def _clash(one: int, other: int) -> bool:
    """Tell whether two multiples of an infinite term add up to NaN while the collected one is infinite.

    The two differ: 1 / infinity is 0, and 1 / NaN is NaN.
    """
    return one * other <= 0 and one + other != 0


def _multiply(left: _Sum, right: _Sum) -> _Sum:
    for constant, other in ((left, right), (right, left)):
        if (value := _constant(constant)) is not None:
            return _times(value, other)
    (left_content, left_part), (right_content, right_part) = _content(left), _content(right)
    return _times(left_content * right_content, {_product(_factors(left_part) + _factors(right_part)): 1})


def _divide(numerator: _Sum, denominator: _Sum) -> _Sum:
    (above, top), (below, bottom) = _content(numerator), _content(denominator)
    if below == 0:
        return {Tree("/", (top, _to_tree(denominator))): above}
    if top == bottom and _positive(top):
        top = bottom = _ONE
    shared = math.gcd(above, below) * (1 if below > 0 else -1)
    above, below = above // shared, below // shared
    if bottom == _ONE and below == 1:
        return _times(above, _sum_of(top))
    return _times(above, {_bounded_tree("/", (top, _scaled(below, bottom))): 1})


def _apply(symbol: str | int, operands: tuple[Tree, ...]) -> _Sum:
    """Apply a function without rules of its own, folded if a constant operand gives an exact integer."""
    operand = operands[0].symbol
    if symbol == "log" and operand == 1:
        return {}
    if symbol == "sqrt" and isinstance(operand, int) and operand >= 0 and math.isqrt(operand) ** 2 == operand:
        return {_ONE: math.isqrt(operand)} if operand else {}
    return {Tree(symbol, operands): 1}


def _constant(total: _Sum) -> int | None:
    return total.get(_ONE, 0) if all(term == _ONE for term in total) else None


def _content(total: _Sum) -> tuple[int, Tree]:
    """Split a sum into an integer and a tree whose multiples share no factor and whose first term is positive."""
    if not total:
        return 0, _ONE
    content = math.gcd(*total.values())
    if content == 0:  # all terms are 0 where they are finite
        return 0, _to_tree(dict.fromkeys(total, 1))
    if _ordered(total)[0][1] < 0:
        content = -content
    return content, _to_tree({term: multiple // content for term, multiple in total.items()})


def _times(value: int, total: _Sum) -> _Sum:
    return _without_zeros({term: _bounded(value * multiple) for term, multiple in total.items()})


def _without_zeros(total: _Sum) -> _Sum:
    return {term: multiple for term, multiple in total.items() if multiple or not _finite(term)}


def _factors(part: Tree) -> Counter[Tree]:
    if part.symbol == "*":
        return _factors(part.children[0]) + _factors(part.children[1])
    if part.symbol == "square":
        return _factors(part.children[0]) + _factors(part.children[0])
    return Counter() if part == _ONE else Counter([part])


def _product(factors: Counter[Tree]) -> Tree:
    ordered = sorted(factors.items(), key=lambda item: str(item[0]))
    squares = [_bounded_tree("square", (factor,)) for factor, power in ordered for _ in range(power // 2)]
    singles = [factor for factor, power in ordered if power % 2]
    return _chain("*", squares + singles)


def _ordered(total: _Sum) -> list[tuple[Tree, int]]:
    """Sort terms by their text, with the constant last and, if there is one, a positive term first."""
    ordered = sorted(total.items(), key=lambda item: (item[0] == _ONE, str(item[0])))
    first = next((place for place, (_, multiple) in enumerate(ordered) if multiple > 0), 0)
    return [ordered[first], *ordered[:first], *ordered[first + 1 :]]


def _to_tree(total: _Sum) -> Tree:
    if not total:
        return Tree(0)
    (term, multiple), *rest = _ordered(total)
    tree = _scaled(multiple, term)
    for term, multiple in rest:
        tree = _bounded_tree("+" if multiple >= 0 else "-", (tree, _scaled(abs(multiple), term)))
    return tree


def _scaled(multiple: int, term: Tree) -> Tree:
    if term == _ONE:
        return Tree(multiple)
    return term if multiple == 1 else _bounded_tree("*", (Tree(_bounded(multiple)), term))


def _chain(symbol: str, operands: list[Tree]) -> Tree:
    tree, *rest = operands
    for operand in rest:
        tree = _bounded_tree(symbol, (tree, operand))
    return tree


def _bounded(integer: int) -> int:
    if abs(integer) > grammar.MAX_INTEGER:
        raise _TooLarge
    return integer


def _bounded_tree(symbol: str, children: tuple[Tree, ...]) -> Tree:
    if 1 + sum(child.size for child in children) > trees.MAX_NODES:
        raise _TooLarge
    return Tree(symbol, children)


def _positive(tree: Tree) -> bool:
    """Tell whether the tree is provably finite and above 0 for every x in {0, 1} and y in (0, 1)."""
    if isinstance(tree.symbol, int):
        return tree.symbol > 0
    if tree.symbol in ("+", "*", "/", "square", "sqrt"):
        return all(_positive(child) for child in tree.children)
    return tree.symbol in ("y", "prior")


def _finite(tree: Tree) -> bool:
    """Tell whether the tree is provably finite for every x in {0, 1} and y in (0, 1)."""
    if not tree.children:
        return True
    if tree.symbol == "sqrt":
        return tree.children[0].symbol == "x" or _positive(tree.children[0])
    if tree.symbol == "log":
        return _positive(tree.children[0])
    if tree.symbol == "/":
        return _finite(tree.children[0]) and _positive(tree.children[1])
    return tree.symbol in ("+", "-", "*", "square") and all(_finite(child) for child in tree.children)
