"""How a run goes as scalars for TensorBoard, by tensorboardX, which needs no TensorFlow."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from glojax.records import summary

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
        _tensorboard()
        self._run_dir = Path(run_dir)
        self._writers: dict[str, Any] = {}
        self._lengths: dict[str, int] = {}

    def phase(self, name: str) -> Watch:
        """What writes a phase's generations; nothing is touched before the first."""
        self._lengths[name] = 0

        def write(fitness: Any, funnel: Mapping[str, int]) -> None:
            values = {"best": fitness.max(), "mean": fitness.mean(), "failed": (fitness == 0).mean()}
            tagged = {f"fitness/{label}": float(value) for label, value in values.items()}
            self._write(name, self._lengths[name], tagged | {f"funnel/{stage}": funnel[stage] for stage in funnel})
            self._lengths[name] += 1

        return write

    def finish(self) -> None:
        """Write what the record has of finals, and the comparison's learning curves, and close."""
        run = summary.read(self._run_dir)
        for name, length in self._lengths.items():
            phase = run.phases[name]
            if phase.finals and phase.best is not None:
                self._write(name, length, {"finals/winner": phase.best.fitness})
        for entry in run.entries:
            means = run.as_metric(entry.best.scores).mean(axis=0)  # [points, splits]
            for steps, row in zip(entry.best.steps, means.tolist(), strict=True):
                named = zip(("validation", "test"), row, strict=False)  # there may be no test set
                self._write(f"comparison {entry.name}", steps, {f"comparison/{split}": value for split, value in named})
        self.close()

    def close(self) -> None:
        """Release the files."""
        for writer in self._writers.values():
            writer.close()

    def _write(self, name: str, step: int, values: Mapping[str, float]) -> None:
        """At once and not, as by tensorboardX's ``SummaryWriter``, from a thread that an interruption ends."""
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


def _tensorboard() -> tuple[Any, Any, Any]:
    """What events are, what makes a scalar, and what writes a file of them."""
    try:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2
        from tensorboardX.summary import scalar
    except ImportError:
        raise ImportError("TensorBoard needs tensorboardX: pip install 'glojax[tensorboard]'") from None
    return event_pb2, scalar, EventsWriter
