"""What a network's outputs mean: predictions y and targets x, kept where every slope of a loss is finite."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

_LOWEST = 0.45

Output = str | Callable[[jax.Array], jax.Array]
"""What makes predictions of a network's outputs: a key of ``OUTPUTS``, or a function that keeps the shape."""

OUTPUTS = ("softmax", "sigmoid", "identity")


def predictions(
    logits: jax.Array, labels: jax.Array, axis: int, where: jax.Array | None, output: Output = "softmax"
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Labels, predictions y and, of probabilities, their logarithm, at least float32 and of the shape of ``logits``.

    Those of a sigmoid are kept within bounds as those of ``probabilities`` are, and below 1 by the spacing of numbers
    there, for 1/(1 - y).
    """
    if output == "softmax":
        return probabilities(logits, labels, axis, where)
    z, x, where = _checked(logits, labels, axis, where)
    y = {"sigmoid": _sigmoid, "identity": lambda z: z}.get(output, output)(z)  # type: ignore[arg-type,operator]
    log_y = jax.nn.log_sigmoid(z) if output == "sigmoid" else None
    if where is not None:
        x, y = jnp.where(where, x, 0.0), jnp.where(where, y, 0.5)
        log_y = None if log_y is None else jnp.where(where, log_y, -1.0)
    return x, y, log_y


def probabilities(
    logits: jax.Array, labels: jax.Array, axis: int, where: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Labels, softmax and its logarithm, at least float32 and of the shape of ``logits``.

    Softmax is kept above the smallest normal number to the power 0.45, so that 1/y and 1/y² are finite at saturated
    logits, with room for coefficients; its gradient passes as if it were not, and its logarithm is not touched.
    """
    z, x, where = _checked(logits, labels, axis, where)
    log_y = jax.nn.log_softmax(z, axis=axis, where=where)
    if where is not None:  # left-out entries are finite, so that they put no NaN into the coefficients' gradient
        log_y, x = jnp.where(where, log_y, -1.0), jnp.where(where, x, 0.0)
    kept = jnp.maximum(log_y, _LOWEST * jnp.log(jnp.finfo(z.dtype).tiny))
    return x, jnp.exp(log_y + jax.lax.stop_gradient(kept - log_y)), log_y


def _checked(
    logits: jax.Array, labels: jax.Array, axis: int, where: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)  # NumPy's float64 is float32 unless x64 is enabled
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
    """``where`` with as many axes as the logits, and one over whole samples spread over the classes as in optax."""
    if where is None or jnp.ndim(where) == logits.ndim:
        return where
    return jnp.expand_dims(where, axis)


def sum_over(values: jax.Array, axis: int, where: jax.Array | None) -> jax.Array:
    """The sum along ``axis`` of the entries that take part."""
    return jnp.sum(values, axis=axis, where=entries(values, axis, where))


def check_logits(logits: jax.Array, axis: int) -> None:
    """Raise ``ValueError`` for outputs that are not floating, or have no such axis."""
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
