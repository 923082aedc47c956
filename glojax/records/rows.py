"""The record's tables: their SQL, and the rows that go in and come out. Nothing here touches a database."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from glojax.records.candidates import Record, from_row, to_row
from glojax.records.log import Entry, GenerationEntry, ResultEntry

# SQLite's own journal rather than its write-ahead log, which network file systems cannot have.
TABLES = """
create table if not exists generations (
    phase text not null, generation integer not null, funnel text not null, primary key (phase, generation));
create table if not exists candidates (
    phase text not null, generation integer not null, place integer not null,
    expression text not null, canonical text not null, coefficients text not null,
    fitness real not null, scores text not null, rate real not null,
    fate text not null, parents text not null, seed integer not null, steps integer not null,
    seconds real not null, origin text not null default '',
    primary key (phase, generation, place));
create table if not exists rejected (
    phase text not null, canonical text not null, expression text not null, generation integer not null,
    stage text not null, origin text not null default '', primary key (phase, canonical));
create table if not exists results (
    phase text not null, name text not null, content text not null, primary key (phase, name));
"""


class Statement(NamedTuple):
    """SQL, and the values of each time it is executed."""

    sql: str
    rows: Sequence[tuple[str | int | float, ...]]


def statements(entry: Entry) -> list[Statement]:
    """What puts an entry of the log into the tables, in place of what they hold of the same generation or name."""
    phase = entry.phase
    if isinstance(entry, ResultEntry):
        row = (phase, entry.name, json.dumps(entry.content))
        return [Statement("insert or replace into results values (?, ?, ?)", [row])]
    number = entry.generation
    candidates = [(phase, number, place, *to_row(record)) for place, record in enumerate(entry.candidates)]
    rejected = [(phase, tree.canonical, tree.expression, number, tree.stage, tree.origin) for tree in entry.rejected]
    marks = ", ".join("?" * (3 + len(Record._fields)))
    return [
        Statement("insert or replace into generations values (?, ?, ?)", [(phase, number, json.dumps(entry.funnel))]),
        Statement("delete from candidates where phase = ? and generation = ?", [(phase, number)]),
        Statement(f"insert into candidates values ({marks})", candidates),
        Statement("insert or ignore into rejected values (?, ?, ?, ?, ?, ?)", rejected),
    ]


def missing_entries(
    entries: Iterable[Entry], generation_counts: Mapping[str, int], results: Iterable[tuple[str, str]]
) -> Iterator[Entry]:
    """The entries of a log that the tables lack; generations only as far as they follow one another.

    Args:
      entries: of the log, in its order.
      generation_counts: how many generations of each phase the tables hold.
      results: phase and name of every result that the tables hold.
    """
    counts, known = dict(generation_counts), set(results)
    for entry in entries:
        if isinstance(entry, GenerationEntry):
            if entry.generation == counts.get(entry.phase, 0):
                counts[entry.phase] = entry.generation + 1
                yield entry
        elif (entry.phase, entry.name) not in known:
            yield entry


def generations_of(phase: str, rows: Iterable[Sequence[str | int | float]]) -> list[list[Record]]:
    """The generations of a phase from rows that begin with the generation's number, in their order.

    Raises:
      ValueError, TypeError: a generation is missing, or a row is damaged.
    """
    generations: list[list[Record]] = []
    for number, *columns in rows:
        if number == len(generations):
            generations.append([])
        if not generations or number != len(generations) - 1:
            raise ValueError(f"generation {len(generations)} of {phase} is missing")
        generations[-1].append(from_row(columns))
    return generations
