"""How a run goes as scalars for TensorBoard, by tensorboardX, which needs no TensorFlow."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glojax import overview

Watch = Callable[[Any, Mapping[str, int]], None]
"""Called with the fitness ``[population]`` of each generation in turn, and with how many trees came how far in it."""


class Board:
    """The folder ``tensorboard`` of a run's directory, in which every phase is a run of TensorBoard's.

    A phase is written from its beginning: a search that is resumed shows the generations that it reads back once more,
    and what was written of them before is replaced.

    Raises:
      ImportError: tensorboardX is missing.
    """

    def __init__(self, run_dir: str | os.PathLike[str]):
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ImportError("TensorBoard needs tensorboardX: pip install 'glojax[tensorboard]'") from None
        self._make = SummaryWriter
        self._run_dir = Path(run_dir)
        self._writers: dict[str, Any] = {}
        self._lengths: dict[str, int] = {}

    def phase(self, name: str) -> Watch:
        """What writes a phase's generations; nothing is touched before the first."""
        self._lengths[name] = 0

        def write(fitness: Any, funnel: Mapping[str, int]) -> None:
            writer, number = self._writer(name), self._lengths[name]
            values = {"best": fitness.max(), "mean": fitness.mean(), "share failed": (fitness == 0).mean()}
            for label, value in values.items():
                writer.add_scalar(f"fitness/{label}", float(value), number)
            for stage, count in funnel.items():
                writer.add_scalar(f"funnel/{stage}", count, number)
            writer.flush()
            self._lengths[name] += 1

        return write

    def finish(self) -> None:
        """Write what the record has of finals, and the comparison's learning curves, and close."""
        run = overview.read(self._run_dir)
        for name, phase in run.phases.items():
            if phase.finals and phase.best is not None and name in self._lengths:
                self._writer(name).add_scalar("fitness/winner of the finals", phase.best.fitness, self._lengths[name])
        for entry in run.entries:
            writer, values = self._writer(f"comparison {entry.name}"), run.as_metric(entry.best.scores)
            for place, split in enumerate(("validation", "test")[: values.shape[2]]):
                for steps, value in zip(entry.best.steps, values[..., place].mean(axis=0), strict=True):
                    if np.isfinite(value):
                        writer.add_scalar(f"comparison/{split} {run.about.metric}", float(value), steps)
        for writer in self._writers.values():
            writer.close()

    def _writer(self, name: str) -> Any:
        if name not in self._writers:
            folder = self._run_dir / "tensorboard" / name.replace("/", "-")
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
            self._writers[name] = self._make(str(folder))
        return self._writers[name]
