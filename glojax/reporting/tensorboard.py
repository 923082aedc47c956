"""Scalars for TensorBoard, written by tensorboardX, which needs no TensorFlow."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any


class TensorBoardWriter:
    """Writes into the folder ``tensorboard`` of a run directory (``tracking.Writer``).

    Args:
      run_dir: the run directory.

    Raises:
      ImportError: tensorboardX is missing.
    """

    def __init__(self, run_dir: str | os.PathLike[str]):
        _tensorboard()
        self._folder = Path(run_dir) / "tensorboard"
        self._writers: dict[str, Any] = {}

    def write(self, run: str, step: int, values: Mapping[str, float]) -> None:
        """Write at once; tensorboardX's ``SummaryWriter`` writes from a thread, which an interruption ends."""
        events, summary, make = _tensorboard()
        if run not in self._writers:
            folder = self._folder / run.replace("/", "-")
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
            folder.mkdir(parents=True, exist_ok=True)
            self._writers[run] = make(str(folder / "events"))
        for tag, value in values.items():
            self._writers[run].write_event(events.Event(step=step, wall_time=time.time(), summary=summary(tag, value)))
        self._writers[run].flush()

    def close(self) -> None:
        """Release the files."""
        for writer in self._writers.values():
            writer.close()


def _tensorboard() -> tuple[ModuleType, Callable[..., Any], Callable[..., Any]]:
    """The module of events, the function that makes a scalar, and the class that writes events to a file."""
    try:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2
        from tensorboardX.summary import scalar
    except ImportError:
        raise ImportError("TensorBoard needs tensorboardX: pip install 'glojax[tensorboard]'") from None
    return event_pb2, scalar, EventsWriter
