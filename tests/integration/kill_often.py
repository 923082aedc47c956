"""Run a command of glojax again and again, killing it at random moments, until it was killed often enough.

``python kill_often.py SEED KILLS FOLDER ARGUMENT...`` prints a line for every process killed, with what it was at, and
one for every run directory that was brought to its end. Children are forked from a process that has imported
everything and started nothing, so that each is a real process that dies a real death without the seconds that imports
take.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import flax
import jax
import matplotlib.figure
import optax
import scipy.stats
import sklearn.datasets

from glojax import cli, files
from glojax.discovery import comparison, exhaustive, full_training, tuning
from glojax.records import log, run, store
from glojax.reporting import figures

IMPORTED = (
    comparison, full_training, exhaustive, files, flax, jax, matplotlib.figure, optax, figures, run, scipy.stats,
    sklearn.datasets, tuning,
)  # fmt: skip


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def at_call(
    count: int, function: Callable[..., Any], before: Callable[..., Any] = lambda *_: None
) -> Callable[..., Any]:
    """The function, but that its call of that number is the process's last; ``before`` is done first."""
    left = count

    def dying(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if not left:
            before(*arguments)
            die()
        return function(*arguments)

    return dying


def half_a_line(log: Any, entry: dict[str, Any]) -> None:
    line = json.dumps(entry).encode()
    log._file.write(line[: len(line) // 2])


def die_in_a_write(where: str, count: int) -> None:
    """Let this process die in the middle of a later write."""
    writer: Any = store.Store
    if where == "log, half a line":
        log.Log.append = at_call(count, log.Log.append, half_a_line)  # type: ignore[method-assign]
    elif where == "log, not yet in the tables":
        os.fsync = at_call(count, os.fsync)
    elif where == "tables, not yet committed":
        writer._insert = at_call(count, writer._insert, writer._insert)
    else:
        os.replace = at_call(count, os.replace)  # settings, the loss


WRITES = ("log, half a line", "log, not yet in the tables", "tables, not yet committed", "files, not yet in place")


def attempt(arguments: list[str], directory: Path, chance: random.Random | None) -> bool:
    """Whether one process came to the end; otherwise it was killed, which without ``chance`` it is not."""
    log = directory / "events.jsonl"
    size = log.stat().st_size if log.exists() else 0
    where = chance and chance.choice([*["random moment"] * len(WRITES), *WRITES])
    count, delay = (chance.randint(2, 4), chance.uniform(0, 1)) if chance else (0, 0.0)
    child = os.fork()
    if not child:
        if where in WRITES:
            die_in_a_write(where, count)
        sys.argv = ["glojax", *arguments, "--run-dir", str(directory), "--resume"]
        with open(directory.with_suffix(".txt"), "w") as output:
            os.dup2(output.fileno(), 1)
            try:
                cli.main()
            except SystemExit as end:
                sys.stdout.flush()
                os._exit(int(end.code or 0))
    if where and where not in WRITES:
        # Some time after something was written, so that every attempt comes farther.
        while not has_ended(child) and not (log.exists() and log.stat().st_size > size + 300):
            time.sleep(0.01)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == -signal.SIGKILL:
        # A line that a kill cut short has no end.
        whole = (
            [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")] if log.exists() else []
        )
        print("killed", json.loads(whole[-1])["phase"] if whole else "at the start", where, sep="\t", flush=True)
    elif status:
        sys.exit(f"the command failed in {directory} with status {status}")
    return status == 0


def has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def main(seed: int, kills: int, folder: Path, arguments: list[str]) -> None:
    chance, done, number = random.Random(seed), 0, 0
    while done < kills:
        directory, here = folder / f"killed-{number}", 0
        directory.mkdir()
        while not attempt(arguments, directory, chance if done + here < kills else None):
            here += 1
        print("ended", directory, here, sep="\t", flush=True)
        done, number = done + here, number + 1


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
