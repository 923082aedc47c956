"""A comparison over fresh seeds as rows of plain values, for JSON and for data frames."""

from collections.abc import Callable, Sequence

import numpy as np

from glojax import statistics
from glojax.records.comparisons import Comparison
from glojax.tasks import metrics

Row = dict[str, str | float | int]


def comparison_rows(
    metric: str, as_metric: Callable[[np.ndarray], np.ndarray], rows: Sequence[Comparison]
) -> list[Row]:
    """A dictionary for each loss.

    Args:
      metric: the name of the task's metric.
      as_metric: turns scores into that metric.
      rows: the comparison.

    Returns:
      ``loss``, ``rate`` (the scale of the task's learning rate), ``trainings``, ``failed``, and for each split
      ``validation`` (the mean over trainings), ``validation_std``, ``validation_low``, ``validation_high`` (the 95%
      interval of the mean); ``test`` likewise where the task has a test set.
    """
    bounds = metrics.bounds_of(metric)
    made: list[Row] = []
    for row in rows:
        values: Row = {
            "loss": row.name,
            "rate": float(row.rate),
            "trainings": len(row.validation),
            "failed": int((row.validation == 0).sum()),
        }
        for split, scores in (("validation", row.validation), ("test", row.test)):
            if len(scores):
                one = statistics.summarize(as_metric(scores), bounds)
                ends = {"": one.mean, "_std": one.std, "_low": one.low, "_high": one.high}
                values |= {split + end: float(value) for end, value in ends.items()}
        made.append(values)
    return made
