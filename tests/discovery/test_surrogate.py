"""The surrogate, against a Gaussian process written out."""

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.special import ndtri
from scipy.stats import rankdata

from glojax.discovery import surrogate


def kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Matérn 3/2 of length 1 (Rasmussen and Williams 2006, section 4.2)."""
    distance = np.sqrt(3) * np.linalg.norm(first[:, None] - second[None], axis=-1)
    return (1 + distance) * np.exp(-distance)


def by_hand(
    known: np.ndarray, fitness: np.ndarray, asked: np.ndarray, count: int, own: np.ndarray | float = 0
) -> list[int]:
    """The first choices, each conditional on all before, whose guesses stand for what they give."""
    scores = ndtri((rankdata(fitness) - 0.5) / len(fitness))
    own = np.broadcast_to(own, len(known))
    noisy = kernel(known, known) + surrogate.NOISE * np.eye(len(known)) + np.diag(own)
    mean = kernel(asked, known) @ np.linalg.solve(noisy, scores)
    chosen: list[int] = []
    for _ in range(count):
        points = np.concatenate([known, asked[chosen]])
        noisy = kernel(points, points) + surrogate.NOISE * np.eye(len(points))
        noisy[: len(known), : len(known)] += np.diag(own)
        across = kernel(asked, points)
        variance = 1 - np.sum(across * np.linalg.solve(noisy, across.T).T, axis=1)
        bounds = mean + surrogate.SURE * np.sqrt(np.maximum(variance, 0))
        bounds[chosen] = -np.inf
        chosen.append(int(bounds.argmax()))
    return chosen


def order(known: np.ndarray, fitness: np.ndarray, asked: np.ndarray, errors: np.ndarray | None = None) -> np.ndarray:
    return np.array([*surrogate.order(surrogate.fit(known, fitness, errors), asked)], int)


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    known, asked = random.normal(size=(40, 3)), random.normal(size=(60, 3))
    return known, -np.linalg.norm(known - 1, axis=1), asked


def test_choices_are_those_of_a_process_written_out(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    found = order(*drawn)
    assert sorted(found.tolist()) == list(range(60))
    assert found[:12].tolist() == by_hand(*drawn, 12)


def test_each_loss_has_the_noise_that_its_standard_error_makes_of_its_normal_score(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    known, fitness, asked = drawn
    errors = np.random.default_rng(1).uniform(0, 3, 40)
    scores = ndtri((rankdata(fitness) - 0.5) / 40)
    line = interp1d(
        fitness, scores, bounds_error=False, fill_value=(scores[fitness.argmin()], scores[fitness.argmax()])
    )
    own = ((line(fitness + errors) - line(fitness - errors)) / 2) ** 2
    assert own.max() > 10 * surrogate.NOISE
    found = order(known, fitness, asked, errors)
    assert found[:20].tolist() == by_hand(known, fitness, asked, 20, own)
    assert found[:20].tolist() != by_hand(known, fitness, asked, 20)


def test_a_lucky_score_counts_for_less_than_one_of_many_trainings() -> None:
    known = np.concatenate([np.random.default_rng(2).normal(size=(60, 3)), [[4, 0, 0], [-4, 0, 0]]])
    fitness = np.concatenate([np.linspace(0, 0.9, 60), [0.98, 0.97]])
    near = np.array([[4, 0.1, 0], [-4, 0.1, 0]])
    errors = np.concatenate([np.full(60, 0.01), [0.3, 0.01]])
    lucky, sure = surrogate.guess(surrogate.fit(known, fitness, errors), near)
    first, second = surrogate.guess(surrogate.fit(known, fitness), near)
    assert lucky < sure - 0.3
    assert first > second


def test_a_choice_leaves_the_covariance_of_all_others_that_conditioning_on_it_gives(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    known, fitness, asked = drawn
    process = surrogate.fit(known, fitness)
    mean, covariance = process.predict(asked, return_cov=True)
    chosen: list[int] = []
    for _ in range(60):
        bounds = mean + surrogate.SURE * np.sqrt(np.maximum(np.diag(covariance) - surrogate.NOISE, 0))
        bounds[chosen] = -np.inf
        best = int(bounds.argmax())
        chosen.append(best)
        column = covariance[best] - surrogate.NOISE * (np.arange(60) == best)
        covariance = covariance - np.outer(column, column) / covariance[best, best]
    assert order(known, fitness, asked).tolist() == chosen


def test_what_is_near_the_best_comes_first(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    known, fitness, asked = drawn
    found = order(known, fitness, asked)
    distance = np.linalg.norm(asked - 1, axis=1)
    assert distance[found[:10]].mean() < np.sort(distance)[:20].mean() < distance[found[-30:]].mean()


def test_the_order_of_fitness_alone_counts(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    known, fitness, asked = drawn
    np.testing.assert_array_equal(order(known, fitness, asked), order(known, np.exp(5 * fitness), asked))


def test_what_acts_alike_is_not_tried_together() -> None:
    known, fitness = np.array([[0.0], [4.0]]), np.array([1.0, 0.0])
    asked = np.array([[0.5], [0.5001], [0.5002], [-0.6]])
    first, second = order(known, fitness, asked)[:2].tolist()
    assert (first == 3) != (second == 3)


def test_no_more_are_considered_than_those_that_may_be_worth_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogate, "CONSIDERED", 5)
    known = np.linspace(0, 10, 30)[:, None]
    found = order(known, known[:, 0], np.linspace(0, 10, 50)[:, None])
    assert sorted(found.tolist()) == [45, 46, 47, 48, 49]


def test_of_many_known_losses_the_fittest_and_the_last_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    known, asked = random.normal(size=(50, 2)), random.normal(size=(20, 2))
    fitness = random.normal(size=50)
    monkeypatch.setattr(surrogate, "MOST", 20)
    fittest = np.argsort(-fitness)[:10]
    kept = np.sort(np.concatenate([fittest, np.setdiff1d(np.arange(50), fittest)[-10:]]))
    np.testing.assert_array_equal(order(known, fitness, asked), order(known[kept], fitness[kept], asked))


def test_rates_that_differ_threefold_are_half_a_unit_apart() -> None:
    found = surrogate.features(np.zeros((3, 2)), np.array([1 / 3, 1, 3]))
    np.testing.assert_allclose(found, [[0, 0, -0.5], [0, 0, 0], [0, 0, 0.5]], atol=1e-12)


def test_of_nothing_nothing_is_chosen() -> None:
    assert order(np.zeros((3, 2)), np.arange(3.0), np.zeros((0, 2))).shape == (0,)
