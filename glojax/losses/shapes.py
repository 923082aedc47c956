"""Shapes that a loss takes: the axes of the outputs, labels, and masks; and sums over them.

A loss is called with logits ``[..., outputs]`` along ``axis``, labels of the same shape, and perhaps a mask ``where``.
Samples are what is left of the shape of the logits without the axes of the outputs.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

Axis = int | Sequence[int] | None
"""The axis of the outputs, several of them, or ``None`` for all."""


def output_axes(logits: jax.Array, axis: Axis) -> tuple[int, ...]:
    """The axes of the outputs, counted from 0.

    Args:
      logits: the network's outputs.
      axis: an axis, several, or ``None`` for all.

    Raises:
      ValueError: the logits are not floating, have no such axis, or an axis is named twice.
    """
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise ValueError(f"logits is {logits.dtype}; a floating dtype is expected.")
    rank = logits.ndim
    if axis is None:
        return tuple(range(rank))
    given = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    for one in given:
        if isinstance(one, bool) or not isinstance(one, int | np.integer):
            raise ValueError(f"axis is {axis!r}; a whole number, several, or None for all axes is allowed.")
        if not -rank <= one < rank:
            raise ValueError(f"axis is {axis}; logits of shape {list(logits.shape)} has axes {-rank} to {rank - 1}.")
    axes = tuple(int(one) % rank for one in given)
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis is {axis}; each axis may be named once.")
    return axes


def sample_shape(logits: jax.Array, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the logits without the axes of the outputs."""
    return tuple(size for place, size in enumerate(logits.shape) if place not in axes)


def as_labels(logits: jax.Array, labels: ArrayLike, axes: tuple[int, ...]) -> jax.Array:
    """Labels in the shape of the logits.

    Labels broadcast where that can mean only one thing: over samples, from an axis of length 1 or from a single
    sample's floating labels. Their outputs are never made of one number.

    Args:
      logits: the network's outputs.
      labels: one-hot or soft labels, or targets.
      axes: the axes of the outputs.

    Raises:
      ValueError: the labels have another shape, or may be class indices.
    """
    labels, shape = jnp.asarray(labels), logits.shape
    if labels.shape == shape:
        return labels
    samples = sample_shape(logits, axes)
    if labels.ndim == logits.ndim:
        fits = all(
            mine == size or (mine == 1 and place not in axes)
            for place, (mine, size) in enumerate(zip(labels.shape, shape, strict=True))
        )
    else:  # labels of one sample, unless they may as well be the classes of all samples
        is_one = samples and labels.shape == tuple(shape[axis] for axis in axes) == shape[len(samples) :]
        fits = bool(is_one) and labels.shape != samples and jnp.issubdtype(labels.dtype, jnp.floating)
    if not fits:
        hint = ""
        if labels.shape == samples and math.prod(shape[axis] for axis in axes) == 1:
            hint = " Give labels an axis of 1, as in labels[..., None]."
        elif labels.shape in (samples, (*samples, 1)):
            hint = " Class indices go to loss.with_integer_labels."
        raise ValueError(
            f"labels has shape {list(labels.shape)}; one-hot or soft labels of the shape of the logits, "
            f"{list(shape)}, are expected.{hint}"
        )
    return jnp.broadcast_to(labels, shape)


def as_mask(logits: jax.Array, where: ArrayLike | None, axes: tuple[int, ...]) -> jax.Array | None:
    """A mask that broadcasts to the logits, with as many axes.

    Args:
      logits: the network's outputs.
      where: a mask of entries, broadcastable to ``logits``, or of samples, without the axes of the outputs, as in
        optax.
      axes: the axes of the outputs.

    Raises:
      ValueError: the mask holds no booleans, or has another shape.
    """
    if where is None:
        return None
    mask, shape = jnp.asarray(where), logits.shape
    if mask.dtype != bool:
        raise ValueError(f"where is {mask.dtype}{list(mask.shape)}; booleans are expected, for example where > 0.")
    samples = sample_shape(logits, axes)
    if mask.ndim == 0:
        return mask.reshape((1,) * logits.ndim)
    spread = mask if mask.ndim == logits.ndim else mask.reshape(_spread(mask.shape, axes, logits.ndim))
    if spread.ndim != logits.ndim or any(mine not in (1, size) for mine, size in zip(spread.shape, shape, strict=True)):
        raise ValueError(
            f"where has shape {list(mask.shape)}; a mask of entries, {list(shape)}, or of samples, {list(samples)}, is "
            "expected. An axis that is missing in front or in between must be there with length 1."
        )
    return spread


def _spread(shape: tuple[int, ...], axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The shape of a mask of samples with axes of length 1 for the outputs; as it is where it has another rank."""
    if len(shape) != rank - len(axes):
        return shape
    sizes = iter(shape)
    return tuple(1 if place in axes else next(sizes) for place in range(rank))


def sum_over(values: jax.Array, axis: Axis, where: ArrayLike | None) -> jax.Array:
    """Sum the entries that take part over the axes of the outputs; ``where`` is a mask as in ``as_mask``."""
    axes = output_axes(values, axis)
    return jnp.sum(values, axis=axes, where=as_mask(values, where, axes))
