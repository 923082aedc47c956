"""Checks of the metric that a ``Task`` is given: that it exists, suits the labels, and gives a number.

Each raises a ``ValueError`` that names the field and what is allowed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from glojax.data.splits import Split
from glojax.tasks import metrics
from glojax.tasks.checks import class_count, described
from glojax.tasks.labels import check_binary, known_of
from glojax.tasks.metrics import Metric
from glojax.tasks.metrics_of_choices import F1OfClass
from glojax.tasks.problems import Kind

_MEANS_OF_OUTPUTS = (
    metrics.f1, metrics.dice, metrics.iou, metrics.auc, metrics.r2,
    metrics.balanced_accuracy, metrics.average_precision, metrics.calibration_error,
)  # fmt: skip


def metric(given: str | Metric, name: str, kind: Kind, minimize: object) -> None:
    """Check that a metric exists, suits the labels, and is an error where it is to be minimized.

    Args:
      given: the metric, or its name.
      name: its name in messages.
      kind: the kind of problem.
      minimize: ``Task.minimize``.

    Raises:
      ValueError: an unknown metric, one for other labels, or a wrong ``minimize``.
    """
    found = metrics.metric_by_name("Task.metric", given)
    taken, name = metrics.taken_labels(found), metrics.name_of(found) or name
    if taken and taken.isdisjoint(kind.label_types):
        others, these = " and ".join(sorted(taken)), kind.label_types[0].removeprefix("labels ")
        allowed = dict.fromkeys(one for labels in kind.label_types for one in metrics.names(labels))
        raise ValueError(
            f"Task.metric is {name!r}, which is for {others}; these labels are {these}. "
            f"{', '.join(allowed)}, or a function, is allowed."
        )
    if not isinstance(minimize, bool):
        raise ValueError(f"Task.minimize is {minimize!r}; True or False is allowed.")
    if minimize and taken and not metrics.is_error(found):
        raise ValueError(f"Task.minimize is for a metric that is an error; more of {name!r} is better.")


def metric_labels(metric: Metric, kind: Kind, splits: Mapping[str, Split]) -> None:
    """Check that a metric of glojax means something for the labels that it is computed from.

    Args:
      metric: the metric; of another one nothing is known.
      kind: the kind of problem.
      splits: the data, by name. The metric of the training set is for information only.

    Raises:
      ValueError: AUC of one class or without one of the classes, average precision or F1 without positives, R² of
        targets that are all the same, all labels of an output unknown, or numbers for a metric of labels 0 and 1.
    """
    metric = metrics.unbound(metric)
    taken = metrics.taken_labels(metric)
    if not taken:
        return
    for part, (_, labels) in splits.items():
        if not kind.has_classes and "numbers" not in taken:
            check_binary(
                f"Task.metric, {metrics.name_of(metric)}, is for labels 0 and 1; Task.{part}", labels, soft=True
            )
        if part == "train":
            continue
        if kind.has_classes:
            _check_classes(metric, part, labels, class_count(splits))
        else:
            _check_columns(metric, part, [column[column == column] for column in labels.T])


def _check_classes(metric: Metric, part: str, labels: np.ndarray, count: int) -> None:
    """Check labels of ``count`` classes."""
    if labels.ndim == 2:
        labels = labels[known_of(labels).all(axis=1)].argmax(axis=1)
    needed = range(count) if metric in (metrics.auc, metrics.average_precision) else ()
    needed = [metric.of] if isinstance(metric, F1OfClass) else needed
    if missing := sorted(set(needed) - set(np.unique(labels).tolist())):
        raise ValueError(
            f"Task.{part}: no label is class {missing[0]}; {metrics.name_of(metric)} needs some there. Choose another "
            "split or metric."
        )


def _check_columns(metric: Metric, part: str, columns: list[np.ndarray]) -> None:
    """Check the known labels of each output."""
    name, of_class = metrics.name_of(metric), isinstance(metric, F1OfClass)
    for output, column in enumerate(columns):
        what = f"Task.{part}: labels of output {output} are all"
        if not len(column) and (of_class or metric in _MEANS_OF_OUTPUTS):
            raise ValueError(f"{what} unknown; {name} needs some that are known there.")
        if metric in (metrics.auc, metrics.r2) and (column == column[0]).all():
            needed = "both 0 and 1" if metric is metrics.auc else "targets that differ"
            raise ValueError(f"{what} {column[0]:g}; {name} needs {needed} there. Choose another split or metric.")
        if metric is metrics.average_precision and not (column > 0.5).any():
            raise ValueError(f"{what} 0; {name} needs positives there. Choose another split or metric.")
    if isinstance(metric, F1OfClass):
        positive = 1
        if len(columns) == 1 and metric.of < 2:
            positive = metric.of  # one output has the classes 0 and 1
        else:
            columns = columns[metric.of : metric.of + 1]
        if not columns:
            raise ValueError(
                f"Task.metric is {name!r}; Task.{part} has labels of fewer outputs, of which 0 is the first."
            )
        if not any(((column > 0.5) == positive).any() for column in columns):
            raise ValueError(
                f"Task.{part}: no label is {positive}; {name} needs some there. Choose another split or metric."
            )
    if metric in (metrics.f1, metrics.dice, metrics.iou) and not any((column == 1).any() for column in columns):
        raise ValueError(f"Task.{part}: no label is 1; {name} needs positives there. Choose another split or metric.")


def metric_value(found: Any, name: str, for_search: bool) -> None:
    """Check what a metric gave for random outputs.

    Args:
      found: its value.
      name: its name in messages.
      for_search: whether it must be at least 0.

    Raises:
      ValueError: it is not one finite number, or is below 0 for a search.
    """
    if getattr(found, "shape", None) != ():
        raise ValueError(f"{name} gives {described(found)} for the validation set; one number is expected.")
    value = np.asarray(found)
    if not np.isfinite(value) or (for_search and value < 0):
        raise ValueError(
            f"{name} gives {value} of random outputs for the validation set; one finite number"
            f"{' of at least 0' * for_search} is expected."
        )
