"""A guess of what losses are worth, before any step of training, from what losses that act alike were worth.

A Gaussian process over behaviours (``behaviour``) guesses the fitness of a loss and how sure that is. Losses are tried
in the order of what they may be worth at best (upper confidence bounds: Srinivas et al. 2010, arXiv 0912.3995): those
near good ones, and those far from all that was tried.
"""

from collections.abc import Iterator
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

_SHRINKING = 32  # choices after which nothing is computed any more of what was chosen
_LEAST = 1e-10  # variance of each, against rounding


def features(behaviours: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """What is compared: behaviours ``[losses, features]``, and learning rates in units of a fair one, ``[losses]``."""
    return np.column_stack([behaviours, RATE * np.log(factors) / np.log(3)])


def order(process: "GaussianProcessRegressor", asked: np.ndarray) -> Iterator[int]:
    """Choose what to try.

    Losses that act alike are not tried together: after each choice, what is near it counts as tried (GP-BUCB: Desautels
    et al. 2014, JMLR 15).

    Args:
      process: what is known, as ``fit`` gives it.
      asked: ``features`` of losses that may be tried, finite.

    Yields:
      Places of at most ``CONSIDERED`` losses, the one to try first at first; each costs more than the one before.
    """
    if not len(asked):
        return
    mean, std = (np.asarray(part) for part in process.predict(asked, return_std=True))
    places = np.argsort(-(mean + SURE * std), kind="stable")[:CONSIDERED]
    covariance = np.asarray(process.predict(asked[places], return_cov=True)[1])
    mean, variance = mean[places], np.diag(covariance)
    # A choice takes a product of its column with itself from the covariance of all others. Only the variances, and the
    # columns of later choices, are read, so nothing else of it is computed.
    here, left = np.arange(len(places)), np.ones(len(places), bool)  # what the columns are of, and what is not chosen
    columns, pivots = np.empty_like(covariance), np.empty(len(places))
    work = np.empty((len(places) + 1, len(places)))  # of which the first rows are used
    for count in range(len(places)):
        if count % _SHRINKING == 0 and count:
            here, mean, variance = here[left], mean[left], variance[left]
            columns, left = columns[:, left], np.ones(len(here), bool)
            work = np.empty((len(places) + 1, len(here)))
        bounds = mean + SURE * np.sqrt(np.maximum(variance - NOISE, 0))
        best = int(np.where(left, bounds, -np.inf).argmax())
        yield int(places[here[best]])
        left[best] = False
        taken = np.multiply(columns[:count], columns[:count, best, None], out=work[1 : count + 1])
        taken /= pivots[:count, None]
        work[0] = covariance[here[best], here]
        column = np.subtract.reduce(work[: count + 1], axis=0)
        pivots[count] = column[best]
        column[best] -= NOISE
        columns[count] = column
        variance = variance - column * column / pivots[count]


def guess(process: "GaussianProcessRegressor", asked: np.ndarray) -> np.ndarray:
    """What losses are worth, in normal scores: 0 is the median of what was tried, 1 the best sixth.

    The arguments are those of ``order``; the result is float64 ``[asked]``.
    """
    return np.asarray(process.predict(asked))


def fit(known: np.ndarray, fitness: np.ndarray, errors: np.ndarray | None = None) -> "GaussianProcessRegressor":
    """The process that knows normal scores of fitness, 0 for the median of what was tried and 1 for the best sixth.

    Args:
      known: ``features`` of losses that were tried, finite.
      fitness: ``[known]``, of which the order alone counts.
      errors: ``[known]``, standard errors of fitness. What they make of a normal score is noise beside ``NOISE``: much
        where many losses lie close together, and little where few do. Defaults to 0.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor  # takes most of a second to import
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    if len(known) > MOST:
        fittest = np.argsort(-fitness, kind="stable")[: MOST // 2]
        rest = np.setdiff1d(np.arange(len(known)), fittest)
        chosen = np.sort(np.concatenate([fittest, rest[-(MOST - MOST // 2) :]]))
        known, fitness, errors = known[chosen], fitness[chosen], None if errors is None else errors[chosen]
    scores = ndtri((rankdata(fitness) - 0.5) / len(fitness))
    own = _LEAST + (0 if errors is None else _variances(fitness, scores, errors))
    kernel: Any = Matern(NEAR, nu=1.5) + WhiteKernel(NOISE)
    process = GaussianProcessRegressor(kernel, alpha=own, optimizer=None)  # type: ignore[arg-type]  # None is none
    return process.fit(known, scores)


def _variances(fitness: np.ndarray, scores: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """How far normal scores scatter where fitness does: half the way between those an error off, squared."""
    order = np.argsort(fitness, kind="stable")
    below, above = (np.interp(fitness + step, fitness[order], scores[order]) for step in (-errors, errors))
    return ((above - below) / 2) ** 2
