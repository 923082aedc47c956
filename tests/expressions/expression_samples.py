"""Trees and losses that several tests of expressions share."""

from collections.abc import Iterator, Sequence

import numpy as np

from glojax.expressions.grammar import OF_PAPER, Vocabulary
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree, grow
from glojax.losses.loss import Loss
from glojax.losses.zoo import ZOO

TREES_OF_THE_ZOO = {name: loss for name, loss in ZOO.items() if isinstance(loss, Loss)}


def grown(count: int, seed: int, max_depth: int, max_size: int) -> Iterator[Tree]:
    """Random trees of 4 to ``max_size`` nodes."""
    random = np.random.default_rng(seed)
    while count:
        tree = grow(random, int(random.integers(2, max_depth + 1)))
        if 4 <= tree.size <= max_size:
            count -= 1
            yield tree


def random_losses(count: int, vocabulary: Vocabulary = OF_PAPER) -> list[Loss]:
    """Every other has coefficients of either sign, and every fourth a 0 among them."""
    random = np.random.default_rng(7)
    found: list[Loss] = []
    while len(found) < count:
        tree = grow(random, int(random.integers(2, 6)), vocabulary)
        if not tree.has_x_and_y or not random.integers(3, 12) < tree.size < 32:
            continue
        coefficients = random.uniform(-2, 2, tree.size) if len(found) % 2 else np.ones(tree.size)
        if len(found) % 4 == 3:
            coefficients[random.integers(tree.size)] = 0.0
        found.append(Loss(tree, tuple(coefficients)))
    return found


RANDOM_LOSSES = [*random_losses(50), *random_losses(30, Vocabulary(("all",)))]


def nested(functions: Sequence[str], text: str) -> Tree:
    """The functions of an expression, the first the innermost."""
    tree = parse(text)
    for function in functions:
        tree = Tree(function, (tree,))
    return tree
