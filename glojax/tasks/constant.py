"""What a metric is of a prediction that is the same for all examples: what any network must beat.

With nine examples in ten of one class, an accuracy of 0.9 tells nothing.
"""

from typing import Any

import jax
import numpy as np

from glojax.distributed import jax_settings
from glojax.tasks import labels as labels_of
from glojax.tasks import metrics
from glojax.tasks.metrics import Metric
from glojax.tasks.metrics_of_choices import F1OfClass
from glojax.tasks.metrics_of_numbers import QuantileLoss
from glojax.tasks.metrics_of_targets import MetricOfTarget
from glojax.tasks.problems import Kind, kind_by_name
from glojax.tasks.task import Task

_MOST_CLASSES = 20  # of which one may be the answer to all examples
_OF_ANSWERS = (metrics.accuracy, metrics.binary_accuracy, metrics.balanced_accuracy, metrics.f1)

_LOWEST = -1e4  # the logit of a class without examples, whose probability is then exactly 0


def of_constant(metric: str | Metric, labels: Any, kind: str | Kind = "classification") -> float:
    """Compute the metric of the best constant prediction for these labels.

    Classes and labels 0 and 1 are predicted by their shares: the largest class, or the label that most examples have,
    is the answer, and the shares are the probabilities. F1 of labels 0 and 1 is best where all are 1, and that of one
    class where all are that class. Numbers are predicted by their mean, for the mean absolute error by their median,
    and for a quantile loss by that quantile.

    Args:
      metric: the metric, or its name; one of your own is computed for the same prediction as accuracy or R².
      labels: as ``Task`` takes them, NaN where unknown, and for classes -1 too.
      kind: the kind of problem, or its name. Its network's output is the prediction. Defaults to classification.

    Returns:
      The metric; NaN where it has no meaning for these labels.

    Raises:
      ValueError: an unknown metric or kind, a metric for other labels, or labels that do not suit the kind.
    """
    kind, found = kind_by_name(kind), metrics.unbound(metrics.metric_by_name("metric", metric))
    taken = metrics.taken_labels(found)
    if taken and taken.isdisjoint(kind.label_types):
        allowed = ", ".join(name for those in kind.label_types for name in metrics.names(those))
        these = kind.label_types[0].removeprefix("labels ")
        raise ValueError(
            f"metric is {metrics.name_of(found)!r}, and these labels are {these}; {allowed}, or a function, is allowed."
        )
    given = np.asarray(labels)
    examples, is_binary = len(given) if given.ndim else 0, kind.output == "sigmoid" or "labels 0 and 1" in taken
    if kind.has_classes:
        kept = labels_of.classes("labels", labels, examples, -1)
        row = _of_classes(found, kept)
    else:
        kept = labels_of.numbers("labels", labels, examples, binary=is_binary)
        row = _of_binary(found, kept) if is_binary else _of_numbers(found, kept)
    outputs = np.broadcast_to(row, (len(kept), len(row)))
    return float(metrics.bound(found, kind.has_classes)(outputs, kept))  # type: ignore[arg-type]  # NumPy's arrays


def constant_metric(task: Task, part: str | None = None) -> float | None:
    """The metric of the best constant prediction.

    Args:
      task: the task.
      part: the part of the data. Defaults to the set that losses are judged by: test, or else validation.

    Returns:
      The metric, of several outputs the mean; ``None`` where it has no meaning, or where a function makes the
      predictions.
    """
    if callable(task.problem.output):
        return None
    part = part or ("validation" if task.test is None else "test")
    found = np.mean([of_constant(head.metric_function, head.flat[part].labels, head.problem) for head in task.heads])
    return float(found) if np.isfinite(found) else None


def constant_name(task: Task) -> str:
    """What the best constant prediction is called: the largest class, the mean, or what else it is."""
    kind, metric = task.problem, metrics.unbound(task.metric_function)
    if kind.has_classes or kind.output == "sigmoid":
        return "largest class" if metric in (metrics.accuracy, metrics.binary_accuracy) else "one answer for all"
    return "median" if metric is metrics.mae else "one answer for all" if isinstance(metric, QuantileLoss) else "mean"


def target_spread(task: Task) -> float | None:
    """The deviation of a regression's one target on the judged set, as its labels, or as they are without a transform.

    ``None`` for other tasks.
    """
    if task.problem.output != "identity" or task.outputs != 1:
        return None
    labels = task.flat["validation" if task.test is None else "test"].labels.astype(np.float64)
    metric = task.metric_function
    if isinstance(metric, MetricOfTarget):
        labels = np.asarray(metric.standardized(labels, np))
    return float(np.nanstd(labels))


def one_class_metrics(task: Task, part: str | None = None) -> list[float]:
    """What the metric is for networks that answer one class for all examples, ascending.

    Args:
      task: the task.
      part: the part of the data. Defaults to the set that losses are judged by: test, or else validation.

    Returns:
      A value for each class of up to ``_MOST_CLASSES``, each value once. None of a metric that is not of answers, or
      where an example has several labels.
    """
    metric, kind = metrics.unbound(task.metric_function), task.problem
    of_answers = isinstance(metric, F1OfClass) or metric in _OF_ANSWERS
    outputs = task.outputs if kind.has_classes else 2
    if (
        callable(kind.output)
        or not of_answers
        or outputs > _MOST_CLASSES
        or (not kind.has_classes and task.outputs > 1)
    ):
        return []
    labels = task.flat[part or ("validation" if task.test is None else "test")].labels
    rows = np.eye(outputs, dtype=np.float32) if kind.has_classes else np.array([[-1], [1]], np.float32)
    with jax_settings.standard(wide=task.is_wide):  # as ``Task.check_metric`` compiles it, so that it need not be again
        compute = jax.jit(task.metric_function)
        found = [float(compute(np.repeat(row[None], len(labels), 0), labels)) for row in rows]
    return sorted({value for value in found if np.isfinite(value)})


def _of_classes(metric: Metric, labels: np.ndarray) -> np.ndarray:
    """Logits of the classes, in the order of how many examples they have."""
    if labels.ndim == 1:
        known = labels[labels >= 0]
        shares = np.bincount(known, minlength=2) / len(known)
    else:
        rows = labels[labels_of.known_of(labels).all(axis=1)].astype(np.float64)
        is_of_shares = metric in (metrics.log_loss, metrics.perplexity, metrics.brier)
        shares = rows.mean(axis=0) if is_of_shares else np.eye(rows.shape[1])[rows.argmax(axis=1)].mean(axis=0)
    if isinstance(metric, F1OfClass):
        shares = np.eye(max(len(shares), metric.of + 1))[metric.of]
    return np.log(shares, where=shares > 0, out=np.full(len(shares), _LOWEST))


def _of_binary(metric: Metric, labels: np.ndarray) -> np.ndarray:
    """Logits of the outputs."""
    count = labels.shape[1]
    if isinstance(metric, F1OfClass):
        return np.full(count, -1.0 if count == 1 and metric.of == 0 else 1.0)
    if metric in (metrics.f1, metrics.dice, metrics.iou):
        return np.ones(count)
    known = np.maximum((labels == labels).sum(axis=0), 1)
    shares = np.nansum(labels.astype(np.float64), axis=0) / known
    lowest = np.full(count, _LOWEST)
    return np.log(shares, where=shares > 0, out=lowest.copy()) - np.log(1 - shares, where=shares < 1, out=lowest)


def _of_numbers(metric: Metric, labels: np.ndarray) -> np.ndarray:
    """The mean or a quantile of each output."""
    share = 0.5 if metric is metrics.mae else metric.of if isinstance(metric, QuantileLoss) else None
    columns = [column[column == column].astype(np.float64) for column in labels.T]
    if share is None:
        return np.array([column.mean() if len(column) else 0.0 for column in columns])
    return np.array([np.quantile(column, share) if len(column) else 0.0 for column in columns])
