"""A found loss on a task that it never saw, beside that task's baseline and its best known loss.

The loss is taken as it was found; only its learning rate is the new task's. It is shown at its fair rate, where its
gradient is as large as the baseline's at its best rate, for which the loss was never trained, and at its best one.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glojax import losses, tasks
from glojax.discovery import comparison, joint_runs, scoring
from glojax.discovery.best_known import BestKnown, best_known, weighted
from glojax.discovery.comparison import compare
from glojax.executors import local
from glojax.executors.protocol import Executor
from glojax.losses.loss import Loss
from glojax.records import summary
from glojax.records.comparisons import BEST_KNOWN, FAIR_RATE, Comparison, best_rows, loss_identity, rows_of
from glojax.records.run import Run
from glojax.seeds import named_seed
from glojax.tasks.task import Task

FOUND = "found"
"""The name of the loss in the rows."""


@dataclass(frozen=True, eq=False)
class Transfer:
    """How a loss compares on another task.

    Attributes:
      loss: the loss.
      fair_rate: the scale of the task's learning rate at which its gradient is as large as the baseline's at its best.
      known: the best known loss for the task.
      comparison: the rows of ``compare``, and the loss at its fair rate.
    """

    loss: Loss
    fair_rate: float
    known: BestKnown = field(repr=False)
    comparison: list[Comparison] = field(repr=False)


def transfer(
    found: Loss | str | os.PathLike[str],
    task: Task,
    seeds: int = 16,
    seed: int = 0,
    *,
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    executor: Executor | None = None,
    group: int | None = None,
) -> Transfer:
    """Compare a loss that was found elsewhere with a task's baseline and its best known loss, over fresh seeds.

    Args:
      found: the directory of a run, whose found loss is taken; or a loss, or text that names one
        (``losses.loss_by_name``).
      task: what losses are trained on.
      seeds: trainings of each row.
      seed: all seeds derive from it.
      run_dir: where the comparison is kept. The run that found the loss is not changed. Defaults to memory alone.
      resume: take what ``run_dir`` holds of this very comparison.
      executor: what trains. Defaults to this process.
      group: how many candidates are trained together on a device at most. Defaults to as many as fit its memory.

    Returns:
      The loss, its fair rate, and the rows.

    Raises:
      ValueError: a run without a found loss, a loss for another output than the task's, fewer than one seed, or a run
        directory that does not fit (``records.run.Run``).

    Example:
      moved = glojax.transfer("runs/digits", my_task)
      [(row.name, row.test.mean()) for row in moved.comparison]
    """
    tasks.check(task)
    loss = loss_of(found, task)
    scoring.check_losses(task, [loss])
    if seeds < 1:
        raise ValueError(f"transfer: seeds is {seeds}; it must be at least 1.")
    shared: dict[str, Any] = {"run_dir": run_dir, "resume": resume, "executor": executor, "group": group}
    known = best_known(task, seed, **shared)
    named = {FOUND: loss, BEST_KNOWN: known.known.loss, **weighted(task)}
    rows = compare(task, named, seeds, seed, rates={BEST_KNOWN: known.rate}, **shared)
    baseline = best_rows(rows)[task.problem.baseline_name]
    fair = float(baseline.rate * comparison.rates_of(task, [loss])[0, 0] / scoring.RATES[0])
    asked = {"seeds": seeds, "seed": seed, "rate": fair}

    def train() -> dict[str, Any]:
        same_seeds = [named_seed(seed, "audit", i) for i in range(seeds)]  # as the other rows have
        at_fair = [(FOUND + FAIR_RATE, loss, fair)]
        trained = comparison.audited(task, at_fair, same_seeds, local.resolve(task, executor, group))
        return {"asked": asked, "loss": loss_identity(loss), **trained}

    def is_this(kept: dict[str, Any]) -> bool:
        return kept["asked"] == asked and kept["loss"] == loss_identity(loss)

    with Run(run_dir, "transfer", task, {}, resume) as run:
        rows += rows_of(run.once("loss", train, is_this))
    return Transfer(loss, fair, known, rows)


def loss_of(found: Loss | str | os.PathLike[str], task: Task) -> Loss:
    """The loss that a run found, or that is given or named.

    Raises:
      ValueError: a run without one, or a loss that is no expression tree.
    """
    if isinstance(found, Loss):
        return found
    path = Path(found)
    if path.is_dir():
        run = summary.read(joint_runs.first_folder(path))
        if run.found is None:
            raise ValueError(f"{path} has not found a loss yet.")
        return run.found.loss
    named = losses.loss_by_name(str(found), task.problem.output)
    if not isinstance(named, Loss):
        raise ValueError(f"{found} is not an expression tree; a found loss is.")
    return named
