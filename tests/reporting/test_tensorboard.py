"""Scalars for TensorBoard, read back from its files."""

import contextlib
import struct
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glojax.records import comparisons, summary
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


def test_every_generation_is_a_step(tmp_path: Path) -> None:
    with contextlib.closing(tensorboard.Board(tmp_path)) as board:
        watch = board.phase("search")
        assert not list(tmp_path.iterdir())  # nothing before the first generation
        watch(np.array([0.0, 0.5, 0.75, 0.0]), {"drawn": 9, "trained": 4})
        watch(np.array([0.25, 0.5, 0.75, 1.0]), {"drawn": 5, "trained": 4})
        found = read(tmp_path / "tensorboard" / "search")  # at once
    assert found == {
        "fitness/best": [(0, 0.75), (1, 1.0)], "fitness/mean": [(0, 0.3125), (1, 0.625)],
        "fitness/failed": [(0, 0.5), (1, 0.0)], "funnel/drawn": [(0, 9), (1, 5)],
        "funnel/trained": [(0, 4), (1, 4)],
    }  # fmt: skip


def test_a_search_that_goes_on_is_shown_once(tmp_path: Path) -> None:
    for length in (2, 3):
        with contextlib.closing(tensorboard.Board(tmp_path)) as board:
            watch = board.phase("search")
            for number in range(length):
                watch(np.array([0.1 * number]), {})
    steps = [step for step, _ in read(tmp_path / "tensorboard" / "search")["fitness/best"]]
    assert steps == [0, 1, 2]


def test_finals_and_the_comparison_come_from_the_record(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = summary.read(make_run(tmp_path / "run"))
    board = tensorboard.Board(tmp_path / "run")
    watch = board.phase("search")
    for records in run.phases["search"].generations:
        watch(np.array([record.fitness for record in records]), {})
    board.finish()
    folder = tmp_path / "run" / "tensorboard"
    best = run.phases["search"].best
    assert best is not None
    (winner,) = read(folder / "search")["finals/winner"]
    assert winner == (3, pytest.approx(best.fitness))
    rows = {row.name: row for row in comparisons.rows_of(run.comparison)}
    for name in ("cross-entropy", "found", "found, tuned", "random search"):
        found = read(folder / f"comparison {name}")
        scores = rows[f"{name}, best rate"].scores.mean(axis=0)
        for place, split in enumerate(("validation", "test")):
            steps, values = zip(*found[f"comparison/{split}"], strict=True)
            assert steps == (10, 20, 30)
            np.testing.assert_allclose(values, scores[:, place], rtol=1e-6)


def test_without_tensorboardx_it_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("tensorboardX")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'glojax\[tensorboard\]'"):
        tensorboard.Board(tmp_path)
