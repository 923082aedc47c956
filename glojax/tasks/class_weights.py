"""Weights of classes that make rare ones count as much as frequent ones."""

from collections.abc import Sequence

import numpy as np

from glojax.tasks.labels import known_of
from glojax.tasks.problems import Kind

CHOICES = ("balanced",)
"""Allowed values of ``Task.class_weight``."""

MOST_IMBALANCE = 3.0
"""How many times the rows of one class another may have before accuracy says little."""


def as_given(way: str | None, weights: Sequence[float] | None) -> str | list[float] | None:
    """The class weights as a task was given them, JSON-able."""
    return way or (None if weights is None else list(weights))


def balanced(kind: Kind, labels: np.ndarray, outputs: int) -> np.ndarray:
    """Weights n / (k n_c) of the k classes that occur, where n_c of n examples are of class c.

    Their mean over the examples is 1, and all classes have the same total weight. Soft labels count as shares of an
    example. Source: King and Zeng 2001, "Logistic regression in rare events data", Political Analysis 9; it is
    scikit-learn's ``class_weight="balanced"``.

    Args:
      kind: a kind of problem with classes or labels 0 and 1.
      labels: of the training set, in the form that a task keeps, a row for each position.
      outputs: the number of outputs of the network.

    Returns:
      Weights of the classes, float64 ``[outputs]``; for a sigmoid those of the labels 0 and 1 of each output,
      ``[outputs, 2]``. A class without examples has 1.
    """
    if kind.has_classes:
        return _weights(_counts(labels, outputs))
    ones = np.nansum(labels.astype(np.float64), axis=0)
    known = known_of(labels).sum(axis=0)
    return np.stack([_weights(np.array(counts)) for counts in zip(known - ones, ones, strict=True)])


def imbalance(kind: Kind, labels: np.ndarray) -> float:
    """How many times the examples of the smallest class the largest one has; 1 where an example has several labels.

    Args:
      kind: the kind of problem.
      labels: as for ``balanced``.
    """
    if kind.has_classes:
        counts = _counts(labels, 0)
    elif kind.output == "sigmoid" and labels.shape[1] == 1:
        ones = float(np.nansum(labels))
        counts = np.array([known_of(labels).sum() - ones, ones])
    else:
        return 1.0
    present = counts[counts > 0]
    return float(present.max() / present.min())


def _counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """Examples of each class."""
    if labels.ndim == 1:
        return np.bincount(labels[labels >= 0], minlength=classes).astype(float)
    return labels[known_of(labels).all(axis=1)].sum(axis=0, dtype=np.float64)


def _weights(counts: np.ndarray) -> np.ndarray:
    present = counts > 0
    share = counts.sum() / present.sum()
    return np.divide(share, counts, out=np.ones(len(counts)), where=present)
