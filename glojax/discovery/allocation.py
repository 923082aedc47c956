"""Sequential allocation: which candidates get more trainings, until it is settled which of them is the best.

Candidates are trained over common seeds, each over the first few of one list, so that differences are paired: what a
seed's initialization and minibatches do to all candidates alike cancels. Most candidates are clearly behind after a
few trainings; the others get more, in proportion to what optimal computing budget allocation gives them (Chen, Lin,
Yucesan and Chick 2000, "Simulation budget allocation for further enhancing the efficiency of ordinal optimization",
Discrete Event Dynamic Systems 10).
"""

from collections.abc import Sequence

import numpy as np

from glojax.statistics import Standing, standing

CONFIDENCE = 0.95
"""Trainings end when the chance that the leader is the best is at least this."""


def allocate(scores: Sequence[Sequence[float]], count: int, most: int) -> list[int]:
    """Share out the next trainings.

    A candidate's share is the variance of its differences from the leader, divided by their squared mean. The leader
    has as many trainings as the candidate that has most of them, so that each difference is paired.

    Args:
      scores: of each candidate, over the first seeds of the common list.
      count: trainings to share out, at least 1; one more where a pair needs it.
      most: trainings that a candidate may have in all.

    Returns:
      How many more each candidate gets, ``[candidates]``; all 0 if it is settled, or nobody may have more.
    """
    found = standing(scores)
    have = np.array([len(row) for row in scores])
    start = have.copy()
    if have.min() < 2 <= most:  # one training says nothing of the noise
        return np.maximum(2 - have, 0).tolist()
    if found.chance >= CONFIDENCE or len(scores) < 2:
        return [0] * len(scores)
    weights = _weights(found, most)
    while (have - start).sum() < count:
        paired = np.minimum(have, have[found.leader])
        wanted = np.where(paired < most, weights / paired, -1)
        challenger = int(wanted.argmax())
        if wanted[challenger] <= 0:
            break
        for place in (challenger, found.leader):
            have[place] = max(have[place], paired[challenger] + 1)
    return (have - start).tolist()


def _weights(found: Standing, most: int) -> np.ndarray:
    """The share of each candidate, relative to the others; 0 for the leader and for those without hope."""
    # Smaller differences than ``most`` trainings can tell are all alike.
    squares = np.maximum(found.behind**2, found.variances / most)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(found.variances > 0, found.variances / squares, 0)
    weights[found.leader] = 0
    return weights
