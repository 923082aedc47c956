"""The files of a run directory: its lock, and ``settings.json`` with the task's identity and each phase's settings.

A directory belongs to one task. ``write_settings`` refuses another one and names what differs, so that two trainings
never mix in one record. Directories of the previous schema are read, and not written into.
"""

import contextlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from glojax import files, tasks
from glojax.errors import quoted, short
from glojax.records.store import Store
from glojax.tasks import identity, inputs
from glojax.tasks.task import Task

SCHEMA = 5
"""Version of the run directory's files."""

READABLE = (4, 5)
"""Versions that reports, lists and tables of runs can read."""

LENGTHS = ("generations", "budget", "minutes")
"""Settings that only say when a run ends: it may go on with others."""

_MAX_BYTES = 10_000_000  # of the settings


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes out of a run directory, which is created if it is missing.

    Raises:
      OSError: another process uses it, or it cannot be written.
    """
    if directory.is_file():
        raise NotADirectoryError(f"{directory} is a file; a run directory is expected.")
    directory.mkdir(parents=True, exist_ok=True)
    # A process that checks whether the directory is in use holds the lock for a moment.
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
    """Whether a process writes into a run directory; on a local file system, one of this machine."""
    path = Path(directory) / "lock"
    if not path.exists():
        return False
    try:
        with filelock.FileLock(path, timeout=0):
            return False
    except filelock.Timeout:
        return True
    except PermissionError:  # another user's run; only its log can tell
        return False


def write_settings(
    directory: str | os.PathLike[str], phase: str, task: Task, config: Mapping[str, Any], resume: bool
) -> None:
    """Write a phase's settings into ``settings.json``, after a check that the directory fits the task.

    Args:
      directory: the run directory.
      phase: such as ``"search"``; a directory holds several.
      task: what the run trains on. Its identity is computed here, which takes a second or two.
      config: the settings of the phase, JSON-able.
      resume: whether the phase may be in the directory already, with the same settings but for ``LENGTHS``.

    Raises:
      ValueError: the directory belongs to another task, holds the phase and ``resume`` is false, was run with other
        settings, is of an older schema, or is damaged; the message names what differs.
    """
    directory = Path(directory)
    new = json.loads(json.dumps(config))
    horizon = max(task.steps, steps) if isinstance(steps := new.get("steps"), int) else task.steps
    if not (directory / "settings.json").exists():
        settings = _first_settings(task, horizon)
    else:
        settings = read_settings(directory)
        _check_schema(directory, settings)
        phases = settings["phases"]
        if phase in phases and not resume:
            raise ValueError(
                f"{directory} already holds results of {phase!r}; resume it or choose another run directory."
            )
        _check_task(directory, settings, task)
        _check_config(directory, phase, phases.get(phase, {}), new)
        if phase not in phases and horizon > settings["identity"]["horizon"]:
            settings["identity"] = identity.identity(task, horizon)  # a longer training shows more of the optimizer
    if settings["phases"].get(phase) != new:
        settings["phases"][phase] = new
        files.write_atomically(directory / "settings.json", json.dumps(settings, indent=2) + "\n")


def _first_settings(task: Task, horizon: int) -> dict[str, Any]:
    return {
        "glojax_run": SCHEMA,
        "task": task.name,
        "fingerprint": task.fingerprint,
        "about": _about(task),
        "versions": identity.versions(),
        "identity": identity.identity(task, horizon),
        "phases": {},
    }


def _check_schema(directory: Path, settings: Mapping[str, Any]) -> None:
    if settings["glojax_run"] != SCHEMA:
        raise ValueError(
            f"{directory} was begun by a version of glojax that did not record the optimizer and the model, so it "
            "cannot be resumed safely; glojax report, runs and record still read it. Choose another run directory."
        )


def _check_task(directory: Path, settings: Mapping[str, Any], task: Task) -> None:
    """Refuse a task that is not the run's, and warn of other versions."""
    before = settings["identity"]
    horizon = before.get("horizon")
    if type(horizon) is not int or not 1 <= horizon <= identity.MAX_HORIZON:
        raise ValueError(f"{directory / 'settings.json'} is damaged: identity.horizon is {quoted(horizon)}.")
    now, versions = identity.versions(), settings["versions"]
    others = [
        f"{name} {quoted(versions.get(name))}, now {now[name]!r}" for name in now if versions.get(name) != now[name]
    ]
    if different := identity.differences(before, identity.identity(task, horizon)):
        names = f" (task {quoted(settings['task'])}; this is {task.name!r})" if settings["task"] != task.name else ""
        hint = f" It was begun with {' and '.join(others)}." if others else ""
        raise ValueError(
            f"{directory} was begun with {_joined(different)}{names}; resume with the same "
            f"{'ones' if len(different) > 1 else 'one'} or choose another run directory.{hint}"
        )
    if others:
        warnings.warn(
            f"{directory} was begun with {' and '.join(others)}; scores may differ a little from those before.",
            stacklevel=3,
        )


def _check_config(directory: Path, phase: str, before: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for field, value in before.items():
        if field not in LENGTHS and new.get(field) != value:
            raise ValueError(
                f"{directory} was run with {phase} setting {field} = {_written(value)}, now it is "
                f"{_written(new.get(field))}; resume with the same settings or choose another run directory."
            )


def _written(value: Any) -> str:
    """A value, or the names in a list of them."""
    is_names = isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value)
    return short(", ".join(value)) if is_names else quoted(value)


def _joined(phrases: list[str]) -> str:
    """Phrases with commas, and "and" before the last."""
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 1 else phrases)


def _about(task: Task) -> dict[str, Any]:
    """What reports show of a task."""
    return {
        "score": task.score_name,
        "ranked": tasks.ranked(task).score_name,
        "metric": task.metric_name,
        "baseline": task.problem.baseline_name,
        "output": task.problem.output if isinstance(task.problem.output, str) else "function",
        "steps": task.steps,
        "batch_size": task.batch_size,
        "examples": {name: inputs.count(split.labels) for name, split in task.splits.items()},
        "constant": tasks.constant_metric(task),
        "spread": tasks.target_spread(task),
        "one_class": tasks.one_class_metrics(task),
    }


def read_settings(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Read ``settings.json`` of a run directory.

    Returns:
      The settings in today's words. ``"glojax_run"`` is the schema of the file; ``"identity"`` and ``"versions"`` are
      there from schema 5 on.

    Raises:
      ValueError: there is no such file, or it is damaged or of a schema that cannot be read; the message names it.
    """
    path = Path(directory) / "settings.json"
    try:
        settings = files.read_json(path, _MAX_BYTES)
    except FileNotFoundError:
        raise ValueError(f"{directory} is not a run directory: it has no settings.json.") from None
    schema = settings.get("glojax_run") if isinstance(settings, dict) else None
    if schema is None:
        raise ValueError(f"{path} is not a run's settings.")
    if type(schema) is not int or schema not in READABLE:
        age = "a newer" if isinstance(schema, int) and schema > SCHEMA else "an older"
        raise ValueError(
            f"{path} has schema {quoted(schema)}, this is glojax with schema {SCHEMA}: it is the run of {age} version, "
            "with which it can go on. Choose another run directory for a new one."
        )
    kinds: dict[str, type] = {"task": str, "fingerprint": str, "about": dict, "phases": dict}
    if schema == SCHEMA:
        kinds |= {"identity": dict, "versions": dict}
    wrong = [field for field, kind in kinds.items() if not isinstance(settings.get(field), kind)]
    if wrong or not all(isinstance(config, dict) for config in settings["phases"].values()):
        raise ValueError(f"{path} is damaged: {(wrong or ['phases'])[0]} is missing or of another type.")
    return settings if schema == SCHEMA else _in_todays_words(settings)


def _in_todays_words(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of schema 4 with the names of schema 5."""

    def renamed(values: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        return {names.get(name, name): value for name, value in values.items()}

    of_config = {"rates": "variation", "control": "baseline"}
    return settings | {
        "about": renamed(settings["about"], {"control": "baseline"}),
        "phases": {phase: renamed(config, of_config) for phase, config in settings["phases"].items()},
    }


def read(directory: str | os.PathLike[str]) -> tuple[dict[str, Any], Store]:
    """Read the settings and open the record of a run, which may be going on; the caller closes the record.

    Raises:
      ValueError: the settings are refused by ``read_settings``, or the record is damaged.
      OSError: there is no record, or it cannot be read.
    """
    settings = read_settings(directory)
    return settings, Store(Path(directory), read_only=True)
