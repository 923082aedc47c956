"""The log of a run, ``events.jsonl``: one line of JSON per event, only ever added to.

Every line has a ``time``, an ``event`` and a ``phase``. The events ``generation`` and ``result`` carry everything that
the record's tables hold, so that these can be rebuilt; ``begun``, ``ended`` and ``stopped`` tell when each phase ran.
"""

import contextlib
import datetime
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from glojax.records.candidates import Record, Rejected, checked, checked_funnel
from glojax.records.phases import current_name

# ENTRIES


class GenerationEntry(NamedTuple):
    """A generation of a phase, or its finalists, or its baseline."""

    phase: str
    generation: int
    funnel: Mapping[str, int]
    candidates: Sequence[Record]
    rejected: Sequence[Rejected]


class ResultEntry(NamedTuple):
    """Something else that a phase found, as JSON."""

    phase: str
    name: str
    content: Any


Entry = GenerationEntry | ResultEntry


def to_fields(entry: Entry) -> dict[str, Any]:
    """An entry as the log writes it, without the time."""
    return {"event": "generation" if isinstance(entry, GenerationEntry) else "result", **entry._asdict()}


def parse_entry(line: bytes) -> Entry | None:
    """The entry in a line of the log, whose phase gets its current name; None for other events.

    Raises:
      ValueError, TypeError, RecursionError: the line is damaged.
    """
    fields = json.loads(line)
    if not isinstance(fields, dict) or not all(isinstance(fields.get(name), str) for name in ("event", "phase")):
        raise ValueError("it is not an event")
    phase = current_name(fields["phase"])
    if fields["event"] == "generation":
        number = fields.get("generation")
        if type(number) is not int or number < 0:
            raise ValueError("a generation has no number")
        candidates = [checked(Record(*record)) for record in fields.get("candidates", ())]
        rejected = [Rejected(*map(str, tree)) for tree in fields.get("rejected", ())]
        return GenerationEntry(phase, number, checked_funnel(fields.get("funnel")), candidates, rejected)
    if fields["event"] == "result":
        if not isinstance(fields.get("name"), str) or "content" not in fields:
            raise ValueError("a result has no name or no content")
        return ResultEntry(phase, fields["name"], fields["content"])
    return None


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a log; damaged lines are skipped with a warning."""
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                entry = parse_entry(line)
            except (ValueError, TypeError, RecursionError) as error:
                warnings.warn(f"{path}, line {number}, is damaged and was skipped: {error}.", stacklevel=2)
            else:
                if entry is not None:
                    yield entry


# WRITING


class Log:
    """A log that is open for writing; a last line that a dying process left unfinished is removed.

    Args:
      path: the file, created if missing.
    """

    def __init__(self, path: Path):
        self._path = path
        # Unbuffered: an entry is one write.
        self._file = open(path, "ab+", buffering=0)  # noqa: SIM115
        size = end = self._file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            self._file.seek(start)
            newline = self._file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            self._file.truncate(end)

    def append(self, fields: Mapping[str, Any]) -> None:
        """Write a line with the time and these fields, and sync it to disk.

        Raises:
          OSError: it cannot be written; the log is as before.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, **fields}).encode() + b"\n"
        before = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(line) != len(line):
                raise OSError("only part of a line was written; the disk may be full")
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(before)
            raise OSError(f"{self._path}: {error.strerror or error}.") from None

    def close(self) -> None:
        """Release the file."""
        self._file.close()


# SESSIONS


class Session(NamedTuple):
    """One process's work on a phase, from its start to its end or, if the process died, to its last event."""

    phase: str
    started: str  # time, ISO 8601
    last_event: str  # time, ISO 8601
    outcome: str  # "finished", "stopped", or "" where the process died


class _Head(NamedTuple):
    """The first fields of a line."""

    time: str
    event: str  # "" for generations and results, whose lines may be long
    phase: str


def sessions(lines: Iterable[bytes]) -> Iterator[Session]:
    """The sessions in the lines of a log; damaged lines are skipped."""
    phase, started, last = "", "", ""
    for head in filter(None, map(_head, lines)):
        if head.event == "begun":
            if phase:
                yield Session(phase, started, last, "")
            phase, started = head.phase, head.time
        elif head.event in ("ended", "stopped") and phase:
            yield Session(phase, started, head.time, "finished" if head.event == "ended" else "stopped")
            phase = ""
        last = head.time
    if phase:
        yield Session(phase, started, last, "")


def read_sessions(path: Path) -> list[Session]:
    """The sessions of a log; none where there is no log."""
    try:
        with open(path, "rb") as lines:
            return list(sessions(lines))
    except FileNotFoundError:
        return []


def start_time(path: Path) -> str:
    """The time of a log's first line, or "" where there is none that can be read."""
    try:
        with open(path, "rb") as lines:
            head = _head(lines.readline(10_000))
    except OSError:
        head = None
    return head.time if head else ""


def _head(line: bytes) -> _Head | None:
    """The first fields of a line, or None where it is damaged; of a long line only the time is read."""
    start = line[:400]
    if b'"event": "generation"' in start or b'"event": "result"' in start:
        time = start.split(b'"')[3:4]
        return _Head(time[0].decode(errors="replace"), "", "") if time else None
    try:
        fields = json.loads(line)
        return _Head(str(fields["time"]), str(fields["event"]), str(fields["phase"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
