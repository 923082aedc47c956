"""One number for what a loss is worth on several tasks, whose scores have nothing in common.

On each task a score becomes a worth from 0 to 1, and the fitness of a loss is the mean of these. ``"gains"`` are gains
over each task's own baseline in units of its noise; ``"ranks"`` are shares of the losses tried so far that are no
better. A loss that fails on one task, with a score of 0, is worth 0 on all.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit

from glojax.discovery.results import Baseline

AGGREGATES = ("gains", "ranks")
"""Allowed values of ``SearchConfig.aggregate``."""

SOFTNESS = 10.0
"""The gain, in standard deviations of one training of the baseline, that is worth e / (1 + e), 0.73: gains far above
it are worth little more, so that no task alone decides."""

_LEAST_NOISE = 1e-3  # share of the baseline's score: trainings that all end alike say nothing of noise
_LEAST_WORTH = 1e-9  # above 0, which stands for a failure

Worth = Callable[[np.ndarray], np.ndarray]
"""From scores on one task to what they are worth, both float64 of any shape; a score of 0 is worth 0."""


def gains(baseline: Baseline) -> Worth:
    """Worth by the gain over the baseline: 0.5 where a score is as good, and higher is better.

    Args:
      baseline: of the task, at its best rate.
    """
    unit = SOFTNESS * max(baseline.scatter, _LEAST_NOISE * abs(baseline.fitness))

    def worth(scores: np.ndarray) -> np.ndarray:
        return _above_zero(scores, expit((np.asarray(scores, float) - baseline.fitness) / unit))

    return worth


def ranks(tried: Sequence[float]) -> Worth:
    """Worth by rank: the share of losses that are no better.

    Args:
      tried: scores of all losses that were tried on the task.
    """
    ordered = np.sort(np.asarray(tried, float))

    def worth(scores: np.ndarray) -> np.ndarray:
        return _above_zero(scores, np.searchsorted(ordered, scores, side="right") / max(1, len(ordered)))

    return worth


def _above_zero(scores: np.ndarray, worths: np.ndarray) -> np.ndarray:
    return np.where(np.asarray(scores) > 0, np.maximum(worths, _LEAST_WORTH), 0.0)


def together(worths: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of what losses are worth on each task, ``[tasks, ...]`` to ``[...]``; 0 where they fail on one."""
    every = np.array(worths)
    return np.where((every > 0).all(axis=0), every.mean(axis=0), 0.0)
