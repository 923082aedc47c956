"""Which of several processes are alive: each ends when another has ended, and says which.

A process that waits in a collective operation for one that died waits forever. So a thread in each process writes signs
of life to JAX's coordination service, which runs in the first process, and reads there what others report. The first
process reports those that have fallen silent.
"""

import atexit
import contextlib
import os
import socket
import sys
import threading
import time
from typing import Any, NamedTuple

LOST = 75
"""Exit status after another process has ended: EX_TEMPFAIL of sysexits.h, a failure that may not occur again."""

AGAIN = "Start all of them again; a run with --run-dir goes on with --resume."

_LOOK = 0.5  # seconds between two looks at the others
_GRACE = 1.0  # seconds in which a process may raise by itself the error that another raised
_PARTING = 3.0  # seconds that the first process, whose end ends the coordination service, waits for the others
_STATUS = {KeyboardInterrupt: 130, (ValueError, ImportError, OSError): 2}  # exit statuses, as the command's


class SharedError(ValueError):
    """An error that all processes raise at once, so that none needs to tell the others."""


class Place(NamedTuple):
    """A process's place among those that joined."""

    number: int  # from 0
    processes: int  # how many there are
    coordinator: str  # address of the first, HOST:PORT
    first_host: str


class LivenessMonitor:
    """Tells the other processes that this one is alive, and ends it when another has ended.

    JAX's distributed service must have been initialized. The monitor runs a thread until ``finished``, ``failed`` or
    ``leave``.

    Args:
      heartbeat: seconds of silence after which a process counts as dead.
      parent: process whose end ends this one. None if there is none.
      patience: seconds to wait for the first process.

    Attributes:
      place: this process's place among those that joined.
    """

    def __init__(self, heartbeat: float, parent: int | None, patience: int):
        # JAX has no public way to its coordination service; Orbax uses this one.
        from jax._src.distributed import global_state

        self._heartbeat, self._parent = heartbeat, parent
        self._client: Any = global_state.client
        self._client.key_value_set(f"glojax/host/{global_state.process_id}", socket.gethostname())
        self.place = Place(
            global_state.process_id,
            global_state.num_processes,
            str(global_state.coordinator_address),
            self._client.blocking_key_value_get("glojax/host/0", patience * 1000),
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="glojax-liveness", daemon=True)
        self._thread.start()

    @property
    def longest(self) -> float:
        """Seconds within which this process ends after another has ended."""
        return self._heartbeat + 2 * _LOOK + _GRACE + _PARTING

    def finished(self) -> None:
        """Stop monitoring: this process needs the others no more."""
        self._stop()
        self._client.key_value_set(f"glojax/left/{self.place.number}", "", True)

    def failed(self, error: BaseException) -> None:
        """Tell the others of an error in this process, and let it end without waiting for them."""
        self._stop()
        if not isinstance(error, SharedError):
            with contextlib.suppress(RuntimeError):
                self._tell(self.place.number, f"stopped: {_first_line(error)}")
        # This runs after the error was shown, and before JAX's own handler, which would wait for the others.
        atexit.register(self._leave, next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 1))

    def leave(self, status: int) -> None:
        """Tell the others that this process was stopped, and exit with ``status``."""
        with contextlib.suppress(RuntimeError):
            self._tell(self.place.number, "was stopped")
        self._leave(status)

    def _stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        started = time.monotonic()
        heard: dict[int, tuple[str, float]] = dict.fromkeys(range(self.place.processes), ("", started))
        sign = 0
        try:
            while not self._stopped.wait(_LOOK):
                sign += 1
                self._client.key_value_set(f"glojax/lives/{self.place.number}", str(sign), True)
                if self._parent not in (None, os.getppid()):
                    self._tell(self.place.number, "was killed")
                if self.place.number == 0:
                    self._look_for_silent(heard)
                if told := self._read("ended"):
                    if not self._stopped.wait(_GRACE):
                        self._say(told[min(told)])
                        self._leave(LOST)
                    return
        except RuntimeError as error:  # from JAX, whose client would end this process too
            self._say(f"process 0 (on {self.place.first_host}) cannot be reached: {_first_line(error)}")
            _exit(LOST)

    def _look_for_silent(self, heard: dict[int, tuple[str, float]]) -> None:
        """Note who gave a sign of life, in ``heard``, and report those who have been silent for too long."""
        now = time.monotonic()
        for number, sign in self._read("lives").items():
            if number in heard and sign != heard[number][0]:
                heard[number] = sign, now
        for number in self._read("left"):
            heard.pop(number, None)
        for number, (_, since) in heard.items():
            if now - since > self._heartbeat:
                self._tell(number, f"has ended, or was not heard of for {self._heartbeat:g} seconds")
                self._client.key_value_set(f"glojax/left/{number}", "", True)

    def _read(self, kind: str) -> dict[int, str]:
        found = self._client.key_value_dir_get(f"glojax/{kind}/")
        return {int(key.rpartition("/")[2]): value for key, value in found}

    def _tell(self, number: int, event: str) -> None:
        host = self._read("host").get(number, "an unknown host")
        self._client.key_value_set(f"glojax/ended/{number}", f"process {number} (on {host}) {event}", True)

    def _say(self, reason: str) -> None:
        print(f"glojax: {reason}. Process {self.place.number} ends too. {AGAIN}", file=sys.stderr, flush=True)

    def _leave(self, status: int) -> None:
        """Exit; the first process waits for the others to exit, but not for long."""
        with contextlib.suppress(RuntimeError):
            self._client.key_value_set(f"glojax/left/{self.place.number}", "", True)
            until = time.monotonic() + _PARTING
            while self.place.number == 0 and time.monotonic() < until:
                if len(self._read("left")) == self.place.processes:
                    break
                time.sleep(_LOOK / 5)
        _exit(status)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _exit(status: int) -> None:
    """Exit at once, whatever else this process is waiting for."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
