"""The rows of a comparison over fresh seeds, as a run keeps them."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from glojax.losses.loss import Loss, LossFunction

BEST_KNOWN = "best known loss"
"""The row of the known loss that is the strongest baseline."""

WEIGHTED = "weighted cross-entropy"
"""The row of cross-entropy with balanced class weights, where one class is rare."""

BEST_RATE = ", best rate"
"""What the name of a row ends with where the loss has its best learning rate and not the task's."""

FAIR_RATE = ", fair rate"
"""The same where its gradient is as large as the baseline's at its best rate."""

NOT_FOUND = ("random search", BEST_KNOWN, WEIGHTED)
"""Rows beside the baseline that are not of the search that is judged."""


class Comparison(NamedTuple):
    """One row: a loss at one scale of the task's learning rate, over several seeds."""

    name: str
    rate: float
    steps: list[int]  # [points] at which the scores were taken
    scores: np.ndarray  # float64[seeds, points, splits]: validation and, where the task has one, test

    @property
    def validation(self) -> np.ndarray:
        """Validation scores ``[seeds]`` at the end of training."""
        return self.scores[:, -1, 0]

    @property
    def test(self) -> np.ndarray:
        """Test scores ``[seeds]`` at the end of training; empty where there is no test set."""
        return self.scores[:, -1, 1] if self.scores.shape[2] > 1 else np.zeros(0)


def loss_identity(loss: LossFunction) -> list[str | list[float] | bool]:
    """What a comparison keeps of a loss, as JSON, to recognize it later: tree, coefficients and protection.

    Of a function it keeps the name and the arguments that are bound to it.
    """
    if isinstance(loss, Loss):
        return [str(loss.tree), list(loss.coefficients), loss.protected]
    bound = loss.keywords if isinstance(loss, functools.partial) else {}
    inner = loss.func if isinstance(loss, functools.partial) else loss
    numbers = {name: value for name, value in bound.items() if isinstance(value, int | float)}
    return [f"function {getattr(inner, '__name__', type(inner).__name__)} {numbers}", [], False]


def best_rows(rows: Iterable[Comparison]) -> dict[str, Comparison]:
    """The row that stands for each loss of ``discovery.compare``, by the loss's name.

    It is that at the loss's best rate, unless the task's own rate has the better mean validation score in these very
    trainings: a rate that was chosen over other seeds may still diverge.
    """
    found: dict[str, Comparison] = {}
    for row in rows:  # a loss's row at its best rate follows that at the task's
        own = found.get(name := row.name.removesuffix(BEST_RATE))
        if own is None or row.validation.mean() >= own.validation.mean():
            found[name] = row
    return found


def rows_of(kept: Mapping[str, Any]) -> list[Comparison]:
    """The rows of a comparison from the JSON that a run keeps."""
    return [Comparison(row["name"], row["rate"], kept["steps"], np.array(row["scores"])) for row in kept["rows"]]
