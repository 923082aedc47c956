"""The files of a run directory: its lock and its settings."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from glojax import files
from glojax.errors import quoted
from glojax.records.store import Store
from glojax.tasks.task import Task

SCHEMA = 5
"""Version of the run directory's files."""

READABLE = (4, 5)
"""Versions that reports, lists and tables of runs can read."""

LENGTHS = ("generations", "budget", "minutes")
"""Settings that only say when a run ends: it may go on with others."""

_MOST_BYTES = 10_000_000  # of the settings


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes out of a run directory, which is made if it is missing.

    Raises:
      OSError: another process uses it, or it cannot be written.
    """
    if directory.is_file():
        raise NotADirectoryError(f"{directory} is a file; a run directory is expected.")
    directory.mkdir(parents=True, exist_ok=True)
    # Somebody who looks whether it is taken holds it for a moment.
    lock = filelock.FileLock(directory / "lock", timeout=1)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BlockingIOError(
            f"{directory} is in use by another process; wait until it ends, or choose another run directory."
        ) from None
    try:
        yield
    finally:
        lock.release()


def in_use(directory: str | os.PathLike[str]) -> bool:
    """Whether a process, on this machine where the file system is local, writes into a run directory."""
    path = Path(directory) / "lock"
    if not path.exists():
        return False
    try:
        with filelock.FileLock(path, timeout=0):
            return False
    except filelock.Timeout:
        return True
    except PermissionError:  # somebody else's run, which its log has to tell of
        return False


def write_settings(
    directory: str | os.PathLike[str], phase: str, task: Task, config: Mapping[str, Any], resume: bool
) -> None:
    """Put a phase's configuration into ``settings.json``, after a look at what is there.

    Raises:
      ValueError: as ``Run`` does.
    """
    directory = Path(directory)
    path = directory / "settings.json"
    settings: dict[str, Any] = {
        "glojax_run": SCHEMA, "task": task.name, "fingerprint": task.fingerprint, "about": _about(task),
        "phases": {},
    }  # fmt: skip
    new = json.loads(json.dumps(config))
    if path.exists():
        before = read_settings(directory)
        if before["fingerprint"] != task.fingerprint:
            raise ValueError(
                f"{directory} is the run of task {quoted(before['task'])} ({before['fingerprint']}); this is "
                f"{task.name!r} ({task.fingerprint}). Choose another run directory."
            )
        phases = before["phases"]
        if phase in phases and not resume:
            raise ValueError(
                f"{directory} already holds results of {phase!r}; resume it or choose another run directory."
            )
        for field, value in phases.get(phase, {}).items():
            if field not in LENGTHS and new.get(field) != value:
                raise ValueError(
                    f"{directory} was run with {phase} setting {field} = {quoted(value)}, now it is "
                    f"{quoted(new.get(field))}; resume with the same settings or choose another run directory."
                )
        settings = before
    if settings["phases"].get(phase) != new:
        settings["phases"][phase] = new
        files.write_atomically(path, json.dumps(settings, indent=2) + "\n")


def _about(task: Task) -> dict[str, Any]:
    """What a reader of the run wants to know of its task."""
    return {
        "score": task.score_name,
        "metric": task.metric_name,
        "baseline": task.problem.baseline_name,
        "output": task.problem.output if isinstance(task.problem.output, str) else "function",
        "steps": task.steps,
        "batch_size": task.batch_size,
        "examples": {name: len(split.labels) for name, split in task.splits.items()},
    }


def read_settings(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``settings.json`` of a run directory holds.

    Raises:
      ValueError: no such file, one that is damaged, or one of another schema; the message names it.
    """
    path = Path(directory) / "settings.json"
    try:
        settings = files.read_json(path, _MOST_BYTES)
    except FileNotFoundError:
        raise ValueError(f"{directory} is not a run directory: it has no settings.json.") from None
    schema = settings.get("glojax_run") if isinstance(settings, dict) else None
    if schema is None:
        raise ValueError(f"{path} is not a run's settings.")
    if schema not in READABLE:
        age = "a newer" if isinstance(schema, int) and schema > SCHEMA else "an older"
        raise ValueError(
            f"{path} has schema {quoted(schema)}, this is glojax with schema {SCHEMA}: it is the run of {age} version, "
            "with which it can go on. Choose another run directory for a new one."
        )
    if schema == 4 and isinstance(settings.get("about"), dict) and "control" in settings["about"]:
        settings["about"]["baseline"] = settings["about"].pop("control")
    kinds = {"task": str, "fingerprint": str, "about": dict, "phases": dict}
    wrong = [field for field, kind in kinds.items() if not isinstance(settings.get(field), kind)]
    if wrong or not all(isinstance(config, dict) for config in settings["phases"].values()):
        raise ValueError(f"{path} is damaged: {(wrong or ['phases'])[0]} is missing or of another type.")
    return settings


def read(directory: str | os.PathLike[str]) -> tuple[dict[str, Any], Store]:
    """The settings and the record of a run, which may be going on; the record is to be closed.

    Raises:
      ValueError: as ``read_settings``, or a damaged record.
      OSError: there is no record, or it cannot be read.
    """
    settings = read_settings(directory)
    return settings, Store(Path(directory), read_only=True)
