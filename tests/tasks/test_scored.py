"""The scores of a task: the metric where more is better, and a number from 0 to 1 where less is."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, mean_squared_error

from glojax.tasks.task import Task

RANDOM = np.random.default_rng(0)
X, Z = RANDOM.normal(size=(30, 4)), RANDOM.normal(size=(30, 3)).astype(np.float32)
LABELS = np.arange(30) % 3


def test_a_metric_of_which_more_is_better_is_the_score() -> None:
    task = Task(nn.Dense(3), (X, LABELS), (X, LABELS))
    assert task.score(jnp.asarray(Z), jnp.asarray(LABELS)) == np.float32(accuracy_score(LABELS, Z.argmax(axis=1)))
    assert (task.metric_name, task.score_name, task.is_error) == ("accuracy", "accuracy", False)
    np.testing.assert_array_equal(task.as_metric(np.array([0.3, 0.5])), [0.3, 0.5])


def test_an_error_is_1_over_1_plus_it_and_comes_back() -> None:
    task = Task(nn.Dense(1), (X, X[:, 0]), (X, X[:, 0]), kind="regression", metric="rmse")
    expected = mean_squared_error(X[:, 0], Z[:, 0]) ** 0.5
    score = task.score(jnp.asarray(Z[:, :1]), jnp.asarray(X[:, :1], jnp.float32))
    np.testing.assert_allclose(score, 1 / (1 + expected), rtol=1e-5)
    np.testing.assert_allclose(task.as_metric(np.asarray(score)), expected, rtol=1e-5)
    assert task.score_name == "1 / (1 + rmse)"
    assert task.as_metric(np.array([0.0]))[0] == np.inf


def test_a_metric_is_tried_before_anything_trains() -> None:
    task = Task(nn.Dense(3), (X, LABELS), (X, LABELS), metric=lambda outputs, labels: -1.0 - outputs.mean() ** 2)
    task.check_metric()
    with pytest.raises(ValueError, match=r"Task.metric, <lambda>, gives -1.* of at least 0 is expected"):
        task.check_metric(for_search=True)
