"""Metrics of a target that networks are trained with a transform of."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, r2_score

from glojax import tasks
from glojax.tasks.metrics_of_targets import MetricOfTarget

PRICES = np.random.default_rng(0).lognormal(3, 1.0, 200).round(2)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    pd.DataFrame({"size": np.log(PRICES) + np.arange(200) % 3, "price": PRICES}).to_csv(path, index=False)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("transform", ["log", "quantile"])
def test_metrics_of_a_transformed_target_are_those_of_the_target(path: Path, transform: str) -> None:
    tables = []
    task = tasks.table(path, "price", target_transform=transform, steps=2, on_read=tables.append)
    (table,) = tables
    labels = table.splits.validation.labels[:, None]
    outputs = jnp.asarray(labels + 0.3 * np.random.default_rng(1).normal(size=labels.shape), jnp.float32)
    prices, guesses = (table.transform.numbers(np.asarray(part)) for part in (labels, outputs))
    assert task.metric_name == "r2"
    assert float(task.metric_function(outputs, labels)) == pytest.approx(r2_score(prices, guesses), abs=1e-3)
    by_mae = tasks.table(path, "price", target_transform=transform, steps=2, metric="mae")
    assert by_mae.is_error
    expected = mean_absolute_error(prices, guesses) / table.target_std
    assert float(by_mae.metric_function(outputs, labels)) == pytest.approx(expected, rel=1e-3)
    assert isinstance(by_mae.metric_function, MetricOfTarget)


def test_the_spread_is_that_of_the_target_itself(path: Path) -> None:
    tables = []
    task = tasks.table(path, "price", target_transform="log", steps=2, on_read=tables.append)
    prices = tables[0].transform.numbers(tables[0].splits.test.labels)
    assert tasks.target_spread(task) == pytest.approx(prices.std() / tables[0].target_std, rel=1e-4)
    plain = tasks.table(path, "price", steps=2)
    assert tasks.target_spread(plain) == pytest.approx(plain.splits["test"].labels.std())
