"""AUC and average precision of classes and with ties against scikit-learn; the rest is in test_metrics."""

import warnings
from typing import Any

import jax
import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as reference

from glojax.tasks import metrics


def drawn(examples: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of which every row is there twice, and classes of which some are rare."""
    random = np.random.default_rng(0)
    shares = 0.3 ** np.arange(classes)
    labels = np.concatenate(
        [np.arange(classes), random.choice(classes, size=examples - classes, p=shares / shares.sum())]
    )
    outputs = random.normal(size=(examples, classes)) + np.eye(classes)[labels]
    half = examples // 2
    outputs[half : 2 * half] = outputs[:half]
    return outputs.astype(np.float32), labels


def area(outputs: np.ndarray, labels: np.ndarray) -> float:
    shares = softmax(outputs.astype(np.float64), axis=1)
    if shares.shape[1] == 2:
        return float(reference.roc_auc_score(labels, shares[:, 1]))
    return float(reference.roc_auc_score(labels, shares, multi_class="ovr", labels=range(shares.shape[1])))


def precision(outputs: np.ndarray, labels: np.ndarray) -> float:
    shares = softmax(outputs.astype(np.float64), axis=1)
    rows = np.eye(shares.shape[1])[labels]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a class has no examples
        return float(reference.average_precision_score(rows, shares, average="macro"))


EXPECTED = {metrics.auc: area, metrics.average_precision: precision}
BOTH = pytest.mark.parametrize("metric", EXPECTED, ids=lambda metric: metric.__name__)


@pytest.mark.few(1)
@BOTH
@pytest.mark.parametrize(
    "examples", [10, 1000, *(pytest.param(count, marks=pytest.mark.slow) for count in (1_000_000, 3_000_000))]
)
def test_metrics_of_classes_are_those_of_scikit_learn(metric: Any, examples: int) -> None:
    outputs, labels = drawn(examples)
    assert float(jax.jit(metric)(outputs, labels)) == pytest.approx(EXPECTED[metric](outputs, labels), rel=1e-6)


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("classes", [2, 5, 50])
def test_any_number_of_classes_is_taken(metric: Any, classes: int) -> None:
    outputs, labels = drawn(400, classes)
    assert float(metric(outputs, labels)) == pytest.approx(EXPECTED[metric](outputs, labels), rel=1e-6)


@BOTH
def test_a_saturated_softmax_still_orders_the_examples(metric: Any) -> None:
    outputs, labels = drawn(400)
    steep = outputs * np.float32(300)  # most probabilities are 0 or 1 in float32, and some in float64
    order = np.stack([np.argsort(np.argsort(column)) for column in np.asarray(metrics_log_odds(steep)).T], axis=1)
    expected = [
        (reference.roc_auc_score if metric is metrics.auc else reference.average_precision_score)(
            labels == place, np.asarray(metrics_log_odds(steep))[:, place]
        )
        for place in range(3)
    ]
    assert len(np.unique(order)) == 400
    assert float(jax.jit(metric)(steep, labels)) == pytest.approx(np.mean(expected), rel=1e-6)


def metrics_log_odds(outputs: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) in long double, of three classes."""
    z = outputs.astype(np.longdouble)
    others = [np.logaddexp(z[:, one], z[:, two]) for one, two in ((1, 2), (0, 2), (0, 1))]
    return (z - np.stack(others, axis=1)).astype(np.float64)


@pytest.mark.slow
def test_auc_without_a_class_is_nan_as_in_scikit_learn() -> None:
    outputs, labels = drawn(60)
    labels = np.where(labels == 2, 0, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(area(outputs, labels))
    assert np.isnan(metrics.auc(outputs, labels))
    assert np.isnan(metrics.auc(outputs, np.zeros(60)))


@pytest.mark.slow
def test_average_precision_without_positives_is_0_as_in_scikit_learn() -> None:
    outputs, labels = drawn(60)
    labels = np.where(labels == 2, 0, labels)
    assert float(metrics.average_precision(outputs, labels)) == pytest.approx(precision(outputs, labels), rel=1e-6)
    assert float(metrics.average_precision(outputs[:, 0], np.zeros(60))) == 0
    assert float(metrics.average_precision(outputs[:, 0], np.ones(60))) == 1
    several = np.stack([labels == 0, np.zeros(60)], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference.average_precision_score(several, outputs[:, :2])
    assert float(metrics.average_precision(outputs[:, :2], several, classes=False)) == pytest.approx(expected, rel=1e-6)
    several[:, 1] = np.nan
    assert np.isnan(metrics.average_precision(outputs[:, :2], several, classes=False))


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_ties_share_a_threshold_as_in_scikit_learn(levels: int) -> None:
    random = np.random.default_rng(2)
    outputs, labels = random.integers(levels, size=500).astype(np.float32), random.random(500) < 0.3
    for order in (np.argsort(labels), np.argsort(~labels)):  # which of those that tie comes first has no influence
        found = metrics.average_precision(outputs[order], labels[order])
        assert float(found) == pytest.approx(reference.average_precision_score(labels, outputs), rel=1e-6)
