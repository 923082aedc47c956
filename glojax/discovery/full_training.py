"""Full trainings of several losses and seeds beside cross-entropy at its best rate: curves, recorded as they grow."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glojax import files
from glojax.discovery import scoring
from glojax.distributed import processes
from glojax.losses.loss import Loss, LossFunction
from glojax.records import directory
from glojax.records.curves import Curves, Row, to_json
from glojax.tasks import optimizers
from glojax.tasks.task import Task


@dataclass(frozen=True)
class TrainConfig:
    """How losses are trained.

    Raises:
      ValueError: a number out of its range; the message names the field.
    """

    steps: int  # of each training
    seeds: int = 10  # trainings of each loss
    points: int = 10  # of each curve
    rate: float = 1.0  # scale of the task's learning rate for the given losses
    schedule: str = "constant"  # this and the next two are optimizers.adapted's
    warmup: int = 0
    weight_decay: float = 0.0
    baseline: bool = True  # train cross-entropy too, at every one of evaluation.RATES
    splits: tuple[str, ...] = ("validation", "test")  # scored where the task has them; the first chooses the baseline

    def __post_init__(self) -> None:
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
) -> Curves:
    """Train every loss with every seed, and the baseline; score all of them along the way.

    Args:
      task: what they are trained on.
      named: losses by the name that the rows show.
      config: of the trainings.
      run_dir: ``settings.json``, ``curves.json`` with the scores so far, and checkpoints of the networks are kept
        there, anew at every point.
      resume: go on with what the directory holds, at the last point that was reached.
      on_point: called with the curves whenever some scores are new.

    Raises:
      ValueError: no losses, a setting out of its range, or a directory that holds something else.
      OSError: another process uses the directory, or it cannot be written.
    """
    if not named:
        raise ValueError("train: no losses were given; at least one is needed.")
    if run_dir is None:
        return _train(task, named, config, None, resume, on_point)
    with contextlib.ExitStack() as held:
        processes.first(lambda: held.enter_context(directory.locked(Path(run_dir))))
        return _train(task, named, config, Path(run_dir), resume, on_point)


def _train(
    task: Task,
    named: Mapping[str, LossFunction],
    config: TrainConfig,
    run_dir: Path | None,
    resume: bool,
    on_point: Callable[[Curves], None] | None,
) -> Curves:
    optimizer = optimizers.adapted(
        task.optimizer, config.steps,
        schedule=config.schedule, warmup=config.warmup, weight_decay=config.weight_decay,
    )  # fmt: skip
    splits = tuple(split for split in config.splits if split in task.splits)
    settings = [(name, loss, config.rate) for name, loss in named.items()]
    if config.baseline:
        settings += [(task.problem.baseline_name, task.problem.baseline, rate) for rate in scoring.RATES]
    steps = scoring.points_of(config.steps, config.points)

    def curves(scores: np.ndarray) -> Curves:
        rows = [Row(name, rate, scores[place].copy()) for place, (name, _, rate) in enumerate(settings)]
        return Curves(steps, splits, rows[: len(named)], rows[len(named) :])

    if run_dir is not None:
        given = {name: loss.to_json() if isinstance(loss, Loss) else name for name, loss in named.items()}
        kept = dataclasses.asdict(config) | {"losses": given}
        processes.first(lambda: directory.write_settings(run_dir, "train", task, kept, resume))

    def take(scores: np.ndarray) -> None:
        if run_dir is not None and processes.is_first():
            files.write_atomically(run_dir / "curves.json", to_json(curves(scores)))
        if on_point is not None:
            on_point(curves(scores))

    found = scoring.learning_curves(
        dataclasses.replace(task, optimizer=optimizer), [loss for _, loss, _ in settings], range(config.seeds),
        [rate for _, _, rate in settings], splits=splits, steps=config.steps, points=config.points,
        directory=None if run_dir is None else run_dir / "checkpoints", on_point=take,
    )  # fmt: skip
    return curves(found)
