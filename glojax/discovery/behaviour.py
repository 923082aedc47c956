"""What losses do: their gradients early, midway and late in a training, as vectors that can be compared.

Two trees may look alike and train unlike, or the other way round. A loss acts on a network through its gradient by the
outputs alone, so losses are near each other here where these gradients point the same way, and shrink alike as a
network learns.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glojax.discovery import screening
from glojax.discovery.screening import Probe, Settings
from glojax.distributed import jax_settings
from glojax.expressions import context
from glojax.expressions.trees import Tree
from glojax.losses.outputs import Output
from glojax.seeds import named_random
from glojax.tasks.problems import Kind
from glojax.training import gradients

FEATURES = 50
"""Length of a behaviour: 16 numbers for each of three gradients, and two ratios of their sizes."""

_PROJECTIONS = 16
_MOMENTS = 3  # early, midway, late
_PROGRESS = (0.05, 0.5, 0.95)  # of a training, then
_BATCH = 128  # candidates in one call
_SCALE = 0.3  # of the logarithm of a ratio of sizes, beside directions of length 1
_MOST = 5.0  # the largest size of such a logarithm
_WRONG = 5  # one label in this many is never learned
_SURE = 4.0  # how far late outputs are apart, in units of their spread


def moments(given: Probe, kind: Kind) -> np.ndarray:
    """Outputs of a network early, midway and late in a training, float32 ``[3, samples, outputs]``.

    Those of classes grow, and late ones predict the labels, but for a fifth that they have wrong, as wrong labels stay.
    Those of a regression come closer to the labels, but for a fifth. Other outputs only grow.
    """
    outputs, targets = given.outputs, given.targets
    (count, _), middle = outputs.shape, outputs.mean(axis=0)
    is_wrong = (np.arange(count) % _WRONG == 0)[:, None]
    if kind.output in ("softmax", "sigmoid"):
        learned = np.where(is_wrong, given.others, targets)
        learned = learned if kind.output == "softmax" else 2 * learned - 1
        found = [0.3 * outputs, outputs, outputs + _SURE * learned]
    elif kind.output == "identity":
        found = [targets + np.where(is_wrong, 1, share) * (outputs - targets) for share in (1.0, 0.3, 0.1)]
    else:
        found = [middle + share * (outputs - middle) for share in (0.3, 1.0, 3.0)]
    return np.stack(found).astype(np.float32)


def behaviours(
    population: Sequence[Tree], settings: Settings, coefficients: Sequence[Sequence[float] | None] | None = None
) -> np.ndarray:
    """What each loss does, up to the size of its gradient, which a learning rate makes up for.

    Args:
      population: trees with x and y.
      settings: of screening; losses are compared on its probe.
      coefficients: of each tree. Defaults to all 1.

    Returns:
      float32 ``[candidates, FEATURES]``. The first 48 numbers are projections of the gradients at the three
      ``moments``, each of length 1, so that the distance of two is about that of the gradients; the last two are
      logarithms of how large the first and the last are beside the second. NaN where a gradient is not finite, or 0.
    """
    outputs = moments(settings.given, settings.kind)
    directions = named_random(0, "behaviours").normal(size=(_PROJECTIONS, *outputs.shape[1:])).astype(np.float32)
    run = _compiled(settings.protected, settings.kind.output)
    encoded = screening.encoded(population, coefficients, settings.room)
    found = [np.zeros((0, FEATURES), np.float32)]
    for first in range(0, len(population), _BATCH):
        places = np.resize(np.arange(first, min(first + _BATCH, len(population))), _BATCH)
        batch = jax.tree.map(lambda leaf, places=places: leaf[places], encoded)
        part = run(batch, outputs, settings.given.targets, directions)
        found.append(part[: len(population) - first])
    return np.concatenate(found)


@lru_cache
def _compiled(protected: bool, output: Output) -> Callable[..., np.ndarray]:
    gradient = gradients.program_gradient(protected, output)

    @jax.jit
    def run(population: Any, outputs: jax.Array, targets: jax.Array, directions: jax.Array) -> jax.Array:
        return jax.vmap(lambda program: _behaviour(gradient, program, outputs, targets, directions))(population)

    def call(*given: Any) -> np.ndarray:
        wide = callable(output) and jax_settings.asks_for_64_bits(lambda: jax.eval_shape(run, *given))
        with jax_settings.standard(wide=wide):
            return np.asarray(run(*given), np.float32)

    return call


def _behaviour(
    gradient: gradients.Gradient, program: Any, outputs: jax.Array, targets: jax.Array, directions: jax.Array
) -> jax.Array:
    parts, sizes, is_finite = [], [], jnp.array(True)
    for moment in range(_MOMENTS):
        now = context.filled(program, partial(screening.unlike_prior, outputs.shape[-1]), _PROGRESS[moment])
        found, finite = gradient(now, outputs[moment], targets, None)
        largest = jnp.abs(found).max()
        unit = found / largest
        length = jnp.linalg.norm(unit)  # squares of the gradient itself may overflow
        parts.append(jnp.einsum("dsc,sc->d", directions, unit / length) / jnp.sqrt(_PROJECTIONS))
        sizes.append(jnp.log(largest) + jnp.log(length))
        is_finite &= finite & (largest > 0)
    ratios = _SCALE * jnp.clip(jnp.stack([sizes[0] - sizes[1], sizes[2] - sizes[1]]), -_MOST, _MOST)
    return jnp.where(is_finite, jnp.concatenate([*parts, ratios]), jnp.nan)
