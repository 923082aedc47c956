"""A guess of what losses are worth, before any step of training, from what losses that act alike were worth.

A Gaussian process over behaviours (``behaviour``) guesses the fitness of a loss and how sure that is. Losses are tried
in the order of what they may be worth at best (upper confidence bounds: Srinivas et al. 2010, arXiv 0912.3995): those
near good ones, and those far from all that was tried.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

NEAR = 1.0
"""Distance of behaviours at which the guess of one says something of the other."""

NOISE = 0.05
"""Variance of the noise of fitness, where that of its normal scores is 1."""

SURE = 1.0
"""Standard deviations above the guess that a loss may be worth at best."""

MOST = 1000
"""Losses that a guess is made from, at most: the fittest half of them, and those tried last."""

RATE = 0.5
"""Distance of learning rates that differ threefold."""

CONSIDERED = 512
"""Losses that are put in order, those that may be worth most."""


def features(behaviours: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """What is compared: behaviours ``[losses, features]``, and learning rates in units of a fair one, ``[losses]``."""
    return np.column_stack([behaviours, RATE * np.log(factors) / np.log(3)])


def order(known: np.ndarray, fitness: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Choose what to try.

    Losses that act alike are not tried together: after each choice, what is near it counts as tried (GP-BUCB: Desautels
    et al. 2014, JMLR 15).

    Args:
      known: ``features`` of losses that were tried, finite.
      fitness: ``[known]``, of which the order alone counts.
      asked: ``features`` of losses that may be tried, finite.

    Returns:
      Places of at most ``CONSIDERED`` losses, the one to try first at first.
    """
    if not len(asked):
        return np.zeros(0, int)
    process = _fitted(known, fitness)
    mean, std = (np.asarray(part) for part in process.predict(asked, return_std=True))
    places = np.argsort(-(mean + SURE * std), kind="stable")[:CONSIDERED]
    covariance = np.asarray(process.predict(asked[places], return_cov=True)[1])
    mean, left, chosen = mean[places], np.ones(len(places), bool), []
    for _ in places:
        bounds = mean + SURE * np.sqrt(np.maximum(np.diag(covariance) - NOISE, 0))
        best = int(np.where(left, bounds, -np.inf).argmax())
        chosen.append(best)
        left[best] = False
        column = covariance[best] - NOISE * (np.arange(len(places)) == best)
        covariance = covariance - np.outer(column, column) / covariance[best, best]
    return places[chosen]


def guess(known: np.ndarray, fitness: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """What losses are worth, in normal scores: 0 is the median of what was tried, 1 the best sixth.

    The arguments are those of ``order``; the result is float64 ``[asked]``.
    """
    return np.asarray(_fitted(known, fitness).predict(asked))


def _fitted(known: np.ndarray, fitness: np.ndarray) -> "GaussianProcessRegressor":
    """The process that knows normal scores of fitness, 0 for the median of what was tried and 1 for the best sixth."""
    from sklearn.gaussian_process import GaussianProcessRegressor  # takes most of a second to import
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    if len(known) > MOST:
        fittest = np.argsort(-fitness, kind="stable")[: MOST // 2]
        rest = np.setdiff1d(np.arange(len(known)), fittest)
        chosen = np.sort(np.concatenate([fittest, rest[-(MOST - MOST // 2) :]]))
        known, fitness = known[chosen], fitness[chosen]
    scores = ndtri((rankdata(fitness) - 0.5) / len(fitness))
    kernel: Any = Matern(NEAR, nu=1.5) + WhiteKernel(NOISE)
    return GaussianProcessRegressor(kernel, optimizer=None).fit(known, scores)  # type: ignore[arg-type]  # None is none
