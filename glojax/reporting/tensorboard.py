"""The progress of a run as scalars for TensorBoard, written by tensorboardX, which needs no TensorFlow."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from glojax.records import summary

Watch = Callable[[np.ndarray, Mapping[str, int]], None]
"""Called for each generation with its fitness ``[population]`` and how many of its trees passed each stage."""


class Board:
    """The folder ``tensorboard`` of a run directory, in which every phase is a run of TensorBoard's.

    A phase is written from its start. A search that is resumed writes the generations that it reads back once more, in
    place of those written before.

    Args:
      run_dir: the run directory.

    Raises:
      ImportError: tensorboardX is missing.
    """

    def __init__(self, run_dir: str | os.PathLike[str]):
        _tensorboard()
        self._run_dir = Path(run_dir)
        self._writers: dict[str, Any] = {}
        self._lengths: dict[str, int] = {}

    def phase(self, name: str) -> Watch:
        """A function that writes a phase's generations; no file is made before the first."""
        self._lengths[name] = 0

        def write(fitness: np.ndarray, funnel: Mapping[str, int]) -> None:
            values = {"best": fitness.max(), "mean": fitness.mean(), "failed": (fitness == 0).mean()}
            tagged = {f"fitness/{label}": float(value) for label, value in values.items()}
            self._write(name, self._lengths[name], tagged | {f"funnel/{stage}": funnel[stage] for stage in funnel})
            self._lengths[name] += 1

        return write

    def finish(self) -> None:
        """Write the winners of the finals and the learning curves of the comparison from the record, and close."""
        run = summary.read(self._run_dir)
        for name, length in self._lengths.items():
            phase = run.phases[name]
            if phase.finals and phase.best is not None:
                self._write(name, length, {"finals/winner": phase.best.fitness})
        for loss in run.compared:
            means = run.as_metric(loss.best.scores).mean(axis=0)  # [points, splits]
            for steps, row in zip(loss.best.steps, means.tolist(), strict=True):
                named = zip(("validation", "test"), row, strict=False)  # a task may lack the test set
                self._write(f"comparison {loss.name}", steps, {f"comparison/{split}": value for split, value in named})
        self.close()

    def close(self) -> None:
        """Release the files."""
        for writer in self._writers.values():
            writer.close()

    def _write(self, name: str, step: int, values: Mapping[str, float]) -> None:
        """Write at once; tensorboardX's ``SummaryWriter`` writes from a thread, which an interruption ends."""
        events, summary, make = _tensorboard()
        if name not in self._writers:
            folder = self._run_dir / "tensorboard" / name.replace("/", "-")
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
            folder.mkdir(parents=True, exist_ok=True)
            self._writers[name] = make(str(folder / "events"))
        for tag, value in values.items():
            self._writers[name].write_event(events.Event(step=step, wall_time=time.time(), summary=summary(tag, value)))
        self._writers[name].flush()


def _tensorboard() -> tuple[ModuleType, Callable[..., Any], Callable[..., Any]]:
    """The module of events, the function that makes a scalar, and the class that writes events to a file."""
    try:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2
        from tensorboardX.summary import scalar
    except ImportError:
        raise ImportError("TensorBoard needs tensorboardX: pip install 'glojax[tensorboard]'") from None
    return event_pb2, scalar, EventsWriter
