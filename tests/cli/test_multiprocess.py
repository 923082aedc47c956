"""One command in several processes: its options, and how a parent explains the end of its child."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from glojax import cli
from glojax.cli import multiprocess
from glojax.distributed import liveness


@pytest.mark.parametrize("command", ["search", "tune", "evaluate", "train"])
def test_commands_that_train_run_in_several_processes(command: str) -> None:
    text = CliRunner().invoke(cli.app, [command, "--help"]).output
    for option in ("--distributed", "--coordinator", "--processes", "--process ", "--heartbeat", "--devices"):
        assert option in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--process", "1"), "--coordinator, --processes and --process go with --distributed alone."),
        (("--distributed", "--processes", "2"), "coordinator and process not given"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_starts(
    options: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a child was started"))
    result = CliRunner().invoke(cli.app, ["tune", "digits", "x * log(y)", *options])
    assert message in str(result.exception)
    assert isinstance(result.exception, ValueError)


@pytest.mark.slow
def test_without_a_cluster_a_command_says_what_it_needs() -> None:
    known = {
        name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH", "GLOJAX_CACHE_DIR") if name in os.environ
    }
    ran = subprocess.run(
        [sys.executable, "-m", "glojax", "evaluate", "digits", "baikal", "--distributed"],
        env=known,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("glojax: JAX knows no cluster here (coordinator_address should be defined.); coord")
    assert ran.stderr.count("\n") == 1


def test_a_port_in_use_is_told_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        place = ("--coordinator", address, "--processes", "1", "--process", "0")
        ran = subprocess.run(
            [sys.executable, "-m", "glojax", "evaluate", "digits", "baikal", "--distributed", *place],
            env=os.environ | {"JAX_COORDINATOR_BIND_ADDRESS": address},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert ran.returncode == 2
    assert f"glojax: process 0 cannot listen at {address}: " in ran.stderr
    assert "Traceback" not in ran.stderr


# HOW A CHILD ENDED


def supervised(monkeypatch: pytest.MonkeyPatch, place: liveness.Place | None, code: str) -> int:
    """The exit status of a parent whose child reports its place and then runs this code."""
    told = "" if place is None else f"os.write(int(os.environ['GLOJAX_WORKER']), {json.dumps(place).encode()!r});"
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", f"import os, signal; {told} {code}"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process keeps its handlers
    return multiprocess._supervise()


@pytest.fixture
def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


ABORT = "os.kill(os.getpid(), signal.SIGABRT)"
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(
    ("number", "code", "status", "words"),
    [
        (1, "raise SystemExit(3)", 3, ""),
        (1, KILL, 137, "process 1 was ended by SIGKILL."),
        (None, KILL, 137, "this process was ended by SIGKILL."),
        (None, ABORT, liveness.LOST, "the processes did not find each other within 300 seconds"),
        (0, ABORT, liveness.LOST, "process 0 was ended by SIGABRT"),
        (1, ABORT, liveness.LOST, "process 0 (on first) has ended. Process 1 ends too."),
    ],
)
def test_a_parent_explains_how_its_child_has_ended(
    number: int | None,
    code: str,
    status: int,
    words: str,
    free_port: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    place = None if number is None else liveness.Place(number, 2, f"127.0.0.1:{free_port}", "first")
    assert supervised(monkeypatch, place, code) == status
    said = capfd.readouterr().err
    assert words in said
    assert ("goes on with --resume" in said) == bool(words)


def test_a_first_process_that_still_listens_is_not_called_dead(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = liveness.Place(1, 2, f"127.0.0.1:{listening.getsockname()[1]}", "first")
        assert supervised(monkeypatch, place, ABORT) == liveness.LOST
    assert "process 0 (on first) does not answer, or process 1 itself has failed" in capfd.readouterr().err
