"""Metrics against scikit-learn, and with unknown labels against the known ones alone."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as reference

from glojax.tasks import metrics

RANDOM = np.random.default_rng(0)
OUTPUTS = np.round(RANDOM.normal(size=(200, 3)), 1).astype(np.float32)  # with ties
LABELS = (RANDOM.random((200, 3)) < 0.3).astype(np.float32)
TARGETS = (OUTPUTS + RANDOM.normal(size=OUTPUTS.shape)).astype(np.float32)


def test_binary_metrics_are_those_of_scikit_learn() -> None:
    chosen = OUTPUTS > 0
    assert metrics.binary_accuracy(OUTPUTS, LABELS) == pytest.approx(np.mean(chosen == (LABELS == 1)))
    assert metrics.f1(OUTPUTS, LABELS) == pytest.approx(reference.f1_score(LABELS, chosen, average="macro"), rel=1e-5)
    assert metrics.auc(OUTPUTS, LABELS) == pytest.approx(reference.roc_auc_score(LABELS, OUTPUTS), rel=1e-5)


def test_metrics_of_targets_are_those_of_scikit_learn() -> None:
    assert metrics.r2(OUTPUTS, TARGETS) == pytest.approx(
        np.maximum(reference.r2_score(TARGETS, OUTPUTS, multioutput="raw_values"), 0).mean(), rel=1e-4
    )
    assert metrics.rmse(OUTPUTS, TARGETS) == pytest.approx(
        reference.root_mean_squared_error(TARGETS.ravel(), OUTPUTS.ravel()), rel=1e-5
    )
    assert metrics.r2(-OUTPUTS, TARGETS) == 0  # worse than the mean


def test_accuracy_is_the_share_of_largest_outputs() -> None:
    labels = RANDOM.integers(3, size=200)
    assert metrics.accuracy(OUTPUTS, labels) == pytest.approx(reference.accuracy_score(labels, OUTPUTS.argmax(axis=1)))


@pytest.mark.parametrize("name", ["binary_accuracy", "f1", "auc", "r2", "rmse"])
def test_unknown_labels_take_no_part(name: str) -> None:
    labels = (TARGETS if name in ("r2", "rmse") else LABELS)[:, :1]
    hidden = np.where(np.arange(200)[:, None] % 3 == 0, np.nan, labels)
    known = np.arange(200) % 3 != 0
    metric = metrics.METRICS[name]
    expected = metric(jnp.asarray(OUTPUTS[known, :1]), jnp.asarray(labels[known]))
    assert metric(jnp.asarray(OUTPUTS[:, :1]), jnp.asarray(hidden)) == pytest.approx(float(expected), rel=1e-5)
    assert metric(jnp.asarray(OUTPUTS[:, :1]), jnp.asarray(labels)) != pytest.approx(float(expected), rel=1e-5)


def test_scores_are_turned_back_into_the_error_that_they_stand_for() -> None:
    np.testing.assert_allclose(metrics.from_scores(np.array([1, 0.5, 0.2, 0]), True), [0, 1, 4, np.inf])
    np.testing.assert_array_equal(metrics.from_scores(np.array([1, 0.5, 0]), False), [1, 0.5, 0])


def test_accuracy_is_the_share_of_right_answers() -> None:
    logits = jnp.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [5.0, 4.0]])
    assert float(metrics.accuracy(logits, jnp.array([1, 0, 0, 0]))) == 0.75
