"""Several processes that run one search: the same Python in each, every population on the devices of all.

    with processes.joined("10.0.0.1:9911", 4, 2):  # no arguments where JAX knows the cluster
        found = glojax.search(task, config, run_dir)

Every process makes the same decisions from the same scores, so little is exchanged: scores, networks that move to
another device when groups are formed anew, and what only the first process knows, its clock and its run directory. No
other process reads or writes those.
"""

import contextlib
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from glojax.distributed import jax_settings
from glojax.distributed.liveness import LivenessMonitor, Place, SharedError

if TYPE_CHECKING:
    import numpy as np


_T = TypeVar("_T")

HEARTBEAT = 20.0
"""Seconds of silence after which a process counts as dead."""

JOINING = 300
"""Seconds within which all processes must have been started."""


class _Membership:
    """Whether this process has joined others; ``joined`` sets it, the functions of this module read it.

    There is one for a process, as there is one of JAX's coordination service.
    """

    monitor: LivenessMonitor | None = None  # of a process that has joined others


_membership = _Membership()


def is_first() -> bool:
    """Whether this process keeps results and shows progress: the first of several, or the only one."""
    return _membership.monitor is None or _membership.monitor.place.number == 0


def count() -> int:
    """The number of processes that have joined; 1 for a process alone."""
    return 1 if _membership.monitor is None else _membership.monitor.place.processes


def check(coordinator: str | None, processes: int | None, process: int | None, heartbeat: float = HEARTBEAT) -> None:
    """Raise ``ValueError`` for arguments that ``joined`` cannot use; they are its own."""
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    missing = [name for name, value in given.items() if value is None]
    if 0 < len(missing) < 3:
        raise ValueError(
            f"{' and '.join(missing)} not given; coordinator, processes and process go together, and none is needed "
            "where JAX finds them in the cluster's environment."
        )
    if coordinator is not None and not coordinator.rpartition(":")[2].isdecimal():
        raise ValueError(f"coordinator is {coordinator!r}; HOST:PORT of process 0 is needed.")
    if processes is not None and process is not None and not 0 <= process < processes:
        raise ValueError(f"process is {process} and processes is {processes}; 0 <= process < processes is needed.")
    if not 1 <= heartbeat <= 3600:
        raise ValueError(f"heartbeat is {heartbeat}; 1 to 3600 seconds are allowed.")


@contextlib.contextmanager
def joined(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    heartbeat: float = HEARTBEAT,
    parent: int | None = None,
) -> Iterator[Place]:
    """Join other processes: within this context, all must do the same. Enter it once, before JAX starts.

    If another process ends early, this one prints which and exits with status ``liveness.LOST``, within ``heartbeat``
    + 5 seconds. If the first is killed, JAX ends this one at once, by SIGABRT, before anything can be printed.

    Args:
      coordinator: ``HOST:PORT`` of the first process. This and the next two default to what JAX finds in the
        environment of Slurm, Open MPI, Kubernetes and TPU pods.
      processes: the number of processes.
      process: the number of this one, from 0.
      heartbeat: seconds of silence after which a process counts as dead.
      parent: process whose end ends this one. Defaults to none.

    Yields:
      This process's place among them.

    Raises:
      ValueError: an argument is out of range or missing, or no cluster is known.
      OSError: the first process cannot listen at its address.

    Example:
      with joined("10.0.0.1:9911", processes=4, process=2):
          found = glojax.search(task, config, run_dir)
    """
    check(coordinator, processes, process, heartbeat)
    if coordinator is not None and process == 0:
        _try_port(coordinator)
    import jax

    # Its handler of SIGTERM would keep the process running.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            initialization_timeout=JOINING,
            # Later than the monitor's, which names the process.
            heartbeat_timeout_seconds=round(2 * heartbeat) + 5,
            shutdown_timeout_seconds=60,
        )
    except ValueError as error:
        raise ValueError(
            f"JAX knows no cluster here ({error}); coordinator, processes and process must be given."
        ) from None
    monitor = _membership.monitor = LivenessMonitor(heartbeat, parent, JOINING)
    try:
        yield monitor.place
    except BaseException as error:
        monitor.failed(error)
        raise
    monitor.finished()


def leave(status: int) -> None:
    """End this process at once with ``status``, as after a signal; the others, if any, are told and end too."""
    if _membership.monitor is not None:
        _membership.monitor.leave(status)
    os._exit(status)


def _try_port(address: str) -> None:
    """Listen at an address for a moment: if JAX itself cannot, it may end in a segmentation fault."""
    try:
        socket.create_server(("", int(address.rpartition(":")[2]))).close()
    except OSError as error:
        raise OSError(f"process 0 cannot listen at {address}: {error.strerror}. Choose another port.") from None


# EXCHANGES: every process must call these, in the same order.


def gathered(array: Any) -> "np.ndarray":
    """A JAX array as a NumPy array, also where its parts lie on the devices of several processes."""
    import numpy as np  # the command shows its help without it

    if _membership.monitor is None:
        with jax_settings.standard():
            return np.asarray(array)
    from jax.experimental import multihost_utils

    return _exchanged(lambda: multihost_utils.process_allgather(array, tiled=True))


def first(function: Callable[[], _T]) -> _T:
    """Call a function in the first process alone, and share its result.

    Args:
      function: its result must survive JSON.

    Returns:
      The function's result, in every process.

    Raises:
      SharedError: in every process, if the function raised a ValueError or OSError.
    """
    if _membership.monitor is None:
        return function()
    sent = {}
    if is_first():
        try:
            sent = {"value": function()}
        except (ValueError, OSError) as error:
            sent = {"error": str(error)}
    received = json.loads(_from_first(json.dumps(sent).encode()))
    if "error" in received:
        raise SharedError(received["error"])
    return received["value"]


def first_arrays(arrays: Any) -> Any:
    """The first process's pytree of NumPy arrays; all must have the same structure, shapes and types."""
    if _membership.monitor is None:
        return arrays
    import jax
    import numpy as np

    def received(array: np.ndarray) -> np.ndarray:
        return np.frombuffer(bytearray(_from_first(array.tobytes())), array.dtype).reshape(array.shape)

    return jax.tree.map(received, arrays)


def agree(what: str, digest: str) -> None:
    """Check that all processes are about to do the same.

    Args:
      what: a plural noun for the message, such as ``"candidates"``.
      digest: a text that differs where they would do something else.

    Raises:
      SharedError: in every process, naming those that differ from the first.
    """
    if _membership.monitor is None:
        return
    import numpy as np
    from jax.experimental import multihost_utils

    own = np.frombuffer(hashlib.sha256(digest.encode()).digest(), np.uint8)
    digests = _exchanged(lambda: multihost_utils.process_allgather(own))
    if others := [number for number, found in enumerate(digests) if (found != digests[0]).any()]:
        raise SharedError(
            f"{what} of process {', '.join(map(str, others))} differ from those of process 0. The same command, files "
            "and versions are needed everywhere, and processors of one kind."
        )


def _from_first(content: bytes) -> bytes:
    import numpy as np
    from jax.experimental import multihost_utils

    size = int(_exchanged(lambda: multihost_utils.broadcast_one_to_all(np.int32(len(content)))))
    padded = np.zeros(1 << max(size - 1, 0).bit_length(), np.uint8)  # few sizes, as each is compiled
    if is_first():
        padded[:size] = np.frombuffer(content, np.uint8)
    return _exchanged(lambda: multihost_utils.broadcast_one_to_all(padded))[:size].tobytes()


def _exchanged(exchange: Callable[[], _T]) -> _T:
    try:
        with jax_settings.standard():
            return exchange()
    except Exception:
        # Most likely another process has ended; which error that makes depends on the network. The monitor ends this
        # process meanwhile, and says which one has ended.
        if _membership.monitor is not None:
            time.sleep(_membership.monitor.longest)
        raise
