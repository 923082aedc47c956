"""The known losses of a regression: functions of residuals, which trees without absolute values cannot be.

Each takes outputs and targets ``[..., outputs]`` and sums the losses of the residuals, x - y, over ``axis``; of
``axis=()`` it gives them one by one.
"""

import jax
import jax.numpy as jnp
import optax

from glojax.losses.loss import LossFunction
from glojax.losses.outputs import Output, predictions
from glojax.losses.shapes import Axis, sum_over


def absolute_error(
    outputs: jax.Array,
    targets: jax.Array,
    axis: Axis = -1,
    where: jax.Array | None = None,
    *,
    output: Output = "identity",
) -> jax.Array:
    """The absolute error |x - y|, which is least at the median.

    Args:
      outputs: the network's outputs, floating, ``[..., outputs]`` along ``axis``.
      targets: numbers of the same shape.
      axis: the axis of the outputs, several, or ``None`` for all. Defaults to the last.
      where: mask as in a call of ``Loss``. Defaults to all.
      output: how predictions y are made of the outputs. Defaults to the identity.

    Returns:
      The loss of each sample, at least 0.
    """
    x, y, _ = predictions(outputs, targets, axis, where, output)
    return sum_over(jnp.abs(x - y), axis, where)


def huber(
    outputs: jax.Array,
    targets: jax.Array,
    axis: Axis = -1,
    where: jax.Array | None = None,
    *,
    delta: float = 1.0,
    output: Output = "identity",
) -> jax.Array:
    """Huber's loss: half the squared residual up to ``delta``, and linear beyond.

    Source: Huber 1964, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35.

    Args:
      outputs: as in ``absolute_error``, like the arguments that are not listed.
      targets: as there.
      axis: as there.
      where: as there.
      delta: the residual at which it becomes linear, above 0, in the unit of the targets. Defaults to 1.
      output: as there.

    Returns:
      The loss of each sample, at least 0.
    """
    x, y, _ = predictions(outputs, targets, axis, where, output)
    return sum_over(optax.huber_loss(y, x, delta=delta), axis, where)


def log_cosh(
    outputs: jax.Array,
    targets: jax.Array,
    axis: Axis = -1,
    where: jax.Array | None = None,
    *,
    scale: float = 1.0,
    output: Output = "identity",
) -> jax.Array:
    """The logarithm of the hyperbolic cosine, s² log cosh((x - y) / s): a smooth form of Huber's loss.

    Args:
      outputs: as in ``absolute_error``, like the arguments that are not listed.
      targets: as there.
      axis: as there.
      where: as there.
      scale: s, above 0, in the unit of the targets: about half the squared residual below it, and linear above.
        Defaults to 1.
      output: as there.

    Returns:
      The loss of each sample, at least 0.
    """
    x, y, _ = predictions(outputs, targets, axis, where, output)
    return sum_over(scale**2 * optax.log_cosh(y / scale, x / scale), axis, where)


def quantile(
    outputs: jax.Array,
    targets: jax.Array,
    axis: Axis = -1,
    where: jax.Array | None = None,
    *,
    share: float = 0.5,
    output: Output = "identity",
) -> jax.Array:
    """The quantile loss: ``share`` times a residual above 0, and 1 - ``share`` times the size of one below.

    Source: Koenker and Bassett 1978, "Regression quantiles", Econometrica 46.

    Args:
      outputs: as in ``absolute_error``, like the arguments that are not listed.
      targets: as there.
      axis: as there.
      where: as there.
      share: of the targets that lie below the best prediction, 0 < share < 1. Defaults to 0.5, half the absolute error.
      output: as there.

    Returns:
      The loss of each sample, at least 0.
    """
    x, y, _ = predictions(outputs, targets, axis, where, output)
    residual = x - y
    return sum_over(jnp.where(residual >= 0, share, share - 1) * residual, axis, where)


ZOO_OF_NUMBERS: dict[str, LossFunction] = {
    "absolute_error": absolute_error,
    "huber": huber,
    "log_cosh": log_cosh,
    "quantile": quantile,
}
"""The known losses of a regression by name, beside the squared error, which is the tree ``brier``."""
