"""What trains the candidates of a command: its options, and the executor that they ask for."""

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer


class ExecutorName(StrEnum):
    """What trains candidates."""

    local = "local"
    ray = "ray"


def _options(
    executor: Annotated[
        ExecutorName, typer.Option(help="What trains: this process, or Ray's workers (docs/ray.md).")
    ] = ExecutorName.local,
    ray_address: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of a Ray cluster's head, or auto; Ray starts on this machine if left out."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Of Ray's; one for every GPU of the cluster, or every core, if left out.")
    ] = None,
) -> None:
    """What ``with_executor`` adds to a command."""


def with_executor(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options of ``_options``, which are one argument of its own: ``executor``."""

    @functools.wraps(command)
    def run(*, executor: ExecutorName, ray_address: str | None, workers: int | None, **given: Any) -> None:
        if executor is ExecutorName.local:
            if (ray_address, workers) != (None, None):
                raise ValueError("--ray-address and --workers go with --executor ray alone.")
            command(executor=None, **given)
            return
        if given.get("devices") is not None:
            raise ValueError("--devices goes with --executor local; Ray's workers have one each (--workers).")
        import jax

        from glojax.executors.ray_executor import RayExecutor

        jax.config.update("jax_platforms", "cpu")  # the GPUs of this machine are the workers'
        with RayExecutor(ray_address, workers) as made:
            command(executor=made, **given)

    own, added = inspect.signature(command), inspect.signature(_options)
    kept = [parameter for parameter in own.parameters.values() if parameter.name != "executor"]
    run.__signature__ = own.replace(parameters=[*kept, *added.parameters.values()])  # type: ignore[attr-defined]
    run.__annotations__ = command.__annotations__ | _options.__annotations__
    return run
