"""Metrics of the probabilities that a network's outputs stand for: log loss, Brier score and calibration error.

Outputs are logits: a softmax makes probabilities of those of classes, a sigmoid of those of labels 0 and 1. All are
errors: less is better. They are computed from the log-odds, so that a probability near 0 or 1 has all its digits.
"""

from typing import Any

import jax
import jax.numpy as jnp

from glojax.tasks import metric_inputs as inputs
from glojax.tasks import sums

BINS = 15
"""Bins of the calibration error, as in Guo et al."""


def log_loss(outputs: jax.Array, labels: jax.Array, *, classes: bool | None = None) -> jax.Array:
    """The mean of -log of the probability of the label: cross-entropy, as scikit-learn's ``log_loss``.

    Soft labels weigh the logarithms by their shares. For labels 0 and 1 it is the mean over all known entries.

    Args:
      outputs: logits ``[examples, classes]`` or ``[examples, outputs]``. Infinite ones count as a quarter of the
        largest number.
      labels: classes as ``accuracy`` takes them, or 0 and 1 ``[examples, outputs]``; NaN where unknown.
      classes: whether labels of the shape of several outputs are one-hot or soft rows of classes. Must be given for
        these.

    Returns:
      From 0, finite for finite logits; NaN where nothing is known.

    Raises:
      ValueError: other shapes or labels, or labels of which ``classes`` must say what they are.
    """
    odds, targets, known = _odds("log_loss", outputs, labels, classes)
    if known.ndim == 1:
        # A share of 0 takes no part, however small the probability.
        losses = jnp.sum(jnp.where(targets > 0, targets * jax.nn.softplus(-odds), 0), axis=-1)
    else:
        losses = targets * jax.nn.softplus(-odds) + (1 - targets) * jax.nn.softplus(odds)
    return sums.mean(losses, known)


def perplexity(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The exponential of the log loss of classes, such as tokens; less is better, and 1 the least."""
    return jnp.exp(log_loss(outputs, labels, classes=True))


def brier(outputs: jax.Array, labels: jax.Array, *, classes: bool | None = None) -> jax.Array:
    """The mean squared difference of probabilities and labels (Brier, 1950).

    Of classes the squares are summed over the classes, also over two: twice what one output of labels 0 and 1 gives.
    For these it is scikit-learn's ``brier_score_loss``, the mean over all known entries.

    Args:
      outputs: logits ``[examples, classes]`` or ``[examples, outputs]``.
      labels: classes as ``accuracy`` takes them, or 0 and 1 ``[examples, outputs]``; NaN where unknown.
      classes: whether labels of the shape of several outputs are one-hot or soft rows of classes. Must be given for
        these.

    Returns:
      From 0 to 2 for classes, to 1 for labels 0 and 1; NaN where nothing is known.

    Raises:
      ValueError: other shapes or labels, or labels of which ``classes`` must say what they are.
    """
    odds, targets, known = _odds("brier", outputs, labels, classes)
    # 1 - p has digits of its own where p is nearly 1.
    squares = jnp.where(targets == 1, jax.nn.sigmoid(-odds), jax.nn.sigmoid(odds) - targets) ** 2
    return sums.mean(jnp.sum(squares, axis=-1) if known.ndim == 1 else squares, known)


def calibration_error(outputs: jax.Array, labels: jax.Array, *, classes: bool | None = None) -> jax.Array:
    """The expected calibration error over 15 bins (Guo et al., arXiv 1706.04599, section 2).

    The confidence is the probability of the class that is predicted; for labels 0 and 1 that is at least one half, and
    the same as with two classes. Bin m of 15 has the confidences above (m - 1) / 15, up to m / 15. The error is the
    mean over examples of how far the accuracy in their bin is from its mean confidence; of several outputs the mean.

    Args:
      outputs: logits ``[examples, classes]`` or ``[examples, outputs]``, where above 0 predicts the label 1.
      labels: classes as ``accuracy`` takes them, or 0 and 1 ``[examples, outputs]``; NaN where unknown.
      classes: whether labels of the shape of several outputs are one-hot or soft rows of classes. Must be given for
        these.

    Returns:
      From 0 to 1; NaN where nothing is known.

    Raises:
      ValueError: other shapes or labels, or labels of which ``classes`` must say what they are.
    """
    name = "calibration_error"
    if inputs.means_classes(name, outputs, labels, classes):
        found = inputs.classes(name, outputs, labels)
        odds = jnp.asarray(inputs.log_odds(found.outputs).max(axis=-1))[:, None]
        right, known = (inputs.answers(found) == found.labels)[:, None], found.known[:, None]
        odds = jnp.where(jnp.asarray(inputs.is_nan(found.outputs).any(axis=-1))[:, None], jnp.nan, odds)
    else:
        outputs, labels = inputs.binary(name, outputs, labels)
        known = jnp.asarray(~inputs.is_nan(labels))
        right = jnp.asarray((outputs > 0) == (labels > 0.5))
        odds = jnp.abs(jnp.asarray(inputs.logits(outputs)))
    return jnp.mean(_calibration_error(odds, right, known))


def _calibration_error(odds: jax.Array, right: jax.Array, known: jax.Array) -> jax.Array:
    """The error of each output.

    Args:
      odds: the log-odds of the prediction, ``[examples, outputs]``.
      right: whether it is the label.
      known: whether there is a label.
    """
    bins = jnp.clip(jnp.ceil(jax.nn.sigmoid(odds) * BINS) - 1, 0, BINS - 1)
    gaps = jnp.where(right, jax.nn.sigmoid(-odds), -jax.nn.sigmoid(odds))  # of accuracy and confidence
    # NaN belongs to every bin, so that it makes the error NaN. One bin at a time: all at once would take 15 times
    # the memory.
    total = jax.lax.map(
        lambda place: jnp.abs(sums.total(gaps, known & ((bins == place) | jnp.isnan(odds))).high),
        jnp.arange(BINS, dtype=bins.dtype),
    )
    return jnp.sum(total, axis=0) / jnp.sum(known, axis=0).astype(total.dtype)


def _odds(name: str, outputs: Any, labels: Any, classes: bool | None) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Log-odds and targets, and which are known.

    Returns:
      Two of ``[examples, outputs]``, and ``[examples]`` for classes, else ``[examples, outputs]``.
    """
    if inputs.means_classes(name, outputs, labels, classes):
        found = inputs.classes(name, outputs, labels)
        odds = jnp.asarray(inputs.log_odds(found.outputs))
        if found.soft is None:
            targets = found.labels[:, None] == jnp.arange(odds.shape[1], dtype=jnp.int32)[None]
            return odds, targets.astype(odds.dtype), found.known
        return odds, jnp.asarray(found.soft).astype(odds.dtype), found.known
    outputs, labels = inputs.binary(name, outputs, labels)
    odds = jnp.asarray(inputs.logits(outputs))
    return odds, jnp.asarray(labels).astype(odds.dtype), jnp.asarray(~inputs.is_nan(labels))
