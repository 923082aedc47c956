"""CMA-ES: against pycma, and its edge cases."""

import math
from collections.abc import Callable

import chex
import cma
import numpy as np
import pytest

from glojax.discovery import cma_es
from glojax.discovery.cma_es import default_population, maximize


def sphere(x: np.ndarray) -> float:
    return float(np.sum(x**2))


def rosenbrock(x: np.ndarray) -> float:
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def evaluations(
    function: Callable[[np.ndarray], float], start: np.ndarray, sigma: float, seed: int, goal: float
) -> int:
    """How many evaluations of ours go by before the goal is reached."""
    count, reached = 0, 0

    def objective(vectors: np.ndarray) -> np.ndarray:
        nonlocal count, reached
        values = np.array([function(vector) for vector in vectors])
        count += len(values)
        reached = reached or count * bool(values.min() < goal)
        return -values

    maximize(objective, start, sigma=sigma, generations=600, seed=seed)
    assert reached, "the goal was not reached"
    return reached


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "start", "sigma", "goal"),
    [(sphere, np.ones(10), 1.5, 1e-6), (sphere, np.ones(2), 1.5, 1e-6), (rosenbrock, np.zeros(5), 0.5, 1e-4)],
    ids=["sphere-10", "sphere-2", "rosenbrock-5"],
)
def test_as_many_evaluations_as_pycma(
    function: Callable[[np.ndarray], float], start: np.ndarray, sigma: float, goal: float
) -> None:
    ours = [evaluations(function, start, sigma, seed, goal) for seed in range(3)]
    theirs = []
    for seed in range(1, 4):
        options = {"ftarget": goal, "seed": seed, "verbose": -9, "popsize": default_population(len(start))}
        theirs.append(cma.CMAEvolutionStrategy(start, sigma, options).optimize(function).result.evaluations)
    assert 0.5 < np.median(ours) / np.median(theirs) < 2


def test_a_long_run_after_convergence_stays_finite() -> None:
    drawn = []

    def objective(vectors: np.ndarray) -> np.ndarray:
        drawn.append(vectors)
        return -np.sum((vectors - 3) ** 2, axis=1)

    best, value = maximize(objective, np.zeros(2), sigma=1.0, generations=600)
    assert np.isfinite(np.concatenate(drawn)).all()
    np.testing.assert_allclose(best, 3, atol=1e-3)
    assert value == pytest.approx(0, abs=1e-6)


def test_a_flat_objective_restarts_instead_of_shrinking() -> None:
    spread = []

    def objective(vectors: np.ndarray) -> np.ndarray:
        spread.append(vectors.std())
        return np.zeros(len(vectors))

    best, value = maximize(objective, np.array([5.0, 5.0]), sigma=1.0, generations=60)
    assert np.mean(spread[-20:]) > 0.5
    assert value == 0
    assert np.isfinite(best).all()


def test_nan_counts_as_the_worst_value() -> None:
    def objective(vectors: np.ndarray) -> np.ndarray:
        return np.where(vectors[:, 0] > 0, -((vectors - 1) ** 2).sum(axis=1), np.nan)

    best, value = maximize(objective, np.array([0.5, 4.0]), sigma=1.0, generations=120)
    np.testing.assert_allclose(best, 1, atol=1e-2)
    assert value == pytest.approx(0, abs=1e-3)
    all_nan = maximize(lambda vectors: np.full(len(vectors), np.nan), np.ones(2), sigma=1.0, generations=3)
    assert all_nan[1] == -math.inf


def test_one_dimension_is_optimized_too() -> None:
    best, _ = maximize(lambda vectors: -((vectors[:, 0] - 2) ** 2), np.array([0.0]), sigma=1.0, generations=60)
    assert best[0] == pytest.approx(2, abs=1e-2)


def test_the_usual_population() -> None:
    assert [default_population(n) for n in (1, 2, 3, 6, 10, 20)] == [4, 6, 7, 9, 10, 12]


def test_a_state_can_be_told_twice_and_is_not_changed() -> None:
    settings = cma_es.Settings(1.0, 6, 3)
    first = cma_es.start(np.zeros(2))
    asked = cma_es.ask(settings, first)
    values = -np.sum((asked.vectors - 3) ** 2, axis=1)
    second = cma_es.tell(first, asked, values)
    chex.assert_trees_all_equal(cma_es.tell(first, asked, values), second)
    chex.assert_trees_all_equal(cma_es.ask(settings, first).vectors, asked.vectors)
    assert (first.generation, first.best_value, first.told) == (0, -math.inf, None)
    assert second.generation == 1
    assert second.best_value == values.max()
    np.testing.assert_array_equal(second.best, asked.vectors[values.argmax()])


def test_values_of_another_number_are_refused() -> None:
    state = cma_es.start(np.zeros(2))
    asked = cma_es.ask(cma_es.Settings(1.0, 6, 3), state)
    with pytest.raises(AssertionError, match="shape"):
        cma_es.tell(state, asked, np.zeros(5))
