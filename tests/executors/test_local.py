"""The executor of this process, the choice of an executor, and searches by any other that follows the protocol."""

import dataclasses
import gc
import weakref
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import optax
import pytest

from glojax import ExhaustiveConfig, SearchConfig, TuneConfig, evaluate, exhaust, losses, search, tune
from glojax.discovery import comparison
from glojax.executors import local
from glojax.executors.protocol import Executor
from glojax.expressions.parsing import parse
from glojax.losses.loss import Loss
from glojax.tasks.ranking import ranked
from glojax.tasks.task import Task
from glojax.training.candidates import Trained
from glojax.training.trainer import Trainer

TINY: dict[str, Any] = {"seeds": 2, "finalists": 3, "final_seeds": 1, "rank_by": "metric"}  # margins feel rounding


class InParts:
    """An evaluator that divides every batch, and after every stop loses its networks and starts again."""

    def __init__(self, trainer: Trainer):
        self.task, self.candidates, self.batches = trainer.task, trainer.candidates, 0
        self._trainer = trainer

    def train(self, candidates: Any, stops: Sequence[int], **options: Any) -> Trained:
        splits = options.get("splits", ("validation",))
        keep, on_stop = options.get("keep"), options.get("on_stop")
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
    """The evaluators that were made in a test, in order."""
    return []


@pytest.fixture
def divided(tiny_task: Task, made: list[InParts]) -> Executor:
    """An executor that makes ``InParts``."""

    def executor(task: Task, **settings: Any) -> InParts:
        assert task.fingerprint in (tiny_task.fingerprint, ranked(tiny_task).fingerprint)
        made.append(InParts(local.local_executor(tiny_task, **settings)))
        return made[-1]

    return executor


@pytest.mark.slow
def test_a_search_and_a_tuning_whose_batches_are_divided_and_begun_again_find_the_same(
    tiny_task: Task, divided: Executor, made: list[InParts]
) -> None:
    config = SearchConfig(population=8, generations=2, elites=2, **TINY)
    here, there = search(tiny_task, config), search(tiny_task, config, executor=divided)
    assert [generation.fates for generation in there.generations] == [g.fates for g in here.generations]
    assert "dropped" in there.generations[0].fates  # halving has compared the whole batch
    for ours, theirs in zip(here.generations, there.generations, strict=True):
        assert ours.trees == theirs.trees
        np.testing.assert_array_equal(ours.fitness, theirs.fitness)
        np.testing.assert_array_equal(ours.steps, theirs.steps)
    assert (there.best, there.rate, there.fitness) == (here.best, here.rate, here.fitness)
    (batches,) = [one.batches for one in made]
    assert batches >= 1 + 2 + 1 + 2  # baseline, generations, elites again, finals of two rounds or more

    tuning = TuneConfig(generations=1, **TINY)
    ours, theirs = tune(tiny_task, here.best, tuning), tune(tiny_task, here.best, tuning, executor=divided)
    assert theirs.loss == ours.loss
    assert theirs.fitness == ours.fitness
    assert made[-1].batches >= 1 + 1 + 2  # start, generation, finals


@pytest.mark.slow
def test_everything_else_that_trains_goes_to_the_executor_too(
    tiny_task: Task, divided: Executor, made: list[InParts]
) -> None:
    chosen = ["x * log(y)", Loss("log(y) - x / y", protected=True), optax.softmax_cross_entropy]
    np.testing.assert_array_equal(evaluate(tiny_task, chosen, 2, executor=divided), evaluate(tiny_task, chosen, 2))
    assert [one.batches for one in made] == [1, 1, 1]

    rows = comparison.compare(tiny_task, {"found": Loss("log(y) - x / y")}, 2, executor=divided)
    assert [row.name for row in rows[:2]] == ["cross-entropy", "found"]
    assert [one.batches for one in made[3:]] == [1, 1]

    exhausted = exhaust(tiny_task, ExhaustiveConfig(depth=1, budget=1, **TINY), executor=divided)
    assert len(exhausted.ranking) > 0
    assert made[-1].batches >= 2


def test_every_search_of_one_task_shares_its_trainer_and_compiles_nothing_anew(tiny_task: Task) -> None:
    task = dataclasses.replace(tiny_task)
    train = local.resolve(task)
    trainer = train(task, instructions=31)
    assert isinstance(trainer, Trainer)
    trainer.scores(trainer.candidates([parse("x * log(y)")], [0]), steps=2)
    assert trainer.compilations == 3  # start, advance, score
    again = local.resolve(task)(task, instructions=31)
    assert again is trainer
    again.train(again.candidates([parse("log(y) - x / y")] * 3, [1, 2, 3]), [2])
    assert trainer.compilations == 3


@pytest.mark.parametrize("other", [{"instructions": 63}, {"protected": True}, {"group": 3}])
def test_other_settings_have_a_trainer_of_their_own(tiny_task: Task, other: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"instructions": 31} | other
    trainer = local.local_executor(tiny_task, **settings)
    assert trainer is local.local_executor(tiny_task, **settings)
    assert trainer is not local.local_executor(tiny_task, instructions=31)
    assert (trainer.instructions, trainer.protected, trainer.group) == (
        settings["instructions"],
        settings.get("protected", False),
        settings.get("group"),
    )


def test_of_fixed_losses_the_last_ones_trainer_is_kept(tiny_task: Task) -> None:
    first, second = optax.softmax_cross_entropy, losses.next_generation
    trainer = local.local_executor(tiny_task, loss=first)
    assert local.local_executor(tiny_task, loss=first) is trainer
    assert local.local_executor(tiny_task, loss=first, group=3) is not trainer
    assert local.local_executor(tiny_task, loss=second).loss is second
    assert local.local_executor(tiny_task, loss=first) is not trainer


@pytest.mark.slow
def test_trainers_are_freed_with_their_task(tiny_task: Task) -> None:
    task = dataclasses.replace(tiny_task)
    trainer = weakref.ref(local.local_executor(task))
    assert trainer() is not None
    del task
    gc.collect()
    assert trainer() is None


def test_a_copy_of_a_task_with_other_fields_has_trainers_of_its_own(tiny_task: Task) -> None:
    trainer = local.local_executor(tiny_task)
    longer = dataclasses.replace(tiny_task, steps=31)
    assert local.local_executor(longer) is not trainer
    assert local.local_executor(longer).task is longer


# THE CHOICE


def other_executor(task: Task, **settings: Any) -> Any:
    """Gives the settings that it was called with."""
    return settings


def test_an_executor_that_is_given_is_called_with_the_group(tiny_task: Task) -> None:
    assert local.resolve(tiny_task, other_executor)(tiny_task, instructions=9) == {"instructions": 9}
    assert local.resolve(tiny_task, other_executor, 4)(tiny_task, instructions=9) == {"instructions": 9, "group": 4}


def test_without_an_executor_this_process_trains_in_groups_of_that_size(tiny_task: Task) -> None:
    assert local.resolve(tiny_task) is local.local_executor
    trainer = local.resolve(tiny_task, group=3)(tiny_task)
    assert isinstance(trainer, Trainer)
    assert trainer.plan.sizes == (3,)


@pytest.mark.parametrize("group", [0, -3, 2.0, "2", True])
def test_a_group_that_is_no_count_is_refused(tiny_task: Task, group: Any) -> None:
    with pytest.raises(ValueError, match=f"group is {group!r}; it must be at least 1, a whole number"):
        local.resolve(tiny_task, other_executor, group)


def test_what_a_task_holds_itself_serves_where_nothing_is_given(tiny_task: Task) -> None:
    task = dataclasses.replace(tiny_task)
    for name, value in (("executor", other_executor), ("group", 5)):
        object.__setattr__(task, name, value)
    assert local.resolve(task)(task) == {"group": 5}
    assert local.resolve(task, group=6)(task) == {"group": 6}
    assert local.resolve(task, local.local_executor, 2) != local.resolve(task)
