"""Metrics of a network's outputs, by which a loss is judged: ``metric(outputs, labels) -> scalar``.

Higher is better and 0 is the worst, except for the errors in ``MINIMIZED``. Outputs are ``[examples, outputs]``. Labels
have the same shape, or are integers ``[examples]`` for classes. Labels that are NaN are unknown and do not count.
"""

import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

Metric = Callable[[jax.Array, jax.Array], jax.Array]


def accuracy(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of examples whose largest output is their label's; ``[examples, classes]`` and integer labels."""
    return jnp.mean(jnp.argmax(outputs, axis=-1) == labels)


def binary_accuracy(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of labels, 0 or 1, that the sign of their output predicts; both ``[examples, outputs]``."""
    known = ~jnp.isnan(labels)
    return jnp.mean((outputs > 0) == (labels > 0.5), where=known)


def f1(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over outputs of 2 TP / (2 TP + FP + FN), 0 for an output without positives.

    Both are ``[examples, outputs]``; an output above 0 predicts the label 1.
    """
    known, positive, chosen = ~jnp.isnan(labels), labels > 0.5, outputs > 0
    hits = jnp.sum(positive & chosen & known, axis=0)
    misses = jnp.sum((positive != chosen) & known, axis=0)
    return jnp.mean(2 * hits / jnp.maximum(2 * hits + misses, 1))


def auc(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over outputs of the area under the ROC curve; both ``[examples, outputs]``.

    It is the share of pairs of a positive and a negative in which the positive has the larger output, where ties count
    half: the Mann-Whitney statistic, computed from ranks.
    """

    def one(output: jax.Array, label: jax.Array) -> jax.Array:
        known, positive = ~jnp.isnan(label), label > 0.5
        output = jnp.where(known, output, jnp.inf)  # ranked last, where they change no other rank
        ordered = jnp.sort(output)
        rank = (
            jnp.searchsorted(ordered, output, side="left") + jnp.searchsorted(ordered, output, side="right") + 1
        ) / 2
        positives = jnp.sum(positive & known)
        negatives = jnp.sum(known) - positives
        wins = jnp.sum(rank, where=positive & known) - positives * (positives + 1) / 2
        return wins / (positives * negatives)

    return jnp.mean(jax.vmap(one, in_axes=1)(outputs, labels))


def r2(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of the targets' variance that is explained, 0 for less than the mean tells; the mean over outputs."""
    known = ~jnp.isnan(labels)
    mean = jnp.mean(labels, axis=0, where=known)
    left = jnp.sum((outputs - labels) ** 2, axis=0, where=known)
    return jnp.mean(jnp.maximum(1 - left / jnp.sum((labels - mean) ** 2, axis=0, where=known), 0))


def rmse(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The root of the mean squared error over all known entries; less is better."""
    return jnp.sqrt(jnp.mean((outputs - labels) ** 2, where=~jnp.isnan(labels)))


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "binary_accuracy": binary_accuracy,
    "f1": f1,
    "auc": auc,
    "r2": r2,
    "rmse": rmse,
}
"""Metrics by name."""

MINIMIZED = frozenset({rmse})
"""Metrics that are errors."""

OF_CLASSES = frozenset({accuracy})
"""Metrics of integer class labels; labels of the others have the shape of the outputs."""


def metric_by_name(field: str, metric: Metric | str) -> Metric:
    """Find a metric by its name.

    Args:
      field: the field that holds it, for messages.
      metric: a key of ``METRICS``, or a function, which is returned as it is.

    Raises:
      ValueError: it is neither.
    """
    if callable(metric):
        return metric
    if metric not in METRICS:
        raise ValueError(f"{field} is {metric!r}; {', '.join(METRICS)} or a function is allowed.")
    return METRICS[metric]


def name_of(metric: Metric) -> str | None:
    """The key of a metric in ``METRICS``; ``None`` for another function."""
    return next((name for name, known in METRICS.items() if known is metric), None)


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
