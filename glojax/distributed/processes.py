"""Several processes that run one search: the same Python in each, every population on the devices of all.

    with processes.joined("10.0.0.1:9911", 4, 2):  # without arguments where JAX knows the cluster
        found = glojax.search(task, config, run_dir)

Every process makes the same decisions from the same scores, so that little is exchanged: scores, networks that come to
another device where groups are formed anew, and what the first alone knows, which is its clock and its run directory.
No other process reads or writes that.
"""

import contextlib
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from glojax.distributed.liveness import Place, SharedError, Watch

if TYPE_CHECKING:
    import numpy as np


T = TypeVar("T")

HEARTBEAT = 20.0
"""Seconds after which a process that is not heard of counts as dead."""

JOINING = 300
"""Seconds in which all processes must have been started."""

_watch: Watch | None = None


def is_first() -> bool:
    """Whether this process keeps results and shows progress: the first of several, or the only one."""
    return _watch is None or _watch.place.number == 0


def count() -> int:
    """How many processes there are."""
    return 1 if _watch is None else _watch.place.processes


def check(coordinator: str | None, processes: int | None, process: int | None, heartbeat: float = HEARTBEAT) -> None:
    """Raise ``ValueError`` for arguments that ``joined`` cannot use."""
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    missing = [name for name, value in given.items() if value is None]
    if 0 < len(missing) < 3:
        raise ValueError(
            f"{' and '.join(missing)} not given; coordinator, processes and process go together, and are all left out "
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
    """Within it, all processes must do the same; it is entered before JAX starts, once.

    Where another process ends early, this one prints which and ends with status ``liveness.LOST``, within ``heartbeat``
    + 5 seconds. Where the first is killed, JAX ends this one at once, by SIGABRT, before anything can be printed.

    Args:
      coordinator: ``HOST:PORT`` of the first process. This and the next two are left out where JAX finds them in the
        environment: Slurm, Open MPI, Kubernetes, TPU pods.
      processes: how many there are.
      process: which of them this is, from 0.
      heartbeat: seconds after which a process that is not heard of counts as dead.
      parent: process whose end ends this one.

    Raises:
      ValueError: arguments out of range, some of which are missing, or all where no cluster is known.
      OSError: the first process cannot listen at its address.
    """
    global _watch
    check(coordinator, processes, process, heartbeat)
    if coordinator is not None and process == 0:
        _try_port(coordinator)
    import jax

    # It would take SIGTERM for itself, and leave the process running.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator, processes, process, initialization_timeout=JOINING,
            # Later than the watch's, which names the process.
            heartbeat_timeout_seconds=round(2 * heartbeat) + 5, shutdown_timeout_seconds=60,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(
            f"JAX knows no cluster here ({error}); coordinator, processes and process must be given."
        ) from None
    _watch = Watch(heartbeat, parent, JOINING)
    try:
        yield _watch.place
    except BaseException as error:
        _watch.failed(error)
        raise
    _watch.finished()


def leave(status: int) -> None:
    """End this process at once, as it was told to; the others, if there are any, are told so and end."""
    if _watch is not None:
        _watch.leave(status)
    os._exit(status)


def _try_port(address: str) -> None:
    """Listen for a moment: where JAX cannot, it may end in a segmentation fault."""
    try:
        socket.create_server(("", int(address.rpartition(":")[2]))).close()
    except OSError as error:
        raise OSError(f"process 0 cannot listen at {address}: {error.strerror}. Choose another port.") from None


# WHAT IS EXCHANGED: all processes must come to it, in the same order.


def gathered(array: Any) -> "np.ndarray":
    """All of a JAX array whose parts may lie on the devices of all processes."""
    import numpy as np  # the command shows its help without it

    if _watch is None:
        return np.asarray(array)
    from jax.experimental import multihost_utils

    return _exchanged(lambda: multihost_utils.process_allgather(array, tiled=True))


def first(function: Callable[[], T]) -> T:
    """What a function gives in the first process, which alone calls it.

    Args:
      function: what it returns must survive JSON. A ValueError or OSError that it raises is a ``SharedError`` of all.
    """
    if _watch is None:
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
    """The pytree of NumPy arrays of the first process; the others' must have its structure, shapes and types."""
    if _watch is None:
        return arrays
    import jax
    import numpy as np

    def received(array: np.ndarray) -> np.ndarray:
        return np.frombuffer(bytearray(_from_first(array.tobytes())), array.dtype).reshape(array.shape)

    return jax.tree.map(received, arrays)


def agree(what: str, digest: str) -> None:
    """Make sure that all processes are about to do the same.

    Raises:
      SharedError: in all of them, naming those that are not.
    """
    if _watch is None:
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


def _exchanged(exchange: Callable[[], T]) -> T:
    try:
        return exchange()
    except Exception:
        # Most likely another process has ended; what that looks like differs by network. The watch tells in time.
        assert _watch is not None
        time.sleep(_watch.longest)
        raise
