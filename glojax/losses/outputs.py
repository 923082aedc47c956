"""From a network's outputs and its labels to the predictions y and the labels x of a loss f(x, y).

Probabilities are kept where 1/y and 1/y² are finite, so that a saturated network still has a finite loss and gradient.
Their logarithm is computed from the outputs and stays exact where y underflows.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

_LOWEST = 0.45
"""Probabilities are at least the smallest normal number to this power; 1/y² then has room for coefficients."""

Output = str | Callable[[jax.Array], jax.Array]
"""How predictions are made of a network's outputs: a name in ``OUTPUTS``, or a function that keeps the shape."""

OUTPUTS = ("softmax", "sigmoid", "identity")
"""The outputs that have a name."""


def predictions(
    logits: jax.Array, labels: jax.Array, axis: int, where: jax.Array | None, output: Output = "softmax"
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Compute labels x, predictions y and log(y).

    A sigmoid is bounded below as in ``probabilities``. It is also kept one spacing of floating numbers below 1, so that
    1/(1 - y) is finite.

    Args:
      logits: the network's outputs, floating, ``[..., outputs]`` along ``axis``.
      labels: labels or targets of the same shape.
      axis: the axis of the outputs, for softmax the classes.
      where: mask of the entries that take part, broadcastable to ``logits``, or of the samples, without ``axis``.
      output: how y is made of ``logits``. Defaults to softmax.

    Returns:
      x, y and log(y), of the shape of ``logits`` and at least float32. log(y) is ``None`` if y is no probability.

    Raises:
      ValueError: ``logits`` are not floating, have no such axis, ``labels`` have another shape, or ``output`` is a
        function that changes the shape.
    """
    if output == "softmax":
        return probabilities(logits, labels, axis, where)
    z, x, where = _checked(logits, labels, axis, where)
    if callable(output):
        y = output(z)
        if jnp.shape(y) != z.shape:
            raise ValueError(
                f"Loss.output makes predictions of shape {list(jnp.shape(y))} of outputs of shape {list(z.shape)}; "
                "it must keep the shape."
            )
    else:
        y = _sigmoid(z) if output == "sigmoid" else z
    log_y = jax.nn.log_sigmoid(z) if output == "sigmoid" else None
    if where is not None:
        x, y = jnp.where(where, x, 0.0), jnp.where(where, y, 0.5)
        log_y = None if log_y is None else jnp.where(where, log_y, -1.0)
    return x, y, log_y


def probabilities(
    logits: jax.Array, labels: jax.Array, axis: int, where: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Compute labels x, softmax y and log(y), of the shape of ``logits`` and at least float32.

    Softmax is kept above the smallest normal number to the power 0.45: 1/y and 1/y² are finite at saturated logits,
    with room for coefficients. Its gradient passes as if there were no bound, and its logarithm has none.

    Args:
      logits: the network's outputs, floating, ``[..., classes]`` along ``axis``.
      labels: one-hot or soft labels of the same shape.
      axis: the axis of the classes.
      where: mask of the entries that take part, broadcastable to ``logits``, or of the samples, without ``axis``.

    Raises:
      ValueError: ``logits`` are not floating, have no such axis, or ``labels`` have another shape.
    """
    z, x, where = _checked(logits, labels, axis, where)
    log_y = jax.nn.log_softmax(z, axis=axis, where=where)
    if where is not None:  # masked entries are made finite: they must not put NaN into the coefficients' gradient
        log_y, x = jnp.where(where, log_y, -1.0), jnp.where(where, x, 0.0)
    kept = jnp.maximum(log_y, _LOWEST * jnp.log(jnp.finfo(z.dtype).tiny))
    return x, jnp.exp(log_y + jax.lax.stop_gradient(kept - log_y)), log_y


def _checked(
    logits: jax.Array, labels: jax.Array, axis: int, where: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)  # without x64, NumPy's float64 becomes float32
    check_logits(logits, axis)
    _check_labels(logits, labels)
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    return logits.astype(dtype), labels.astype(dtype), entries(logits, axis, where)


@jax.custom_jvp
def _sigmoid(z: jax.Array) -> jax.Array:
    info = jnp.finfo(z.dtype)
    return jnp.clip(jax.nn.sigmoid(z), info.tiny**_LOWEST, 1 - info.epsneg)


@_sigmoid.defjvp
def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    y = _sigmoid(*primals)
    return y, y * (1 - y) * tangents[0]


def entries(logits: jax.Array, axis: int, where: jax.Array | None) -> jax.Array | None:
    """Give ``where`` as many axes as ``logits``: a mask over samples is spread over the classes, as in optax."""
    if where is None or jnp.ndim(where) == logits.ndim:
        return where
    return jnp.expand_dims(where, axis)


def sum_over(values: jax.Array, axis: int, where: jax.Array | None) -> jax.Array:
    """Sum the entries that take part along ``axis``."""
    return jnp.sum(values, axis=axis, where=entries(values, axis, where))


def check_logits(logits: jax.Array, axis: int) -> None:
    """Check that ``logits`` are floating and have the axis.

    Raises:
      ValueError: they are not, or have not.
    """
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise ValueError(f"logits is {logits.dtype}; a floating dtype is expected.")
    if not -logits.ndim <= axis < logits.ndim:
        raise ValueError(
            f"axis is {axis}; logits of shape {list(logits.shape)} has axes {-logits.ndim} to {logits.ndim - 1}."
        )


def _check_labels(logits: jax.Array, labels: jax.Array) -> None:
    if logits.shape != labels.shape:
        hint = " Class indices go to loss.with_integer_labels." if labels.ndim == logits.ndim - 1 else ""
        raise ValueError(
            f"labels has shape {list(labels.shape)}; one-hot or soft labels of the shape of the logits, "
            f"{list(logits.shape)}, are expected.{hint}"
        )
