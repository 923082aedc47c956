"""The record of a run: every candidate ever seen with its fate.

It is kept twice. ``events.jsonl`` is the log, a line for everything that happened, to which lines are only added;
``record.sqlite`` holds the same in tables, for queries, also while the run goes on. What the log has and the tables
lack, because the process died between the two or because the tables were lost, is put into them at the next start.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from glojax.records.candidates import Record, Rejected, checked_funnel, from_row
from glojax.records.log import Log

SCHEMA = 4
"""Version of the run directory's files."""

_WAIT = 60.0  # seconds for which a write waits for somebody who reads

# SQLite's own journal rather than its write-ahead log, which network file systems cannot have.
_TABLES = """
create table if not exists generations (
    phase text not null, generation integer not null, funnel text not null, primary key (phase, generation));
create table if not exists candidates (
    phase text not null, generation integer not null, place integer not null,
    expression text not null, canonical text not null, coefficients text not null,
    fitness real not null, scores text not null, rate real not null,
    fate text not null, parents text not null, seed integer not null, steps integer not null,
    seconds real not null,
    primary key (phase, generation, place));
create table if not exists rejected (
    phase text not null, canonical text not null, expression text not null, generation integer not null,
    stage text not null, primary key (phase, canonical));
create table if not exists results (
    phase text not null, name text not null, content text not null, primary key (phase, name));
"""


class Store:
    """The record in a run directory or, without one, in memory.

    Args:
      directory: of the run.
      content: of a record in memory, from ``dump``.
      read_only: for a look at a run, which may be going on.

    Raises:
      ValueError: a damaged record; the message names the file, and what to do.
      OSError: a directory or file that cannot be read or written.
    """

    def __init__(self, directory: Path | None, content: str = "", *, read_only: bool = False):
        self._path = None if directory is None else directory / "record.sqlite"
        self._log = None if directory is None or read_only else Log(directory / "events.jsonl")
        where = (
            ":memory:" if self._path is None else f"{self._path.absolute().as_uri()}?mode={'ro' * read_only or 'rwc'}"
        )
        with self._errors():
            self._database = sqlite3.connect(where, timeout=_WAIT, uri=self._path is not None)
        try:
            with self._errors():
                if self._path is not None and (found := self._database.execute("pragma quick_check").fetchone()) != (
                    "ok",
                ):
                    raise sqlite3.DatabaseError(str(found[0]).partition("\n")[0])
                if not read_only:
                    self._database.executescript(content or _TABLES)
            if self._log is not None:
                self._complete(self._log.read())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the files."""
        self._database.close()
        if self._log is not None:
            self._log.close()

    # WRITING

    def add_generation(
        self,
        phase: str,
        generation: int,
        records: Sequence[Record],
        funnel: Mapping[str, int],
        rejected: Sequence[Rejected] = (),
    ) -> None:
        """Append a generation, all of it or nothing; one of that phase and number is replaced.

        Raises:
          OSError: it cannot be written, as where the disk is full; what was there before is untouched.
        """
        self._add(
            {
                "event": "generation", "phase": phase, "generation": generation, "funnel": dict(funnel),
                "candidates": records, "rejected": rejected,
            }
        )  # fmt: skip

    def add_result(self, phase: str, name: str, content: Any) -> None:
        """Keep something else that a phase found, as JSON, in place of what it had by that name; raises as above."""
        self._add({"event": "result", "phase": phase, "name": name, "content": content})

    def note(self, event: str, phase: str, **details: Any) -> None:
        """Write into the log alone that something happened."""
        if self._log is not None:
            self._log.append({"event": event, "phase": phase, **details})

    def _add(self, entry: dict[str, Any]) -> None:
        if self._log is not None:
            self._log.append(entry)
        with self._errors(), self._database:
            self._insert(entry)

    def _insert(self, entry: Mapping[str, Any]) -> None:
        phase = entry["phase"]
        if entry["event"] == "result":
            row = (phase, entry["name"], json.dumps(entry["content"]))
            self._database.execute("insert or replace into results values (?, ?, ?)", row)
            return
        generation = entry["generation"]
        row = (phase, generation, json.dumps(entry["funnel"]))
        self._database.execute("insert or replace into generations values (?, ?, ?)", row)
        self._database.execute("delete from candidates where phase = ? and generation = ?", (phase, generation))
        rows = [
            (
                phase,
                generation,
                place,
                *(json.dumps(value) if isinstance(value, list | tuple) else value for value in record),
            )
            for place, record in enumerate(entry["candidates"])
        ]
        marks = ", ".join("?" * (3 + len(Record._fields)))
        self._database.executemany(f"insert into candidates values ({marks})", rows)
        seen = [(phase, canonical, expression, generation, stage) for canonical, expression, stage in entry["rejected"]]
        self._database.executemany("insert or ignore into rejected values (?, ?, ?, ?, ?)", seen)

    def _complete(self, entries: Iterable[dict[str, Any]]) -> None:
        """Put into the tables what only the log has; generations as far as they follow one another."""
        with self._errors(), self._database:
            known: dict[str, int] = {}
            for phase, count in self._database.execute("select phase, count(*) from generations group by phase"):
                known[phase] = count
            results = set(self._database.execute("select phase, name from results"))
            for entry in entries:
                if entry["event"] == "generation" and entry["generation"] == known.get(entry["phase"], 0):
                    self._insert(entry)
                    known[entry["phase"]] = entry["generation"] + 1
                elif entry["event"] == "result" and (entry["phase"], entry["name"]) not in results:
                    self._insert(entry)

    # READING

    def dump(self) -> str:
        """All that the tables hold, as SQL."""
        with self._errors():
            return "\n".join(self._database.iterdump())

    def phases(self) -> list[str]:
        """Those that there are generations of, in the order in which they began."""
        with self._errors():
            query = "select phase from generations group by phase order by min(rowid)"
            return [phase for (phase,) in self._database.execute(query)]

    def generations(self, phase: str) -> list[list[Record]]:
        """Every generation of a phase so far, its candidates in their places."""
        query = (
            f"select generation, {', '.join(Record._fields)} from candidates where phase = ? order by generation, place"
        )
        generations: list[list[Record]] = []
        with self._errors():
            for generation, *columns in self._database.execute(query, (phase,)):
                if generation == len(generations):
                    generations.append([])
                if not generations or generation != len(generations) - 1:
                    raise ValueError(f"generation {len(generations)} of {phase} is missing")
                generations[-1].append(from_row(columns))
        return generations

    def generation(self, phase: str, number: int) -> list[Record]:
        """One generation, its candidates in their places."""
        query = f"select {', '.join(Record._fields)} from candidates where phase = ? and generation = ? order by place"
        with self._errors():
            return [from_row(columns) for columns in self._database.execute(query, (phase, number))]

    def finals(self, phase: str) -> list[Record]:
        """The finalists of a phase, if it came to them."""
        return next(iter(self.generations(f"{phase} finals")), [])

    def baseline(self, phase: str) -> Record | None:
        """The usual loss at its best rate, if a phase has found it."""
        return next((records[0] for records in self.generations(f"{phase} baseline")), None)

    def length(self, phase: str) -> int:
        """How many generations a phase has so far."""
        with self._errors():
            return self._database.execute("select count(*) from generations where phase = ?", (phase,)).fetchone()[0]

    def funnels(self, phase: str) -> list[dict[str, int]]:
        """Of every generation of a phase so far, how many trees each stage let through."""
        query = "select funnel from generations where phase = ? order by generation"
        with self._errors():
            return [checked_funnel(json.loads(funnel)) for (funnel,) in self._database.execute(query, (phase,))]

    def rejected(self, phase: str) -> list[Rejected]:
        """The trees that a phase drew and did not train, one for each canonical form."""
        return [rejected for _, rejected in self.rejected_by_generation(phase)]

    def rejected_by_generation(self, phase: str) -> list[tuple[int, Rejected]]:
        """The same, each with the generation for which it was drawn first."""
        query = (
            "select generation, canonical, expression, stage from rejected where phase = ? order by generation, rowid"
        )
        with self._errors():
            return [(generation, Rejected(*row)) for generation, *row in self._database.execute(query, (phase,))]

    def result(self, phase: str, name: str) -> Any:
        """What a phase kept by that name; none if it kept nothing."""
        query = "select content from results where phase = ? and name = ?"
        with self._errors():
            row = self._database.execute(query, (phase, name)).fetchone()
            return None if row is None else json.loads(row[0])

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of SQLite and of what it holds as ours, with the file's name."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OSError(f"{self._path}: {error}.") from None
        except (sqlite3.DatabaseError, ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{self._path} is damaged: {error}. Move it away and resume the run, which makes it again from its "
                "events.jsonl."
            ) from None
