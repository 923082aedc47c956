"""Candidates trained by this process, or by several that joined."""

from functools import lru_cache

from glojax.executors.protocol import Evaluator, Executor
from glojax.losses.loss import LossFunction
from glojax.tasks.task import Task
from glojax.training.trainer import Trainer


def resolve(task: Task, executor: Executor | None, group: int | None) -> Executor:
    """What trains: the given executor or this process."""
    return executor or task.executor or local


def of(task: Task, *, instructions: int = 1, protected: bool = False, loss: LossFunction | None = None) -> Evaluator:
    """The evaluator that the task's executor makes."""
    executor = local if task.executor is None else task.executor
    return executor(task, instructions=instructions, protected=protected, loss=loss)


def local(task: Task, *, instructions: int = 1, protected: bool = False, loss: LossFunction | None = None) -> Trainer:
    """The ``Trainer`` of these settings; search, tuning and comparison share one, and its compiled programs."""
    if loss is not None:
        return Trainer(task, loss=loss)
    return _shared(task, instructions, protected)


@lru_cache(maxsize=8)
def _shared(task: Task, instructions: int, protected: bool) -> Trainer:
    return Trainer(task, instructions=instructions, protected=protected)
