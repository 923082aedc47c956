"""The seam: what trains for a search may be anything that keeps its promises."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
import pytest

from glojax import ExhaustiveConfig, SearchConfig, TuneConfig, evaluate, exhaust, search, tune
from glojax.discovery import comparison
from glojax.executors import local
from glojax.losses.loss import Loss
from glojax.tasks.task import Task
from glojax.training.candidates import Trained
from glojax.training.trainer import Trainer

TINY: dict[str, Any] = {"seeds": 2, "finalists": 3, "final_seeds": 1}


class InParts:
    """Divides every batch, loses what it has trained after every stop, and begins it again."""

    def __init__(self, trainer: Trainer):
        self.task, self.candidates, self.batches = trainer.task, trainer.candidates, 0
        self._trainer = trainer

    def train(
        self,
        candidates: Any,
        stops: Sequence[int],
        *,
        splits: Sequence[str] = ("validation",),
        keep: Callable[[np.ndarray], np.ndarray] | None = None,
        directory: Any = None,
        on_stop: Callable[[int, np.ndarray], None] | None = None,
    ) -> Trained:
        self.batches += 1
        parts = np.array_split(np.arange(len(candidates.seed)), min(3, len(candidates.seed)))
        answers: list[np.ndarray] = []

        def train_part(part: np.ndarray, reached: int) -> Trained:
            chosen = jax.tree.map(lambda leaf: leaf[part], candidates)
            known = iter(answers)
            answered = None if keep is None else lambda _: next(known)[part]
            return self._trainer.train(chosen, stops[:reached], splits=splits, keep=answered)

        whole = None
        for reached in range(1, len(stops) + 1):
            found = [train_part(part, reached) for part in parts]
            whole = Trained(*(np.concatenate(column) for column in zip(*found, strict=True)))
            if keep is not None and reached < len(stops):
                answers.append(keep(whole.scores[:, -1]))
            if on_stop is not None:
                on_stop(reached, whole.scores)
        assert whole is not None
        return whole


@pytest.fixture
def made() -> list[InParts]:
    """The evaluators that a test has made."""
    return []


@pytest.fixture
def divided(tiny_task: Task, made: list[InParts]) -> Task:
    """The tiny task, trained by ``InParts``."""

    def executor(task: Task, **settings: Any) -> InParts:
        assert task.fingerprint == tiny_task.fingerprint
        made.append(InParts(local.local(tiny_task, **settings)))
        return made[-1]

    return dataclasses.replace(tiny_task, executor=executor)


def test_a_search_and_a_tuning_whose_batches_are_divided_and_begun_again_find_the_same(
    tiny_task: Task, divided: Task, made: list[InParts]
) -> None:
    config = SearchConfig(population=8, generations=2, elites=2, **TINY)
    here, there = search(tiny_task, config), search(divided, config)
    assert [generation.fates for generation in there.generations] == [g.fates for g in here.generations]
    assert "dropped" in there.generations[0].fates  # halving has compared the whole batch
    for ours, theirs in zip(here.generations, there.generations, strict=True):
        assert ours.trees == theirs.trees
        np.testing.assert_array_equal(ours.fitness, theirs.fitness)
        np.testing.assert_array_equal(ours.steps, theirs.steps)
    assert (there.best, there.rate, there.fitness) == (here.best, here.rate, here.fitness)
    assert [one.batches for one in made] == [1 + 2 + 1 + 2]  # baseline, generations, elites again, finals

    tuning = TuneConfig(generations=1, **TINY)
    ours, theirs = tune(tiny_task, here.best, tuning), tune(divided, here.best, tuning)
    assert theirs.loss == ours.loss
    assert theirs.fitness == ours.fitness
    assert made[-1].batches == 1 + 1 + 2  # start, generation, finals


def test_every_other_use_of_a_task_goes_to_its_executor_too(
    tiny_task: Task, divided: Task, made: list[InParts]
) -> None:
    chosen = ["x * log(y)", Loss("log(y) - x / y", protected=True), optax.softmax_cross_entropy]
    np.testing.assert_array_equal(evaluate(divided, chosen, 2), evaluate(tiny_task, chosen, 2))
    assert [one.batches for one in made] == [1, 1, 1]

    rows = comparison.compare(divided, {"found": Loss("log(y) - x / y")}, 2)
    assert [row.name for row in rows[:2]] == ["cross-entropy", "found"]
    assert [one.batches for one in made[3:]] == [1, 1]

    exhausted = exhaust(divided, ExhaustiveConfig(depth=1, budget=1, **TINY))
    assert len(exhausted.ranking) > 0
    assert made[-1].batches >= 2


def test_the_evaluator_of_equal_settings_is_made_once(tiny_task: Task) -> None:
    assert local.of(tiny_task, instructions=31) is local.of(tiny_task, instructions=31)
    assert local.of(tiny_task, instructions=31) is not local.of(tiny_task, instructions=63)
