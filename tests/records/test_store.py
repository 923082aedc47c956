"""The record of a run: made again from its log, and what happens where files are damaged or cannot be written."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from glojax.records.candidates import Record, Rejected
from glojax.records.store import Store

RECORDS = [
    Record("x * log(y)", "x * log(y)", (), 0.5, (0.25, 0.75), 3.0, "trained", (), 3, 500, 0.25),
    Record("y - x", "y - x", (1.5, -2.0), 0.25, (), 1.0, "cached", (0, 1), 3, 0, 0.0),
]
REJECTED = [Rejected("y", "y * 1", "guided")]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A directory with three generations, finals and a result."""
    with contextlib.closing(Store(tmp_path)) as store:
        for number in range(3):
            store.add_generation("search", number, RECORDS[number % 2 :], {"drawn": number}, REJECTED)
        store.add_generation("search finals", 0, RECORDS[:1], {})
        store.add_result("comparison", "rates", {"found": 0.1})
    return tmp_path


def content(directory: Path) -> str:
    """All that the tables hold, as text."""
    with contextlib.closing(sqlite3.connect(directory / "record.sqlite")) as database:
        return "\n".join(database.iterdump())


def events(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]


def reopened(directory: Path) -> list[list[Record]]:
    with contextlib.closing(Store(directory)) as store:
        return store.generations("search")


def test_the_log_has_a_line_for_everything_in_its_order(run: Path) -> None:
    assert [(event["event"], event["phase"]) for event in events(run)] == [
        *[("generation", "search")] * 3, ("generation", "search finals"), ("result", "comparison"),
    ]  # fmt: skip
    assert events(run)[0]["candidates"] == json.loads(json.dumps(RECORDS))


@pytest.mark.parametrize("loss", ["removed", "emptied"])
def test_tables_that_are_lost_are_made_again_from_the_log(run: Path, loss: str) -> None:
    before = content(run)
    (run / "record.sqlite").unlink() if loss == "removed" else (run / "record.sqlite").write_bytes(b"")
    assert reopened(run) == [RECORDS, RECORDS[1:], RECORDS]
    assert content(run) == before


def test_a_generation_that_only_the_log_has_is_taken_from_it(run: Path) -> None:
    before = content(run)
    with contextlib.closing(sqlite3.connect(run / "record.sqlite")) as database, database:
        for table in ("generations", "candidates"):
            database.execute(f"delete from {table} where phase = 'search' and generation = 2")
    assert content(run) != before
    assert len(reopened(run)) == 3
    assert sorted(content(run).splitlines()) == sorted(before.splitlines())


def test_a_line_that_a_dying_process_left_unfinished_is_taken_away(run: Path) -> None:
    log = run / "events.jsonl"
    before = log.read_bytes()
    log.write_bytes(before + b'{"time": "2026')
    assert len(reopened(run)) == 3
    assert log.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        b"\x00\xff", b"[1]", b"7", b"[" * 100_000, b"{}", b'{"event": 1, "phase": "search"}',
        b'{"event": "generation", "phase": "search", "generation": 1e300, "funnel": {}}',
        b'{"event": "generation", "phase": "search", "generation": 1, "funnel": {}, "candidates": [["x", 1]]}',
        b'{"event": "result", "phase": "comparison"}',
    ],
    ids=range(9),
)  # fmt: skip
def test_a_damaged_line_is_named_and_what_follows_it_is_not_taken(run: Path, damage: bytes) -> None:
    log = run / "events.jsonl"
    lines = log.read_bytes().splitlines()
    log.write_bytes(b"\n".join([lines[0], damage, *lines[2:]]) + b"\n")
    with pytest.warns(UserWarning, match=r"events\.jsonl, line 2, is damaged and was skipped"):
        assert len(reopened(run)) == 3  # the tables have it
    (run / "record.sqlite").unlink()
    with pytest.warns(UserWarning, match="line 2"):
        assert reopened(run) == [RECORDS]


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_tables_are_named_and_made_again_once_they_are_moved_away(run: Path, share: float) -> None:
    before, path = content(run), run / "record.sqlite"
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(ValueError, match=r"record\.sqlite is damaged: .*Move it away and resume the run"):
        Store(run)
    path.rename(run / "damaged")
    assert len(reopened(run)) == 3
    assert content(run) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("update candidates set generation = 1e300 where generation = 2", "generation 2 of search is missing"),
        ("update candidates set generation = generation + 5", "generation 0 of search is missing"),
        ("update candidates set scores = '[1, \"a\"]'", "has a field of the wrong type"),
        ("update candidates set scores = '[[[' where place = 0", "is damaged: Expecting"),
        ("update candidates set fitness = 'high'", "has a field of the wrong type"),
        ("update candidates set parents = '[1e999]'", "has a field of the wrong type"),
    ],
)
def test_tables_that_somebody_has_changed_are_refused_by_name(run: Path, change: str, message: str) -> None:
    with contextlib.closing(sqlite3.connect(run / "record.sqlite")) as database, database:
        database.execute(change)
    with (
        contextlib.closing(Store(run)) as store,
        pytest.raises(ValueError, match=rf"record\.sqlite is damaged: .*{message}|{message}"),
    ):
        store.generations("search")


def test_tables_of_something_else_are_refused_by_name(run: Path) -> None:
    (run / "record.sqlite").write_bytes(b"not a database " * 100)
    with pytest.raises(ValueError, match=r"record\.sqlite is damaged: file is not a database"):
        Store(run)


def test_tables_are_read_by_others_while_the_run_goes_on(run: Path) -> None:
    query = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('select count(*) from candidates'))"
    with contextlib.closing(Store(run)) as store:
        store.add_generation("search", 3, RECORDS, {})
        command = [sys.executable, "-c", query, str(run / "record.sqlite")]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "(8,)\n"
        with contextlib.closing(Store(run, read_only=True)) as other:
            assert len(other.generations("search")) == 4
            with pytest.raises(OSError, match="readonly"):
                other.add_result("search", "name", 1)


def test_a_look_at_a_run_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"record\.sqlite: unable to open"):
        Store(tmp_path, read_only=True)
    assert not list(tmp_path.iterdir())


# FILES THAT CANNOT BE WRITTEN


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB, where a test may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_by_name_and_nothing_saved_is_lost(small_disk: Path) -> None:
    saved = 0

    def fill(store: Store) -> None:
        nonlocal saved
        for saved in range(1000):
            store.add_generation("search", saved, RECORDS * 20, {"drawn": saved}, REJECTED)

    with contextlib.closing(Store(small_disk)) as store, pytest.raises(OSError, match=r"(full|space)") as raised:
        fill(store)
    assert str(small_disk) in str(raised.value)
    assert saved > 2
    with contextlib.closing(Store(small_disk, read_only=True)) as store:
        assert store.generations("search") == [RECORDS * 20] * saved
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    with contextlib.closing(Store(small_disk)) as store:
        assert store.generations("search")[:saved] == [RECORDS * 20] * saved
        store.add_generation("search", len(store.generations("search")), RECORDS, {})


def test_a_disk_that_cannot_be_written_is_told_by_name(small_disk: Path) -> None:
    Store(small_disk).close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(OSError, match=r"(Read-only|readonly).*") as raised:
        Store(small_disk)
    assert "events.jsonl" in str(raised.value)
