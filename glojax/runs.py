"""The run directory: settings, a lock, and the record, which doubles as the state to resume from.

``settings.json`` holds the task and the configuration of each phase; ``records.Store`` keeps every candidate of every
generation. What a search needs to go on is the record and nothing else, so a run that is killed loses at most the
generation under way.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock

from glojax import files, processes
from glojax.messages import quoted
from glojax.records import SCHEMA, Record, Rejected, Store
from glojax.tasks import Task

LENGTHS = ("generations", "budget", "minutes")
"""Settings that only say when a run ends: it may go on with others."""

_MOST_BYTES = 10_000_000  # of the settings


class Run:
    """The record of one phase of a run, on disk or, without a directory, in memory.

    Args:
      directory: created if missing; ``None`` keeps the record in memory.
      phase: such as ``"search"`` or ``"tune"``; a directory can hold several.
      task: what the run is about; a directory of another task is refused.
      config: the phase's configuration, a frozen dataclass or a mapping.
      resume: go on with what the directory holds of this phase. Only ``LENGTHS`` may differ from before.

    Raises:
      ValueError: the directory holds this phase and ``resume`` is false, another task, another configuration, or
        files that are damaged or not a run's; the message names them.
      OSError: another process uses the directory, or it cannot be written.
    """

    def __init__(self, directory: str | os.PathLike[str] | None, phase: str, task: Task, config: Any, resume: bool):
        self.directory = None if directory is None else Path(directory)
        self.phase = phase
        with contextlib.ExitStack() as held:
            content = processes.first(lambda: self._open(held, task, config, resume))
            if not processes.is_first():
                # What the first of several processes has on disk, the others have in memory.
                self._store = Store(None, content)
                held.callback(self._store.close)
            self._held = held.pop_all()

    def _open(self, held: contextlib.ExitStack, task: Task, config: Any, resume: bool) -> str:
        """Open the record; what it holds, if there is another process that wants to know."""
        if self.directory is not None:
            held.enter_context(locked(self.directory))
            given = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else dict(config)  # type: ignore[arg-type]
            write_settings(self.directory, self.phase, task, given, resume)
        self._store = Store(self.directory)
        held.callback(self._store.close)
        self._store.note("begun", self.phase, process=os.getpid())
        return self._store.dump() if processes.count() > 1 else ""

    def save_generation(
        self,
        generation: int,
        records: Sequence[Record],
        funnel: Mapping[str, int] | None = None,
        rejected: Sequence[Rejected] = (),
    ) -> None:
        """Append a generation, all of it or nothing, how many trees each stage let through to it, and which not."""
        self._store.add_generation(self.phase, generation, records, {} if funnel is None else funnel, rejected)

    def save_finals(self, records: Sequence[Record]) -> None:
        """Keep the finalists of this phase, in place of those of a shorter run that it went on from."""
        self._store.add_generation(f"{self.phase} finals", 0, records, {})

    def save_control(self, record: Record) -> None:
        """Keep cross-entropy at its best rate."""
        self._store.add_generation(f"{self.phase} control", 0, [record], {})

    def save_result(self, name: str, content: Any) -> None:
        """Keep something else that this phase found, as JSON, in place of what it had by that name."""
        self._store.add_result(self.phase, name, content)

    def generations(self) -> list[list[Record]]:
        """Every generation of this phase so far, its candidates in their places."""
        return self._store.generations(self.phase)

    def funnels(self) -> list[dict[str, int]]:
        """Of every generation of this phase so far, how many trees each stage let through."""
        return self._store.funnels(self.phase)

    def finals(self) -> list[Record]:
        """The finalists of this phase, if it came to them."""
        return self._store.finals(self.phase)

    def control(self) -> Record | None:
        """Cross-entropy at its best rate, if this phase has found it."""
        return self._store.control(self.phase)

    def result(self, name: str) -> Any:
        """What this phase kept by that name; none if it kept nothing."""
        return self._store.result(self.phase, name)

    def close(self) -> None:
        """Release the files."""
        self._held.close()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with contextlib.suppress(OSError):  # what stopped the run may be a full disk
            self._store.note("ended" if kind is None else "stopped", self.phase)
        self.close()


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
        "control": task.problem.control_name,
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
    if schema != SCHEMA:
        age = "a newer" if isinstance(schema, int) and schema > SCHEMA else "an older"
        raise ValueError(
            f"{path} has schema {quoted(schema)}, this is glojax with schema {SCHEMA}: it is the run of {age} version, "
            "with which it can go on. Choose another run directory for a new one."
        )
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
