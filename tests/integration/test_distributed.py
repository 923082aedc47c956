"""Real processes on loopback that run one search: their record, and what happens when one of them is killed.

All that they print goes to files, every wait ends, and every process is killed at the end, so that nothing can hang.
"""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from glojax import losses
from glojax.distributed import liveness

pytestmark = pytest.mark.slow

PATIENCE = 240  # seconds after which a test has failed: the machine may be busy with others
HEARTBEAT = 10.0
TASK = """
import glojax, optax

def task():
    train, validation, test = [(split.x[:100], split.labels[:100]) for split in glojax.data.digits()]
    network = glojax.models.MLP((8, 10))
    return glojax.Task(network, train, validation, test, optimizer=optax.sgd(0.05), batch_size=20, steps=9)
"""
# Without random search and with a single seed there is little to train; what takes time is starting and compiling.
SEARCH = (
    *("--population", "8", "--generations", "3", "--candidate-seeds", "1", "--tune-generations", "2"),
    *("--seeds", "1", "--no-random-search"),
)


def free_port() -> int:
    """A free one, among those that JAX derives from the number of a Slurm job."""
    for port in range(61440 + os.getpid() % 4096, 65536):
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


class Group:
    """Processes that run one command, each with arguments and environment variables of its own beside it."""

    def __init__(self, folder: Path, command: Sequence[str], own: Sequence[tuple[Sequence[str], dict[str, str]]]):
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
        inherited |= {"PYTHONPATH": str(Path(__file__).parents[2]), "JAX_PLATFORMS": "cpu"}
        for number, (arguments, environment) in enumerate(own):
            # Each has a directory of its own, so that one run directory's name is another place for each.
            here = folder / str(number)
            here.mkdir(parents=True)
            with (here / "out").open("wb") as out, (here / "err").open("wb") as err:
                started = subprocess.Popen(
                    [sys.executable, "-m", "glojax", *command, *arguments],
                    cwd=here, env=inherited | environment, stdout=out, stderr=err, start_new_session=True,
                )  # fmt: skip
            self.processes.append(started)

    def said(self, number: int, stream: str = "err") -> str:
        return (self.folder / str(number) / stream).read_text()

    def wait_for(self, text: str, number: int = 0) -> None:
        """Until a process has printed this."""
        until = time.monotonic() + PATIENCE
        while text not in self.said(number, "out"):
            assert self.processes[number].poll() is None, self.said(number)
            assert time.monotonic() < until, f"{text!r} was not printed:\n{self.said(number, 'out')}"
            time.sleep(0.02)

    def kill(self, number: int) -> None:
        """As a machine that is gone: parent and child at once, with no time for a word."""
        os.killpg(self.processes[number].pid, signal.SIGKILL)

    def ended(self) -> list[int]:
        """Exit statuses of all."""
        until = time.monotonic() + PATIENCE
        return [process.wait(max(0.1, until - time.monotonic())) for process in self.processes]

    def clear(self) -> None:
        for number, process in enumerate(self.processes):
            with contextlib.suppress(ProcessLookupError):
                self.kill(number)
            process.wait()


class Runs:
    """Groups of processes, all searching the same."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.groups: list[Group] = []
        self.task = folder / "tiny.py"
        self.task.write_text(TASK)

    def start(
        self, run_dir: Path, count: int, *more: str, devices: int = 1, heartbeat: float = 60.0, slurm: bool = False,
        last: tuple[str, ...] = (), command: Sequence[str] = ("search", *SEARCH),
    ) -> Group:  # fmt: skip
        """Start a search, or what ``command`` says.

        Args:
          run_dir: of the search.
          count: of the processes; with 1, nothing of this is used.
          *more: arguments.
          devices: of each.
          heartbeat: of all.
          slurm: tell each its place as Slurm does, not by arguments.
          last: arguments of the last process alone.
          command: and its own arguments.
        """
        command = [command[0], f"{self.task}:task", *command[1:]]
        command += ["--run-dir", str(run_dir), "--devices", str(devices), "--group", "2", *more]
        command += ["--distributed", "--heartbeat", str(heartbeat)] if count > 1 else []
        port = free_port()
        own = []
        for number in range(count):
            place = ["--coordinator", f"127.0.0.1:{port}", "--processes", str(count), "--process", str(number)]
            in_slurm = {
                "SLURM_JOB_ID": str(port - 61440), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": str(count),
                "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number),
            }  # fmt: skip
            own.append(
                (
                    [*([] if slurm or count == 1 else place), *(last if number == count - 1 else ())],
                    {"JAX_COORDINATOR_BIND_ADDRESS": f"127.0.0.1:{port}"} | (in_slurm if slurm else {}),
                )
            )
        self.groups.append(Group(self.folder / f"group {len(self.groups)}", command, own))
        return self.groups[-1]

    def finish(self, *given: Any, **options: Any) -> Group:
        group = self.start(*given, **options)
        numbers = range(len(group.processes))
        assert group.ended() == [0 for _ in numbers], [group.said(number) for number in numbers]
        return group


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    made = Runs(tmp_path_factory.mktemp("runs"))
    yield made
    for group in made.groups:
        group.clear()


@pytest.fixture(scope="module")
def alone(runs: Runs) -> Path:
    """The run directory of one process with two devices."""
    runs.finish(runs.folder / "alone", 1, devices=2)
    return runs.folder / "alone"


def record(run_dir: Path) -> dict[str, list[Any]]:
    """All tables of a run, row by row: every candidate, all but the seconds that it took."""
    found = {}
    with contextlib.closing(sqlite3.connect(run_dir / "record.sqlite")) as database:
        for (table,) in database.execute("select name from sqlite_master where type = 'table'").fetchall():
            columns = [column for _, column, *_ in database.execute(f"pragma table_info({table})")]
            kept = ", ".join(column for column in columns if column != "seconds")
            found[table] = sorted(database.execute(f"select {kept} from {table}").fetchall())
    phases = {row[0] for row in found["candidates"]}
    assert phases >= {"search", "search finals", "search baseline", "tune", "tune finals"}
    return found


@pytest.mark.parametrize(("count", "slurm"), [(2, True), (4, False)], ids=["two, in Slurm", "four"])
def test_several_processes_keep_the_record_of_one_and_only_the_first_writes(
    runs: Runs, alone: Path, count: int, slurm: bool
) -> None:
    run_dir = Path(f"run of {count}")  # in the directory of each
    group = runs.finish(run_dir, count, slurm=slurm)
    first = group.folder / "0" / run_dir
    assert record(first) == record(alone)
    assert losses.load(first / "loss.json") == losses.load(alone / "loss.json")
    assert f"on {count} CPU devices (cpu) of {count} processes" in group.said(0, "out")
    for number in range(1, count):
        assert sorted(path.name for path in (group.folder / str(number)).iterdir()) == ["err", "out"]
        assert "search on" not in group.said(number, "out")


def test_a_run_that_loses_its_processes_goes_on_with_others_to_the_same_record(runs: Runs, alone: Path) -> None:
    run_dir = runs.folder / "killed"
    group = runs.start(run_dir, 1, devices=2)
    group.wait_for(" 1/3 ")
    group.kill(0)
    group.ended()

    group = runs.start(run_dir, 2, "--resume", heartbeat=HEARTBEAT)
    group.wait_for(" 2/3 ")
    group.kill(1)
    killed = time.monotonic()
    assert group.ended() == [liveness.LOST, -signal.SIGKILL]
    assert time.monotonic() - killed < HEARTBEAT + 5 + 10  # ten for a busy machine
    host = socket.gethostname()
    assert f"glojax: process 1 (on {host}) has ended, or was not heard of for 10 seconds." in group.said(0)
    assert "goes on with --resume" in group.said(0)

    group = runs.start(run_dir, 2, "--resume", heartbeat=HEARTBEAT)
    group.wait_for("tuning 1/3")
    group.kill(0)
    killed = time.monotonic()
    assert group.ended() == [-signal.SIGKILL, liveness.LOST]
    assert time.monotonic() - killed < HEARTBEAT + 5 + 10
    assert f"glojax: process 0 (on {host}) " in group.said(1)
    assert "goes on with --resume" in group.said(1)

    runs.finish(run_dir, 1, "--resume", devices=2)
    assert record(run_dir) == record(alone)


def test_a_full_training_keeps_its_networks_where_the_first_process_sees_them(runs: Runs) -> None:
    train = ("train", "baikal", "--steps", "6", "--points", "2", "--seeds", "2", "--no-baseline")
    elsewhere = runs.folder / "never made"
    alone, several = runs.folder / "trained alone", runs.folder / "trained by two"
    runs.finish(alone, 1, devices=2, command=train)
    runs.finish(several, 2, command=train, last=("--run-dir", str(elsewhere)))
    curves = (alone / "curves.json").read_bytes()
    assert (several / "curves.json").read_bytes() == curves

    (several / "curves.json").unlink()
    (several / "curves.png").unlink()
    runs.finish(several, 2, "--resume", command=train, last=("--run-dir", str(elsewhere)))
    assert (several / "curves.json").read_bytes() == curves
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    ("name", "wrong", "statuses", "words"),
    [
        (
            "new",
            ("--population", "1"),
            [liveness.LOST, 2],
            "process 1 (on {host}) stopped: SearchConfig.population is 1; ",
        ),
        ("other", ("--seed", "7"), [2, 2], "candidates of process 1 differ from those of process 0. "),
        ("alone", (), [2, 2], "{folder}/alone already holds results of 'search'; "),
    ],
    ids=["an error of one", "another seed of one", "an error of the first"],
)
def test_what_one_process_cannot_do_ends_all_with_a_reason(
    runs: Runs, alone: Path, name: str, wrong: tuple[str, ...], statuses: list[int], words: str
) -> None:
    group = runs.start(runs.folder / name, 2, last=wrong)
    assert group.ended() == statuses
    words = words.format(host=socket.gethostname(), folder=runs.folder)
    assert f"glojax: {words}" in group.said(0)
    assert "Traceback" not in group.said(0) + group.said(1)


def test_a_child_ends_with_its_parent_and_the_others_hear_of_it(runs: Runs) -> None:
    group = runs.start(runs.folder / "orphan", 2)
    group.wait_for("of 2 processes")
    group.processes[1].kill()
    assert group.ended() == [liveness.LOST, -signal.SIGKILL]
    assert f"glojax: process 1 (on {socket.gethostname()}) was killed." in group.said(0)
    until = time.monotonic() + 10
    while True:
        try:
            os.killpg(group.processes[1].pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < until, "the child is still there"
        time.sleep(0.1)
