"""Metrics of a network's outputs, by which a loss is judged: ``metric(outputs, labels) -> scalar``.

Higher is better and 0 is the worst, except for errors (``is_error``). Outputs are ``[examples, outputs]``. Labels
have the same shape, or are ``[examples]`` for one output, or integers ``[examples]`` for classes. Every other shape is
refused: it would be broadcast to something else. Labels that are NaN, or no class, are unknown and do not count. Where
nothing is known a metric is NaN, and so it is where a network gives NaN.

Some metrics are of classes and of labels 0 and 1. One-hot or soft rows of classes have the shape of labels 0 and 1 of
several outputs: these metrics take ``classes=True`` or ``classes=False``, and a task tells them by its kind
(``bound``).

They run inside compiled programs, in 32 bits, and are right for ten million examples too (``sums``). Arrays of NumPy
and lists are taken as they are, float64 with all its digits.
"""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from glojax.tasks.metric_inputs import Metric
from glojax.tasks.metrics_of_choices import (
    F1OfClass,
    accuracy,
    balanced_accuracy,
    binary_accuracy,
    dice,
    f1,
    f1_of_class,
    iou,
)
from glojax.tasks.metrics_of_numbers import QuantileLoss, mae, quantile_loss, r2, rmse
from glojax.tasks.metrics_of_probabilities import brier, calibration_error, log_loss, perplexity
from glojax.tasks.metrics_of_ranks import auc, average_precision

__all__ = [
    "LABELS",
    "METRICS",
    "MINIMIZED",
    "OF_BINARY",
    "OF_CLASSES",
    "OF_NUMBERS",
    "BoundMetric",
    "Metric",
    "accuracy",
    "auc",
    "average_precision",
    "balanced_accuracy",
    "binary_accuracy",
    "bound",
    "bounds_of",
    "brier",
    "calibration_error",
    "dice",
    "f1",
    "f1_of_class",
    "from_scores",
    "iou",
    "is_error",
    "log_loss",
    "mae",
    "metric_by_name",
    "name_of",
    "names",
    "perplexity",
    "quantile_loss",
    "r2",
    "rmse",
    "taken_labels",
    "unbound",
]

METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "binary_accuracy": binary_accuracy,
    "f1": f1,
    "dice": dice,
    "iou": iou,
    "auc": auc,
    "average_precision": average_precision,
    "log_loss": log_loss,
    "perplexity": perplexity,
    "brier": brier,
    "calibration_error": calibration_error,
    "r2": r2,
    "rmse": rmse,
    "mae": mae,
}
"""Metrics by name. What ``f1_of_class`` and ``quantile_loss`` make has names too: ``"f1:3"``, ``"quantile:0.9"``."""

MINIMIZED = frozenset({log_loss, perplexity, brier, calibration_error, rmse, mae})
"""Metrics of ``METRICS`` that are errors; ``is_error`` also knows those that are made."""

_OF_BOTH = frozenset({balanced_accuracy, f1, dice, iou, auc, average_precision, log_loss, brier, calibration_error})

OF_CLASSES = _OF_BOTH | {accuracy, perplexity}
"""Metrics of ``METRICS`` for labels that are classes."""

OF_BINARY = _OF_BOTH | {binary_accuracy}
"""Metrics of ``METRICS`` for labels 0 and 1, of the shape of the outputs."""

OF_NUMBERS = frozenset({r2, rmse, mae})
"""Metrics of ``METRICS`` for labels that are any numbers, of the shape of the outputs."""

LABELS = {"classes": OF_CLASSES, "labels 0 and 1": OF_BINARY, "numbers": OF_NUMBERS}
"""Metrics of ``METRICS`` by the labels that they are for."""

_FAMILIES = {"classes": "f1:CLASS", "labels 0 and 1": "f1:CLASS", "numbers": "quantile:SHARE"}


# BY NAME


def metric_by_name(field: str, metric: Metric | str) -> Metric:
    """Find a metric by its name.

    Args:
      field: the field that holds it, for messages.
      metric: a key of ``METRICS``, ``"f1:3"`` for the F1 of class 3, ``"quantile:0.9"`` for the quantile loss, or a
        function, which is returned as it is.

    Raises:
      ValueError: it is neither.
    """
    if callable(metric):
        return metric
    if isinstance(metric, str):
        if metric in METRICS:
            return METRICS[metric]
        if of_class := re.fullmatch(r"f1:([0-9]{1,9})", metric):
            return f1_of_class(int(of_class[1]))
        of_quantile = re.fullmatch(r"quantile:([0-9]{0,1}\.?[0-9]{1,17}(e-[0-9]{1,2})?)", metric)
        if of_quantile and 0 < float(of_quantile[1]) < 1:
            return quantile_loss(float(of_quantile[1]))
    raise ValueError(
        f"{field} is {metric!r}; {', '.join(METRICS)}, f1:CLASS such as f1:3, quantile:SHARE such as quantile:0.9, or "
        "a function is allowed."
    )


def name_of(metric: Metric) -> str | None:
    """The name by which ``metric_by_name`` finds a metric; ``None`` for another function."""
    metric = unbound(metric)
    if isinstance(metric, F1OfClass | QuantileLoss):
        return metric.__name__
    return next((name for name, known in METRICS.items() if known is metric), None)


def names(labels: str) -> tuple[str, ...]:
    """The names of the metrics for a key of ``LABELS``, for messages."""
    return (*(name for name, metric in METRICS.items() if metric in LABELS[labels]), _FAMILIES[labels])


# WHAT THEY ARE


_BOUNDS: dict[str, tuple[float, float]] = {
    "log_loss": (0, np.inf), "perplexity": (1, np.inf), "brier": (0, 2), "r2": (-np.inf, 1), "rmse": (0, np.inf),
    "mae": (0, np.inf), "quantile": (0, np.inf),
}  # fmt: skip


def bounds_of(name: str) -> tuple[float, float]:
    """The smallest and the largest value of a metric by its name, or by ``Task.metric_name``.

    One that is not known has no bounds.
    """
    family = name.partition(":")[0].replace(" ", "_")
    return _BOUNDS.get(family, (0, 1) if family in METRICS else (-np.inf, np.inf))


def is_error(metric: Metric) -> bool:
    """Whether less of a metric is better; False for a function that is not of glojax."""
    metric = unbound(metric)
    return isinstance(metric, QuantileLoss) or _is_among(metric, MINIMIZED)


def taken_labels(metric: Metric) -> frozenset[str]:
    """The keys of ``LABELS`` for which a metric is; empty for a function that is not of glojax."""
    metric = unbound(metric)
    if isinstance(metric, F1OfClass):
        metric = f1
    if isinstance(metric, QuantileLoss):
        metric = mae
    return frozenset(labels for labels, known in LABELS.items() if _is_among(metric, known))


def _is_among(metric: Metric, known: frozenset[Metric]) -> bool:
    return any(metric is one for one in known)  # a user's function may have no hash


@dataclass(frozen=True)
class BoundMetric:
    """A metric that is told whether labels of the shape of several outputs are rows of classes; see ``bound``."""

    metric: Any
    classes: bool

    def __call__(self, outputs: jax.Array, labels: jax.Array) -> jax.Array:
        return self.metric(outputs, labels, classes=self.classes)

    @property
    def __name__(self) -> str:
        return self.metric.__name__


def bound(metric: Metric, classes: bool) -> Metric:
    """Tell a metric what labels are, if it is both of classes and of labels 0 and 1.

    Args:
      metric: any metric.
      classes: whether labels are classes, so that those of the outputs' shape are one-hot or soft rows.

    Returns:
      A metric that equals every other one that is made of the same; another metric as it is.
    """
    metric = unbound(metric)
    return BoundMetric(metric, classes) if {"classes", "labels 0 and 1"} <= taken_labels(metric) else metric


def unbound(metric: Metric) -> Metric:
    """The metric of which ``bound`` made one, and every other as it is."""
    return metric.metric if isinstance(metric, BoundMetric) else metric


def from_scores(scores: np.ndarray, is_error: bool) -> np.ndarray:
    """Convert scores back to the metric.

    Args:
      scores: of any shape.
      is_error: whether the metric is an error, whose score is 1 / (1 + error).

    Returns:
      The metric, in the shape of ``scores``; an error is infinite where the score is 0.
    """
    scores = np.asarray(scores, float)
    with np.errstate(divide="ignore"):
        return 1 / scores - 1 if is_error else scores


def __getattr__(name: str) -> Callable[[str, Metric | str], Metric]:
    if name == "named":
        warnings.warn("glojax.metrics.named is now metric_by_name.", DeprecationWarning, stacklevel=2)
        return metric_by_name
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
