"""One phase of a run under way: what it has recorded so far, and the place for what follows.

``settings.json`` (``directory``) holds the task and the configuration of each phase; ``store.Store`` keeps every
candidate of every generation. A search needs nothing but this record to go on, so a run that is killed loses at most
the generation under way.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

from glojax.distributed import processes
from glojax.records.candidates import Record, Rejected
from glojax.records.directory import locked, write_settings
from glojax.records.store import Store
from glojax.tasks.task import Task

T = TypeVar("T")

FINALS = "finals"
GAIN = "gain"
ONE_CLASS = "one class"
BASELINE = "baseline"


class Run:
    """The record of one phase of a run, on disk or, without a directory, in memory.

    A context manager: leaving it notes in the log how the phase ended, and releases the files.

    Args:
      directory: the run directory, created if it is missing. ``None`` keeps the record in memory.
      phase: the name of the phase, such as ``"search"``. A directory can hold several phases.
      task: the task of the run. A directory with the run of another task is refused.
      config: the configuration of the phase, a frozen dataclass or a mapping.
      resume: go on with what the directory holds of this phase. Only ``directory.LENGTHS`` may differ from before.

    Raises:
      ValueError: the directory holds this phase and ``resume`` is false, it holds another task or configuration, or
        its files are damaged or not those of a run. The message names what differs.
      OSError: another process uses the directory, or it cannot be written.
    """

    def __init__(self, directory: str | os.PathLike[str] | None, phase: str, task: Task, config: Any, resume: bool):
        self.directory = None if directory is None else Path(directory)
        self.phase = phase
        with contextlib.ExitStack() as held:
            content = processes.first(lambda: self._open(held, task, config, resume))
            if not processes.is_first():
                # The first of several processes has the record on disk, the others hold a copy in memory.
                self._store = Store(None, content)
                held.callback(self._store.close)
            self._held = held.pop_all()

    def _open(self, held: contextlib.ExitStack, task: Task, config: Any, resume: bool) -> str:
        """Open the record, and return its content if other processes need a copy."""
        if self.directory is not None:
            held.enter_context(locked(self.directory))
            given = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else dict(config)  # type: ignore[arg-type]
            write_settings(self.directory, self.phase, task, given, resume)
        self._store = Store(self.directory)
        held.callback(self._store.close)
        self._store.note("begun", self.phase, process=os.getpid())
        return self._store.dump() if processes.count() > 1 else ""

    @overload
    def once(
        self, key: int, compute: Callable[[], list[Record]], matches: Callable[[list[Record]], bool] | None = None
    ) -> list[Record]: ...

    @overload
    def once(self, key: str, compute: Callable[[], T], matches: Callable[[T], bool] | None = None) -> T: ...

    def once(self, key: int | str, compute: Callable[[], Any], matches: Callable[[Any], bool] | None = None) -> Any:
        """What the record holds under a key; if it holds nothing, compute it and record it.

        Args:
          key: the number of a generation, ``FINALS`` or ``BASELINE``, under which candidates are kept, or the name of
            a result, which is kept as JSON.
          compute: called if there is nothing on record: a list of ``Record`` for a generation, the finals or the
            baseline, otherwise anything that survives JSON.
          matches: whether what is on record is what would be computed now. If it is not, it is computed and
            recorded again in its place. ``matches`` may raise where that would mix two runs.

        Returns:
          The content on record, or what ``compute`` returned.
        """
        kept = self._recorded(key)
        if kept is not None and (matches is None or matches(kept)):
            return kept
        computed = compute()
        self.save(key, computed)
        return computed

    def save(self, key: int | str, content: Any) -> None:
        """Record content under a key of ``once``, in place of what is there."""
        if isinstance(key, int):
            self._store.add_generation(self.phase, key, content, {})
        elif key in (FINALS, BASELINE):
            self._store.add_generation(f"{self.phase} {key}", 0, content, {})
        else:
            self._store.add_result(self.phase, key, content)

    def _recorded(self, key: int | str) -> Any:
        if isinstance(key, int):
            return self._store.generation(self.phase, key) or None
        if key == FINALS:
            return self.finals() or None
        if key == BASELINE:
            baseline = self._store.baseline(self.phase)
            return None if baseline is None else [baseline]
        return self._store.result(self.phase, key)

    def save_generation(
        self,
        generation: int,
        records: Sequence[Record],
        funnel: Mapping[str, int] | None = None,
        rejected: Sequence[Rejected] = (),
    ) -> None:
        """Append a generation, all of it or nothing.

        Args:
          generation: its number, from 0.
          records: its candidates, in their places.
          funnel: how many of the trees drawn for it passed each stage, by the names in ``funnel.FUNNEL``.
          rejected: the trees that screening rejected.
        """
        self._store.add_generation(self.phase, generation, records, {} if funnel is None else funnel, rejected)

    def generations(self) -> list[list[Record]]:
        """Every generation of this phase so far, its candidates in their places."""
        return self._store.generations(self.phase)

    def funnels(self) -> list[dict[str, int]]:
        """How many trees passed each stage, for every generation of this phase so far."""
        return self._store.funnels(self.phase)

    def finals(self) -> list[Record]:
        """The finalists of this phase; none if it has not reached its finals."""
        return self._store.finals(self.phase)

    def close(self) -> None:
        """Release the files."""
        self._held.close()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with contextlib.suppress(OSError):  # a full disk may be what stopped the run
            self._store.note("ended" if kind is None else "stopped", self.phase)
        self.close()
