"""Trees drawn by what they compute.

Trees that are grown symbol by symbol are mostly small, and nearly all compute what a smaller one does: of 65,536 grown
trees 512 have gradients that differ and guide, of as many drawn here 11,226. Every function of trees one level below
the root is as likely as any other to be an operand.
"""

from bisect import bisect_right
from functools import lru_cache

import numpy as np

from glojax.discovery.screening import Settings
from glojax.expressions import functions
from glojax.expressions.functions import Grid
from glojax.expressions.grammar import OF_PAPER, Vocabulary
from glojax.expressions.trees import Tree
from glojax.losses.outputs import predictions

SOFT_LABELS = (0.0, 0.05, 0.3, 0.55, 0.8, 1.0)
"""Values of x where labels may lie between 0 and 1."""

_OPERAND_DEPTH = 2  # of operands that are drawn by function; the functions of depth 3 take gigabytes


def points_of(settings: Settings, *, soft_labels: bool = False) -> Grid:
    """Labels and predictions as the losses meet them, every one with every other.

    The smallest and the largest are among them: ``sqrt(square(x))`` is x unless some label is below 0.

    Args:
      settings: of screening, whose probe has the labels of a regression.
      soft_labels: whether labels of classes may lie between 0 and 1.
    """
    given, kind = settings.given, settings.kind
    if kind.output in ("softmax", "sigmoid"):
        return functions.grid(SOFT_LABELS if soft_labels else (0.0, 1.0))
    _, y, _ = predictions(given.outputs, given.targets, -1, None, kind.output)
    labels, given_y = np.asarray(given.targets, float), np.asarray(y, float)
    # Many of them may be equal, such as counts, or predictions of a ReLU.
    return functions.crossed(
        np.unique(np.quantile(labels, (0, 0.27, 0.61, 1))), np.unique(np.quantile(given_y, np.linspace(0, 1, 12)))
    )


def draw_by_function(
    random: np.random.Generator,
    settings: Settings,
    count: int,
    *,
    max_depth: int,
    max_nodes: int,
    vocabulary: Vocabulary = OF_PAPER,
) -> list[Tree]:
    """Draw trees with x and y, whose operands are drawn by what they compute.

    The root is drawn by the grammar's weights among the operators. Its operands are the smallest trees of functions of
    depth at most 2; in trees of depth above 3 half of the operands are trees drawn like the whole.

    Args:
      random: the source of randomness.
      settings: of screening; functions are told apart at its labels and predictions.
      count: of trees.
      max_depth: largest depth of a tree, at least 1.
      max_nodes: largest number of nodes of a tree, at least 3.
      vocabulary: what trees are made of, with an operator of two operands. Defaults to that of the paper.
    """
    x, y = (tuple(part.tolist()) for part in points_of(settings))
    operands = _operands(min(max_depth - 1, _OPERAND_DEPTH), x, y, settings.protected, vocabulary)
    rows = vocabulary.rows(settings.protected)
    shares = np.array([row.weight for row in rows], float)
    reached = np.cumsum(shares / shares.sum())
    reached = (reached / reached[-1]).tolist()

    def operand(depth: int) -> Tree:
        if depth > _OPERAND_DEPTH and random.random() < 0.5:
            return whole(depth)
        return operands[random.integers(len(operands))]

    def whole(depth: int) -> Tree:
        row = rows[bisect_right(reached, random.random())]  # what random.choice draws, without its checks
        return Tree(row.symbol, tuple(operand(depth - 1) for _ in range(row.arity)))

    drawn: list[Tree] = []
    while len(drawn) < count:
        tree = whole(max_depth)
        if tree.size <= max_nodes and tree.has_x_and_y:
            drawn.append(tree)
    return drawn


@lru_cache(maxsize=4)
def _operands(
    depth: int, x: tuple[float, ...], y: tuple[float, ...], protected: bool, vocabulary: Vocabulary
) -> list[Tree]:
    """The smallest tree of every function of some points; a search asks for the same ones in every generation."""
    found = functions.enumerate_functions(
        depth, (np.array(x), np.array(y)), protected=protected, keep_infinite=True, vocabulary=vocabulary
    ).functions
    return [found.tree(place) for place in range(len(found))]
