"""Data made harder: labels that are wrong, few examples, outliers, rare classes. In such data a loss matters most.

Functions of NumPy arrays. What they change is drawn by the seed, and exactly as much as was asked for.
"""

import numpy as np

from glojax.seeds import named_random

NOISES = ("symmetric", "pairs")
"""How a class becomes a wrong one: each other class as likely as the next, or always the one that follows it."""


def label_noise(
    labels: np.ndarray, share: float, classes: int, *, noise: str = "symmetric", seed: int = 0
) -> np.ndarray:
    """Make a share of the labels wrong (arXiv 1804.06872, appendix A).

    Args:
      labels: classes ``[examples]``; those below 0 stand for no label, and stay.
      share: of the known labels, from 0 to 1. All of them become wrong.
      classes: number of classes, at least 2.
      noise: ``"symmetric"`` or ``"pairs"``. Defaults to ``"symmetric"``.
      seed: decides which labels, and what they become.

    Returns:
      The labels, of the same type.
    """
    random = named_random(seed, "label noise")
    chosen = _chosen(random, np.flatnonzero(labels >= 0), share)
    steps = random.integers(1, classes, len(chosen)) if noise == "symmetric" else 1
    noisy = labels.copy()
    noisy[chosen] = (labels[chosen] + steps) % classes
    return noisy


def flipped(labels: np.ndarray, share: float, *, seed: int = 0) -> np.ndarray:
    """Turn a share of labels that are 0 or 1 into the other, of an array of any shape; NaN stays."""
    known = np.flatnonzero(~np.isnan(labels))
    chosen = _chosen(named_random(seed, "label noise"), known, share)
    noisy = labels.copy()
    noisy.flat[chosen] = 1 - labels.flat[chosen]
    return noisy


def outliers(targets: np.ndarray, share: float, *, deviations: float = 8, seed: int = 0) -> np.ndarray:
    """Move a share of numbers far up or down.

    Args:
      targets: of a regression, ``[examples, outputs]``; NaN stays.
      share: of the examples, from 0 to 1.
      deviations: how far, in standard deviations of each output. Defaults to 8.
      seed: decides which, and the direction of each.

    Returns:
      The targets, of the same type.
    """
    random = named_random(seed, "outliers")
    chosen = _chosen(random, np.arange(len(targets)), share)
    directions = random.choice([-1.0, 1.0], (len(chosen), *targets.shape[1:]))
    moved = targets.copy()
    moved[chosen] += (directions * deviations * np.nanstd(targets, axis=0)).astype(targets.dtype)
    return moved


def few(labels: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """Choose some of the examples, classes in proportion.

    Args:
      labels: integers ``[examples]``, or other labels, whose proportions are left to chance.
      count: examples wanted, at most all.
      seed: decides which.

    Returns:
      Their places ``int64[count]``, rising.
    """
    random = named_random(seed, "few examples")
    order = random.permutation(len(labels))
    if labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer):
        # Each example stands at its place among those of its class, as a share of them.
        classes, inverse, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
        rank = np.empty(len(order))
        for number in range(len(classes)):
            of_class = np.flatnonzero(inverse == number)
            rank[of_class] = (np.arange(len(of_class)) + 0.5) / counts[number]
        order = order[np.argsort(rank, kind="stable")]
    return np.sort(order[:count])


def imbalanced(labels: np.ndarray, ratio: float, *, seed: int = 0) -> np.ndarray:
    """Choose examples so that classes are more and more rare (long-tailed: arXiv 1901.05555, section 5.1).

    Args:
      labels: classes ``[examples]``; examples without a label (below 0) are left out.
      ratio: how many times more frequent the first class is than the last, at least 1. With n examples of the rarest
        class in the data, class k of K keeps as many of its own as ``ratio ** (-k / (K - 1))`` of n, at least one.
      seed: decides which.

    Returns:
      Their places ``int64[kept]``, rising.
    """
    random = named_random(seed, "imbalance")
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    kept = []
    for number, label in enumerate(classes):
        share = ratio ** (-number / max(1, len(classes) - 1))
        wanted = max(1, round(counts.min() * share))
        kept.append(random.permutation(np.flatnonzero(labels == label))[:wanted])
    return np.sort(np.concatenate(kept))


def _chosen(random: np.random.Generator, places: np.ndarray, share: float) -> np.ndarray:
    return random.permutation(places)[: round(share * len(places))]
