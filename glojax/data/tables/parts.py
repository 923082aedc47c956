"""Rows in three parts, in proportion to the classes or the quantiles of the target; equal rows stay together."""

import numpy as np

_SHARE = 5  # one row in this many is for validation, and one for the test


def split(
    groups: np.ndarray, labels: np.ndarray, *, by_class: bool, seed: int, tested: bool = True
) -> list[np.ndarray]:
    """Rows of the training, validation and test parts, each in random order.

    Args:
      groups: int64[rows]; rows of one group are in one part.
      labels: classes from 0, or numbers, of every row.
      by_class: whether they are classes.
      seed: seed of the split.
      tested: whether a test part is made of these rows, as large as the validation part.

    Returns:
      Rows of each part, one in five for validation and one for the test. Every class is in every part if it has
      enough groups.
    """
    random = np.random.default_rng(seed)
    _, first, group, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    of_groups = labels[first]
    order = random.permutation(len(first))
    parts = np.zeros(len(first), np.int64)
    if by_class:
        order = order[np.argsort(of_groups[order], kind="stable")]
        for members in np.split(order, np.cumsum(np.bincount(of_groups))[:-1]):
            parts[members] = _of_class(sizes[members], tested)
    else:  # of every five groups that follow one another, one for validation and one for the test
        order = order[np.argsort(of_groups[order], kind="stable")]
        block = np.arange(len(order)) // _SHARE
        within = np.lexsort([random.random(len(order)), block])
        place = np.arange(len(order)) % _SHARE
        whole = block < len(order) // _SHARE
        parts[order[within]] = np.where(whole & (place == 0), 1, np.where(whole & tested & (place == 1), 2, 0))
    of_rows = parts[group]
    return [random.permutation(np.flatnonzero(of_rows == part)) for part in range(3 if tested else 2)]


def _of_class(sizes: np.ndarray, tested: bool) -> np.ndarray:
    """The parts of a class's groups, which are in random order: 0 training, 1 validation, 2 test."""
    each = max(1, round(sizes.sum() / _SHARE))
    # Large groups come last, where the training part is: another part would be far too large with them.
    order = np.argsort(sizes > max(1, each // 4), kind="stable")
    before = np.cumsum(sizes[order]) - sizes[order]
    part = np.where(before < each, 1, np.where((before < 2 * each) & tested, 2, 0))
    needed = (1, 2, 0) if tested else (1, 0)
    if len(order) >= len(needed) and not set(needed) <= set(part):
        part[: len(needed) - 1], part[-1] = needed[:-1], 0
        part[len(needed) - 1 :] = 0
    found = np.empty(len(sizes), np.int64)
    found[order] = part
    return found
