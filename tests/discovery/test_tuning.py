"""Tuning: CMA-ES against pycma, its edge cases, and the coefficients of a tree."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import cma
import numpy as np
import pytest

from glojax import evaluate, losses, parse, search_taylor, tune
from glojax.discovery.cma_es import default_population, maximize
from glojax.discovery.tuning import TuneConfig
from glojax.expressions import trees
from glojax.expressions.coefficients import identifiable_coefficients
from glojax.losses.loss import Loss
from glojax.losses.spaces import taylor_space
from glojax.seeds import named_seed
from glojax.tasks.task import Task

SMALL = TuneConfig(generations=4, seeds=1, finalists=3, final_seeds=2, seed=2)
BAIKAL = parse("log(y) - x / y")


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

    maximize(objective, start, sigma=sigma, generations=1200, seed=seed)
    assert reached, "the goal was not reached"
    return reached


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


# COEFFICIENTS


def test_only_identifiable_coefficients_are_tuned_and_the_score_is_their_loss(tiny_task: Task) -> None:
    tuned = tune(tiny_task, BAIKAL, SMALL)
    assert identifiable_coefficients(BAIKAL) == (0, 1)
    assert tuned.loss.coefficients == (*map(float, tuned.vector), 1, 1, 1, 1)
    seeds = [named_seed(2, "finals", i) for i in range(4 * 2)]
    scores = evaluate(tiny_task, [tuned.loss, BAIKAL], seeds).mean(axis=1)
    np.testing.assert_allclose([tuned.fitness, tuned.start_fitness], scores, atol=1e-6)
    assert tuned.fitness >= tuned.start_fitness
    assert [len(fitness) for fitness in tuned.history] == [1, 6, 6, 6, 6]


def test_all_trainings_are_at_the_rate_that_is_given(tiny_task: Task) -> None:
    tuned = tune(tiny_task, BAIKAL, dataclasses.replace(SMALL, rate=2.5, generations=1))
    seeds = [named_seed(2, "search", i) for i in range(1)]
    assert tuned.rate == 2.5
    assert tuned.history[0] == pytest.approx(evaluate(tiny_task, [BAIKAL], seeds, rates=[2.5])[0], abs=1e-6)
    assert tuned.steps == (1 + 6) * 30


def test_the_taylor_space_is_the_polynomial_of_its_paper() -> None:
    space = taylor_space()
    assert (len(space.start), Loss(space.tree, space.coefficients(space.start))) == (8, losses.taylor((0, 0), [0] * 6))
    vector = np.array([-10.9408, 7.5216, 8.2896, 0.2415, 7.8726, 8.9666, 2.0184, 7.0513])
    found = Loss(space.tree, space.coefficients(vector))
    assert found == losses.taylor_mnist
    x, y = np.meshgrid([0.0, 1.0], [0.1, 0.5, 0.9])
    dx, dy = x + 10.9408, y - 7.5216
    expected = (
        8.2896 * dy + 0.2415 * dy**2 + 7.8726 * dy**3 + 8.9666 * dx * dy + 2.0184 * dx * dy**2 + 7.0513 * dx**2 * dy
    )
    np.testing.assert_allclose(trees.evaluate(found.tree, x, y, np, False, found.coefficients), expected, rtol=1e-9)


def test_taylor_polynomials_are_searched_from_zero_and_the_result_is_the_score_of_its_loss(
    tiny_task: Task, tmp_path: Path
) -> None:
    config = TuneConfig(generations=6, population=12, sigma=1.2, seeds=1, finalists=4, final_seeds=2, seed=3)
    found = search_taylor(tiny_task, config, tmp_path)
    assert found.fitness > found.start_fitness + 0.2
    seeds = [named_seed(3, "finals", i) for i in range(8)]
    assert found.fitness == pytest.approx(evaluate(tiny_task, [found.loss], seeds).mean(), abs=1e-6)
    again = search_taylor(tiny_task, config, tmp_path, resume=True)
    assert again.loss == found.loss


@pytest.mark.parametrize("finalists", [1, 4])
def test_the_result_is_never_worse_than_the_start(tiny_task: Task, finalists: int) -> None:
    # A step size so large that no vector drawn is of use.
    tuned = tune(tiny_task, BAIKAL, dataclasses.replace(SMALL, sigma=1e4, finalists=finalists))
    assert tuned.start_fitness > 0
    if finalists > 1:
        assert tuned.loss == Loss(BAIKAL)
    if finalists == 1:
        assert tuned.fitness == max(fitness.max() for fitness in tuned.history)


def test_a_tree_without_coefficients_to_tune_is_returned_as_it_is(tiny_task: Task) -> None:
    tree = parse("log(x - 1) * y")  # nowhere finite
    tuned = tune(tiny_task, tree, SMALL)
    assert (tuned.loss, tuned.fitness, len(tuned.vector)) == (Loss(tree), 0, 0)


def test_a_tuning_that_goes_on_is_one_that_never_stopped(tiny_task: Task, tmp_path: Path) -> None:
    whole = tune(tiny_task, BAIKAL, SMALL, tmp_path / "whole")
    tune(tiny_task, BAIKAL, dataclasses.replace(SMALL, generations=2), tmp_path / "parts")
    parts = tune(tiny_task, BAIKAL, SMALL, tmp_path / "parts", resume=True)
    assert parts.loss == whole.loss
    assert parts.fitness == whole.fitness
    for first, second in zip(parts.history, whole.history, strict=True):
        np.testing.assert_array_equal(first, second)


def test_another_tree_in_the_same_directory_is_refused(tiny_task: Task, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, generations=1)
    tune(tiny_task, BAIKAL, config, tmp_path)
    with pytest.raises(ValueError, match=r"holds the tuning of log\(y\) - x / y, not of x \* log\(y\)"):
        tune(tiny_task, parse("x * log(y)"), config, tmp_path, resume=True)


def test_a_tree_that_is_no_loss_is_refused(tiny_task: Task, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs both x"):
        tune(tiny_task, parse("log(y)"), SMALL, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("generations", 0, "generations is 0; an integer from 1"),
        ("population", 3, "population is 3; an integer from 4"),
        ("sigma", 0, "sigma is 0; a number above 0"),
        ("sigma", math.inf, "sigma is inf"),
        ("sigma", math.nan, "sigma is nan"),
        ("finalists", 0, "finalists is 0"),
        ("seeds", 1.5, "seeds is 1.5"),
    ],
)
def test_bad_settings_are_refused_by_name(field: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"TuneConfig.{message}"):
        dataclasses.replace(SMALL, **{field: value})
