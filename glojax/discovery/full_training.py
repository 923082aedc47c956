"""Full trainings of several losses over several seeds, beside the baseline at its best rate.

The result is learning curves, which are recorded as they grow.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glojax import files
from glojax.defaults import derived
from glojax.deprecation import renamed_fields
from glojax.discovery import scoring
from glojax.distributed import jax_settings, processes
from glojax.executors import local
from glojax.executors.protocol import Executor
from glojax.losses.loss import Loss, LossFunction
from glojax.records import directory
from glojax.records.curves import Curves, Row, to_json
from glojax.tasks import optimizers, probes
from glojax.tasks.task import Task


@renamed_fields(control="baseline")
@dataclass(frozen=True)
class TrainConfig:
    """Settings of full trainings.

    Attributes:
      steps: optimizer steps of each training.
      seeds: trainings of each loss.
      points: how many points each curve has, at most one for each step. Defaults to 10, or to the steps where they are
        fewer.
      rate: scale of the task's learning rate for the given losses.
      schedule: of the learning rate, a key of ``optimizers.SCHEDULES``.
      warmup: steps in which the learning rate rises from 0.
      weight_decay: this times the parameters is added to the gradients.
      baseline: train the baseline too, at every one of ``scoring.RATES``.
      splits: the parts of the data that are scored where the task has them. The first chooses the baseline's rate.

    Raises:
      ValueError: a number out of its range; the message names the field.
    """

    steps: int
    seeds: int = 10
    points: int = None  # type: ignore[assignment]  # the default is made below
    rate: float = 1.0
    schedule: str = "constant"
    warmup: int = 0
    weight_decay: float = 0.0
    baseline: bool = True
    splits: tuple[str, ...] = ("validation", "test")

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", derived(self.points, max(1, min(10, self.steps))))
        for field in ("steps", "seeds", "points"):
            if (value := getattr(self, field)) < 1:
                raise ValueError(f"{field} is {value}; it must be at least 1.")
        if not 0 < self.rate < float("inf"):
            raise ValueError(f"rate is {self.rate}; a finite number above 0 is needed.")


def train(
    task: Task,
    named: Mapping[str, LossFunction],
    config: TrainConfig,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    on_point: Callable[[Curves], None] | None = None,
    executor: Executor | None = None,
    group: int | None = None,
) -> Curves:
    """Train every loss with every seed, and the baseline, and score the networks along the way.

    Args:
      task: what they are trained on.
      named: the losses, by the names that the rows show.
      config: the settings.
      run_dir: where ``settings.json``, ``curves.json`` with the scores so far, and checkpoints of the networks are
        kept, anew at every point. Defaults to memory alone.
      resume: go on with what the directory holds, at the last point that was reached.
      on_point: called with the curves whenever some scores are new.
      executor: what trains. Defaults to this process, which alone can keep checkpoints.
      group: how many candidates are trained together on a device at most. Defaults to as many as fit its memory.

    Returns:
      The curves of the losses and of the baseline.

    Raises:
      ValueError: no losses, a setting out of its range, or a directory that holds something else.
      OSError: another process uses the directory, or it cannot be written.

    Example:
      curves = glojax.train(task, {"baikal": glojax.losses.baikal}, glojax.TrainConfig(steps=1000, seeds=3))
      curves.rows[0].scores.mean(axis=0)  # [points, splits]
    """
    if not named:
        raise ValueError("train: no losses were given; at least one is needed.")
    scoring.check_losses(task, named.values())
    trains = local.resolve(task, executor, group)
    if run_dir is None:
        return _train(task, named, config, None, on_point, trains)
    with contextlib.ExitStack() as held:
        processes.first(lambda: held.enter_context(directory.locked(Path(run_dir))))
        processes.first(
            lambda: directory.write_settings(run_dir, "train", task, _settings(task, named, config), resume)
        )
        return _train(task, named, config, Path(run_dir), on_point, trains)


def _settings(task: Task, named: Mapping[str, LossFunction], config: TrainConfig) -> dict[str, Any]:
    """What a run keeps of its settings: a function is known by what it gives, to three digits."""
    given: dict[str, Any] = {}
    for name, loss in named.items():
        if isinstance(loss, Loss):
            given[name] = loss.to_json()
        else:
            given[name] = [[None if value is None else f"{value:.3g}" for value in row] for row in _probed(task, loss)]
    return dataclasses.asdict(config) | {"losses": given}


def _probed(task: Task, loss: LossFunction) -> probes.Probe:
    with jax_settings.standard(wide=task.is_wide):
        return probes.loss_probe(task, loss)


def _train(
    task: Task,
    named: Mapping[str, LossFunction],
    config: TrainConfig,
    run_dir: Path | None,
    on_point: Callable[[Curves], None] | None,
    executor: Executor,
) -> Curves:
    optimizer = optimizers.adapted(
        task.optimizer,
        config.steps,
        schedule=config.schedule,
        warmup=config.warmup,
        weight_decay=config.weight_decay,
    )
    splits = tuple(split for split in config.splits if split in task.splits)
    settings = [(name, loss, config.rate) for name, loss in named.items()]
    if config.baseline:
        settings += [(task.problem.baseline_name, task.problem.baseline, rate) for rate in scoring.RATES]
    steps = scoring.points_of(config.steps, config.points)

    def curves(scores: np.ndarray) -> Curves:
        rows = [Row(name, rate, scores[place].copy()) for place, (name, _, rate) in enumerate(settings)]
        return Curves(steps, splits, rows[: len(named)], rows[len(named) :])

    def take(scores: np.ndarray) -> None:
        if run_dir is not None and processes.is_first():
            files.write_atomically(run_dir / "curves.json", to_json(curves(scores)))
        if on_point is not None:
            on_point(curves(scores))

    found = scoring.learning_curves(
        dataclasses.replace(task, optimizer=optimizer),
        [loss for _, loss, _ in settings],
        range(config.seeds),
        [rate for _, _, rate in settings],
        splits=splits,
        steps=config.steps,
        points=config.points,
        directory=None if run_dir is None else run_dir / "checkpoints",
        on_point=take,
        executor=executor,
    )
    return curves(found)
