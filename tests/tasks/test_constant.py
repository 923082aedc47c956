"""The best constant prediction against scikit-learn's dummies."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.dummy import DummyClassifier, DummyRegressor

from glojax import Kind, models
from glojax.tasks import metrics
from glojax.tasks.constant import of_constant, one_class_metrics
from glojax.tasks.task import Task

RANDOM = np.random.default_rng(0)
CLASSES = RANDOM.choice(4, size=300, p=(0.2, 0.5, 0.25, 0.05))
BINARY = (RANDOM.random(300) < 0.2).astype(int)
TARGETS = RANDOM.exponential(size=300) + 3


def classifier(labels: np.ndarray, strategy: str = "prior", constant: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """The answers and probabilities of scikit-learn's dummy."""
    x = np.zeros((len(labels), 1))
    made = DummyClassifier(strategy=strategy, constant=constant).fit(x, labels)
    return made.predict(x), np.asarray(made.predict_proba(x))


def regressor(labels: np.ndarray, **settings: Any) -> np.ndarray:
    x = np.zeros((len(labels), 1))
    return DummyRegressor(**settings).fit(x, labels).predict(x)


@pytest.mark.slow
@pytest.mark.parametrize("labels", [CLASSES, np.where(CLASSES == 2, 1, CLASSES)], ids=["all", "without one"])
def test_the_largest_class_alone_scores_as_the_dummy(labels: np.ndarray) -> None:
    answers, shares = classifier(labels)
    expected = {
        "accuracy": reference.accuracy_score(labels, answers),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, answers),
        "f1": reference.f1_score(labels, answers, average="macro", zero_division=0),
        "log_loss": reference.log_loss(labels, shares),
        "brier": np.mean(np.sum((shares - np.eye(4)[labels][:, np.unique(labels)]) ** 2, axis=1)),
        "calibration_error": 0,
    }
    for name, value in expected.items():
        assert of_constant(name, labels) == pytest.approx(value, rel=1e-5, abs=1e-6), name
    answers, _ = classifier(labels, "constant", 3)
    assert of_constant("f1:3", labels) == pytest.approx(reference.f1_score(labels == 3, answers == 3))
    assert of_constant(metrics.f1_of_class(7), labels) == 0


@pytest.mark.slow
def test_a_constant_orders_nothing() -> None:
    assert of_constant("auc", CLASSES) == 0.5
    assert of_constant("average_precision", CLASSES) == pytest.approx(0.25)
    assert of_constant("auc", BINARY, "binary") == 0.5
    assert of_constant("average_precision", BINARY, "binary") == pytest.approx(BINARY.mean(), rel=1e-6)
    assert np.isnan(of_constant("auc", np.zeros(20, int)))


@pytest.mark.slow
@pytest.mark.parametrize("labels", [BINARY, 1 - BINARY], ids=["rare", "frequent"])
def test_labels_0_and_1_score_as_the_dummy(labels: np.ndarray) -> None:
    answers, shares = classifier(labels)
    ones, _ = classifier(labels, "constant", 1)
    zeros, _ = classifier(labels, "constant", 0)
    expected = {
        "binary_accuracy": reference.accuracy_score(labels, answers),
        "balanced_accuracy": 0.5,
        "log_loss": reference.log_loss(labels, shares),
        "brier": reference.brier_score_loss(labels, shares[:, 1]),
        "calibration_error": 0,
        "f1": reference.f1_score(labels, ones),
        "f1:1": reference.f1_score(labels, ones),
        "f1:0": reference.f1_score(labels, zeros, pos_label=0),
    }
    for name, value in expected.items():
        assert of_constant(name, labels, "binary") == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_several_outputs_have_a_constant_each() -> None:
    many = np.stack([BINARY, 1 - BINARY, RANDOM.integers(2, size=300)], axis=1)
    expected = np.mean([reference.log_loss(column, classifier(column)[1]) for column in many.T])
    assert of_constant("log_loss", many, "multi-label") == pytest.approx(expected, rel=1e-5)
    expected = np.mean([reference.f1_score(column, np.ones(300)) for column in many.T])
    assert of_constant("f1", many, "multi-label") == pytest.approx(expected, rel=1e-5)
    assert of_constant("f1:2", many, "multi-label") == pytest.approx(reference.f1_score(many[:, 2], np.ones(300)))


def test_targets_score_as_the_dummy() -> None:
    mean, median, quantile = regressor(TARGETS), regressor(TARGETS, strategy="median"), 0.9
    high = regressor(TARGETS, strategy="quantile", quantile=quantile)
    expected = {
        "rmse": reference.root_mean_squared_error(TARGETS, mean),
        "r2": 0,
        "mae": reference.mean_absolute_error(TARGETS, median),
        "quantile:0.9": reference.mean_pinball_loss(TARGETS, high, alpha=quantile),
    }
    for name, value in expected.items():
        assert of_constant(name, TARGETS, "regression") == pytest.approx(value, rel=1e-5, abs=1e-6), name


@pytest.mark.slow
def test_unknown_labels_take_no_part() -> None:
    known = np.arange(300) % 3 != 0
    for kind, name, labels in (
        ("classification", "log_loss", CLASSES),
        ("binary", "brier", BINARY),
        ("regression", "mae", TARGETS),
    ):
        hidden = np.where(known, labels, np.nan)
        assert of_constant(name, hidden, kind) == pytest.approx(of_constant(name, labels[known], kind), rel=1e-6)
    hidden = np.where(known, CLASSES, -1)
    assert of_constant("accuracy", hidden) == pytest.approx(of_constant("accuracy", CLASSES[known]))


def test_soft_labels_have_shares() -> None:
    rows = 0.7 * np.eye(4)[CLASSES] + 0.075
    shares = rows.mean(axis=0)
    assert of_constant("log_loss", rows) == pytest.approx(-np.sum(shares * np.log(shares)), rel=1e-5)
    assert of_constant("accuracy", rows) == pytest.approx(np.mean(CLASSES == 1))
    assert of_constant("f1", rows) == pytest.approx(of_constant("f1", CLASSES))


def test_no_other_constant_is_better() -> None:
    for level in np.linspace(0.5, 8, 40):
        given = np.full(300, level)
        for name in ("mae", "rmse", "quantile:0.3"):
            found = metrics.metric_by_name("metric", name)(given, TARGETS)
            assert of_constant(name, TARGETS, "regression") <= float(found) + 1e-6


def test_metrics_and_kinds_of_one_s_own() -> None:
    assert of_constant(lambda outputs, labels: outputs[0, 0], TARGETS, "regression") == pytest.approx(TARGETS.mean())
    assert of_constant("binary_accuracy", BINARY, Kind("identity", "binary_accuracy")) == pytest.approx(
        1 - BINARY.mean()
    )


def test_what_does_not_suit_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"metric is 'rmse', and these labels are classes; accuracy, .*f1:CLASS, or a fu"
    ):
        of_constant("rmse", CLASSES)
    with pytest.raises(ValueError, match="metric is 'f2'; accuracy"):
        of_constant("f2", CLASSES)
    with pytest.raises(ValueError, match=r"^labels: labels hold 1\.5; classes are whole numbers"):
        of_constant("accuracy", CLASSES + 0.5)


@pytest.mark.parametrize(
    ("kind", "metric", "score"),
    [
        ("classification", None, reference.accuracy_score),
        ("classification", "f1", lambda y, p: reference.f1_score(y, p, average="macro", zero_division=0)),
        ("classification", "f1:3", lambda y, p: reference.f1_score(y == 3, p == 3)),
        ("binary", None, reference.accuracy_score),
        ("binary", "balanced_accuracy", reference.balanced_accuracy_score),
    ],
)
def test_one_class_as_the_answer_to_all_scores_as_the_dummy(kind: str, metric: str | None, score: Any) -> None:
    labels = CLASSES if kind == "classification" else BINARY
    part = np.zeros((300, 2), np.float32), labels
    outputs = 4 if kind == "classification" else 1
    task = Task(models.MLP((outputs,)), part, part, batch_size=10, steps=2, kind=kind, metric=metric)
    expected = {score(labels, np.full(300, one)) for one in range(max(outputs, 2))}
    assert one_class_metrics(task) == pytest.approx(sorted(expected))


def test_ranks_and_numbers_have_no_one_class() -> None:
    part = np.zeros((300, 2), np.float32), BINARY
    assert one_class_metrics(Task(models.MLP((1,)), part, part, kind="binary", metric="auc")) == []
    assert one_class_metrics(Task(models.MLP((1,)), part, part, kind="regression")) == []
