"""Balanced accuracy and F1 of classes and of one class against scikit-learn; accuracy and the rest in test_metrics."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as reference

from glojax.tasks import metrics


def drawn(examples: int, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Outputs, many of them alike, and classes of which some are rare."""
    random = np.random.default_rng(seed)
    shares = 0.3 ** np.arange(classes)
    labels = random.choice(classes, size=examples, p=shares / shares.sum())
    outputs = random.normal(size=(examples, classes)) + 1.5 * np.eye(classes)[labels]
    return (np.round(4 * outputs) / 4).astype(np.float32), labels


def balanced(labels: Any, answers: Any) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a class is predicted which has no examples
        return float(reference.balanced_accuracy_score(labels, answers))


def macro(labels: Any, answers: Any) -> float:
    return float(reference.f1_score(labels, answers, average="macro", zero_division=0))


EXPECTED = {metrics.balanced_accuracy: balanced, metrics.f1: macro}
BOTH = pytest.mark.parametrize("metric", EXPECTED, ids=lambda metric: metric.__name__)


@BOTH
@pytest.mark.parametrize(
    "examples", [10, 1000, *(pytest.param(count, marks=pytest.mark.slow) for count in (1_000_000, 3_000_000))]
)
def test_metrics_of_classes_are_those_of_scikit_learn(metric: Any, examples: int) -> None:
    outputs, labels = drawn(examples)
    expected = EXPECTED[metric](labels, outputs.argmax(axis=1))
    assert float(jax.jit(metric)(outputs, labels)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.few(2)
@BOTH
@pytest.mark.parametrize("classes", [2, 3, 10, 200])
def test_classes_without_examples_count_as_in_scikit_learn(metric: Any, classes: int) -> None:
    outputs, labels = drawn(60, classes)
    labels = np.where(labels == 0, 1, labels)
    outputs[:, -1] = -9  # neither a label nor predicted, except by chance
    labels = np.where(labels == classes - 1, 1, labels)
    answers = outputs.argmax(axis=1)
    for given in (outputs, jnp.asarray(outputs)):
        assert float(metric(given, labels)) == pytest.approx(EXPECTED[metric](labels, answers), rel=1e-6)


@BOTH
@pytest.mark.parametrize("label", [0, 2])
def test_labels_of_one_class_count_as_in_scikit_learn(metric: Any, label: int) -> None:
    outputs, _ = drawn(50)
    labels = np.full(50, label)
    assert float(metric(outputs, labels)) == pytest.approx(EXPECTED[metric](labels, outputs.argmax(axis=1)), rel=1e-6)
    assert float(metric(np.eye(4)[labels], labels)) == 1


def test_balanced_accuracy_of_outputs_is_their_mean() -> None:
    random = np.random.default_rng(1)
    outputs, labels = random.normal(size=(300, 3)), (random.random((300, 3)) < (0.05, 0.5, 0.9)).astype(float)
    expected = np.mean([balanced(labels[:, place], outputs[:, place] > 0) for place in range(3)])
    assert float(metrics.balanced_accuracy(outputs, labels, classes=False)) == pytest.approx(expected, rel=1e-6)
    labels[:, 1] = 0  # of one class
    expected = np.mean([balanced(labels[:, place], outputs[:, place] > 0) for place in range(3)])
    assert float(metrics.balanced_accuracy(outputs, labels, classes=False)) == pytest.approx(expected, rel=1e-6)
    labels[:, 1] = np.nan
    assert np.isnan(metrics.balanced_accuracy(outputs, labels, classes=False))


def test_a_rare_class_weighs_as_much_as_a_frequent_one() -> None:
    labels = (np.arange(1000) < 10).astype(int)
    outputs = np.eye(2)[np.zeros(1000, int)]
    assert float(metrics.accuracy(outputs, labels)) == pytest.approx(0.99)
    assert float(metrics.balanced_accuracy(outputs, labels)) == 0.5
    assert float(metrics.balanced_accuracy(-np.ones(1000), labels)) == 0.5


@pytest.mark.few(2)
@pytest.mark.parametrize("of", range(4))
@pytest.mark.parametrize("examples", [10, 1000])
def test_f1_of_a_class_is_that_of_scikit_learn(of: int, examples: int) -> None:
    outputs, labels = drawn(examples)
    expected = reference.f1_score(labels == of, outputs.argmax(axis=1) == of, zero_division=0)
    for call in (metrics.f1_of_class(of), jax.jit(metrics.f1_of_class(of))):
        assert float(call(outputs, labels)) == pytest.approx(expected, rel=1e-6)


def test_f1_of_an_output_and_of_both_labels_of_a_single_one() -> None:
    random = np.random.default_rng(1)
    outputs, labels = random.normal(size=(300, 3)), (random.random((300, 3)) < 0.3).astype(float)
    for of in range(3):
        expected = reference.f1_score(labels[:, of], outputs[:, of] > 0)
        assert float(metrics.f1_of_class(of)(outputs, labels)) == pytest.approx(expected, rel=1e-6)
    labels[::3, 0] = np.nan
    known = labels[:, 0] == labels[:, 0]
    for label in (0, 1):
        expected = reference.f1_score(labels[known, 0], outputs[known, 0] > 0, pos_label=label)
        assert float(metrics.f1_of_class(label)(outputs[:, 0], labels[:, 0])) == pytest.approx(expected, rel=1e-6)


def test_f1_of_a_class_that_is_not_there_is_refused() -> None:
    outputs, labels = drawn(20)
    with pytest.raises(ValueError, match=r"f1:4: outputs are of 4 classes; the first is 0"):
        metrics.f1_of_class(4)(outputs, labels)
    with pytest.raises(ValueError, match=r"f1:2: outputs are of 1 classes"):
        metrics.f1_of_class(2)(outputs[:, 0], labels > 0)
    wrong: list[Any] = [-1, 1.0, True, "1", None]
    for of in wrong:
        with pytest.raises(ValueError, match=r"f1_of_class is given .*; a class, 0 or above, is expected"):
            metrics.f1_of_class(of)
    assert metrics.f1_of_class(np.int64(3)) == metrics.f1_of_class(3)  # type: ignore[arg-type]
