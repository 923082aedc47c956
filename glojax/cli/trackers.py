"""Options of what tracks a search, beside its own record."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glojax.distributed import processes

if TYPE_CHECKING:
    from glojax.reporting.scalars import Scalars


class TrackerName(StrEnum):
    """The names of ``reporting.scalars.WRITERS``."""

    TENSORBOARD = "tensorboard"
    WANDB = "wandb"
    MLFLOW = "mlflow"


Tensorboard = Annotated[bool, typer.Option("--tensorboard", help="The same as --track tensorboard.")]
Track = Annotated[
    list[TrackerName] | None,
    typer.Option(help="Write scalars for this tracker during the search. May be given more than once."),
]


def scalars_of(track: list[TrackerName] | None, tensorboard: bool, run_dir: Path | None) -> "Scalars | None":
    """The writer of scalars for the trackers that were asked for, if any.

    Raises:
      ImportError: the package of a tracker is missing.
      ValueError: there is no run directory, or a tracker cannot be used as it is set up.
    """
    from glojax.reporting.scalars import Scalars

    trackers = [*(["tensorboard"] if tensorboard else []), *(name.value for name in track or ())]
    if trackers and run_dir is None:
        raise ValueError(f"{'--tensorboard' if tensorboard else '--track'} needs the --run-dir that it writes into.")
    return Scalars(run_dir, trackers) if trackers and run_dir is not None and processes.is_first() else None
