"""What a noise floor is, what random search spends, and what a comparison trains."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest

from glojax import losses, statistics
from glojax.discovery import comparison, scoring, screening
from glojax.seeds import named_seed
from glojax.tasks.task import Task


def test_four_of_five_differences_as_large_as_the_noise_floor_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    monkeypatch.setattr(scoring, "evaluate", lambda task, chosen, seeds, **_: random.normal(0.9, 0.01, (1, seeds)))
    floor = comparison.noise_floor(None, losses.cross_entropy, seed_count=4000, compared_count=20)  # type: ignore[arg-type]
    assert floor.summary == statistics.summarize(floor.scores)
    found = [
        statistics.welch(random.normal(0.9, 0.01, 20), random.normal(0.9 + floor.detectable, 0.01, 20)) < 0.05
        for _ in range(2000)
    ]
    assert np.mean(found) == pytest.approx(0.79, abs=0.03)  # a little under 0.8: the approximation is normal


@pytest.mark.parametrize("field", ["seed_count", "compared_count"])
def test_a_noise_floor_takes_two_seeds(tiny_task: Task, field: str) -> None:
    with pytest.raises(ValueError, match=f"noise_floor: {field} is 1; at least 2 are needed"):
        comparison.noise_floor(tiny_task, **{field: 1})


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Calls of the trainer, which scores a loss best at 30 times the rate, Baikal at 3 times."""
    made: list[dict[str, Any]] = []

    def score(
        task: Task, chosen: Sequence[Any], seeds: Sequence[int], rates: Sequence[float], *,
        splits: tuple = ("validation",), steps: int | None = None, points: int = 1, **_: Any,
    ) -> np.ndarray:  # fmt: skip
        made.append({"losses": list(chosen), "seeds": list(seeds), "rates": list(rates), "splits": splits})
        best = [3.0 if loss == losses.baikal else 30.0 for loss in chosen]
        flat = [1 / (1 + abs(np.log(rate / peak))) for rate, peak in zip(rates, best, strict=True)]
        return np.tile(np.array(flat)[:, None, None, None], (1, len(seeds), points, len(splits)))

    monkeypatch.setattr(scoring, "learning_curves", score)
    return made


@pytest.mark.slow
def test_a_comparison_holds_every_loss_at_its_own_and_its_best_rate(tiny_task: Task, calls: list[dict]) -> None:
    rows = comparison.compare(tiny_task, {"found": losses.baikal}, seed_count=4, seed=9)
    tree = losses.baikal.tree
    sizes = screening.screen([tree, losses.cross_entropy.tree], room=31).size
    grid = np.array(scoring.RATES) / sizes[0]
    nearest = grid[np.abs(np.log(grid / 3)).argmin()]
    assert sizes == pytest.approx([40.4, 1], rel=0.01)  # Baikal's 1 / y, of logits of deviation 1
    assert [(row.name, row.rate) for row in rows] == [
        ("cross-entropy", 1.0), ("found", 1.0), ("cross-entropy, best rate", 30.0),
        ("found, best rate", pytest.approx(nearest)),
    ]  # fmt: skip
    assert [row.test.shape for row in rows] == [(4,)] * 4
    choosing, comparing = calls[:2]
    assert choosing["rates"] == pytest.approx([*scoring.RATES, 1, 1, *grid, 1, 1])
    comparison.compare(tiny_task, {"found": losses.baikal}, seed_count=4, seed=9, rates={"found": 3.0})
    assert calls[2]["rates"][-1] == 3
    assert calls[3]["rates"] == [1, 1, 30, 3]
    assert choosing["splits"] == ("validation",)
    assert comparing["splits"] == ("validation", "test")


def test_a_comparison_on_record_is_not_trained_again_unless_it_is_another(
    tiny_task: Task, calls: list[dict], tmp_path: Path
) -> None:
    first = comparison.compare(tiny_task, {"found": losses.baikal}, seed_count=4, seed=9, run_dir=tmp_path)
    again = comparison.compare(tiny_task, {"found": losses.baikal}, seed_count=4, seed=9, run_dir=tmp_path, resume=True)
    assert len(calls) == 2
    for row, other in zip(first, again, strict=True):
        assert (row.name, row.rate, row.steps) == (other.name, other.rate, other.steps)
        np.testing.assert_array_equal(row.scores, other.scores)
    comparison.compare(tiny_task, {"found": losses.brier}, seed_count=4, seed=9, run_dir=tmp_path, resume=True)
    assert len(calls) == 4
    assert all(losses.brier in call["losses"] for call in calls[2:])


def test_a_comparison_uses_seeds_that_nothing_before_it_used(tiny_task: Task, calls: list[dict]) -> None:
    comparison.compare(tiny_task, {}, seed_count=6, seed=9)
    used = {named_seed(9, phase, i) for phase in ("search", "finals") for i in range(1000)}
    choosing, comparing = (set(call["seeds"]) for call in calls)
    assert (len(choosing), len(comparing)) == (comparison.RATE_SEEDS, 6)
    assert not choosing & comparing
    assert not (choosing | comparing) & used


def test_a_function_is_compared_at_rates_that_make_its_gradient_as_large(tiny_task: Task, calls: list[dict]) -> None:
    def eightfold(logits: jax.Array, labels: jax.Array) -> jax.Array:
        return 8 * optax.softmax_cross_entropy(logits, labels)

    rows = comparison.compare(tiny_task, {"mine": eightfold}, seed_count=3)
    np.testing.assert_allclose(calls[0]["rates"][9:16], np.array(scoring.RATES) / 8, rtol=1e-4)
    assert {row.name for row in rows} >= {"mine", "mine, best rate"}
    with pytest.raises(ValueError, match="compare: mine is no loss"):
        comparison.compare(tiny_task, {"mine": "x * log(y)"}, seed_count=3)  # type: ignore[dict-item]


@pytest.mark.slow
def test_full_trainings_are_those_of_a_longer_task_with_a_cosine_decay_and_the_last_weights(tiny_task: Task) -> None:
    losses_of = {"cross-entropy": losses.cross_entropy, "optax": optax.softmax_cross_entropy}
    rates = {"cross-entropy": 0.1, "optax": 100.0}
    rows = comparison.compare_in_full(tiny_task, losses_of, rates, seed_count=2, seed=5, steps=60)
    decayed = optax.sgd(optax.cosine_decay_schedule(0.05, 60))
    long = dataclasses.replace(tiny_task, optimizer=decayed, steps=60, averaging=0)
    choosing = [named_seed(5, "full rates", i) for i in range(comparison.FULL_RATE_SEEDS)]
    fresh = [named_seed(5, "full audit", i) for i in range(2)]
    for row, loss in zip(rows, losses_of.values(), strict=True):
        around = rates[row.name] * 3.0 ** np.arange(-6, 7)
        means = scoring.evaluate(long, [loss] * 13, choosing, rates=around).mean(axis=1)
        place = 6  # uphill from the rate that was given
        while means[place - 1 : place + 2].argmax() != 1:
            place += int(means[place - 1 : place + 2].argmax()) - 1
        assert row.rate == pytest.approx(around[place])
        assert place != 6
        (expected,) = scoring.evaluate(long, [loss], fresh, rates=[row.rate], split="test")
        np.testing.assert_allclose(row.test, expected, atol=1e-6)
        assert row.steps == list(range(6, 61, 6))


def test_full_trainings_on_record_are_not_trained_again(tiny_task: Task, calls: list[dict], tmp_path: Path) -> None:
    given = {"cross-entropy": losses.cross_entropy}, {"cross-entropy": 3.0}, 4
    first = comparison.compare_in_full(tiny_task, *given, run_dir=tmp_path)
    assert [row.steps[-1] for row in first] == [300]
    trainings = len(calls)
    again = comparison.compare_in_full(tiny_task, *given, run_dir=tmp_path, resume=True)
    assert len(calls) == trainings
    np.testing.assert_array_equal(first[0].scores, again[0].scores)
    comparison.compare_in_full(tiny_task, given[0], {"cross-entropy": 1.0}, 4, run_dir=tmp_path, resume=True)
    assert len(calls) > trainings


@pytest.mark.parametrize(
    ("tried", "following"),
    [
        ({3.0: 0.5, 1.0: 0.7, 9.0: 0.4}, [1 / 3]),
        ({3.0: 0.5, 1.0: 0.4, 9.0: 0.7}, [27.0]),
        ({3.0: 0.7, 1.0: 0.7, 9.0: 0.4}, []),
        ({3.0: 0.0, 1.0: 0.0, 9.0: 0.0}, []),
        ({3.0**power: -power for power in range(comparison.FULL_RATES)}, []),
    ],
)
def test_rates_are_tried_until_neither_end_is_the_best(tried: dict[float, float], following: list[float]) -> None:
    assert comparison._beyond({rate: [score] for rate, score in tried.items()}) == pytest.approx(following)


@pytest.mark.slow
def test_the_best_rate_is_that_of_real_trainings(tiny_task: Task) -> None:
    seeds = [1, 2]
    (best,) = comparison.best_rates(tiny_task, [losses.cross_entropy], seeds)
    scores = scoring.evaluate(tiny_task, [losses.cross_entropy] * len(scoring.RATES), seeds, rates=scoring.RATES)
    assert best == scoring.RATES[statistics.winner(scores.tolist())]
    assert best > 1


def test_a_rate_at_which_trainings_may_diverge_is_not_the_best(
    tiny_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady = np.array([0.80, 0.81, 0.82, 0.80, 0.81, 0.82, 0.80, 0.82])
    scores = {1.0: steady, 3.0: steady + 0.002, 10.0: np.append(np.full(7, 0.95), 0.2), 30.0: steady - 0.05}
    assert scores[10.0].mean() > scores[3.0].mean()

    def score(task: Task, chosen: Sequence[Any], seeds: Sequence[int], rates: Sequence[float], **_: Any) -> np.ndarray:
        return np.stack([scores[rate] for rate in rates])[..., None]

    monkeypatch.setattr(scoring, "score_losses", score)
    assert comparison.best_rates(tiny_task, [losses.cross_entropy], range(8), list(scores)) == [3.0]
