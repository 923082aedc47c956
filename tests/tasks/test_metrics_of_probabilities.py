"""Log loss, Brier score and calibration error of classes against scikit-learn and NumPy; more is in test_metrics."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn import metrics as reference

from glojax.tasks import metrics


def drawn(examples: int, classes: int = 3, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = random.integers(classes, size=examples)
    outputs = random.normal(size=(examples, classes)) + np.eye(classes)[labels]
    return (scale * outputs).astype(np.float32), labels


def log_loss(shares: np.ndarray, labels: np.ndarray) -> float:
    return float(reference.log_loss(labels, shares, labels=range(shares.shape[1])))


def brier(shares: np.ndarray, labels: np.ndarray) -> float:
    return float(reference.brier_score_loss(labels, shares, labels=range(shares.shape[1]), scale_by_half=False))


def calibration_error(shares: np.ndarray, labels: np.ndarray) -> float:
    """Equation 3 of Guo et al., arXiv 1706.04599, bin by bin."""
    confidence, right, error = shares.max(axis=1), shares.argmax(axis=1) == labels, 0.0
    for low, high in itertools.pairwise(np.linspace(0, 1, 16)):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(error)


EXPECTED = {
    metrics.log_loss: log_loss,
    metrics.brier: brier,
    metrics.calibration_error: calibration_error,
}
ALL = pytest.mark.parametrize("metric", EXPECTED, ids=lambda metric: metric.__name__)


@pytest.mark.few(2)
@ALL
@pytest.mark.parametrize(
    "examples", [10, 1000, *(pytest.param(count, marks=pytest.mark.slow) for count in (1_000_000, 3_000_000))]
)
def test_metrics_of_classes_are_those_of_scikit_learn(metric: Any, examples: int) -> None:
    outputs, labels = drawn(examples)
    expected = EXPECTED[metric](softmax(outputs.astype(np.float64), axis=1), labels)
    # Confidences have seven digits, and the calibration error is what is left of their difference to the accuracy.
    assert float(jax.jit(metric)(outputs, labels)) == pytest.approx(expected, rel=3e-6, abs=5e-7)


@pytest.mark.slow
@ALL
@pytest.mark.parametrize("classes", [2, 5, 100])
@pytest.mark.parametrize("scale", [0.01, 1, 4])  # from about 36 on scikit-learn cuts a logarithm
def test_any_number_of_classes_is_taken(metric: Any, classes: int, scale: float) -> None:
    outputs, labels = drawn(400, classes, scale)
    expected = EXPECTED[metric](softmax(outputs.astype(np.float64), axis=1), labels)
    for given in (outputs, jnp.asarray(outputs), outputs.astype(np.float64)):
        assert float(metric(given, labels)) == pytest.approx(expected, rel=1e-5)


@ALL
def test_labels_of_one_class_have_a_meaning(metric: Any) -> None:
    outputs, _ = drawn(60)
    labels = np.full(60, 1)
    expected = EXPECTED[metric](softmax(outputs.astype(np.float64), axis=1), labels)
    assert float(metric(outputs, labels)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_two_classes_are_one_output() -> None:
    outputs, labels = drawn(500, 2)
    difference = outputs[:, 1] - outputs[:, 0]
    for metric, factor in ((metrics.log_loss, 1), (metrics.brier, 2), (metrics.calibration_error, 1)):
        assert float(metric(outputs, labels)) == pytest.approx(factor * float(metric(difference, labels)), rel=1e-5)


def test_outputs_are_averaged() -> None:
    random = np.random.default_rng(1)
    outputs, labels = random.normal(size=(300, 3)), (random.random((300, 3)) < (0.05, 0.5, 0.9)).astype(float)
    shares, places = expit(outputs), range(3)
    for metric, computed in ((metrics.log_loss, reference.log_loss), (metrics.brier, reference.brier_score_loss)):
        expected = np.mean([computed(labels[:, place], shares[:, place]) for place in places])
        assert float(metric(outputs, labels, classes=False)) == pytest.approx(expected, rel=1e-5)
    two = [np.stack([1 - shares[:, place], shares[:, place]], axis=1) for place in places]
    expected = np.mean([calibration_error(two[place], labels[:, place]) for place in places])
    assert float(metrics.calibration_error(outputs, labels, classes=False)) == pytest.approx(expected, rel=1e-5)


def test_soft_labels_weigh_by_their_shares() -> None:
    outputs, labels = drawn(200)
    rows = 0.7 * np.eye(3)[labels] + 0.1
    shares = softmax(outputs.astype(np.float64), axis=1)
    expected = -np.mean(np.sum(rows * np.log(shares), axis=1))
    assert float(metrics.log_loss(outputs, rows, classes=True)) == pytest.approx(expected, rel=1e-6)
    expected = np.mean(np.sum((rows - shares) ** 2, axis=1))
    assert float(metrics.brier(outputs, rows, classes=True)) == pytest.approx(expected, rel=1e-6)
    assert float(metrics.calibration_error(outputs, rows, classes=True)) == pytest.approx(
        calibration_error(shares, labels), rel=1e-5
    )


# EXTREMES


@pytest.mark.parametrize("size", [100, 1e4, 1e20, 3e37])
def test_log_loss_does_not_overflow(size: float) -> None:
    outputs = np.array([[size, 0.0, -size], [0.0, 0.0, -size]] * 50, np.float32)
    labels = np.array([2, 0] * 50)
    expected = (2 * size + np.log(2)) / 2
    assert float(jax.jit(metrics.log_loss)(outputs, labels)) == pytest.approx(expected, rel=1e-6)
    binary = jax.jit(metrics.log_loss)(np.array([size, -size, size, 0], np.float32), np.array([0.0, 1, 1, 1]))
    assert float(binary) == pytest.approx((2 * size + np.log(2)) / 4, rel=1e-6)


@pytest.mark.slow
def test_a_small_log_loss_has_all_its_digits() -> None:
    outputs, labels = np.tile(np.array([[20.0, 0, 0]], np.float32), (1000, 1)), np.zeros(1000, int)
    exact = float(np.log1p(2 * np.exp(-20.0)))  # 4e-9: 1 - p is 0 in float32
    assert float(metrics.log_loss(jnp.asarray(outputs), labels)) == pytest.approx(exact, rel=1e-5)
    assert float(metrics.log_loss(jnp.asarray(outputs[:, 0]), np.ones(1000))) == pytest.approx(
        np.log1p(np.exp(-20.0)), rel=1e-5
    )
    exact = float((2 * np.exp(-20.0)) ** 2 + 2 * np.exp(-40.0))
    assert float(metrics.brier(jnp.asarray(outputs), labels)) == pytest.approx(exact, rel=1e-5)


def test_infinite_logits_are_sure() -> None:
    outputs = np.array([[np.inf, 0, -np.inf], [-np.inf, np.inf, 0]], np.float32)
    for metric in EXPECTED:
        assert float(jax.jit(metric)(outputs, np.array([0, 1]))) == 0
        assert float(jax.jit(metric)(outputs[:, 0], np.array([1, 0]))) == 0
        assert float(jax.jit(metric)(outputs, np.array([2, 1]))) > 0.4


def test_a_network_that_is_right_as_often_as_it_is_sure_is_calibrated() -> None:
    random = np.random.default_rng(3)
    outputs = random.normal(size=(200_000, 1)) * 2
    labels = (random.random((200_000, 1)) < expit(outputs)).astype(float)
    assert float(metrics.calibration_error(outputs, labels)) < 0.005
    assert float(metrics.calibration_error(3 * outputs, labels)) > 0.1
