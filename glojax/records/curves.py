"""Learning curves of full trainings, as a run keeps them in ``curves.json``."""

import json
from typing import NamedTuple

import numpy as np

from glojax.deprecation import renamed_attribute


class Row(NamedTuple):
    """The curve of one loss at one learning rate."""

    name: str
    rate: float  # scale of the task's learning rate
    scores: np.ndarray  # float32[seeds, points, splits]; NaN at points that are not reached yet


class Curves(NamedTuple):
    """The curves of several losses."""

    steps: list[int]  # [points] at which the scores were taken
    splits: tuple[str, ...]  # such as ("validation", "test")
    rows: list[Row]  # the given losses
    baseline: list[Row]  # the baseline, a row for each rate; empty if it was not trained

    control = renamed_attribute("control", "baseline")

    @property
    def shown(self) -> list[Row]:
        """The given losses, then the baseline at its best rate: the one with the best mean final score.

        The first split both chooses that rate and is shown. On it the baseline is flattered, if anything.
        """
        ends = [row.scores[:, -1, 0].mean() for row in self.baseline]
        return self.rows + ([self.baseline[int(np.argmax(ends))]] if ends else [])


def to_json(curves: Curves) -> str:
    """The content of ``curves.json``: steps, splits, and all rows, those of the baseline last."""
    rows = [row._asdict() | {"scores": _with_nulls(row.scores)} for row in curves.rows + curves.baseline]
    return json.dumps({"steps": curves.steps, "splits": curves.splits, "rows": rows}) + "\n"


def _with_nulls(scores: np.ndarray) -> list[list[list[float | None]]]:
    """Scores as nested lists, with None for NaN, which JSON lacks."""
    numbers = np.round(scores.astype(float), 6).astype(object)
    numbers[np.isnan(scores)] = None
    return numbers.tolist()
