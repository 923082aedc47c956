"""What a comparison says, in numbers and in sentences."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optax
import pytest

from glojax import losses, models
from glojax.records import summary
from glojax.records.run import Run
from glojax.reporting import conclusions, page
from glojax.tasks.task import Task


def sentences(run: summary.RunSummary, test: dict[str, np.ndarray]) -> list[str]:
    """What is said where each loss has these test scores at its best rate."""
    rows = []
    for row in run.comparison["rows"]:
        scores = np.array(row["scores"])
        name = row["name"].removesuffix(", best rate")
        scores[:, -1, 1] = test[name]
        rows.append({**row, "scores": scores.tolist()})
    return conclusions.sentences(dataclasses.replace(run, comparison={**run.comparison, "rows": rows}))


def test_sentences_tell_chance_from_more(made: Path) -> None:
    run, noise = summary.read(made), np.array([-0.02, -0.01, 0.0, 0.01, 0.02])
    base = {"cross-entropy": 0.8 + noise, "found": 0.8 + noise}
    for ours, drawn, first, last in (
        (0.9, 0.8, "The loss is better than cross-entropy: the difference is", "the loss is significantly better"),
        (0.805, 0.8, "This comparison cannot tell the loss from cross-entropy", "the lead of the loss may be chance"),
        (0.7, 0.8, "Cross-entropy is better than the loss: the difference is", "evolution gained nothing here"),
    ):
        said = sentences(run, {**base, "found, tuned": ours + noise, "random search": drawn + noise})
        assert said[0].startswith(first)
        assert last in said[2]


def test_a_comparison_of_another_loss_is_not_taken_for_its_own(
    make_run: Callable[..., Path], tmp_path: Path, no_images: None
) -> None:
    run = summary.read(make_run(tmp_path, losses={"cross-entropy": losses.cross_entropy, "found": losses.baikal}))
    assert run.found_in_comparison is None
    assert conclusions.sentences(run)[0] == "The recorded comparison is of an earlier result, not of this loss."
    assert "(this loss)" not in page.write_report(tmp_path).read_text()


def test_an_error_is_better_where_it_is_less_and_infinite_where_a_training_failed(
    make_run: Callable[..., Path], tmp_path: Path, no_images: None, parsed_page: Any
) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 3)).astype(np.float32)
    split = (x, x.sum(axis=1))
    task = Task(
        models.MLP((4, 1)), split, split, split, optimizer=optax.sgd(0.1), batch_size=10, steps=30, kind="regression",
        metric="rmse", name="sums",
    )  # fmt: skip
    directory = make_run(tmp_path / "run", task)
    run = summary.read(directory)
    assert run.task.is_error
    base, other = run.compared[0].best, run.compared[2].best
    found = conclusions.difference_from(run, base, other)
    assert found is not None
    errors = [1 / row.test - 1 for row in (base, other)]
    assert found.difference.mean == pytest.approx(errors[1].mean() - errors[0].mean())
    assert found.gain == pytest.approx(-found.difference.mean)
    assert "test rmse" in parsed_page(page.write_report(directory)).text

    for row in run.comparison["rows"]:
        if row["name"] == "found, tuned, best rate":
            row["scores"] = [[[0.0, 0.0]] * 3] * 5
    with Run(directory, "comparison", task, {}, resume=True) as record:
        record.save("scores", run.comparison)
    text = parsed_page(page.write_report(directory)).text
    assert "a training failed, so its rmse is infinite" in text
    assert "5 of 5" in text
