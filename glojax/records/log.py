"""The log of a run, events.jsonl: lines of JSON that are only added to."""

import contextlib
import datetime
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glojax.records.candidates import Record, Rejected, checked, checked_funnel


def _entry(line: bytes) -> dict[str, Any]:
    """Of a line of the log; raises ValueError, TypeError or RecursionError for one that nobody has written so."""
    entry = json.loads(line)
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in ("event", "phase")):
        raise ValueError("it is no event")
    if entry["event"] == "generation":
        if type(entry.get("generation")) is not int or entry["generation"] < 0:
            raise ValueError("a generation without its number")
        checked_funnel(entry.get("funnel"))
        entry["candidates"] = [checked(Record(*record)) for record in entry.get("candidates", ())]
        entry["rejected"] = [Rejected(*map(str, rejected)) for rejected in entry.get("rejected", ())]
    if entry["event"] == "result" and not (isinstance(entry.get("name"), str) and "content" in entry):
        raise ValueError("a result without name or content")
    return entry


class Log:
    """Lines of JSON that are only added to; one that a dying process left unfinished is taken away."""

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

    def append(self, entry: Mapping[str, Any]) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, **entry}).encode() + b"\n"
        before = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(line) != len(line):
                raise OSError("it was written in part; the disk may be full")
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(before)
            raise OSError(f"{self._path}: {error.strerror or error}.") from None

    def read(self) -> Iterator[dict[str, Any]]:
        """The entries; a damaged one is left out with a warning."""
        with open(self._path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    entry = _entry(line)
                except (ValueError, TypeError, RecursionError) as error:
                    warnings.warn(f"{self._path}, line {number}, is damaged and left out: {error}.", stacklevel=2)
                else:
                    yield entry

    def close(self) -> None:
        self._file.close()
