"""The progress of a run as scalars for TensorBoard, Weights & Biases and MLflow: what is written there."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from glojax.records import summary
from glojax.reporting.mlflow import MlflowWriter
from glojax.reporting.tensorboard import TensorBoardWriter
from glojax.reporting.tracking import Writer
from glojax.reporting.wandb import WandbWriter

Watch = Callable[[np.ndarray, Mapping[str, int]], None]
"""Called for each generation with its fitness ``[population]`` and how many of its trees passed each stage."""

WRITERS: dict[str, Callable[[str | os.PathLike[str]], Writer]] = {
    "tensorboard": TensorBoardWriter,
    "wandb": WandbWriter,
    "mlflow": MlflowWriter,
}
"""What writes for a tracker, by its name."""


class Scalars:
    """Writes the scalars of a run directory for trackers.

    A phase is written from its start. A search that is resumed writes the generations that it reads back once more.

    Args:
      run_dir: the run directory.
      trackers: names of ``WRITERS``.

    Raises:
      ImportError: the package of a tracker is missing.
      ValueError: a tracker cannot be used as it is set up.
    """

    def __init__(self, run_dir: str | os.PathLike[str], trackers: Sequence[str]):
        self._run_dir = Path(run_dir)
        self._writers = [WRITERS[name](run_dir) for name in dict.fromkeys(trackers)]
        self._lengths: dict[str, int] = {}

    def phase(self, name: str) -> Watch:
        """A function that writes a phase's generations; nothing is made before the first."""
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
        """End what was written."""
        for writer in self._writers:
            writer.close()

    def _write(self, run: str, step: int, values: Mapping[str, float]) -> None:
        for writer in self._writers:
            writer.write(run, step, values)
