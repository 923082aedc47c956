"""Sequential allocation: which candidates get more trainings, until it is settled which of them is the best.

Candidates are trained over common seeds, each over the first few of one list, so that differences are paired: what a
seed's initialization and minibatches do to all candidates alike cancels. Most candidates are clearly behind after a
few trainings. The others, the challengers of the leader, get more in proportion to their chances of being better (as
top-two sampling draws them: Russo 2016, arXiv 1602.08448).
"""

from collections.abc import Sequence

import numpy as np

from glojax.statistics import standing

CONFIDENCE = 0.8
"""Trainings end when more of them could not raise the chance that the leader is the best by more than 1 minus this."""


def allocate(scores: Sequence[Sequence[float]], count: int, most: int) -> list[int]:
    """Share out the next trainings.

    The leader has as many trainings as the challenger that has most of them, so that each difference is paired.

    Args:
      scores: of each candidate, over the first seeds of the common list.
      count: trainings to share out among challengers, at least 1; the leader's come on top.
      most: trainings that a candidate may have in all.

    Returns:
      How many more each candidate gets, ``[candidates]``; all 0 if it is settled, or nobody may have more.
    """
    have = np.array([len(row) for row in scores])
    if have.min() < 2 <= most:  # one training says nothing of the noise
        return np.maximum(2 - have, 0).tolist()
    found = standing(scores)
    paired = np.minimum(have, have[found.leader])
    chances = np.where(paired < most, found.chances, 0)
    if np.prod(1 - chances) >= CONFIDENCE:  # what is still in doubt is between those who had all of theirs
        return [0] * len(scores)
    more = np.floor(count * chances / chances.sum()).astype(int)
    more[chances.argmax()] += count - more.sum()  # what rounding leaves
    wanted = np.where(more > 0, np.minimum(paired + more, most), have)
    wanted[found.leader] = max(wanted[more > 0].max(), have[found.leader])
    return np.maximum(wanted - have, 0).tolist()
