"""The rows of the tables."""

import contextlib
import sqlite3

import pytest

from glojax.records.candidates import Record, Rejected, to_row
from glojax.records.log import Entry, GenerationEntry, ResultEntry
from glojax.records.rows import TABLES, generations_of, missing_entries, statements

FIRST = Record("x * y", "x * y", (), 0.5, (0.5,), 1.0, "trained", (), 3, 500, 0.25)
SECOND = FIRST._replace(expression="y - x", canonical="y - x", parents=(0,))


def entry(number: int, phase: str = "search", *records: Record) -> GenerationEntry:
    return GenerationEntry(phase, number, {"drawn": number}, records, [Rejected("y", f"y * {number}", "guided")])


def executed(*entries: Entry) -> dict[str, list[tuple]]:
    """What the tables hold after entries."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.executescript(TABLES)
        for one in entries:
            for sql, rows in statements(one):
                database.executemany(sql, rows)
        names = ("generations", "candidates", "rejected", "results")
        return {name: database.execute(f"select * from {name}").fetchall() for name in names}


def test_a_generation_is_rows_of_three_tables() -> None:
    assert executed(entry(0, "search", FIRST, SECOND)) == {
        "generations": [("search", 0, '{"drawn": 0}')],
        "candidates": [("search", 0, 0, *to_row(FIRST)), ("search", 0, 1, *to_row(SECOND))],
        "rejected": [("search", "y", "y * 0", 0, "guided", "")],
        "results": [],
    }


def test_a_generation_replaces_the_one_of_its_number_and_a_result_the_one_of_its_name() -> None:
    tables = executed(
        entry(0, "search", FIRST, SECOND), entry(0, "search", SECOND),
        ResultEntry("comparison", "rates", [1]), ResultEntry("comparison", "rates", {"found": 2.0}),
    )  # fmt: skip
    assert tables["candidates"] == [("search", 0, 0, *to_row(SECOND))]
    assert tables["results"] == [("comparison", "rates", '{"found": 2.0}')]


def test_a_tree_that_is_rejected_again_stays_with_its_first_generation() -> None:
    assert executed(entry(0), entry(1))["rejected"] == [("search", "y", "y * 0", 0, "guided", "")]


def test_what_the_tables_lack_follows_what_they_hold() -> None:
    entries = [entry(0), entry(1), entry(0, "tune"), entry(3), ResultEntry("a", "b", 1), ResultEntry("a", "c", 2)]
    known = {"search": 1}
    assert list(missing_entries(entries, known, [("a", "b")])) == [entries[1], entries[2], entries[5]]
    assert known == {"search": 1}
    assert list(missing_entries(entries, {}, [])) == [entries[0], entries[1], entries[2], entries[4], entries[5]]
    assert list(missing_entries(entries, {"search": 4, "tune": 1}, [("a", "b"), ("a", "c")])) == []


def test_rows_become_generations() -> None:
    rows = [(0, *to_row(FIRST)), (0, *to_row(SECOND)), (1, *to_row(SECOND))]
    assert generations_of("search", rows) == [[FIRST, SECOND], [SECOND]]
    assert generations_of("search", []) == []
    for missing, wrong in ((0, rows[2:]), (1, [rows[0], (2, *to_row(FIRST))])):
        with pytest.raises(ValueError, match=f"generation {missing} of search is missing"):
            generations_of("search", wrong)
