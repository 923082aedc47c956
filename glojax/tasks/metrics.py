"""Metrics of a network's outputs, by which a loss is judged: ``metric(outputs, labels) -> scalar``.

Higher is better and 0 is the worst, except for the errors in ``MINIMIZED``. Outputs are ``[examples, outputs]``. Labels
have the same shape, or are ``[examples]`` for one output, or integers ``[examples]`` for classes. Every other shape is
refused: it would be broadcast to something else. Labels that are NaN, or no class, are unknown and do not count. Where
nothing is known a metric is NaN, and so it is where a network gives NaN.

They run inside compiled programs, in 32 bits, and are right for ten million examples too (``sums``). Arrays of NumPy
and lists are taken as they are, float64 with all its digits.
"""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from glojax.tasks import sums
from glojax.tasks.labels import check_binary

Metric = Callable[[jax.Array, jax.Array], jax.Array]

# METRICS


def accuracy(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of examples whose largest output is their label's.

    Args:
      outputs: ``[examples, classes]``, two classes or more.
      labels: whole numbers ``[examples]``; those that are no class, such as -1, do not count. Or one-hot or soft labels
        ``[examples, classes]``, of which the largest counts; rows of NaN or of zeros do not.

    Raises:
      ValueError: other shapes, or labels that are no whole numbers.
    """
    outputs, labels = _array("accuracy", "outputs", outputs), _array("accuracy", "labels", labels)
    if outputs.ndim != 2 or outputs.shape[1] < 2 or not len(outputs):
        raise ValueError(
            f"accuracy: outputs are {_described(outputs)}; [examples, classes] of two classes or more is expected. "
            "binary_accuracy is for one output."
        )
    examples, classes = outputs.shape
    if labels.shape == outputs.shape:
        known = ~_is_nan(labels).any(axis=-1) & (labels != 0).any(axis=-1)
        labels = labels.argmax(axis=-1)
    elif labels.shape in ((examples,), (examples, 1)):
        labels = labels.reshape(examples)
        known = (labels >= 0) & (labels < classes)  # NaN is neither
        if not _is_traced(labels) and (wrong := np.asarray(labels)[np.asarray(known & (labels % 1 != 0))]).size:
            raise ValueError(f"accuracy: labels hold {wrong[0]:g}; classes are whole numbers, and NaN where unknown.")
    else:
        raise ValueError(
            f"accuracy: outputs are {_described(outputs)} and labels {_described(labels)}; labels [{examples}] of "
            f"classes, or [{examples}, {classes}], are expected."
        )
    right = (outputs.argmax(axis=-1) == labels) & known
    lost = (_is_nan(outputs).any(axis=-1) & known).any()
    # The second factor is exactly 1 where all labels are known.
    share = jnp.sum(right) / examples * (examples / jnp.sum(known))
    return jnp.where(lost, jnp.nan, share)


def binary_accuracy(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of labels, 0 or 1, that the sign of their output predicts; both ``[examples, outputs]``."""
    outputs, labels = _binary("binary_accuracy", outputs, labels)
    known = ~_is_nan(labels)
    right = ((outputs > 0) == (labels > 0.5)) & known
    return jnp.where((_is_nan(outputs) & known).any(), jnp.nan, jnp.sum(right) / jnp.sum(known))


def f1(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over outputs of 2 TP / (2 TP + FP + FN), 0 for an output without positives.

    Both are ``[examples, outputs]``; an output above 0 predicts the label 1.
    """
    outputs, labels = _binary("f1", outputs, labels)
    known, positive, chosen = ~_is_nan(labels), labels > 0.5, outputs > 0
    hits = jnp.sum(positive & chosen & known, axis=0)
    misses = jnp.sum((positive != chosen) & known, axis=0)
    sound = known.any(axis=0) & ~(_is_nan(outputs) & known).any(axis=0)
    return jnp.mean(jnp.where(sound, 2 * hits / jnp.maximum(2 * hits + misses, 1), jnp.nan))


def auc(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over outputs of the area under the ROC curve; both ``[examples, outputs]``.

    It is the share of pairs of a positive and a negative in which the positive has the larger output, where ties count
    half: the Mann-Whitney statistic. It is NaN if an output has labels of one class alone.
    """
    outputs, labels = _binary("auc", outputs, labels)
    known = ~_is_nan(labels)
    if isinstance(outputs, np.ndarray):  # float32 would make ties of outputs that differ
        ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in outputs.T], axis=1)
        found = jax.vmap(_auc, in_axes=1)(jnp.asarray(ranks, jnp.int32), known, labels > 0.5)
    else:
        found = jax.vmap(_auc, in_axes=1)(outputs, known, labels > 0.5)
    return jnp.mean(jnp.where((_is_nan(outputs) & known).any(axis=0), jnp.nan, found))


def _auc(outputs: jax.Array, known: jax.Array, positive: jax.Array) -> jax.Array:
    """The area for one output; all are ``[examples]``."""
    outputs, positive, negative = jax.lax.sort((outputs, known & positive, known & ~positive), num_keys=1)
    first = jnp.concatenate([jnp.array([True]), outputs[1:] != outputs[:-1]])  # of those that tie
    upto = jax.lax.cumsum(negative.astype(jnp.int32))
    below = jax.lax.cummax(jnp.where(first, upto - negative.astype(jnp.int32), 0))
    last = jnp.concatenate([first[1:], jnp.array([True])])
    upto = jax.lax.cummin(jnp.where(last, upto, len(outputs)), reverse=True)
    # Of each positive: the negatives below it twice, those that tie with it once.
    wins = sums.total_of_counts(jnp.where(positive, below + upto, 0), 2 * len(outputs))
    positives, negatives = (jnp.sum(part).astype(jnp.float32) for part in (positive, negative))
    return wins / 2 / positives / negatives


def r2(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of the targets' variance that is explained, 0 for less than the mean tells; the mean over outputs.

    As in scikit-learn it is 1 or 0 for targets that are all the same: whether the outputs are these.
    """
    outputs, labels, known = _numbers("r2", outputs, labels)
    count = jnp.sum(known, axis=0).astype(labels.dtype)
    size = _power_of_two(jnp.max(jnp.abs(labels), axis=0, where=known, initial=0))
    outputs, labels = outputs / size[None], labels / size[None]  # whose squares are in the range of float32
    mean = sums.total(labels, known).high / count
    # Where all targets lie far from 0 the mean has too few digits; its rest is that of what is left.
    away = labels - mean[None]
    away -= (sums.total(away, known).high / count)[None]
    all_of_it, left = sums.total(away**2, known).high, sums.total((outputs - labels) ** 2, known).high
    perfect = jnp.all(outputs == labels, axis=0, where=known)
    explained = jnp.where(
        all_of_it > 0, 1 - left / all_of_it, jnp.where(jnp.isnan(left), left, perfect.astype(left.dtype))
    )
    return jnp.mean(jnp.where(count > 1, jnp.maximum(explained, 0), jnp.nan))


def rmse(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The root of the mean squared error over all known entries; less is better."""
    outputs, labels, known = _numbers("rmse", outputs, labels)
    errors = jnp.where(known, outputs - labels, 0)
    size = _power_of_two(jnp.max(jnp.abs(errors)))
    squares = sums.total(sums.total((errors / size) ** 2).high).high
    return size * jnp.sqrt(squares / jnp.sum(known).astype(squares.dtype))


def _power_of_two(size: jax.Array) -> jax.Array:
    """A power of two near a size, 1 for 0 and infinity: a division by it rounds nothing."""
    _, exponent = jnp.frexp(jnp.where(jnp.isfinite(size), size, 0))
    return jnp.where(size > 0, jnp.ldexp(jnp.ones_like(size), jnp.clip(exponent - 1, -125, 126)), 1)


# WHAT THEY TAKE


def _array(metric: str, name: str, given: Any) -> Any:
    """Outputs or labels as an array of JAX or of NumPy."""
    found = given if isinstance(given, jax.Array) else np.asarray(given)
    if not (found.dtype == bool or any(jnp.issubdtype(found.dtype, kind) for kind in (jnp.integer, jnp.floating))):
        raise ValueError(f"{metric}: {name} are {_described(found)}; real numbers are expected.")
    return found


def _pair(metric: str, outputs: Any, labels: Any) -> tuple[Any, Any]:
    """Outputs and labels ``[examples, outputs]``."""
    outputs, labels = _array(metric, "outputs", outputs), _array(metric, "labels", labels)
    given = f"{metric}: outputs are {_described(outputs)} and labels {_described(labels)}"
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if labels.ndim == 1 and outputs.ndim == 2 and outputs.shape[1] == 1:
        labels = labels[:, None]
    if outputs.ndim != 2 or outputs.shape != labels.shape or not outputs.size:
        hint = " accuracy is for labels that are classes." if metric == "binary_accuracy" and outputs.ndim == 2 else ""
        raise ValueError(f"{given}; both [examples, outputs] are expected, or [examples] for one output.{hint}")
    return outputs, labels


def _binary(metric: str, outputs: Any, labels: Any) -> tuple[Any, Any]:
    """Outputs, and labels of which all that can be looked at are 0 to 1 or NaN; both ``[examples, outputs]``."""
    outputs, labels = _pair(metric, outputs, labels)
    if not _is_traced(labels):
        check_binary(metric, np.asarray(labels), soft=True)
    return outputs, labels


def _numbers(metric: str, outputs: Any, labels: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Outputs, labels, and which labels are known, all ``[examples, outputs]``, at least float32."""
    outputs, labels = _pair(metric, outputs, labels)
    known = ~_is_nan(labels)
    if isinstance(outputs, np.ndarray) and isinstance(labels, np.ndarray):
        # Both without the labels' mean: what float32 has no digits for in numbers far from 0.
        labels = labels.astype(np.float64)
        mean = labels.sum(axis=0, where=known) / np.maximum(known.sum(axis=0), 1)
        with np.errstate(over="ignore"):
            outputs, labels = (outputs - mean).astype(np.float32), (labels - mean).astype(np.float32)
    dtype = jnp.promote_types(jnp.promote_types(outputs.dtype, labels.dtype), jnp.float32)
    return jnp.asarray(outputs, dtype), jnp.asarray(labels, dtype), jnp.asarray(known)


def _is_traced(array: Any) -> bool:
    return isinstance(array, Tracer)


def _is_nan(array: Any) -> Any:
    return array != array


def _described(array: Any) -> str:
    return f"{array.dtype}{list(array.shape)}"


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
