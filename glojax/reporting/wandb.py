"""Scalars for Weights & Biases."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from glojax.reporting.tracking import key_of


class WandbWriter:
    """Writes to the project ``glojax``, or that of ``WANDB_PROJECT``; a run directory is a group (``tracking.Writer``).

    Its files are in the folder ``wandb`` of the run directory. With ``WANDB_MODE=offline`` they are all there is, and
    ``wandb sync`` uploads them. After an interruption a run goes on under its old id, where Weights & Biases leaves out
    the steps that it has.

    Args:
      run_dir: the run directory.

    Raises:
      ImportError: wandb is missing.
      ValueError: there is no API key, and none was asked to be done without.
    """

    def __init__(self, run_dir: str | os.PathLike[str]):
        self._wandb = _wandb()
        self._run_dir = Path(run_dir)
        self._runs: dict[str, Any] = {}
        if self._wandb.setup().settings.mode == "online":
            try:
                self._wandb.login()
            except self._wandb.Error as error:
                raise ValueError(f"Weights & Biases: {error} WANDB_MODE=offline needs no key.") from None

    def write(self, run: str, step: int, values: Mapping[str, float]) -> None:
        """Hand the scalars to the process of Weights & Biases, which does not make the search wait."""
        if run not in self._runs:
            name = re.sub(r"[^\w-]+", "-", run)
            self._runs[run] = self._wandb.init(
                project=os.environ.get("WANDB_PROJECT", "glojax"),
                group=self._run_dir.resolve().name,
                name=run,
                id=f"{key_of(self._run_dir)}-{name}"[:64],
                dir=self._run_dir,
                resume="allow",
                reinit="create_new",  # several are open at once
                settings=self._wandb.Settings(silent=True, console="off"),  # the terminal shows the search
            )
        self._runs[run].log(dict(values), step=step)

    def close(self) -> None:
        """Wait until all is written."""
        for run in self._runs.values():
            run.finish()


def _wandb() -> ModuleType:
    try:
        import wandb
    except ImportError:
        raise ImportError("Weights & Biases needs wandb: pip install 'glojax[wandb]'") from None
    return wandb
