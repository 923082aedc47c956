"""The losses up to a depth that train differently: trees by what they compute, and functions by their gradients.

For training only the gradient by a network's outputs matters, up to its size where a learning rate makes up for that.
Nearly all trees share it with a smaller one. Gradients are compared twice: on a grid in float64, which tells which are
equal, and on the probe of ``screening``, to the few digits that matter, which tells which differ enough.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np

from glojax.discovery import screening
from glojax.discovery.drawing import points_of
from glojax.discovery.screening import Settings
from glojax.expressions import functions
from glojax.expressions.functions import Functions
from glojax.expressions.grammar import OF_PAPER, Vocabulary
from glojax.expressions.trees import Tree, count_trees
from glojax.tasks.problems import Kind

_CHUNK = 4096  # trees that are looked at between two reports of progress
_SAME = 1e-9  # share of a slope's size below which two are one


class Distinct(NamedTuple):
    """The losses up to a depth that are worth training."""

    trees: list[Tree]  # one for each, the smallest first
    coverage: dict[str, int]  # as ``ExhaustiveResult.coverage``
    # How many trees pass each stage, those with one gradient if the smallest does; from "distinct" on how many losses.
    funnel: dict[str, int]


Progress = Callable[[str, int, int], None]
"""Called with a stage, how many of its trees are done, and how many there are."""


def distinct(
    depth: int,
    settings: Settings,
    stages: Collection[str],
    *,
    fair_rates: bool,
    soft_labels: bool,
    vocabulary: Vocabulary = OF_PAPER,
    progress: Progress,
) -> Distinct:
    """Find the losses up to a depth that pass stages of screening, each by its smallest tree.

    Args:
      depth: largest depth of the trees, from 1 to ``functions.MAX_DEPTH``.
      settings: of screening.
      stages: of ``screening.STAGES``. Without any, every gradient is left, also one that no label changes: trees with
        one gradient are one without ``"distinct"`` too, and trees that are not finite for every label with every
        prediction are none without ``"finite"``.
      fair_rates: whether gradients that differ in size alone are one.
      soft_labels: whether labels of classes may lie between 0 and 1, as those of the probe then do.
      vocabulary: what trees are made of. Defaults to that of the paper.
      progress: called now and then.

    Returns:
      The losses, and what was covered.
    """
    found = functions.enumerate_functions(
        depth,
        points_of(settings, soft_labels=soft_labels),
        protected=settings.protected,
        vocabulary=vocabulary,
    )
    grouped = _grouped(found.functions, settings)
    progress("screening", 0, len(grouped.places))
    examined = _examined(found.functions, grouped, settings, progress)
    funnel = {
        "drawn": count_trees(depth, vocabulary),
        "valid": int(grouped.counts.sum()) + found.others[True, True],
        "finite": int(grouped.counts[examined.finite].sum()),
        "guided": int(grouped.counts[examined.guided].sum()),
    }
    keep = np.ones(len(grouped.places), bool)
    for stage in ("finite", "guided"):
        keep &= getattr(examined, stage) if stage in stages else True
    keys = examined.direction if fair_rates else examined.fingerprint
    first = _is_first(keys, keep & examined.guided)
    funnel["distinct"] = int(first.sum())
    if "distinct" in stages:
        keep = first
    trees = [found.functions.tree(place) for place in grouped.places[keep].tolist()]
    if "trainable" in stages:
        learns = _descended(trees, settings, progress)
        funnel["trainable"] = int((learns & first[keep]).sum())
        trees = [tree for tree, does in zip(trees, learns, strict=True) if does]
    return Distinct(trees, grouped.coverage | {"losses": len(trees)}, funnel)


class _Grouped(NamedTuple):
    places: np.ndarray  # int64[gradients], function with the smallest tree of each
    counts: np.ndarray  # int64[gradients], trees that have it
    coverage: dict[str, int]


def _grouped(found: Functions, settings: Settings) -> _Grouped:
    """Functions with x and y by their gradients on the grid."""
    (both,) = np.nonzero(found.has_x & found.has_y)
    parts = [
        _gradients(found.slopes[both[first : first + _CHUNK]], found.points[1], settings.kind)
        for first in range(0, len(both), _CHUNK)
    ]
    keys, directions, guided = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    counts = np.zeros(len(first), np.int64)
    np.add.at(counts, which, found.counts[both])
    (guiding,) = np.nonzero(guided[first])
    coverage = {
        "functions": len(both),
        "gradients": len(guiding),
        "directions": len(np.unique(directions[first[guiding]])),
    }
    order = np.argsort(first)  # functions are in the order of their sizes
    return _Grouped(both[first[order]], counts[order], coverage)


def _gradients(slopes: np.ndarray, y: np.ndarray, kind: Kind) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of slopes ``[functions, points]``: keys of the gradients and of their directions; whether labels change them."""
    if kind.output == "softmax":  # predictions sum to 1: what is added to all slopes changes no gradient
        gradients = y * (slopes - slopes[:, [slopes.shape[1] // 4]])
    else:
        gradients = y * (1 - y) * slopes if kind.output == "sigmoid" else slopes
    largest = np.abs(gradients).max(axis=1, keepdims=True)
    directions = gradients / np.where(largest > 0, largest, 1)
    of_label = slopes.reshape(len(slopes), -1, len(np.unique(y)))
    guided = np.ptp(of_label, axis=1).max(axis=1) > _SAME * np.abs(slopes).max(axis=1)
    return (*(functions.hashed(functions.rounded(columns)) for columns in (gradients, directions)), guided)  # type: ignore[return-value]


def _examined(found: Functions, grouped: _Grouped, settings: Settings, progress: Progress) -> screening.Examined:
    parts = []
    for first in range(0, len(grouped.places), _CHUNK):
        trees = [found.tree(place) for place in grouped.places[first : first + _CHUNK].tolist()]
        parts.append(screening.examine(trees, settings))
        progress("screening", first + len(trees), len(grouped.places))
    return screening.Examined(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _is_first(keys: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Whether ``among`` is true of a row and of no row before it with the same key."""
    (places,) = np.nonzero(among)
    _, first = np.unique(keys[places], axis=0, return_index=True)
    found = np.zeros(len(keys), bool)
    found[places[first]] = True
    return found


def _descended(trees: list[Tree], settings: Settings, progress: Progress) -> np.ndarray:
    parts = [np.zeros(0, bool)]
    for first in range(0, len(trees), _CHUNK):
        parts.append(screening.descend(trees[first : first + _CHUNK], settings))
        progress("descending", first + len(parts[-1]), len(trees))
    return np.concatenate(parts)
