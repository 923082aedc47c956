"""The record of a run on disk or in memory: every candidate ever seen, with its fate.

It is kept twice. ``events.jsonl`` is the log, a line for everything that happened. ``record.sqlite`` holds the same in
tables, which can be queried while the run goes on. Whatever the tables lack, because a process died between the two
writes or because they were lost, is taken from the log at the next start.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from glojax.records.candidates import Record, Rejected, checked_funnel, from_row
from glojax.records.log import Entry, GenerationEntry, Log, ResultEntry, read_entries, to_fields
from glojax.records.phases import baseline_of, current_name, finals_of, stored_names
from glojax.records.rows import TABLES, generations_of, missing_entries, statements

_WAIT = 60.0  # seconds for which a write waits for a reader


class Store:
    """The record in a run directory or, without one, in memory.

    Args:
      directory: the run directory.
      content: what a record in memory holds, from ``dump``.
      read_only: only read a run, which may be going on. Defaults to False.

    Raises:
      ValueError: the record is damaged; the message names the file and says what to do.
      OSError: a directory or file cannot be read or written.
    """

    def __init__(self, directory: Path | None, content: str = "", *, read_only: bool = False):
        self._path = None if directory is None else directory / "record.sqlite"
        log = None if directory is None or read_only else directory / "events.jsonl"
        with contextlib.ExitStack() as held, self._errors():
            self._log = None if log is None else Log(log)
            if self._log is not None:
                held.callback(self._log.close)
            self._database = held.enter_context(contextlib.closing(_connected(self._path, read_only)))
            if not read_only:
                self._database.executescript(content or TABLES)
            columns = [name for _, name, *_ in self._database.execute("pragma table_info(candidates)")]
            self._has_origin = "origin" in columns  # records of before lack it until something is written
            if log is not None:
                self._complete(log)
            self._held = held.pop_all()

    def close(self) -> None:
        """Release the files."""
        self._held.close()

    # WRITING

    def add_generation(
        self,
        phase: str,
        generation: int,
        records: Sequence[Record],
        funnel: Mapping[str, int],
        rejected: Sequence[Rejected] = (),
    ) -> None:
        """Write a generation, all of it or nothing, in place of one of the same phase and number.

        Args:
          phase: such as ``"search"``.
          generation: its number, from 0.
          records: its candidates, in their places.
          funnel: how many trees passed each stage.
          rejected: the trees that screening rejected.

        Raises:
          OSError: it cannot be written, for example because the disk is full; the record is as before.
        """
        self._add(GenerationEntry(phase, generation, dict(funnel), records, rejected))

    def add_result(self, phase: str, name: str, content: Any) -> None:
        """Keep another result of a phase, as JSON, in place of one of the same name; raises like ``add_generation``."""
        self._add(ResultEntry(phase, name, content))

    def note(self, event: str, phase: str, **details: Any) -> None:
        """Write into the log alone that something happened."""
        if self._log is not None:
            self._log.append({"event": event, "phase": phase, **details})

    def _add(self, entry: Entry) -> None:
        if self._log is not None:
            self._log.append(to_fields(entry))
        with self._errors(), self._database:
            self._insert(entry)

    def _insert(self, entry: Entry) -> None:
        if not self._has_origin:
            for table in ("candidates", "rejected"):
                self._database.execute(f"alter table {table} add column origin text not null default ''")
            self._has_origin = True
        for sql, rows in statements(entry):
            self._database.executemany(sql, rows)

    def _complete(self, log: Path) -> None:
        """Put into the tables what only the log has."""
        with self._database:
            counts = self._database.execute("select phase, count(*) from generations group by phase").fetchall()
            results = self._database.execute("select phase, name from results").fetchall()
            known = {current_name(phase): count for phase, count in counts}
            for entry in missing_entries(read_entries(log), known, results):
                self._insert(entry)

    # READING

    def dump(self) -> str:
        """Everything the tables hold, as SQL."""
        with self._errors():
            return "\n".join(self._database.iterdump())

    def phases(self) -> list[str]:
        """The phases that have generations, in the order in which they began."""
        with self._errors():
            query = "select phase from generations group by phase order by min(rowid)"
            return [current_name(phase) for (phase,) in self._database.execute(query)]

    def generations(self, phase: str) -> list[list[Record]]:
        """Every generation of a phase so far, its candidates in their places."""
        columns = f"generation, {self._columns()}"
        with self._errors():
            return generations_of(phase, self._select(columns, "candidates", phase, order="generation, place"))

    def generation(self, phase: str, number: int) -> list[Record]:
        """One generation, its candidates in their places; empty where there is none."""
        with self._errors():
            rows = self._select(self._columns(), "candidates", phase, "and generation = ?", number, order="place")
            return [from_row(row) for row in rows]

    def finals(self, phase: str) -> list[Record]:
        """The finalists of a phase; empty if it has none yet."""
        return next(iter(self.generations(finals_of(phase))), [])

    def baseline(self, phase: str) -> Record | None:
        """The baseline at its best learning rate; None if the phase has not measured it yet."""
        return next((records[0] for records in self.generations(baseline_of(phase))), None)

    def generation_count(self, phase: str) -> int:
        """How many generations a phase has so far."""
        with self._errors():
            return len(self._select("generation", "generations", phase).fetchall())

    def funnels(self, phase: str) -> list[dict[str, int]]:
        """How many trees passed each stage, for every generation of a phase so far."""
        with self._errors():
            rows = self._select("funnel", "generations", phase, order="generation")
            return [checked_funnel(json.loads(funnel)) for (funnel,) in rows]

    def rejected(self, phase: str) -> list[Rejected]:
        """The trees that a phase drew and did not train, one for each canonical form."""
        return [tree for trees in self.rejected_by_generation(phase).values() for tree in trees]

    def rejected_by_generation(self, phase: str) -> dict[int, list[Rejected]]:
        """The same by the generation for which each was first drawn."""
        trees: dict[int, list[Rejected]] = {}
        columns = f"generation, canonical, expression, stage, {self._origin}"
        with self._errors():
            for number, *fields in self._select(columns, "rejected", phase, order="generation, rowid"):
                trees.setdefault(number, []).append(Rejected(*fields))
        return trees

    def result(self, phase: str, name: str) -> Any:
        """What a phase kept under a name; None if it kept nothing."""
        with self._errors():
            rows = self._select("content", "results", phase, "and name = ?", name).fetchall()
            return json.loads(rows[0][0]) if rows else None

    @property
    def _origin(self) -> str:
        """What is selected for the origin of a tree."""
        return "origin" if self._has_origin else "''"

    def _columns(self) -> str:
        return ", ".join(self._origin if name == "origin" else name for name in Record._fields)

    def _select(
        self, columns: str, table: str, phase: str, further: str = "", *values: str | int, order: str = "rowid"
    ) -> sqlite3.Cursor:
        query = f"select {columns} from {table} where phase in (?, ?) {further} order by {order}"
        return self._database.execute(query, (*stored_names(phase), *values))

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of SQLite, and of what it holds, into messages that name the file."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OSError(f"{self._path}: {error}.") from None
        except (sqlite3.DatabaseError, ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{self._path} is damaged: {error}. Move it away and resume the run, which rebuilds it from "
                "events.jsonl."
            ) from None


def _connected(path: Path | None, read_only: bool) -> sqlite3.Connection:
    """A database that has passed SQLite's check; for a damaged one SQLite's error is raised."""
    where = ":memory:" if path is None else f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    database = sqlite3.connect(where, timeout=_WAIT, uri=path is not None)
    try:
        if path is not None and (found := database.execute("pragma quick_check").fetchone()) != ("ok",):
            raise sqlite3.DatabaseError(str(found[0]).partition("\n")[0])
    except BaseException:
        database.close()
        raise
    return database
