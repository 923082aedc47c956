"""Metrics of targets that are numbers, for regression."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from glojax.tasks import metric_inputs as inputs
from glojax.tasks import sums


def r2(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of the targets' variance that is explained, 0 for less than the mean tells; the mean over outputs.

    As in scikit-learn it is 1 or 0 for targets that are all the same: whether the outputs are these.
    """
    outputs, labels, known = inputs.numbers("r2", outputs, labels)
    count = jnp.sum(known, axis=0).astype(labels.dtype)
    size = sums.power_of_two(jnp.max(jnp.abs(labels), axis=0, where=known, initial=0))
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
    outputs, labels, known = inputs.numbers("rmse", outputs, labels)
    errors = jnp.where(known, outputs - labels, 0)
    size = sums.power_of_two(jnp.max(jnp.abs(errors)))
    squares = sums.total(sums.total((errors / size) ** 2).high).high
    return size * jnp.sqrt(squares / jnp.sum(known).astype(squares.dtype))


def mae(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean absolute error over all known entries; less is better.

    Args:
      outputs: ``[examples, outputs]``, or ``[examples]`` for one output.
      labels: of the same shape; NaN where unknown.

    Returns:
      From 0; NaN where nothing is known.

    Raises:
      ValueError: other shapes, or no numbers.
    """
    outputs, labels, known = inputs.numbers("mae", outputs, labels)
    return sums.mean(jnp.abs(outputs - labels), known)


@dataclass(frozen=True)
class QuantileLoss:
    """The mean pinball loss of one quantile; see ``quantile_loss``."""

    of: float

    def __call__(self, outputs: jax.Array, labels: jax.Array) -> jax.Array:
        outputs, labels, known = inputs.numbers(self.__name__, outputs, labels)
        missing = labels - outputs
        return sums.mean(jnp.maximum(self.of * missing, (self.of - 1) * missing), known)

    @property
    def __name__(self) -> str:
        return f"quantile:{self.of!r}"


def quantile_loss(of: float) -> QuantileLoss:
    """Make the metric of a quantile, ``"quantile:0.9"`` by name: the mean pinball loss, less is better.

    It is q times what an output lies below its target, and 1 - q times what it lies above, the mean over all known
    entries (Koenker and Bassett, 1978; scikit-learn's ``mean_pinball_loss``). Of all constants the quantile q of the
    targets has the least.

    Args:
      of: the quantile q, above 0 and below 1.

    Returns:
      A metric that takes what ``mae`` takes. Two of the same quantile are equal.

    Raises:
      ValueError: it is no number between 0 and 1.
    """
    if isinstance(of, bool) or not isinstance(of, int | float | np.number) or not 0 < of < 1:
        raise ValueError(f"quantile_loss is given {of!r}; a number above 0 and below 1 is expected.")
    return QuantileLoss(float(of))
