"""One command in several processes: its options, and a parent for each process that explains how it ended.

If the coordinator is killed, JAX ends the other processes by SIGABRT within milliseconds, and prints a stack trace.
So a command with ``--distributed`` starts itself again as a child, and explains such an end.
"""

import functools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from glojax.cli.signatures import with_options
from glojax.distributed import liveness, processes

_WORKER = "GLOJAX_WORKER"  # in a child: the file descriptor that it writes its place to

Distributed = Annotated[
    bool,
    typer.Option(
        "--distributed",
        help="Run as one of several processes with this command, on all their devices (docs/clusters.md).",
    ),
]
Coordinator = Annotated[
    str | None,
    typer.Option(
        help="HOST:PORT of process 0, a free port. This and the next two are not needed where JAX finds them: under "
        "Slurm, Open MPI, Kubernetes, and on TPU pods."
    ),
]
Processes = Annotated[int | None, typer.Option(help="Number of processes.")]
Process = Annotated[int | None, typer.Option(help="Number of this process, from 0.")]
Heartbeat = Annotated[
    float, typer.Option(help="Seconds of silence after which a process counts as dead and all others end.")
]


def _options(
    distributed: Distributed = False,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process: Process = None,
    heartbeat: Heartbeat = processes.HEARTBEAT,
) -> None: ...


def in_several_processes(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that ``with_training`` made the options of several processes; the command never sees them."""

    def run(
        *,
        distributed: bool,
        coordinator: str | None,
        processes: int | None,
        process: int | None,
        heartbeat: float,
        **given: Any,
    ) -> None:
        if distributed and given["executor"] != "local":
            raise ValueError("--distributed goes with --executor local: Ray's workers are processes of their own.")
        _run(functools.partial(command, **given), distributed, coordinator, processes, process, heartbeat)

    return with_options(command, run, _options)


def _run(
    command: Callable[[], None],
    distributed: bool,
    coordinator: str | None,
    count: int | None,
    index: int | None,
    heartbeat: float,
) -> None:
    if not distributed:
        if (coordinator, count, index) != (None, None, None):
            raise ValueError("--coordinator, --processes and --process go with --distributed alone.")
        command()
    elif _WORKER not in os.environ:
        processes.check(coordinator, count, index, heartbeat)
        sys.exit(_supervise())
    else:
        with processes.joined(coordinator, count, index, heartbeat=heartbeat, parent=os.getppid()) as place:
            with open(int(os.environ[_WORKER]), "w") as file:
                json.dump(place, file)
            command()


def _supervise() -> int:
    """Run this command again in a child, explain how it ended, and return the exit status."""
    reading, writing = os.pipe()
    worker = subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:]], env=os.environ | {_WORKER: str(writing)}, pass_fds=(writing,)
    )
    os.close(writing)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: worker.send_signal(number))
    status = worker.wait()
    with open(reading) as file:
        told = file.read()
    if status >= 0:
        return status
    if status != -signal.SIGABRT:
        who = f"process {json.loads(told)[0]}" if told else "this process"
        _say(f"{who} was ended by {signal.Signals(-status).name}. {liveness.AGAIN}")
        return 128 - status
    _say(f"{_reason(told)} {liveness.AGAIN}")
    return liveness.LOST


def _reason(told: str) -> str:
    """Why JAX ended a process that wrote this about its place."""
    if not told:
        return (
            f"the processes did not find each other within {processes.JOINING} seconds, or not all were started. JAX's "
            "own words are above."
        )
    place = liveness.Place(*json.loads(told))
    if place.number == 0:
        return "process 0 was ended by SIGABRT; what it said is above."
    first = f"process 0 (on {place.first_host})"
    host, _, port = place.coordinator.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except OSError:
        return f"{first} has ended. Process {place.number} ends too."
    return f"{first} does not answer, or process {place.number} itself has failed: JAX's own words are above."


def _say(what: str) -> None:
    print(f"glojax: {what}", file=sys.stderr, flush=True)
