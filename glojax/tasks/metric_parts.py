"""Metrics summed in parts, so that the outputs of a dense task are never all in memory.

``parts`` gives for a metric the sums of some rows and what the metric is of all sums. Sums are ``sums.Total``s, which
stay right over millions of positions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from glojax.tasks import metrics, sums
from glojax.tasks.labels import known_of
from glojax.tasks.metrics import BoundMetric, Metric
from glojax.tasks.metrics_of_choices import Counts, F1OfClass, counts, f1_of, iou_of, recall_of
from glojax.tasks.metrics_of_numbers import QuantileLoss
from glojax.tasks.sums import Total

_MEANS = frozenset({
    metrics.accuracy, metrics.binary_accuracy, metrics.log_loss, metrics.perplexity, metrics.brier, metrics.mae,
    metrics.rmse,
})  # fmt: skip
_OF_ROWS = frozenset({metrics.accuracy, metrics.perplexity})
_OF_COUNTS = {
    metrics.f1: f1_of,
    metrics.dice: f1_of,
    metrics.iou: iou_of,
    metrics.balanced_accuracy: recall_of,
}


class Parts(NamedTuple):
    """A metric as two functions.

    Attributes:
      sums: ``sums(outputs, labels)`` of some rows, outputs ``[rows, outputs]``: a pytree of ``Total``, to be added.
      finish: makes the metric, a scalar, of the sums of all rows.
    """

    sums: Callable[[jax.Array, jax.Array], Any]
    finish: Callable[[Any], jax.Array]


def parts(metric: Metric) -> Parts | None:
    """The parts of a metric.

    Args:
      metric: as ``Task.metric_function`` has it.

    Returns:
      Its parts; ``None`` for one that needs all outputs at once: AUC, average precision, calibration error, R², and
      every function of a user.
    """
    inner, of_classes = metrics.unbound(metric), isinstance(metric, BoundMetric) and metric.classes
    of_counts = inner.of_counts if isinstance(inner, F1OfClass) else _found(_OF_COUNTS, inner)
    if of_counts is not None:
        return _parts_of_counts(of_counts, of_classes)
    if isinstance(inner, QuantileLoss) or any(inner is one for one in _MEANS):
        return _parts_of_mean(metric, of_classes or any(inner is one for one in _OF_ROWS))
    return None


def plus(one: Any, other: Any) -> Any:
    """Add the sums of some rows and those of others."""
    return jax.tree.map(sums.plus, one, other, is_leaf=lambda part: isinstance(part, Total))


def _found(table: dict[Any, Any], metric: Metric) -> Any:
    return next((value for key, value in table.items() if key is metric), None)  # a user's function may have no hash


def _total(value: jax.Array) -> Total:
    high = jnp.asarray(value, jnp.float32)
    return Total(high, jnp.zeros_like(high))


def _parts_of_counts(of_counts: Callable[[Counts, bool], jax.Array], of_classes: bool) -> Parts:
    def add_up(outputs: jax.Array, labels: jax.Array) -> Any:
        return jax.tree.map(_total, counts("metric", outputs, labels, of_classes))

    def finish(found: Any) -> jax.Array:
        highs = Counts(*(part.high for part in found))
        return of_counts(highs._replace(lost=highs.lost > 0), of_classes)

    return Parts(add_up, finish)


def _parts_of_mean(metric: Metric, of_rows: bool) -> Parts:
    """Of the mean over known rows or entries of something of each; perplexity and rmse are made of such a mean."""
    inner = metrics.unbound(metric)
    mean: Any = metrics.bound(metrics.log_loss, True) if inner is metrics.perplexity else metric

    def add_up(outputs: jax.Array, labels: jax.Array) -> tuple[Total, Total]:
        known = known_of(labels)
        known = known.all(axis=-1) if of_rows and known.ndim == 2 else known
        count = jnp.sum(known).astype(jnp.float32)
        found = mean(outputs, labels)
        found = found**2 if inner is metrics.rmse else found
        return _total(jnp.where(count > 0, found * count, 0)), _total(count)

    def finish(found: tuple[Total, Total]) -> jax.Array:
        average = found[0].high / found[1].high
        if inner is metrics.perplexity:
            return jnp.exp(average)
        return jnp.sqrt(average) if inner is metrics.rmse else average

    return Parts(add_up, finish)
