"""Which losses are worth training, told without a network, by stages that run on many trees at once.

A random tree is nearly always hopeless, and hopeless ones look alike: on a fixed probe batch of logits and labels most
have no finite gradient, or one that does not depend on the labels, or one that another tree has too; and of those that
are left most do not even raise the accuracy of free logits. The ideas of the last two stages are those of
AutoLoss-Zero (arXiv 2103.14026); its sign of the derivative is no stage, as it would reject cross-entropy.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from glojax import programs, training
from glojax.programs import Program
from glojax.seeds import named_random
from glojax.trees import Tree

_BATCH = 128  # candidates in one call, so that there is one program to compile
_DESCENT_BATCH = 32  # fewer come so far
_DIRECTIONS = 8
_DIGITS = 3
_DESCENT = optax.adam(0.1)
_DESCENT_STEPS = 100
_LEAST_RISE = 0.1

STAGES = ("finite", "guided", "distinct", "trainable")
"""In their order, after the look for x and y; distinct is told by ``Screened.fingerprint`` or ``direction``."""


class Probe(NamedTuple):
    """What losses are tried on."""

    logits: np.ndarray  # float32[samples, classes]
    labels: np.ndarray  # int32[samples]
    directions: np.ndarray  # float32[directions, samples, classes], by which gradients are told apart


def probe(classes: int = 10, samples: int = 100, seed: int = 0) -> Probe:
    """Logits of standard deviation 1, labels that have nothing to do with them."""
    random = named_random(seed, "probe")
    return Probe(
        random.normal(size=(samples, classes)).astype(np.float32),
        (np.arange(samples) % classes).astype(np.int32),
        random.normal(size=(_DIRECTIONS, samples, classes)).astype(np.float32),
    )


class Screened(NamedTuple):
    """What the stages say of each candidate; a later stage says false of what an earlier one rejected."""

    both: np.ndarray  # bool[candidates], the tree holds x and y
    finite: np.ndarray  # bool[candidates], value and gradient are
    guided: np.ndarray  # bool[candidates], the gradient is not zero, and other labels change it
    fingerprint: np.ndarray  # float32[candidates, 8], projections of the gradient to 3 digits; NaN if rejected
    direction: np.ndarray  # the same of the gradient over its size: a learning rate makes up for that
    size: np.ndarray  # float32[candidates], norm of the gradient over that of cross-entropy's; NaN if rejected
    trainable: np.ndarray  # bool[candidates], by it free logits learn their labels


def screen(
    population: Sequence[Tree],
    coefficients: Sequence[Sequence[float] | None] | None = None,
    given: Probe | None = None,
    *,
    protected: bool = False,
    room: int | None = None,
) -> Screened:
    """All stages for these trees.

    Trees with one fingerprint descend once.

    Args:
      population: the trees.
      coefficients: of each tree, all 1 if left out.
      given: what they are tried on; ``probe()`` if left out.
      protected: use the protected operators.
      room: for instructions, as ``programs.encode``'s; by the longest tree if left out.
    """
    given = probe() if given is None else given
    count = len(population)
    factors = [None] * count if coefficients is None else coefficients
    both = np.array([tree.has_x_and_y for tree in population], bool)
    finite, guided, trainable = (np.zeros(count, bool) for _ in range(3))
    fingerprint, direction = (np.full((count, len(given.directions)), np.nan, np.float32) for _ in range(2))
    size = np.full(count, np.nan, np.float32)
    (places,) = np.nonzero(both)
    if not len(places):
        return Screened(both, finite, guided, fingerprint, direction, size, trainable)
    room = max(programs.instructions_of(population[place]) for place in places.tolist()) if room is None else room
    examine, descend = _stages(protected)

    def batched(stage: Callable[..., tuple[jax.Array, ...]], places: np.ndarray, most: int) -> list[np.ndarray]:
        found = []
        for first in range(0, len(places), most):
            batch = np.resize(places[first : first + most], most).tolist()
            chosen = [population[place] for place in batch], [factors[place] for place in batch]
            found.append(stage(programs.encode(*chosen, room), *given))
        return [np.concatenate(column)[: len(places)] for column in zip(*found, strict=True)]

    finite[places], guided[places], fingerprint[places], direction[places], size[places] = batched(
        examine, places, _BATCH
    )
    for described in (fingerprint, direction, size):
        described[~guided] = np.nan
    size /= _cross_entropy_size(given)
    if guided.any():
        (guides,) = np.nonzero(guided)
        _, first, which = np.unique(fingerprint[guides], axis=0, return_index=True, return_inverse=True)
        (learns,) = batched(descend, guides[first], _DESCENT_BATCH)
        trainable[guides] = learns[which.reshape(-1)]
    return Screened(both, finite, guided, fingerprint, direction, size, trainable)


def _cross_entropy_size(given: Probe) -> float:
    softmax = np.exp(given.logits) / np.exp(given.logits).sum(axis=-1, keepdims=True)
    return float(np.linalg.norm(softmax - np.eye(given.logits.shape[-1])[given.labels]) / len(given.labels))


@lru_cache
def _stages(protected: bool) -> tuple[Callable[..., tuple[jax.Array, ...]], Callable[..., tuple[jax.Array, ...]]]:
    gradient = training.program_gradient(protected)
    over = (0, None, None, None)
    return (
        jax.jit(jax.vmap(partial(_examine, gradient), in_axes=over)),
        jax.jit(jax.vmap(partial(_descend, gradient), in_axes=over)),
    )


def _examine(
    gradient: training.Gradient, program: Program, logits: jax.Array, labels: jax.Array, directions: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]:
    classes = logits.shape[-1]
    found, finite = gradient(program, logits, jax.nn.one_hot(labels, classes))
    other, other_finite = gradient(program, logits, jax.nn.one_hot((labels + 1) % classes, classes))
    finite = finite & other_finite
    largest = jnp.abs(found).max()
    # Rounding alone stays well below this; so does the gradient of a constant.
    guided = finite & (largest * len(logits) > 1e-5) & (jnp.abs(found - other).max() > 1e-4 * largest)
    size = largest * jnp.linalg.norm(found / largest)  # squares of the gradient itself may overflow
    projected = jnp.einsum("dsc,sc->d", directions, found)
    return finite, guided, _rounded(projected), _rounded(projected / size), size


def _rounded(projected: jax.Array) -> jax.Array:
    """To digits of the largest; adding 0 makes -0 equal to 0 in its bytes too."""
    unit = 10.0 ** (jnp.floor(jnp.log10(jnp.abs(projected).max())) - (_DIGITS - 1))
    return jnp.round(projected / unit) * unit + 0.0


def _descend(
    gradient: training.Gradient, program: Program, logits: jax.Array, labels: jax.Array, directions: jax.Array
) -> tuple[jax.Array]:
    one_hot = jax.nn.one_hot(labels, logits.shape[-1])

    def step(_: int, carry: tuple[Any, optax.OptState, jax.Array]) -> tuple[Any, optax.OptState, jax.Array]:
        logits, state, finite = carry
        found, step_is_finite = gradient(program, logits, one_hot)
        updates, state = _DESCENT.update(found, state)
        return optax.apply_updates(logits, updates), state, finite & step_is_finite

    end, _, finite = jax.lax.fori_loop(0, _DESCENT_STEPS, step, (logits, _DESCENT.init(logits), jnp.array(True)))
    before, after = (jnp.mean(part.argmax(axis=-1) == labels) for part in (logits, end))
    return (finite & (after >= before + _LEAST_RISE),)
