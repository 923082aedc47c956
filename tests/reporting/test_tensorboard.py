"""Scalars for TensorBoard, read back from its files."""

import contextlib
import struct
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from glojax.reporting import tensorboard

pytest.importorskip("tensorboardX")


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of every scalar of a run of TensorBoard's; a record is its length, its bytes, and checksums."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    (path,) = folder.glob("events.out.tfevents.*")
    content, place = path.read_bytes(), 0
    while place < len(content):
        (length,) = struct.unpack("<Q", content[place : place + 8])
        event = Event.FromString(content[place + 12 : place + 12 + length])
        place += 16 + length
        for value in event.summary.value:
            found[value.tag].append((event.step, value.simple_value))
    return found


def test_scalars_are_written_at_once_and_nothing_before(tmp_path: Path) -> None:
    with contextlib.closing(tensorboard.TensorBoardWriter(tmp_path)) as writer:
        assert not list(tmp_path.iterdir())
        writer.write("search", 0, {"fitness/best": 0.75, "funnel/drawn": 9})
        writer.write("search", 1, {"fitness/best": 1.0})
        writer.write("comparison a/b", 30, {"comparison/test": 0.5})
        assert read(tmp_path / "tensorboard" / "search") == {
            "fitness/best": [(0, 0.75), (1, 1.0)], "funnel/drawn": [(0, 9)],
        }  # fmt: skip
        assert read(tmp_path / "tensorboard" / "comparison a-b") == {"comparison/test": [(30, 0.5)]}


def test_a_run_that_is_written_again_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    for length in (2, 3):
        with contextlib.closing(tensorboard.TensorBoardWriter(tmp_path)) as writer:
            for step in range(length):
                writer.write("search", step, {"fitness/best": 0.1 * step})
    assert [step for step, _ in read(tmp_path / "tensorboard" / "search")["fitness/best"]] == [0, 1, 2]


def test_without_tensorboardx_it_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("tensorboardX")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'glojax\[tensorboard\]'"):
        tensorboard.TensorBoardWriter(tmp_path)
