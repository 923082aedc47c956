"""Scalars for MLflow."""

import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from glojax.reporting.tracking import key_of


class MlflowWriter:
    """Writes to the experiment ``glojax``, or that of ``MLFLOW_EXPERIMENT_NAME`` (``tracking.Writer``).

    It is on the server that ``MLFLOW_TRACKING_URI`` names, or else in the folder ``mlflow`` of the run directory. After
    an interruption a run is written again, and the one before is deleted. A server that fails during a search is given
    up with a warning: the search goes on.

    Args:
      run_dir: the run directory.

    Raises:
      ImportError: mlflow is missing.
      ValueError: the server cannot be used.
    """

    def __init__(self, run_dir: str | os.PathLike[str]):
        self._mlflow = _mlflow()
        self._run_dir = Path(run_dir)
        self._place: tuple[Any, str] | None = None  # the client, and the experiment's id
        self._runs: dict[str, str] = {}
        self._failed = False
        if "MLFLOW_TRACKING_URI" in os.environ:
            try:
                self._open()
            except self._mlflow.MlflowException as error:
                raise ValueError(f"MLflow at {os.environ['MLFLOW_TRACKING_URI']}: {error}") from None

    def write(self, run: str, step: int, values: Mapping[str, float]) -> None:
        """Write at once."""
        if self._failed:
            return
        now = int(time.time() * 1000)
        metrics = [self._mlflow.entities.Metric(name, value, now, step) for name, value in values.items()]
        try:
            client, experiment = self._place or self._open()
            if run not in self._runs:
                self._runs[run] = self._begin(client, experiment, run)
            client.log_batch(self._runs[run], metrics)
        except self._mlflow.MlflowException as error:
            self._failed = True
            warnings.warn(
                f"MLflow has failed, and nothing more is written there: {error}", RuntimeWarning, stacklevel=2
            )

    def close(self) -> None:
        """Mark the runs as finished."""
        if self._place is not None and not self._failed:
            for run in self._runs.values():
                self._place[0].set_terminated(run)

    def _open(self) -> tuple[Any, str]:
        place = os.environ.get("MLFLOW_TRACKING_URI")
        if place is None:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # without it MLflow 3.17 refuses a folder
            place = (self._run_dir / "mlflow").resolve().as_uri()
        client = self._mlflow.MlflowClient(place)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "glojax")
        found = client.get_experiment_by_name(name)
        self._place = client, found.experiment_id if found else client.create_experiment(name)
        return self._place

    def _begin(self, client: Any, experiment: str, run: str) -> str:
        """A new run in place of that of the same name."""
        tag = f"{key_of(self._run_dir)} {run}"
        for old in client.search_runs([experiment], f"tags.`glojax.run` = '{tag}'"):
            client.delete_run(old.info.run_id)
        name = f"{self._run_dir.resolve().name}: {run}"
        return client.create_run(experiment, run_name=name, tags={"glojax.run": tag}).info.run_id


def _mlflow() -> ModuleType:
    try:
        import mlflow
    except ImportError:
        raise ImportError("MLflow needs mlflow-skinny: pip install 'glojax[mlflow]'") from None
    return mlflow
