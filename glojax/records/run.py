"""The run directory: settings, a lock, and the record, which doubles as the state to resume from.

``settings.json`` holds the task and the configuration of each phase; ``store.Store`` keeps every candidate of every
generation. What a search needs to go on is the record and nothing else, so a run that is killed loses at most the
generation under way.
"""

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glojax.distributed import processes
from glojax.records.candidates import Record, Rejected
from glojax.records.directory import locked, write_settings
from glojax.records.store import Store
from glojax.tasks.task import Task


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

    def save_baseline(self, record: Record) -> None:
        """Keep cross-entropy at its best rate."""
        self._store.add_generation(f"{self.phase} baseline", 0, [record], {})

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

    def baseline(self) -> Record | None:
        """Cross-entropy at its best rate, if this phase has found it."""
        return self._store.baseline(self.phase)

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
