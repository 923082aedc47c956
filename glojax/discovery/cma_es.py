"""CMA-ES by evosax as pure functions: a state goes in and comes out (Hansen 2016, arXiv 1604.00772).

``start`` gives the first ``State``, ``ask`` the vectors of the next generation, ``tell`` the state after their values
are known; ``maximize`` is the loop over the three.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from glojax.distributed import jax_settings

MIN_STEP_SIZE = 1e-7
"""Lower bound on CMA-ES's step size: evosax's own, 0, ends in NaN some time after convergence."""


class Settings(NamedTuple):
    """What stays the same during a maximization."""

    sigma: float  # initial step size
    population: int  # vectors in a generation
    seed: int  # of the vectors drawn


class State(NamedTuple):
    """A maximization after a generation."""

    generation: int  # how many generations were drawn
    best: np.ndarray  # float64[n], the best vector so far
    best_value: float
    told: tuple[Any, ...] | None  # what evosax needs to go on; None to start anew about the best vector


class Asked(NamedTuple):
    """The vectors of a generation."""

    vectors: np.ndarray  # float64[population, n]
    drawn: chex.Array  # float32[population, n], the same as evosax drew them
    strategy: chex.ArrayTree  # evosax's state


def default_population(dimensions: int) -> int:
    """The usual number of vectors in a generation, 4 + floor(3 ln n)."""
    return 4 + math.floor(3 * math.log(dimensions))


def start(mean: np.ndarray) -> State:
    """A maximization that begins at ``mean`` ``[n]``, n at least 1."""
    return State(0, np.asarray(mean, float), -math.inf, None)


def ask(settings: Settings, state: State) -> Asked:
    """The vectors of the next generation."""
    with jax_settings.standard(wide=False):
        compiled, nothing = _cma_es(settings.population, len(state.best))
        drawn, strategy = compiled(
            np.uint32(settings.seed),
            np.int32(state.generation),
            np.float32(settings.sigma),
            np.asarray(state.best, np.float32),
            state.told is None,
            *(nothing if state.told is None else state.told),
        )
    return Asked(np.asarray(drawn, float), drawn, strategy)


def tell(state: State, asked: Asked, values: np.ndarray) -> State:
    """The state after the values ``[population]`` of the vectors are known; NaN counts as the worst.

    A generation whose values are all equal says nothing about a direction, yet would shrink the step size: after it
    the search starts anew about the best vector so far.
    """
    chex.assert_shape(values, asked.vectors.shape[:1])
    values = np.where(np.isnan(values), -np.inf, np.asarray(values, float))
    best, best_value = state.best, state.best_value
    if values.max() > best_value:
        best, best_value = asked.vectors[values.argmax()], float(values.max())
    told = None
    if values.max() != values.min():
        finite = np.where(np.isfinite(values), values, values[np.isfinite(values)].min() - 1)
        told = (asked.drawn, np.asarray(-finite, np.float32), asked.strategy)
    return State(state.generation + 1, best, best_value, told)


def maximize(
    objective: Callable[[np.ndarray], np.ndarray],
    mean: np.ndarray,
    *,
    sigma: float,
    generations: int,
    population: int | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, float]:
    """Maximize an objective.

    Args:
      objective: gives the values ``[population]`` of vectors ``[population, n]``.
      mean: initial mean ``[n]``, n at least 1.
      sigma: initial step size.
      generations: how many are drawn.
      population: vectors in a generation. Defaults to ``default_population(n)``.
      seed: of the vectors drawn.

    Returns:
      The best vector that was met, and its value.
    """
    settings = Settings(sigma, default_population(len(mean)) if population is None else population, seed)
    state = start(mean)
    for _ in range(generations):
        asked = ask(settings, state)
        state = tell(state, asked, objective(asked.vectors))
    return state.best, state.best_value


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

    def begin(key: jax.Array, mean: jax.Array, sigma: jax.Array) -> Any:
        made, params = strategy(sigma)
        return made.init(key, mean, params)

    def keys(seed: jax.Array, generation: jax.Array) -> jax.Array:
        return jax.random.split(jax.random.fold_in(jax.random.key(seed), generation), 3)

    @jax.jit
    def compiled(
        seed: jax.Array,
        generation: jax.Array,
        sigma: jax.Array,
        mean: jax.Array,
        anew: jax.Array,
        asked: jax.Array,
        fitness: jax.Array,
        state: Any,
    ) -> tuple[Any, Any]:
        chex.assert_shape([asked, fitness, mean], [(population, dimensions), (population,), (dimensions,)])
        made, params = strategy(sigma)
        ask_key, _, start_key = keys(seed, generation)
        _, tell_key, _ = keys(seed, generation - 1)
        following, _ = made.tell(tell_key, asked, fitness, state, params)
        begun = begin(start_key, mean, sigma)
        state = jax.tree.map(lambda new, old: jnp.where(anew, new, old), begun, following)
        return made.ask(ask_key, state, params)

    vectors, fitness = np.zeros((population, dimensions), np.float32), np.zeros(population, np.float32)
    state = jax.eval_shape(lambda: begin(jax.random.key(0), jnp.zeros(dimensions), jnp.float32(1)))
    return compiled, (vectors, fitness, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state))
