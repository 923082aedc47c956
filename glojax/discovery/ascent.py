"""Ascent along derivatives from many starts at once, as pure functions: the counterpart of ``cma_es``.

``starts`` draws the vectors of the first generation, ``begin`` makes the first ``State`` of them, ``follow`` the next
one when their values and derivatives are known. The steps are those of iRprop- (Igel and Hüsken 2000, "Improving the
Rprop learning algorithm"), which looks at the signs of derivatives alone: those through a training differ by orders of
magnitude between starts. That of optax is not used: each of its steps is that of the derivatives before.
"""

from typing import NamedTuple

import chex
import numpy as np

from glojax.seeds import named_random

_LONGER, _SHORTER = 1.2, 0.5
_SHORTEST, _LONGEST = 1e-6, 50.0  # a step


class State(NamedTuple):
    """An ascent between two generations; all arrays are float64."""

    vectors: np.ndarray  # [starts, n], where each is
    steps: np.ndarray  # [starts, n], length of the next step
    signs: np.ndarray  # [starts, n], of the derivatives of the step before; 0 where there was none
    best: np.ndarray  # [starts, n], the best vector of each so far
    best_value: np.ndarray  # [starts]


def starts(mean: np.ndarray, sigma: float, count: int, seed: int) -> np.ndarray:
    """Vectors to start from, ``float64[count, n]``: ``mean``, and others that scatter about it by ``sigma``."""
    drawn = mean + sigma * named_random(seed, "starts").normal(size=(count, len(mean)))
    drawn[0] = mean
    return drawn


def begin(vectors: np.ndarray, step: float) -> State:
    """An ascent from these vectors, ``[starts, n]``, whose first step has this length along each coefficient."""
    return State(
        vectors, np.full(vectors.shape, step), np.zeros(vectors.shape), vectors, np.full(len(vectors), -np.inf)
    )


def follow(state: State, values: np.ndarray, derivatives: np.ndarray) -> State:
    """The state after a step of each start.

    A start whose derivatives are not finite, or whose value is 0, the score of a failed training, goes half of the way
    back to the best vector that it has met.

    Args:
      state: before it.
      values: of its vectors, ``[starts]``.
      derivatives: of the values by the vectors, ``[starts, n]``.
    """
    chex.assert_shape(values, state.best_value.shape)
    chex.assert_shape(derivatives, state.vectors.shape)
    sound = (np.isfinite(derivatives).all(axis=1) & (values > 0))[:, None]
    better = values > state.best_value
    best = np.where(better[:, None], state.vectors, state.best)
    signs = np.sign(np.where(sound, derivatives, 0.0))
    turns = signs * state.signs
    steps = np.select([turns > 0, turns < 0], [_LONGER * state.steps, _SHORTER * state.steps], state.steps)
    steps = np.clip(steps, _SHORTEST, _LONGEST)
    signs = np.where(turns < 0, 0.0, signs)  # after a turn one step is left out
    moved = np.where(sound, state.vectors + signs * steps, (state.vectors + best) / 2)
    return State(moved, steps, signs, best, np.where(better, values, state.best_value))
