"""Scalars for Weights & Biases, read back from the files that it keeps without a network."""

import contextlib
import json
import struct
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from glojax.reporting import tracking
from glojax.reporting.wandb import WandbWriter

wandb = pytest.importorskip("wandb")


def records(path: Path) -> list[Any]:
    """The records of a file: after 7 bytes, blocks of 32 KiB with parts of a checksum, a length, a kind and bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, found, parts = path.read_bytes(), 7, [], b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:  # the end of a block is empty
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            found.append(Record.FromString(parts))
            parts = b""
    return found


def read(path: Path) -> tuple[Any, dict[str, list[tuple[int, float]]]]:
    """What a run is called, and step and value of its scalars."""
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    run = None
    for record in records(path):
        if record.HasField("run"):
            run = record.run
        for item in record.history.item:
            name = item.key or ".".join(item.nested_key)
            if not name.startswith("_"):
                found[name].append((record.history.step.num, json.loads(item.value_json)))
    return run, found


@pytest.mark.slow
def test_every_phase_is_a_run_of_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    run_dir = tmp_path / "digits"
    run_dir.mkdir()
    with contextlib.closing(WandbWriter(run_dir)) as writer:
        assert not list(run_dir.iterdir())
        writer.write("search", 0, {"fitness/best": 0.75, "funnel/drawn": 9})
        writer.write("search", 1, {"fitness/best": 1.0})
        writer.write("comparison found", 30, {"comparison/test": 0.5})
    wandb.teardown()  # its process has written all when it has ended
    found = [read(path) for path in run_dir.glob("wandb/offline-run-*/*.wandb")]
    named = {run.display_name: (run, values) for run, values in found}
    assert set(named) == {"search", "comparison found"}
    run, values = named["search"]
    assert (run.project, run.run_group, run.run_id) == ("glojax", "digits", f"{tracking.key_of(run_dir)}-search")
    assert values == {"fitness/best": [(0, 0.75), (1, 1.0)], "funnel/drawn": [(0, 9)]}
    assert named["comparison found"][1] == {"comparison/test": [(30, 0.5)]}


def test_without_a_key_it_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def login() -> None:
        raise wandb.Error("No API key configured.")

    online = SimpleNamespace(settings=SimpleNamespace(mode="online"))
    monkeypatch.setattr(wandb, "setup", lambda: online)
    monkeypatch.setattr(wandb, "login", login)
    with pytest.raises(ValueError, match=r"No API key configured\. WANDB_MODE=offline needs no key"):
        WandbWriter(tmp_path)


def test_without_wandb_it_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"pip install 'glojax\[wandb\]'"):
        WandbWriter(tmp_path)
