"""Integer labels of a loss: classes as one-hot labels, and which of them are labels at all."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from glojax.losses.outputs import Output
from glojax.losses.shapes import Axis, as_mask, output_axes, sample_shape


def classes_as_targets(
    logits: ArrayLike, labels: ArrayLike, axis: Axis, where: ArrayLike | None, output: Output
) -> tuple[jax.Array, jax.Array]:
    """Convert integer labels to the labels x of a loss.

    Args:
      logits: the network's outputs, ``[..., outputs]`` along ``axis``.
      labels: integers or booleans. Of the shape of ``logits`` without ``axis`` they are classes, or 0 and 1 for a
        sigmoid of one output. Of the shape of ``logits`` they are 0 and 1 for each output of a sigmoid.
      axis: the axis of the outputs, several of them, or ``None`` for all.
      where: mask of entries or samples, or ``None``.
      output: how predictions are made of ``logits``.

    Returns:
      Labels x of the shape of ``logits``, and the mask of the entries that have one and take part.

    Raises:
      ValueError: the logits, the axis, the mask or the labels do not fit.
    """
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    axes = output_axes(logits, axis)
    if output != "softmax" and logits.ndim == 1 and axis == -1:
        axes = ()  # samples of one output each
    mask, samples = as_mask(logits, where, axes), sample_shape(logits, axes)
    count = math.prod(logits.shape[place] for place in axes)
    is_column = output != "softmax" and count == 1 and labels.shape == samples
    of_outputs = output != "softmax" and labels.shape == logits.shape
    if not (jnp.issubdtype(labels.dtype, jnp.integer) or labels.dtype == bool) or not (
        labels.shape == samples or of_outputs
    ):
        raise ValueError(
            f"labels is {labels.dtype}{list(labels.shape)}; integers of shape {list(samples)} are expected for logits "
            f"of shape {list(logits.shape)}."
        )
    if (is_column or of_outputs) and output != "sigmoid":
        raise ValueError(
            f"labels is {labels.dtype}{list(labels.shape)}; a loss of output {output!r} has targets and no classes: "
            "call the loss itself with labels of the shape of the logits."
        )
    labels = labels.astype(jnp.int32)
    if is_column or of_outputs:
        x = labels.reshape(logits.shape)
        known = (x == 0) | (x == 1)
    else:
        sizes = tuple(logits.shape[place] for place in axes)
        x = jax.nn.one_hot(labels, count, dtype=logits.dtype).reshape(*samples, *sizes)
        x = jnp.moveaxis(x, range(len(samples), logits.ndim), axes)
        known = jnp.expand_dims((labels >= 0) & (labels < count), axes)
    return x.astype(logits.dtype), known if mask is None else known & mask
