"""A found loss on a task that it never saw: its rates there, its record, and what is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from glojax import evaluate, tasks, transfer
from glojax.discovery import best_known, scoring
from glojax.discovery.screening import screen
from glojax.expressions.parsing import parse
from glojax.losses.known import KnownLoss
from glojax.losses.loss import Loss
from glojax.records import summary
from glojax.reporting import conclusions
from glojax.seeds import named_seed
from glojax.tasks.task import Task


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [KnownLoss("cross-entropy", "", Loss("x * log(y)")), KnownLoss("Brier", "", Loss("-1 * square(x - y)"))]
    monkeypatch.setattr(best_known, "candidates", lambda task: known)
    monkeypatch.setattr(best_known, "FINAL_SEEDS", 2)
    monkeypatch.setattr(best_known, "SEEDS", 1)
    monkeypatch.setattr(scoring, "RATES", (1.0, 10.0))


@pytest.mark.slow
def test_a_transfer_compares_the_found_loss_at_its_fair_and_its_best_rate(
    tiny_task: Task, made: Path, few: None, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    found = summary.read(made).found
    assert found is not None
    other = dataclasses.replace(tiny_task, steps=10, name="other")
    moved = transfer(made, other, 3, 5, run_dir=tmp_path / "moved")
    assert moved.loss == found.loss
    rows = {row.name: row for row in moved.comparison}
    baseline = rows.get("cross-entropy, best rate", rows["cross-entropy"])
    size = screen([found.loss.tree], [found.loss.coefficients]).size[0]
    assert moved.fair_rate == pytest.approx(
        baseline.rate / size, rel=1e-5
    )  # SGD: an update is as large as its gradient
    seeds = [named_seed(5, "audit", i) for i in range(3)]
    fair = evaluate(other, [found.loss], seeds, split="test", rates=[moved.fair_rate])[0]
    np.testing.assert_allclose(rows["found, fair rate"].test, fair, atol=1e-6)
    assert {"found", "best known loss"} <= {*rows}
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before

    run = summary.read(tmp_path / "moved")
    assert run.found is not None
    assert (run.found.loss, run.found.rate) == (found.loss, moved.fair_rate)
    assert {*conclusions.differences(run)} == {"cross-entropy", "best known loss"}
    again = transfer(made, other, 3, 5, run_dir=tmp_path / "moved", resume=True)
    for row, same in zip(moved.comparison, again.comparison, strict=True):
        np.testing.assert_array_equal(row.scores, same.scores)


def test_what_cannot_be_transferred_is_refused_at_once(tiny_task: Task, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is of output 'softmax', the task diabetes of 'identity'"):
        transfer(Loss("x * log(y)"), tasks.diabetes(steps=2))
    with pytest.raises(ValueError, match="is not a run directory"):
        transfer(tmp_path, tiny_task)
    with pytest.raises(ValueError, match="transfer: seeds is 0; it must be at least 1"):
        transfer(Loss(parse("x * log(y)")), tiny_task, 0)
