"""Ray's workers as plain objects in this process: what they keep between calls changes no result."""

from typing import Any

import jax
import numpy as np
import pytest

from glojax.executors import ray_workers
from glojax.executors.ray_workers import Batch, Worker
from glojax.expressions.parsing import parse
from glojax.tasks.task import Task
from glojax.training.candidates import Candidates
from glojax.training.trainer import Trainer

STOPS = (5, 10, 15)
KEPT = (np.array([True, False, True, True]), np.array([True, True, False, True]))


@pytest.fixture(scope="module")
def trainer(tiny_task: Task) -> Trainer:
    """On one device, as a worker has it."""
    return Trainer(tiny_task, instructions=31, group=1, devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def candidates(trainer: Trainer) -> Candidates:
    """Four candidates that all train."""
    return trainer.candidates([parse("x * log(y)"), parse("log(y) - x / y")] * 2, [1, 1, 2, 2])


@pytest.fixture
def begun(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every training that a worker has begun, in this process and without Ray."""
    found: list[Any] = []
    begin = Trainer.begin

    def counted(self: Trainer, *given: Any) -> Any:
        found.append(given)
        return begin(self, *given)

    monkeypatch.setattr(Trainer, "begin", counted)
    monkeypatch.setattr(ray_workers, "_trainer", lambda *setup: trainer)
    monkeypatch.setattr(ray_workers, "keep_programs", lambda: None)
    return found


def batch(candidates: Candidates, target: int, name: tuple[str, int] = ("population", 0)) -> Batch:
    """Train these candidates to a stop, with the answers of the stops before it."""
    return Batch((None, None), name, candidates, STOPS, ("validation",), KEPT[: target - 1], target)


@pytest.mark.parametrize(("target", "steps"), [(1, 5), (2, 5), (3, 5)])
def test_steps_left_are_those_from_the_last_stop(candidates: Candidates, target: int, steps: int) -> None:
    assert batch(candidates, target).steps_left == steps
    assert batch(candidates, target)._replace(answers=()).steps_left == STOPS[target - 1]


@pytest.mark.slow
def test_a_worker_goes_on_with_the_networks_that_it_holds_or_begins_anew_to_the_same_scores(
    trainer: Trainer, candidates: Candidates, begun: list[Any]
) -> None:
    kept = iter(KEPT)
    expected = trainer.train(candidates, STOPS, keep=lambda _: next(kept))
    del begun[:]
    holding = Worker(accelerator=True)
    found = [holding.train(batch(candidates, target)) for target in (1, 2, 3)]
    assert len(begun) == 1
    fresh = Worker(accelerator=True).train(batch(candidates, 3))
    assert len(begun) == 2
    for progress in (found[-1], fresh):
        np.testing.assert_array_equal(progress.scores, expected.scores)
        np.testing.assert_array_equal(progress.steps, expected.steps)
    np.testing.assert_array_equal(found[0].steps, 5)
    np.testing.assert_array_equal(found[0].scores[:, 0], expected.scores[:, 0])


@pytest.mark.slow
def test_a_worker_forgets_the_networks_of_an_earlier_population_and_of_a_finished_batch(
    candidates: Candidates, begun: list[Any]
) -> None:
    worker = Worker(accelerator=True)
    worker.train(batch(candidates, 1))
    worker.train(batch(candidates, 1, ("another", 0)))
    worker.train(batch(candidates, 2))
    assert len(begun) == 3
    worker.train(batch(candidates, 3))
    worker.train(batch(candidates, 3))
    assert len(begun) == 4
