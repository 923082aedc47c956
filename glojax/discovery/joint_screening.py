"""Screening for several tasks: a tree must be worth training on each."""

from collections.abc import Sequence

import numpy as np

from glojax.discovery.screening import Settings
from glojax.discovery.sieve import Look, Screener
from glojax.expressions.trees import Tree


class JointScreener(Screener):
    """Screens the trees of a search on several tasks.

    A tree passes a stage that it passes on every task, and two trees are one if they are on every task. Tasks with the
    same probe, as all of classes have, are screened once.

    Attributes:
      settings: those of the first task, by which trees are drawn.

    Args:
      screeners: of each task.
    """

    def __init__(self, screeners: Sequence[Screener]):
        self.settings = screeners[0].settings
        self._screeners = [
            one
            for place, one in enumerate(screeners)
            if not any(_are_same(one.settings, before.settings) for before in screeners[:place])
        ]

    def looks(self, trees: Sequence[Tree]) -> list[Look | None]:
        """What screening says of each tree on all tasks; the size of its gradient is that of the first."""
        found = [one.looks(trees) for one in self._screeners]
        return [_joined([look for look in of_tree if look is not None]) for of_tree in zip(*found, strict=True)]

    def trainable(self, trees: Sequence[Tree]) -> list[bool]:
        """Whether free outputs learn the labels of every task by each of some trees."""
        learns = np.ones(len(trees), bool)
        for one in self._screeners:  # a task is asked about those alone that passed on the tasks before
            (places,) = np.nonzero(learns)
            learns[places] = one.trainable([trees[place] for place in places.tolist()])
        return learns.tolist()

    def behaviours(self, trees: Sequence[Tree]) -> np.ndarray:
        """What trees with x and y do on each task, side by side."""
        # Distances grow with the number of vectors; divided so, those of one task are what they were.
        return np.concatenate([one.behaviours(trees) for one in self._screeners], axis=1) / len(self._screeners) ** 0.5


def _joined(looks: Sequence[Look]) -> Look | None:
    if not looks:
        return None
    keys = [look.key for look in looks]
    return Look(
        frozenset.intersection(*(look.passed for look in looks)), b"".join(keys) if all(keys) else b"", looks[0].size
    )


def _are_same(one: Settings, other: Settings) -> bool:
    """Whether two tasks screen alike: a probe of the same numbers, and the same output and baseline."""
    fields = zip(one.given, other.given, strict=True)
    alike = all(mine.shape == theirs.shape and np.array_equal(mine, theirs) for mine, theirs in fields)
    return alike and one.kind.output == other.kind.output and one.kind.baseline == other.kind.baseline
