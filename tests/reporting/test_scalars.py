"""What is written for trackers, with a writer that keeps it in memory."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from glojax.records import comparisons, summary
from glojax.reporting import scalars


class InMemory:
    """The step and value of every scalar, by run and name."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
        self.is_closed = False

    def write(self, run: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.found[run][name].append((step, value))

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> InMemory:
    memory = InMemory()
    monkeypatch.setitem(scalars.WRITERS, "memory", lambda run_dir: memory)
    return memory


def test_every_generation_is_a_step(memory: InMemory, tmp_path: Path) -> None:
    watch = scalars.Scalars(tmp_path, ["memory"]).phase("search")
    watch(np.array([0.0, 0.5, 0.75, 0.0]), {"drawn": 9, "trained": 4})
    watch(np.array([0.25, 0.5, 0.75, 1.0]), {"drawn": 5, "trained": 4})
    assert memory.found["search"] == {
        "fitness/best": [(0, 0.75), (1, 1.0)], "fitness/mean": [(0, 0.3125), (1, 0.625)],
        "fitness/failed": [(0, 0.5), (1, 0.0)], "funnel/drawn": [(0, 9), (1, 5)],
        "funnel/trained": [(0, 4), (1, 4)],
    }  # fmt: skip


def test_several_trackers_get_the_same_and_one_that_is_named_twice_gets_it_once(
    memory: InMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = InMemory()
    monkeypatch.setitem(scalars.WRITERS, "other", lambda run_dir: other)
    written = scalars.Scalars(tmp_path, ["memory", "other", "memory"])
    written.phase("tune")(np.array([0.5]), {})
    written.close()
    assert memory.found == other.found
    assert memory.found["tune"]["fitness/best"] == [(0, 0.5)]
    assert memory.is_closed
    assert other.is_closed


def test_finals_and_the_comparison_come_from_the_record(
    memory: InMemory, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = summary.read(make_run(tmp_path / "run"))
    written = scalars.Scalars(tmp_path / "run", ["memory"])
    watch = written.phase("search")
    for records in run.phases["search"].generations:
        watch(np.array([record.fitness for record in records]), {})
    written.finish()
    assert memory.is_closed
    best = run.phases["search"].best
    assert best is not None
    assert memory.found["search"]["finals/winner"] == [(3, best.fitness)]
    rows = {row.name: row for row in comparisons.rows_of(run.comparison)}
    for name in ("cross-entropy", "found", "found, tuned", "random search"):
        found = memory.found[f"comparison {name}"]
        scores = rows[f"{name}, best rate"].scores.mean(axis=0)
        for place, split in enumerate(("validation", "test")):
            steps, values = zip(*found[f"comparison/{split}"], strict=True)
            assert steps == (10, 20, 30)
            np.testing.assert_allclose(values, scores[:, place], rtol=1e-6)
