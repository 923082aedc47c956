"""What trains the candidates of a command: the options, and the executor that they choose."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from glojax.cli.signatures import Command, with_options


class ExecutorName(StrEnum):
    """What trains candidates."""

    local = "local"
    ray = "ray"


Group = Annotated[
    int | None,
    typer.Option(help="Most candidates trained together on a device. Defaults to as many as fit its memory."),
]


def _options(
    group: Group = None,
    executor: Annotated[
        ExecutorName, typer.Option(help="What trains: this process, or Ray's workers (docs/ray.md).")
    ] = ExecutorName.local,
    ray_address: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of a Ray cluster's head, or auto. Defaults to starting Ray on this machine."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Number of Ray's workers. Defaults to one per GPU of the cluster, or per core."),
    ] = None,
) -> None: ...


def with_training(command: Command) -> Command:
    """Give a command the options of what trains; it gets them as ``trains``.

    ``trains`` is ``{"executor": ..., "group": ...}``, arguments of the library's functions that train.
    """

    def run(
        *, group: int | None, executor: ExecutorName, ray_address: str | None, workers: int | None, **given: Any
    ) -> None:
        if executor is ExecutorName.local:
            if (ray_address, workers) != (None, None):
                raise ValueError("--ray-address and --workers go with --executor ray alone.")
            command(trains={"executor": None, "group": group}, **given)
            return
        if given.get("devices") is not None:
            raise ValueError("--devices goes with --executor local; Ray's workers have one each (--workers).")
        import jax

        from glojax.executors.ray_executor import RayExecutor

        jax.config.update("jax_platforms", "cpu")  # the GPUs of this machine are the workers'
        with RayExecutor(ray_address, workers) as made:
            command(trains={"executor": made, "group": group}, **given)

    return with_options(command, run, _options, instead_of=("trains",))
