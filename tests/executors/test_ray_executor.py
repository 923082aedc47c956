"""Ray's executor without a cluster: what it refuses, and how it divides a population. Integration tests run Ray."""

import dataclasses
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pytest
from budgets import cases
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import PartitionSpec

import glojax
from glojax.executors import ray_executor
from glojax.executors.ray_executor import RayEvaluator, RayExecutor
from glojax.expressions.parsing import parse
from glojax.tasks.task import Task
from glojax.training.candidates import PopulationProgress
from glojax.training.trainer import Trainer

# WHAT IS REFUSED


def test_an_address_where_nothing_answers_ends_the_command_with_one_line_in_seconds() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(OSError, match=rf"no Ray cluster answers at {address}: .*refused"):
            RayExecutor(address)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("address", ["somewhere", ":6379", "ray://host:10001", "host:port"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        RayExecutor(address)


def test_fewer_than_one_worker_is_refused() -> None:
    with pytest.raises(ValueError, match=r"workers is 0; it must be at least 1"):
        RayExecutor(workers=0)


def test_without_ray_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"Ray is not installed .*pip install 'glojax\[ray\]'"):
        RayExecutor()


@pytest.mark.parametrize("group", [0, "2"])
def test_a_group_that_is_no_count_is_refused(tiny_task: Task, group: Any) -> None:
    with pytest.raises(ValueError, match=f"group is {group!r}; it must be at least 1, a whole number"):
        RayEvaluator(None, tiny_task, (None, None), 31, group)  # type: ignore[arg-type]


def test_candidates_that_are_spread_over_devices_are_refused(tiny_task: Task) -> None:
    sharding = glojax.Sharding(2, {"Linear_1/kernel": PartitionSpec("model")})
    task = dataclasses.replace(tiny_task, sharding=sharding)
    with pytest.raises(ValueError, match=r"Task\.sharding has 2 devices for a candidate, and a worker of Ray has one"):
        RayExecutor.__call__(None, task)  # type: ignore[arg-type]


# WITHOUT RAY


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=40).map(lambda seeds: np.array(seeds, np.uint32)),
    st.integers(1, 9),
    st.integers(1, 12),
)
@cases()
def test_batches_are_whole_groups_about_equally_many_in_each(seeds: np.ndarray, group: int, most: int) -> None:
    batches = list(ray_executor.divide(seeds, group, most))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(seeds)))
    needed = [-(-int((seeds == seed).sum()) // group) for seed in set(seeds.tolist())]
    counts = [sum(-(-int((seeds[batch] == seed).sum()) // group) for seed in set(seeds.tolist())) for batch in batches]
    assert len(batches) == min(most, sum(needed))
    assert sum(counts) == sum(needed)  # no group was divided
    assert max(counts) - min(counts) <= 1


class FakePool:
    """Workers that keep nothing: each batch is trained from its start, in this process."""

    wanted = 2

    def __init__(self, trainer: Trainer):
        self.trainer, self.calls = trainer, []

    def run(self, batches: Sequence[Any]) -> list[PopulationProgress]:
        from glojax.executors import ray_workers

        self.calls.append([(batch.name[1], batch.target, batch.steps_left) for batch in batches])
        return [
            ray_workers.train_to(
                self.trainer, self.trainer.begin(batch.candidates, batch.stops, batch.splits), batch
            ).progress
            for batch in batches
        ]


class FakeExecutor:
    """What an evaluator needs of Ray's executor."""

    def __init__(self, trainer: Trainer):
        self.pool = FakePool(trainer)


@pytest.mark.slow
def test_batches_that_are_trained_apart_give_the_scores_of_one_population(tiny_task: Task) -> None:
    trainer = Trainer(tiny_task, instructions=31, group=2, devices=jax.devices()[:1])
    executor: Any = FakeExecutor(trainer)
    evaluator = RayEvaluator(executor, tiny_task, (None, None), 31, 2)
    population = [parse(text) for text in ("x * log(y)", "log(y) - x / y", "log(x) + y", "x * sqrt(y)")] * 2
    candidates = evaluator.candidates(population, [1] * 4 + [2] * 4)
    np.testing.assert_array_equal(candidates.seed, trainer.candidates(population, [1] * 4 + [2] * 4).seed)

    def keep(scores: np.ndarray) -> np.ndarray:
        return scores[:, 0] >= np.median(scores[:, 0])

    seen: list[np.ndarray] = []
    settings: Any = {"keep": keep, "splits": ("validation", "test")}
    found = evaluator.train(candidates, [5, 10, 15], on_stop=lambda _, scores: seen.append(scores), **settings)
    expected = trainer.train(candidates, [5, 10, 15], **settings)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4)
    np.testing.assert_array_equal(found.steps, expected.steps)
    assert [call[0][1:] for call in executor.pool.calls] == [(1, 5), (2, 5), (3, 5)]
    assert len(executor.pool.calls[0]) == 4  # two for each of two workers
    np.testing.assert_array_equal(seen[-1], found.scores)
    np.testing.assert_array_equal(seen[0][found.steps == 15, 1:], 0)  # later stops do not change what was shown


@pytest.mark.slow
def test_without_comparisons_there_is_one_call_for_all_stops(tiny_task: Task) -> None:
    trainer = Trainer(tiny_task, instructions=31, devices=jax.devices()[:1])
    executor: Any = FakeExecutor(trainer)
    evaluator = RayEvaluator(executor, tiny_task, (None, None), 31)
    candidates = evaluator.candidates([parse("x * log(y)")] * 3, [1, 2, 3])
    found = evaluator.train(candidates, [5, 10])
    np.testing.assert_allclose(found.scores, trainer.train(candidates, [5, 10]).scores, rtol=1e-4)
    assert executor.pool.calls == [[(0, 2, 10), (1, 2, 10), (2, 2, 10)]]


def test_a_directory_is_refused(tiny_task: Task) -> None:
    evaluator = RayEvaluator(None, tiny_task, (None, None), 31)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Ray's workers keep no checkpoints"):
        evaluator.train(evaluator.candidates([parse("y")], [0]), [1], directory="anywhere")
