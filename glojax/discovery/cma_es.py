"""CMA-ES, by evosax, as one compiled function (Hansen 2016, arXiv 1604.00772)."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

MIN_STEP_SIZE = 1e-7
"""Lower bound on CMA-ES's step size: evosax's own, 0, ends in NaN some time after convergence."""


def default_population(dimensions: int) -> int:
    """The usual number of vectors a generation, 4 + floor(3 ln n)."""
    return 4 + math.floor(3 * math.log(dimensions))


def maximize(
    objective: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    sigma: float,
    generations: int,
    population: int | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, float]:
    """Maximize an objective by CMA-ES; the best vector met and its value.

    A generation whose values are all equal says nothing about a direction, yet would shrink the step size: after
    it the search starts anew from the best vector so far.

    Args:
      objective: values ``[population]`` of vectors ``[population, n]``; NaN counts as the worst.
      start: initial mean ``[n]``, n at least 1.
      sigma: initial step size.
      generations: how many are drawn.
      population: vectors a generation, ``default_population`` if left out.
      seed: of the vectors drawn.
    """
    size = default_population(len(start)) if population is None else population
    ask, nothing = _cma_es(size, len(start))
    best, best_value = np.asarray(start, float), -math.inf
    told: Any = None
    for generation in range(generations):
        asked, state = ask(
            np.uint32(seed), np.int32(generation), np.float32(sigma), np.asarray(best, np.float32),
            told is None, *(nothing if told is None else told),
        )  # fmt: skip
        vectors = np.asarray(asked, float)
        values = np.asarray(objective(vectors), float)
        values = np.where(np.isnan(values), -np.inf, values)
        if values.max() > best_value:
            best, best_value = vectors[values.argmax()], float(values.max())
        if values.max() == values.min():
            told = None
            continue
        finite = np.where(np.isfinite(values), values, values[np.isfinite(values)].min() - 1)
        told = (asked, np.asarray(-finite, np.float32), state)
    return best, best_value


@lru_cache
def _cma_es(population: int, dimensions: int) -> tuple[Any, Any]:
    """Evosax's CMA-ES as one compiled function that draws a generation, and what it is told before the first.

    ``ask(seed, generation, sigma, mean, anew, asked, fitness, state) -> (vectors, state)`` starts anew about the mean,
    or goes on from what was asked last.
    """
    # Importing evosax starts JAX, after which devices can no longer be configured: not before it is needed.
    from evosax.algorithms import CMA_ES

    def strategy(sigma: jax.Array) -> tuple[Any, Any]:
        """Made while JAX traces: outside, each of evosax's operations would be compiled by itself."""
        made = CMA_ES(population_size=population, solution=np.zeros(dimensions, np.float32))
        return made, made.default_params.replace(std_init=sigma, std_min=MIN_STEP_SIZE)

    def start(key: jax.Array, mean: jax.Array, sigma: jax.Array) -> Any:
        made, params = strategy(sigma)
        return made.init(key, mean, params)

    def keys(seed: jax.Array, generation: jax.Array) -> jax.Array:
        return jax.random.split(jax.random.fold_in(jax.random.key(seed), generation), 3)

    @jax.jit
    def ask(
        seed: jax.Array, generation: jax.Array, sigma: jax.Array, mean: jax.Array, anew: jax.Array,
        asked: jax.Array, fitness: jax.Array, state: Any,
    ) -> tuple[Any, Any]:  # fmt: skip
        made, params = strategy(sigma)
        ask_key, _, start_key = keys(seed, generation)
        _, tell_key, _ = keys(seed, generation - 1)
        following, _ = made.tell(tell_key, asked, fitness, state, params)
        started = start(start_key, mean, sigma)
        state = jax.tree.map(lambda new, old: jnp.where(anew, new, old), started, following)
        return made.ask(ask_key, state, params)

    vectors, fitness = np.zeros((population, dimensions), np.float32), np.zeros(population, np.float32)
    state = jax.eval_shape(lambda: start(jax.random.key(0), jnp.zeros(dimensions), jnp.float32(1)))
    return ask, (vectors, fitness, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state))
