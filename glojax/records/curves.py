"""Learning curves of full trainings, as a run keeps them."""

import json
from typing import Any, NamedTuple

import numpy as np


class Row(NamedTuple):
    """One loss at one rate."""

    name: str
    rate: float  # scale of the task's learning rate
    scores: np.ndarray  # float32[seeds, points, splits]; NaN at points that are not reached yet


class Curves(NamedTuple):
    """What trainings gave."""

    steps: list[int]  # [points]
    splits: tuple[str, ...]
    rows: list[Row]  # the given losses
    baseline: list[Row]  # cross-entropy at every rate, or none

    @property
    def shown(self) -> list[Row]:
        """The given losses, then cross-entropy at the rate whose mean score at the end is best by the first split.

        The same scores choose that rate and are shown, so that by this split the baseline is flattered, if anything.
        """
        ends = [row.scores[:, -1, 0].mean() for row in self.baseline]
        return self.rows + ([self.baseline[int(np.argmax(ends))]] if ends else [])


def to_json(curves: Curves) -> str:
    rows = [row._asdict() | {"scores": _with_nulls(row.scores)} for row in curves.rows + curves.baseline]
    return json.dumps({"steps": curves.steps, "splits": curves.splits, "rows": rows}) + "\n"


def _with_nulls(scores: np.ndarray) -> Any:
    """As lists; JSON knows no NaN."""
    numbers = np.round(scores.astype(float), 6).astype(object)
    numbers[np.isnan(scores)] = None
    return numbers.tolist()
