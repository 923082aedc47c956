"""From a network's outputs and its labels to the predictions y and the labels x of a loss f(x, y).

Probabilities are kept where 1/y and 1/y² are finite, so that a saturated network still has a finite loss and gradient.
Their logarithm is computed from the outputs and stays exact where y underflows. So do 1 - y and its logarithm
(``complement``) where y is nearly 1.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from glojax.losses.shapes import Axis, as_labels, as_mask, output_axes

_LOWEST = 0.45
"""Probabilities are at least the smallest normal number to this power; 1/y² then has room for coefficients."""

Output = str | Callable[[jax.Array], jax.Array]
"""How predictions are made of a network's outputs: a name in ``OUTPUTS``, or a function that keeps the shape."""

OUTPUTS = ("softmax", "sigmoid", "identity")
"""The outputs that have a name."""


def predictions(
    logits: ArrayLike, labels: ArrayLike, axis: Axis, where: ArrayLike | None, output: Output = "softmax"
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Compute labels x, predictions y and log(y).

    Softmax and sigmoid are kept above the smallest normal number to the power 0.45: 1/y and 1/y² are finite at
    saturated logits, with room for coefficients. Their gradients pass as if there were no bound, and their logarithms
    have none but the largest number. A sigmoid is also kept one spacing of floating numbers below 1, so that 1/(1 - y)
    is finite.

    Args:
      logits: the network's outputs, floating, ``[..., outputs]`` along ``axis``. Infinite ones count as a quarter of
        the largest number.
      labels: labels or targets of the same shape.
      axis: the axis of the outputs, for softmax the classes; several, or ``None`` for all.
      where: mask of the entries that take part, broadcastable to ``logits``, or of the samples, without ``axis``. What
        the others hold has no influence.
      output: how y is made of ``logits``. Defaults to softmax.

    Returns:
      x, y and log(y), of the shape of ``logits`` and at least float32. log(y) is ``None`` if y is no probability.

    Raises:
      ValueError: ``logits`` are not floating or have no such axis, ``labels`` or ``where`` have another shape or type,
        or ``output`` is a function that changes the shape.
    """
    z, axes, mask = _checked(logits, axis, where)
    x = as_labels(jnp.asarray(logits), labels, axes).astype(z.dtype)
    log_y = None
    if output == "softmax":
        log_y = jax.nn.log_softmax(_left_out(z, mask), axis=axes)
        y = _bounded_exp(log_y)
    elif output == "sigmoid":
        log_y = jax.nn.log_sigmoid(z)
        y = _sigmoid(z)
    else:
        y = output(z) if callable(output) else z
        if jnp.shape(y) != z.shape:
            raise ValueError(
                f"Loss.output makes predictions of shape {list(jnp.shape(y))} of outputs of shape {list(z.shape)}; "
                "it must keep the shape."
            )
    if mask is not None:  # masked entries are made finite: they must not put NaN into the coefficients' gradient
        x = jnp.where(mask, x, 0.0)
        y = jnp.where(mask, y, 0.5)
        log_y = None if log_y is None else jnp.where(mask, log_y, -1.0)
    return x, y, log_y


def probabilities(
    logits: ArrayLike, labels: ArrayLike, axis: Axis, where: ArrayLike | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """``predictions`` of softmax, whose log(y) is always there."""
    x, y, log_y = predictions(logits, labels, axis, where)
    assert log_y is not None
    return x, y, log_y


def complement(logits: ArrayLike, axis: Axis, where: ArrayLike | None, output: Output) -> tuple[jax.Array, jax.Array]:
    """Compute 1 - y of a probability and its logarithm, which are exact where y is nearly 1.

    For a sigmoid, 1 - y is that of the negative logit. For softmax it is the share of the other classes; only the
    largest logit's can be small, and for that one it is the sigmoid of minus its lead over all others together.

    Args:
      logits: as in ``predictions``, like ``axis`` and ``where``.
      axis: as there.
      where: as there.
      output: how y is made of ``logits``, ``"softmax"`` or ``"sigmoid"``.

    Returns:
      1 - y, kept as far above 0 as y is, and its logarithm, both of the shape of ``logits``.
    """
    z, axes, mask = _checked(logits, axis, where)
    is_softmax = output == "softmax"
    log_rest = _log_of_the_others(_left_out(z, mask), axes) if is_softmax else jax.nn.log_sigmoid(-z)
    rest = _bounded_exp(log_rest)
    if mask is not None:
        rest, log_rest = jnp.where(mask, rest, 0.5), jnp.where(mask, log_rest, -1.0)
    return rest, log_rest


def _log_of_the_others(z: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """log(1 - softmax(z))."""
    largest = jnp.max(z, axis=axes, keepdims=True)
    is_largest = z == largest
    # Where several are the largest, none of them has more than half.
    is_largest &= jnp.sum(is_largest, axis=axes, keepdims=True) == 1
    others = jnp.where(is_largest, _far_below(z.dtype), z) - largest
    of_largest = jax.nn.log_sigmoid(jax.nn.logsumexp(others, axis=axes, keepdims=True))
    y = jnp.where(is_largest, 0.5, jnp.exp(jax.nn.log_softmax(z, axis=axes)))
    return jnp.where(is_largest, of_largest, jnp.log1p(-y))


def _checked(
    logits: ArrayLike, axis: Axis, where: ArrayLike | None
) -> tuple[jax.Array, tuple[int, ...], jax.Array | None]:
    """Logits of at least float32, finite unless they are NaN and take part; the axes of the outputs; and the mask."""
    z = jnp.asarray(logits)  # without x64, NumPy's float64 becomes float32
    axes = output_axes(z, axis)
    mask = as_mask(z, where, axes)
    z = _widened(z)
    bound = -_far_below(z.dtype)
    z = jnp.clip(z, -bound, bound)  # infinities would make NaN of a label 0
    return (z if mask is None else jnp.where(mask, z, 0.0)), axes, mask


def _left_out(z: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Logits for softmax, where an entry that takes no part has none of it."""
    return z if mask is None else jnp.where(mask, z, _far_below(z.dtype))


def _far_below(dtype: jnp.dtype) -> float:
    """A quarter of the lowest number: a difference of two such numbers is finite."""
    return float(jnp.finfo(dtype).min) / 4


def _widened(z: jax.Array) -> jax.Array:
    """Logits as float32, or as they are if they have more digits.

    A gradient by float16 logits may be beyond float16's range, where 1/y is large; it becomes the largest number.
    """
    if z.dtype == jnp.float16:
        return _from_float16(z)
    return z if z.dtype == jnp.float64 else z.astype(jnp.float32)


@jax.custom_vjp
def _from_float16(z: jax.Array) -> jax.Array:
    return z.astype(jnp.float32)


def _float16_gradient(_: None, gradient: jax.Array) -> tuple[jax.Array]:
    most = float(jnp.finfo(jnp.float16).max)
    return (jnp.clip(gradient, -most, most).astype(jnp.float16),)


_from_float16.defvjp(lambda z: (z.astype(jnp.float32), None), _float16_gradient)


@jax.custom_jvp
def _bounded_exp(log_y: jax.Array) -> jax.Array:
    """exp(log_y), kept above the bound; its gradient passes as if it were not."""
    return jnp.exp(jnp.maximum(log_y, _LOWEST * jnp.log(jnp.finfo(log_y.dtype).tiny)))


@_bounded_exp.defjvp
def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    y = _bounded_exp(*primals)
    return y, y * tangents[0]


@jax.custom_jvp
def _sigmoid(z: jax.Array) -> jax.Array:
    info = jnp.finfo(z.dtype)
    return jnp.clip(jax.nn.sigmoid(z), info.tiny**_LOWEST, 1 - info.epsneg)


@_sigmoid.defjvp
def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (z,) = primals
    y = _sigmoid(z)
    return y, y * _bounded_exp(jax.nn.log_sigmoid(-z)) * tangents[0]
