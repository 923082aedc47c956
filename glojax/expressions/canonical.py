"""Canonical form of a tree, the key of the fitness cache, and the identifiable coefficients of a tree.

Two trees with one canonical form are the same function of x in {0, 1} and y in (0, 1) in exact arithmetic,
points where they are not finite included: a rule that could turn a NaN into a number (``0 * log(x)`` into 0)
is applied only where the dropped term is provably finite, so a cache hit never lends a candidate a fitness
that its own training would not have earned.
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
    """The tree that stands for all its equals under these rules, and for itself: a fixed point.

    Sums and products are flattened and sorted, equal terms and factors collected (``y + y`` is ``2 * y``, ``y * y``
    is ``square(y)``), identities removed, integers folded and distributed over sums, signs pulled outward through
    products, quotients and squares. A tree whose folded integers would exceed ``grammar.MAX_INTEGER``, or whose
    form would exceed ``trees.MAX_NODES``, is its own canonical form.
    """
    try:
        return _to_tree(_sum_of(tree))
    except _TooLarge:
        return tree


class _TooLarge(Exception):
    """An integer or a tree beyond its bound came up on the way."""


# A subtree is worked on as a sum: the integer multiple of each of its terms, the constant under the term 1.
_Sum = Mapping[Tree, int]


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
    """Whether two multiples of an infinite term make NaN, but their sum makes infinity, which 1 / infinity hides."""
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
    """A node without algebra of its own: folded where a constant operand gives an integer exactly."""
    operand = operands[0].symbol
    if symbol == "log" and operand == 1:
        return {}
    if symbol == "sqrt" and isinstance(operand, int) and operand >= 0 and math.isqrt(operand) ** 2 == operand:
        return {_ONE: math.isqrt(operand)} if operand else {}
    return {Tree(symbol, operands): 1}


def _constant(total: _Sum) -> int | None:
    return total.get(_ONE, 0) if all(term == _ONE for term in total) else None


def _content(total: _Sum) -> tuple[int, Tree]:
    """The sum as an integer times a tree whose multiples share no factor and whose first term is positive."""
    if not total:
        return 0, _ONE
    content = math.gcd(*total.values())
    if content == 0:  # only terms that are 0 where they are finite
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
    ordered = sorted(factors.items(), key=lambda item: _text(item[0]))
    squares = [_bounded_tree("square", (factor,)) for factor, power in ordered for _ in range(power // 2)]
    singles = [factor for factor, power in ordered if power % 2]
    return _chain("*", squares + singles)


def _ordered(total: _Sum) -> list[tuple[Tree, int]]:
    """Terms by their text, the constant last, and a positive term first if there is one."""
    ordered = sorted(total.items(), key=lambda item: (item[0] == _ONE, _text(item[0])))
    first = next((place for place, (_, multiple) in enumerate(ordered) if multiple > 0), 0)
    return [ordered[first], *ordered[:first], *ordered[first + 1 :]]


_text = lru_cache(maxsize=2**12)(str)
"""Of a tree; the same small ones are sorted over and over."""


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
    """Whether the tree is provably finite and above 0 for every x in {0, 1} and y in (0, 1)."""
    if isinstance(tree.symbol, int):
        return tree.symbol > 0
    if tree.symbol in ("+", "*", "/", "square", "sqrt"):
        return all(_positive(child) for child in tree.children)
    return tree.symbol == "y"


def _finite(tree: Tree) -> bool:
    """Whether the tree is provably finite for every x in {0, 1} and y in (0, 1)."""
    if not tree.children:
        return True
    if tree.symbol == "sqrt":
        return tree.children[0].symbol == "x" or _positive(tree.children[0])
    if tree.symbol == "log":
        return _positive(tree.children[0])
    if tree.symbol == "/":
        return _finite(tree.children[0]) and _positive(tree.children[1])
    return tree.symbol in ("+", "-", "*", "square") and all(_finite(child) for child in tree.children)
