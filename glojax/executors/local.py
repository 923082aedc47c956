"""Training in this process, or in several that joined, and the choice between it and another executor.

``resolve`` gives the executor that a public function was asked to use. ``local_executor`` is the one of this process:
its evaluators are ``Trainer`` objects, which are kept with their task, so that search, tuning and comparison of one
task share their compiled programs.
"""

from functools import partial
from typing import Any

from glojax.executors.protocol import Executor
from glojax.losses.loss import LossFunction
from glojax.tasks.task import Task
from glojax.training import grouping
from glojax.training.trainer import Trainer

_MEMO = "_trainers"  # attribute of a task that holds its trainers, so that they are freed with it
_FIXED = ("fixed",)  # the trainer of a fixed loss among them


def resolve(task: Task, executor: Executor | None = None, group: int | None = None) -> Executor:
    """The executor that trains a task's candidates.

    Args:
      task: the task. Its own ``executor`` and ``group``, the deprecated way to give them, serve where the arguments
        are None.
      executor: what trains. Defaults to this process (``local_executor``).
      group: candidates trained together on a device, at most. Defaults to as many as fit
        (``grouping.group_that_fits``). Scores do not depend on it.

    Returns:
      An executor with ``group`` bound: call it with the task and the settings of ``protocol.Executor``.

    Raises:
      ValueError: ``group`` is not a whole number of at least 1.

    Example:
      evaluator = resolve(task, group=4)(task, instructions=31)
    """
    old = vars(task)  # the deprecated fields, which are no attributes that a type checker sees
    chosen = old["executor"] if executor is None else executor
    size = old["group"] if group is None else group
    grouping.check_group(size)
    chosen = local_executor if chosen is None else chosen
    return chosen if size is None else partial(chosen, group=size)


def local_executor(
    task: Task,
    *,
    instructions: int = 1,
    protected: bool = False,
    loss: LossFunction | tuple[LossFunction, ...] | None = None,
    group: int | None = None,
) -> Trainer:
    """The trainer of these settings in this process; the arguments are those of ``protocol.Executor``.

    Equal settings of one task share a trainer and its compiled programs, which are freed with the task. Of fixed losses
    only the last one's trainer is kept, as there may be any number of them.
    """
    trainers: dict[tuple[Any, ...], Trainer] = vars(task).setdefault(_MEMO, {})
    if loss is not None:
        kept = trainers.get(_FIXED)
        if kept is None or kept.loss is not loss or kept.group != group:
            trainers[_FIXED] = Trainer(task, loss=loss, group=group)
        return trainers[_FIXED]
    settings = instructions, protected, group
    if settings not in trainers:
        trainers[settings] = Trainer(task, instructions=instructions, protected=protected, group=group)
    return trainers[settings]
