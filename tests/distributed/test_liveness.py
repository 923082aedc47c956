"""The liveness monitor, with a coordination service that is a dictionary. Real processes are in ``integration``."""

import atexit
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jax._src.distributed import global_state

from glojax.distributed import liveness
from glojax.distributed.liveness import LivenessMonitor, SharedError

HEARTBEAT = 0.3


class Service:
    """Keys and values that the processes share, as JAX's client has them."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.is_down = False

    def key_value_set(self, key: str, value: str, allow_overwrite: bool = False) -> None:
        assert allow_overwrite or key not in self.values
        if self.is_down:
            raise RuntimeError("UNAVAILABLE: no connection\nmore lines")
        self.values[key] = value

    def key_value_dir_get(self, prefix: str) -> list[tuple[str, str]]:
        return [(key, value) for key, value in dict(self.values).items() if key.startswith(prefix)]

    def blocking_key_value_get(self, key: str, milliseconds: int) -> str:
        return self.values[key]


@pytest.fixture
def service() -> Service:
    """One for all processes of a test, the host of whose first is known."""
    service = Service()
    service.values |= {"glojax/host/0": "first", "glojax/host/1": "second"}
    return service


@pytest.fixture
def statuses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The statuses with which a monitor would have ended this process."""
    found: list[int] = []
    monkeypatch.setattr(liveness, "_exit", found.append)
    for name, seconds in (("_LOOK", 0.01), ("_GRACE", 0.02), ("_PARTING", 0.1)):
        monkeypatch.setattr(liveness, name, seconds)
    return found


@pytest.fixture
def start(
    service: Service, statuses: list[int], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., LivenessMonitor]]:
    """``start(number)`` starts the monitor of one of two processes."""
    started: list[LivenessMonitor] = []

    def make(number: int, parent: int | None = None) -> LivenessMonitor:
        state = {"client": service, "process_id": number, "num_processes": 2, "coordinator_address": "host:1"}
        for name, value in state.items():
            monkeypatch.setattr(global_state, name, value)
        service.values.pop(f"glojax/host/{number}", None)
        monkeypatch.setattr(liveness.socket, "gethostname", lambda: ("first", "second")[number])
        started.append(LivenessMonitor(HEARTBEAT, parent, 1))
        return started[-1]

    yield make
    for monitor in started:
        monitor.finished()


def wait_for(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds, for at most ten seconds."""
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_monitor_knows_its_place(start: Callable[..., LivenessMonitor]) -> None:
    assert start(1).place == liveness.Place(1, 2, "host:1", "first")


def test_two_that_live_are_left_alone(
    start: Callable[..., LivenessMonitor], service: Service, statuses: list[int]
) -> None:
    start(0)
    start(1)
    time.sleep(3 * HEARTBEAT)
    assert statuses == []
    assert not any(key.startswith("glojax/ended") for key in service.values)


def test_the_first_reports_one_that_is_silent_and_ends(
    start: Callable[..., LivenessMonitor], service: Service, statuses: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    start(0)
    wait_for(lambda: statuses)
    assert statuses == [liveness.LOST]
    reason = "process 1 (on second) has ended, or was not heard of for 0.3 seconds"
    assert service.values["glojax/ended/1"] == reason
    assert f"glojax: {reason}. Process 0 ends too. {liveness.AGAIN}" in capfd.readouterr().err


def test_one_that_has_finished_is_not_missed(
    start: Callable[..., LivenessMonitor], service: Service, statuses: list[int]
) -> None:
    start(1).finished()
    start(0)
    time.sleep(3 * HEARTBEAT)
    assert statuses == []


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("no such task\nmore"), 2), (KeyboardInterrupt(), 130), (RuntimeError(), 1)],
    ids=["ValueError", "KeyboardInterrupt", "RuntimeError"],
)
def test_an_error_of_one_is_told_to_the_other_and_sets_the_exit_status(
    start: Callable[..., LivenessMonitor],
    service: Service,
    statuses: list[int],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: int,
) -> None:
    registered: list[tuple[Any, ...]] = []
    monkeypatch.setattr(atexit, "register", lambda *given: registered.append(given))
    start(1).failed(error)
    words = str(error).partition("\n")[0] or type(error).__name__
    assert service.values["glojax/ended/1"] == f"process 1 (on second) stopped: {words}"
    assert registered[0][1] == status
    start(0)
    wait_for(lambda: statuses)
    assert statuses == [liveness.LOST]


def test_an_error_of_all_is_told_to_nobody(
    start: Callable[..., LivenessMonitor], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atexit, "register", lambda *given: None)
    start(1).failed(SharedError("all have it"))
    assert "glojax/ended/1" not in service.values


def test_one_that_is_told_to_leave_says_so(
    start: Callable[..., LivenessMonitor], service: Service, statuses: list[int]
) -> None:
    start(1).leave(143)
    assert statuses[0] == 143
    assert service.values["glojax/ended/1"] == "process 1 (on second) was stopped"


def test_the_end_of_a_parent_ends_the_child(
    start: Callable[..., LivenessMonitor], service: Service, statuses: list[int]
) -> None:
    start(1, parent=0)  # nobody's number
    wait_for(lambda: statuses)
    assert service.values["glojax/ended/1"] == "process 1 (on second) was killed"


def test_a_service_that_cannot_be_reached_ends_the_process_with_a_line(
    start: Callable[..., LivenessMonitor], service: Service, statuses: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    start(1)
    service.is_down = True
    wait_for(lambda: statuses)
    service.is_down = False
    assert statuses == [liveness.LOST]
    assert "glojax: process 0 (on first) cannot be reached: UNAVAILABLE: no connection. " in capfd.readouterr().err


def test_a_process_ends_within_the_time_that_is_promised(start: Callable[..., LivenessMonitor]) -> None:
    assert start(1).longest == pytest.approx(HEARTBEAT + 2 * 0.01 + 0.02 + 0.1)
