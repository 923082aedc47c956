"""Which of several processes live: each ends when one of them has ended, and says which.

A process that waits in a collective for one that died waits for good. So a thread of each tells by JAX's coordination
service, which lives in the first of them, that its process lives, and looks there for what others tell. The first finds
who has fallen silent.
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
"""Exit status where another process has ended: EX_TEMPFAIL of sysexits.h, what may go well if tried again."""

AGAIN = "Start all of them again; a run with --run-dir goes on with --resume."

_LOOK = 0.5  # seconds between two looks at the others
_GRACE = 1.0  # seconds in which a process may meet by itself the error that another met
_PARTING = 3.0  # seconds that the first, whose end ends the coordination service, leaves the others to hear of it
_STATUS = {KeyboardInterrupt: 130, (ValueError, ImportError, OSError): 2}  # as the command's


class SharedError(ValueError):
    """What all processes raise at once, so that none needs to tell the others."""


class Place(NamedTuple):
    """Which of the processes this is."""

    number: int
    processes: int
    coordinator: str  # address of the first
    first_host: str


class Watch:
    """Tells the others that this process lives, and ends it where another has ended.

    Args:
      heartbeat: seconds after which a process that is not heard of counts as dead.
      parent: process whose end ends this one, if there is such.
      patience: seconds to wait for the first process.
    """

    def __init__(self, heartbeat: float, parent: int | None, patience: int):
        # There is no public way to the service that JAX's own processes meet in; Orbax takes this one.
        from jax._src.distributed import global_state

        self._heartbeat, self._parent = heartbeat, parent
        self._client: Any = global_state.client
        self._client.key_value_set(f"glojax/host/{global_state.process_id}", socket.gethostname())
        self.place = Place(
            global_state.process_id, global_state.num_processes, str(global_state.coordinator_address),
            self._client.blocking_key_value_get("glojax/host/0", patience * 1000),
        )  # fmt: skip
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="glojax-watch", daemon=True)
        self._thread.start()

    @property
    def longest(self) -> float:
        """Seconds in which this process ends if another has."""
        return self._heartbeat + 2 * _LOOK + _GRACE + _PARTING

    def finished(self) -> None:
        """Look no more: this process has done all that it does with the others."""
        self._stop()
        self._client.key_value_set(f"glojax/left/{self.place.number}", "", True)

    def failed(self, error: BaseException) -> None:
        """Tell the others of an error of this process, which then ends without them."""
        self._stop()
        if not isinstance(error, SharedError):
            with contextlib.suppress(RuntimeError):
                self._tell(self.place.number, f"stopped: {_first_line(error)}")
        # After the error was shown, and before JAX, which would wait for the others.
        atexit.register(self._leave, next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 1))

    def leave(self, status: int) -> None:
        """Tell the others that this process was stopped, and exit."""
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
        except RuntimeError as error:  # JAX's own; its client ends this process too, if it comes first
            self._say(f"process 0 (on {self.place.first_host}) cannot be reached: {_first_line(error)}")
            _exit(LOST)

    def _look_for_silent(self, heard: dict[int, tuple[str, float]]) -> None:
        """Note what is heard of whom, and tell of those of whom nothing was for long."""
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

    def _tell(self, number: int, what: str) -> None:
        host = self._read("host").get(number, "a host unknown")
        self._client.key_value_set(f"glojax/ended/{number}", f"process {number} (on {host}) {what}", True)

    def _say(self, reason: str) -> None:
        print(f"glojax: {reason}. Process {self.place.number} ends too. {AGAIN}", file=sys.stderr, flush=True)

    def _leave(self, status: int) -> None:
        """Exit; the first does so last, if that does not take long."""
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
