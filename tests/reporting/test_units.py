"""Errors in the units of a table's target."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score, root_mean_squared_error

from glojax import tasks
from glojax.data import tables
from glojax.records import summary
from glojax.reporting import units


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> summary.RunSummary:
    """A run on a table, whose scores are drawn."""
    folder, random = tmp_path_factory.mktemp("units"), np.random.default_rng(0)
    size = random.normal(size=80)
    pd.DataFrame({"size": size, "price": 100 + 30 * size + random.normal(size=80)}).to_csv(
        folder / "t.csv", index=False
    )
    read: list[tables.TableData] = []
    task = tasks.table(folder / "t.csv", "price", steps=30, on_read=read.append)
    made = make_run(folder / "run", task)
    read[0].transform.save(made / "table.json")
    return summary.read(made)


def test_r2_becomes_the_root_mean_squared_error_of_the_same_predictions(run: summary.RunSummary) -> None:
    transform = units.transform_of(run)
    assert transform is not None
    labels = np.concatenate([np.linspace(-1, 2, 16)])
    guesses = labels + 0.2 * np.cos(np.arange(16))
    run = dataclasses.replace(run, task=run.task._replace(spread=float(labels.std())))
    r2 = r2_score(labels, guesses)
    row = run.compared[0].best
    scores = np.full_like(row.scores, r2)
    error = units.error(run, transform, row._replace(scores=scores))
    expected = root_mean_squared_error(*(part * transform.target_std for part in (labels, guesses)))
    np.testing.assert_allclose(error, expected, rtol=1e-6)  # type: ignore[arg-type]
    assert units.error(run, transform, row._replace(scores=0 * scores)) is None


def test_a_sentence_has_the_errors_of_the_loss_and_the_baseline(run: summary.RunSummary) -> None:
    (said,) = units.errors_in_words(run)
    assert said.startswith("In units of price the test root mean squared error is ")
    assert said.endswith(" of squared error.")
    transform = units.transform_of(run)
    assert transform is not None
    of_mae = dataclasses.replace(run, task=run.task._replace(metric="mae", score="1 / (1 + mae)"))
    found = units.error(of_mae, transform, run.compared[0].best)
    expected = (1 / run.compared[0].best.test - 1) * transform.target_std
    np.testing.assert_allclose(found, expected)  # type: ignore[arg-type]


def test_classes_and_tasks_that_are_no_tables_have_no_units(made: Path) -> None:
    assert units.errors_in_words(summary.read(made)) == []
