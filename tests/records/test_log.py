"""The log: its entries, its sessions, and how it is written."""

import contextlib
import json
from pathlib import Path

import pytest

from glojax.records.candidates import Record, Rejected
from glojax.records.log import (
    GenerationEntry,
    Log,
    ResultEntry,
    Session,
    parse_entry,
    read_entries,
    read_sessions,
    sessions,
    start_time,
    to_fields,
)

RECORD = Record("x * log(y)", "log(y) * x", (1.5,), 0.5, (0.25, 0.75), 3.0, "trained", (0, 1), 7, 500, 0.25)
GENERATION = GenerationEntry("search", 2, {"drawn": 9}, [RECORD], [Rejected("y", "y * 1", "guided")])
RESULT = ResultEntry("comparison", "rates", {"found": 0.1})


def line(event: str, phase: str, time: int, **fields: object) -> bytes:
    return json.dumps(
        {"time": f"2026-01-01T00:00:{time:02}.000+00:00", "event": event, "phase": phase, **fields}
    ).encode()


def at(time: int) -> str:
    return f"2026-01-01T00:00:{time:02}.000+00:00"


def test_entries_are_read_as_they_were_written(tmp_path: Path) -> None:
    with contextlib.closing(Log(tmp_path / "events.jsonl")) as log:
        log.append({"event": "begun", "phase": "search"})
        log.append(to_fields(GENERATION))
        log.append(to_fields(RESULT))
    assert list(read_entries(tmp_path / "events.jsonl")) == [GENERATION, RESULT]
    first, second, _ = map(json.loads, (tmp_path / "events.jsonl").read_text().splitlines())
    assert list(first) == ["time", "event", "phase"]
    assert list(second) == ["time", "event", "phase", "generation", "funnel", "candidates", "rejected"]


def test_the_baselines_old_name_is_todays() -> None:
    entry = parse_entry(json.dumps(to_fields(GENERATION._replace(phase="search control"))).encode())
    assert entry == GENERATION._replace(phase="search baseline")


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (b"{}", "it is not an event"),
        (b"[]", "it is not an event"),
        (b'{"event": "generation", "phase": "search", "generation": -1, "funnel": {}}', "a generation has no number"),
        (b'{"event": "generation", "phase": "search", "generation": 1, "funnel": 3}', "is not a funnel"),
        (b'{"event": "result", "phase": "search", "name": "a"}', "a result has no name or no content"),
        (b"{", "Expecting"),
    ],
)
def test_a_damaged_line_is_refused(damaged: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_entry(damaged)


def test_a_damaged_line_is_skipped_with_a_warning(tmp_path: Path) -> None:
    path, good = tmp_path / "events.jsonl", json.dumps(to_fields(RESULT)).encode()
    path.write_bytes(b"\n".join([good, b"\xff", good]) + b"\n")
    with pytest.warns(UserWarning, match=r"events\.jsonl, line 2, is damaged and was skipped"):
        assert list(read_entries(path)) == [RESULT, RESULT]


@pytest.mark.parametrize("size", [0, 10, 70_000, 140_000])
def test_an_unfinished_last_line_is_removed_however_long(tmp_path: Path, size: int) -> None:
    path, whole = tmp_path / "events.jsonl", json.dumps(to_fields(RESULT)).encode() + b"\n"
    for before in (b"", whole, whole * 2):
        path.write_bytes(before + b"x" * size)
        Log(path).close()
        assert path.read_bytes() == before


# SESSIONS


def test_sessions_are_pairs_of_begin_and_end() -> None:
    lines = [
        line("begun", "search", 1), line("generation", "search", 2), line("stopped", "search", 3),
        line("begun", "search", 4), line("generation", "search finals", 5), line("ended", "search", 6),
    ]  # fmt: skip
    assert list(sessions(lines)) == [
        Session("search", at(1), at(3), "stopped"), Session("search", at(4), at(6), "finished"),
    ]  # fmt: skip


def test_a_process_that_died_has_no_outcome() -> None:
    lines = [
        line("begun", "search", 1),
        line("generation", "search", 2),
        line("begun", "tune", 5),
        line("result", "tune", 7),
    ]
    assert list(sessions(lines)) == [Session("search", at(1), at(2), ""), Session("tune", at(5), at(7), "")]


def test_damaged_lines_do_not_count() -> None:
    lines = [
        b"\xff",
        b"7",
        line("begun", "search", 1),
        b"{}",
        b"[" * 100_000,
        line("ended", "search", 2),
        b'"generation',
    ]
    assert list(sessions(lines)) == [Session("search", at(1), at(2), "finished")]


def test_of_a_long_line_only_the_time_is_read() -> None:
    cut = line("generation", "search", 9, candidates=["x" * 1000])[:500]
    assert list(sessions([line("begun", "search", 1), cut])) == [Session("search", at(1), at(9), "")]


def test_a_folder_without_a_log_has_no_sessions_and_no_start(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert read_sessions(path) == []
    assert start_time(path) == ""
    path.write_bytes(line("begun", "search", 1) + b"\n" + line("ended", "search", 2) + b"\n")
    assert read_sessions(path) == [Session("search", at(1), at(2), "finished")]
    assert start_time(path) == at(1)
    path.write_bytes(b"\x00\n")
    assert start_time(path) == ""
