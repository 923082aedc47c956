"""The rows of a comparison, as a run keeps them."""

from typing import Any, NamedTuple

import numpy as np

from glojax.losses.loss import Loss


class Comparison(NamedTuple):
    """One row of a report: a loss, at a scale of the task's learning rate, over seeds."""

    name: str
    rate: float
    steps: list[int]  # [points], of the scores
    scores: np.ndarray  # float64[seeds, points, splits]: validation and, where the task has one, test

    @property
    def validation(self) -> np.ndarray:
        """Scores ``[seeds]`` at the end of training."""
        return self.scores[:, -1, 0]

    @property
    def test(self) -> np.ndarray:
        """The same of the test set, empty where there is none."""
        return self.scores[:, -1, 1] if self.scores.shape[2] > 1 else np.zeros(0)


def asked_of(loss: Loss) -> list[Any]:
    """What a comparison keeps of a loss, by which it is known again."""
    return [str(loss.tree), list(loss.coefficients), loss.protected]


def comparisons(kept: dict[str, Any]) -> list[Comparison]:
    """The rows of a comparison as a run keeps them."""
    return [Comparison(row["name"], row["rate"], kept["steps"], np.array(row["scores"])) for row in kept["rows"]]
