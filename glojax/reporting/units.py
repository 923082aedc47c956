"""Errors of a regression in the units of the target, where the task is a table."""

import numpy as np

from glojax.data.tables import Transform, load_transform
from glojax.records.comparisons import BEST_KNOWN, Comparison
from glojax.records.summary import RunSummary
from glojax.reporting import conclusions
from glojax.reporting.numbers import number

_NAMES = {"rmse": "root mean squared error", "mae": "mean absolute error"}


def errors_in_words(run: RunSummary) -> list[str]:
    """A sentence with the mean errors of the found loss, the baseline and the best known loss; none for classes."""
    transform, ours = transform_of(run), run.found_in_comparison
    if transform is None or ours is None or transform.kind != "regression":
        return []
    compared = {"the loss": ours, run.task.baseline: run.compared[0]}
    known = next((loss for loss in run.compared if loss.name == BEST_KNOWN), None)
    compared |= {conclusions.best_known_in_words(run): known} if known is not None else {}
    means: list[str] = []
    for name, loss in compared.items():
        found = error(run, transform, loss.best)
        if found is None:
            return []
        means.append(f"{number(float(found.mean()))} of {name}")
    what = _NAMES.get(run.task.metric, run.task.metric if run.task.is_error else _NAMES["rmse"])
    return [f"In units of {transform.target} the {conclusions.judged_split(run)} {what} is {', '.join(means)}."]


def transform_of(run: RunSummary) -> Transform | None:
    """What the rows of the run's table became; None where the task is no table."""
    path = run.directory / "table.json"
    return load_transform(path) if path.exists() else None


def error(run: RunSummary, transform: Transform, row: Comparison) -> np.ndarray | None:
    """The error ``[seeds]`` of a loss in units of the target: its own, or of R² the root mean squared error.

    None where it cannot be told: for another metric, a training that failed, or an R² that has reached its bound, 0.
    """
    metric = conclusions.final_metrics(run, row)
    if not np.isfinite(metric).all():
        return None
    if run.task.is_error:
        return metric * transform.target_std if run.task.metric in _NAMES or ":" in run.task.metric else None
    if run.task.metric != "r2" or run.task.spread is None or not (metric > 0).all():
        return None
    # R² is 1 - error² / variance.
    return np.sqrt(1 - metric) * run.task.spread * transform.target_std
