"""The network for tables, beside the formula of its embeddings."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from glojax import models, tasks

X = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)


def test_numbers_become_waves_and_other_columns_stay() -> None:
    model = models.TabularMLP((3,), numbers=2, frequencies=4, width=6)
    variables = model.init(jax.random.key(0), X, train=True)
    params = jax.tree.map(np.asarray, variables["params"])
    embedded = []
    for column in range(2):
        angles = 2 * np.pi * X[:, column : column + 1] * params["frequencies"][column]
        waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
        embedded.append(np.maximum(waves @ params["embedding"][column] + params["embedding_bias"][column], 0))
    inputs = np.concatenate([*embedded, X[:, 2:]], axis=1)
    last = params["Linear_0"]
    np.testing.assert_allclose(
        model.apply(variables, X, train=False), inputs @ last["kernel"].T + last["bias"], rtol=1e-4, atol=1e-5
    )


def test_layers_are_normalized_over_the_batch_in_training() -> None:
    model = models.TabularMLP((8, 2), numbers=0)
    variables = model.init(jax.random.key(0), X, train=True)
    same, updates = model.apply(variables, X, train=True, mutable=["batch_stats"])
    scaled, _ = model.apply(variables, 7 * X, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(same, scaled, atol=1e-3)
    moved = jax.tree.leaves(
        jax.tree.map(lambda a, b: jnp.abs(a - b).max(), variables["batch_stats"], updates["batch_stats"])
    )
    assert max(map(float, moved)) > 0


def test_a_table_has_it_by_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": X[:, 0], "b": ["u", "v"] * 25, "c": X[:, 1], "y": ["p", "q", "q", "p", "q"] * 10})
    frame.to_csv(tmp_path / "t.csv", index=False)
    task = tasks.table(tmp_path / "t.csv", "y", network="tabular", steps=2)
    assert isinstance(task.model, models.TabularMLP)
    assert (task.model.numbers, task.outputs) == (2, 1)
    with pytest.raises(ValueError, match="network is 'cnn'; allowed are mlp, tabular"):
        tasks.table(tmp_path / "t.csv", "y", network="cnn")
