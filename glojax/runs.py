"""The run directory: settings, and a record of every candidate that doubles as the state to resume from.

``settings.json`` holds the task and the configuration of each phase; ``record.sqlite`` one row for every
candidate of every generation, written in one transaction a generation. What a search needs to go on is the rows
of its last generation and nothing else, so a run that is killed loses at most the generation under way.
"""

import dataclasses
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from glojax import files, processes
from glojax.tasks import Task

SCHEMA = 3
"""Version of the run directory's files."""

LENGTHS = ("generations", "budget", "minutes")
"""Settings that only say when a run ends: it may go on with others."""

_TABLES = """create table if not exists candidates (
    phase text not null, generation integer not null, place integer not null,
    expression text not null, canonical text not null, coefficients text not null,
    fitness real not null, scores text not null, rate real not null,
    fate text not null, parents text not null, seed integer not null, steps integer not null,
    seconds real not null,
    primary key (phase, generation, place));
create table if not exists funnels (
    phase text not null, generation integer not null, counts text not null, primary key (phase, generation));"""


class Record(NamedTuple):
    """One candidate of one generation."""

    expression: str
    canonical: str
    coefficients: tuple[float, ...]  # of the nodes that phase 2 tunes; empty in phase 1
    fitness: float  # mean score of all trainings so far
    scores: tuple[float, ...]  # of the trainings of this generation; empty if there were none
    rate: float  # scale of the task's learning rate
    fate: str  # "trained", "dropped" (trained in part), "cached", "invalid" (without x or y), "elite"
    parents: tuple[int, ...]  # places in the generation before
    seed: int  # of the training, the first if there are several
    steps: int  # optimizer steps of all its trainings
    seconds: float  # its share of the generation's training time; all else is the same in every run of one seed


class Run:
    """The record of one phase of a run, on disk or, without a directory, in memory.

    Args:
      directory: created if missing; ``None`` keeps the record in memory.
      phase: ``"search"`` or ``"tune"``; a directory can hold both.
      task: what the run is about; a directory of another task is refused.
      config: the phase's configuration, a frozen dataclass.
      resume: go on with what the directory holds of this phase. Only ``LENGTHS`` may differ from before.

    Raises:
      ValueError: the directory holds this phase and ``resume`` is false, another task, another configuration, or
        files that are not a run's; the message names the directory.
    """

    def __init__(self, directory: str | os.PathLike[str] | None, phase: str, task: Task, config: Any, resume: bool):
        self.directory = None if directory is None else Path(directory)
        self.phase = phase
        content = processes.first(lambda: self._open(task, config, resume))
        if not processes.is_first():
            # What the first of several processes has on disk, the others have in memory.
            self._database = sqlite3.connect(":memory:")
            self._database.executescript(content)

    def _open(self, task: Task, config: Any, resume: bool) -> str:
        if self.directory is not None:
            write_settings(self.directory, self.phase, task, dataclasses.asdict(config), resume)
        self._database = sqlite3.connect(":memory:" if self.directory is None else self.directory / "record.sqlite")
        try:
            self._database.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise ValueError(f"{self.directory}/record.sqlite is not a run's record: {error}.") from None
        return "\n".join(self._database.iterdump()) if processes.count() > 1 else ""

    def save_generation(self, generation: int, records: Sequence[Record], funnel: dict[str, int] | None = None) -> None:
        """Append a generation, all of it or nothing, and how many trees each stage let through to it."""
        self._save(self.phase, generation, records, {} if funnel is None else funnel)

    def save_finals(self, records: Sequence[Record]) -> None:
        """Keep the finalists of this phase, in place of those of a shorter run that it went on from."""
        self._save(f"{self.phase} finals", 0, records)

    def save_control(self, record: Record) -> None:
        """Keep cross-entropy at its best rate."""
        self._save(f"{self.phase} control", 0, [record])

    def _save(
        self, phase: str, generation: int, records: Sequence[Record], funnel: dict[str, int] | None = None
    ) -> None:
        rows = [
            (
                phase, generation, place, record.expression, record.canonical, json.dumps(record.coefficients),
                record.fitness, json.dumps(record.scores), record.rate, record.fate, json.dumps(record.parents),
                record.seed, record.steps, record.seconds,
            )
            for place, record in enumerate(records)
        ]  # fmt: skip
        with self._database:
            if phase != self.phase:
                self._database.execute("delete from candidates where phase = ?", (phase,))
            marks = ", ".join("?" * len(rows[0])) if rows else ""
            self._database.executemany(f"insert into candidates values ({marks})", rows)
            if funnel is not None:
                counts = json.dumps(funnel)
                self._database.execute("insert into funnels values (?, ?, ?)", (phase, generation, counts))

    def generations(self) -> list[list[Record]]:
        """Every generation of this phase so far, its candidates in their places."""
        return self._read(self.phase)

    def finals(self) -> list[Record]:
        """The finalists of this phase, if it came to them."""
        return next(iter(self._read(f"{self.phase} finals")), [])

    def control(self) -> Record | None:
        """Cross-entropy at its best rate, if this phase has found it."""
        return next((records[0] for records in self._read(f"{self.phase} control")), None)

    def funnels(self) -> list[dict[str, int]]:
        """Of every generation of this phase so far, how many trees each stage let through."""
        query = "select counts from funnels where phase = ? order by generation"
        return [json.loads(counts) for (counts,) in self._database.execute(query, (self.phase,))]

    def _read(self, phase: str) -> list[list[Record]]:
        rows = self._database.execute(
            "select generation, expression, canonical, coefficients, fitness, scores, rate, fate, parents, seed, "
            "steps, seconds from candidates where phase = ? order by generation, place",
            (phase,),
        )
        generations: list[list[Record]] = []
        for generation, *columns in rows:
            if generation == len(generations):
                generations.append([])
            record = Record(*columns)
            lists = {name: tuple(json.loads(getattr(record, name))) for name in ("coefficients", "scores", "parents")}
            generations[generation].append(record._replace(**lists))
        return generations

    def close(self) -> None:
        """Release the files."""
        self._database.close()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_settings(
    directory: str | os.PathLike[str], phase: str, task: Task, config: dict[str, Any], resume: bool
) -> None:
    """Put a phase's configuration into ``settings.json``, after a look at what is there.

    Raises:
      ValueError: as ``Run`` does.
    """
    directory = Path(directory)
    path = directory / "settings.json"
    settings: dict[str, Any] = {"glojax_run": SCHEMA, "task": task.name, "fingerprint": task.fingerprint}
    new = json.loads(json.dumps(config))
    if path.exists():
        before = read_settings(directory)
        if before["fingerprint"] != task.fingerprint:
            raise ValueError(
                f"{directory} is the run of task {before['task']!r} ({before['fingerprint']}); this is "
                f"{task.name!r} ({task.fingerprint}). Choose another run directory."
            )
        if phase in before and not resume:
            raise ValueError(
                f"{directory} already holds results of {phase!r}; resume it or choose another run directory."
            )
        for field, value in before.get(phase, {}).items():
            if field not in LENGTHS and new.get(field) != value:
                raise ValueError(
                    f"{directory} was run with {phase} setting {field} = {value!r}, now it is "
                    f"{new.get(field)!r}; resume with the same settings or choose another run directory."
                )
        settings = before
    settings[phase] = new
    files.write_atomically(path, json.dumps(settings, indent=2) + "\n")


def read_settings(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``settings.json`` of a run directory holds.

    Raises:
      ValueError: no such file, one that is damaged, or one of another schema; the message names it.
    """
    path = Path(directory) / "settings.json"
    try:
        settings = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{directory} is not a run directory: it has no settings.json.") from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}.") from None
    if not isinstance(settings, dict) or settings.get("glojax_run") != SCHEMA or "fingerprint" not in settings:
        raise ValueError(f"{path} is not a run's settings of schema {SCHEMA}.")
    return settings
