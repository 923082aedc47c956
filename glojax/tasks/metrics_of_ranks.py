"""Metrics of how a network's outputs order the examples: the area under the ROC curve, and average precision."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glojax.tasks import metric_inputs as inputs
from glojax.tasks import sums


def auc(outputs: jax.Array, labels: jax.Array, *, classes: bool | None = None) -> jax.Array:
    """The mean over outputs, or over classes each against the rest, of the area under the ROC curve.

    It is the share of pairs of a positive and a negative in which the positive has the larger output, where ties count
    half: the Mann-Whitney statistic. Of classes the examples are ordered by the softmax probability of the class, as by
    scikit-learn's ``roc_auc_score(..., multi_class="ovr")``.

    Args:
      outputs: ``[examples, classes]`` or ``[examples, outputs]``.
      labels: classes as ``accuracy`` takes them, or 0 and 1 ``[examples, outputs]``; NaN where unknown.
      classes: whether labels of the shape of several outputs are one-hot or soft rows of classes. Defaults to False:
        such labels are 0 and 1 of each output.

    Returns:
      From 0 to 1; NaN if a class has no examples, or an output labels of one class alone.

    Raises:
      ValueError: other shapes or labels; or, without ``classes``, rows of labels that all sum to 1.
    """
    return _mean_of_columns("auc", _auc, outputs, labels, inputs.means_classes("auc", outputs, labels, classes, True))


def average_precision(outputs: jax.Array, labels: jax.Array, *, classes: bool | None = None) -> jax.Array:
    """The mean over outputs, or over classes each against the rest, of the average precision, as in scikit-learn.

    It is the sum over thresholds of the precision times what the recall grows there; examples that tie share a
    threshold. Of classes the examples are ordered by the softmax probability of the class.

    Args:
      outputs: ``[examples, classes]`` or ``[examples, outputs]``.
      labels: classes as ``accuracy`` takes them, or 0 and 1 ``[examples, outputs]``; NaN where unknown.
      classes: whether labels of the shape of several outputs are one-hot or soft rows of classes. Must be given for
        these.

    Returns:
      From 0 to 1, where a class or an output without positives counts as 0; NaN where nothing is known.

    Raises:
      ValueError: other shapes or labels, or labels of which ``classes`` must say what they are.
    """
    name = "average_precision"
    is_of_classes = inputs.means_classes(name, outputs, labels, classes)
    return _mean_of_columns(name, _average_precision, outputs, labels, is_of_classes)


def _mean_of_columns(
    name: str, metric: Callable[..., jax.Array], outputs: Any, labels: Any, is_of_classes: bool
) -> jax.Array:
    """The mean over classes or outputs of a metric of one: ``metric(outputs, known, positive) -> scalar``."""
    if is_of_classes:
        found = inputs.classes(name, outputs, labels)
        outputs = inputs.log_odds(found.outputs)
        positive = found.labels[:, None] == jnp.arange(outputs.shape[1], dtype=jnp.int32)[None]
        known = jnp.broadcast_to(found.known[:, None], outputs.shape)
    else:
        outputs, labels = inputs.binary(name, outputs, labels)
        known, positive = ~inputs.is_nan(labels), labels > 0.5
    lost = (inputs.is_nan(outputs) & known).any(axis=0)
    if isinstance(outputs, np.ndarray):  # float32 would make ties of outputs that differ
        ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in outputs.T], axis=1)
        outputs = jnp.asarray(ranks, jnp.int32)
    return jnp.mean(jnp.where(lost, jnp.nan, jax.vmap(metric, in_axes=1)(outputs, known, positive)))


def _auc(outputs: jax.Array, known: jax.Array, positive: jax.Array) -> jax.Array:
    """The area for one output; all are ``[examples]``."""
    positive, negative, first = _sorted(outputs, known, positive)
    below = _below(negative, first)
    last = jnp.concatenate([first[1:], jnp.array([True])])
    upto = jax.lax.cummin(jnp.where(last, jax.lax.cumsum(negative.astype(jnp.int32)), len(outputs)), reverse=True)
    # Of each positive: the negatives below it twice, those that tie with it once.
    wins = sums.total_of_counts(jnp.where(positive, below + upto, 0), 2 * len(outputs))
    positives, negatives = (jnp.sum(part).astype(jnp.float32) for part in (positive, negative))
    return wins / 2 / positives / negatives


def _average_precision(outputs: jax.Array, known: jax.Array, positive: jax.Array) -> jax.Array:
    """The average precision for one output; all are ``[examples]``."""
    positive, negative, first = _sorted(outputs, known, positive)
    # Of each example: the positives and the negatives that are not below it.
    hits, wrong = (
        (jnp.sum(part, dtype=jnp.int32) - _below(part, first)).astype(jnp.float32) for part in (positive, negative)
    )
    positives = jnp.sum(positive).astype(jnp.float32)
    precision = sums.total(hits / jnp.maximum(hits + wrong, 1), positive).high / jnp.maximum(positives, 1)
    return jnp.where(known.any(), precision, jnp.nan)


def _sorted(outputs: jax.Array, known: jax.Array, positive: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """In the order of the outputs: which are known positives, known negatives, and the first of those that tie."""
    outputs, positive, negative = jax.lax.sort((outputs, known & positive, known & ~positive), num_keys=1)
    return positive, negative, jnp.concatenate([jnp.array([True]), outputs[1:] != outputs[:-1]])


def _below(counted: jax.Array, first: jax.Array) -> jax.Array:
    """Of each example, how many that count are below it; int32, for examples in order."""
    counted = counted.astype(jnp.int32)
    return jax.lax.cummax(jnp.where(first, jax.lax.cumsum(counted) - counted, 0))
