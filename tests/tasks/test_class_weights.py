"""Balanced class weights beside scikit-learn's."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.utils.class_weight import compute_class_weight

from glojax import evaluate, models
from glojax.tasks import class_weights
from glojax.tasks.problems import KINDS
from glojax.tasks.task import Task

RANDOM = np.random.default_rng(0)
CLASSES = RANDOM.choice(4, size=300, p=(0.6, 0.3, 0.08, 0.02)).astype(np.int32)
BINARY = (RANDOM.random((120, 1)) < 0.1).astype(np.float32)
MANY = (RANDOM.random((200, 3)) < (0.1, 0.5, 0.9)).astype(np.float32)


def reference(labels: np.ndarray) -> np.ndarray:
    return compute_class_weight("balanced", classes=np.unique(labels), y=labels)


def test_weights_of_classes_are_scikit_learns() -> None:
    expected = reference(CLASSES)
    found = class_weights.balanced(KINDS["classification"], CLASSES, 4)
    np.testing.assert_allclose(found, expected)
    soft = np.eye(4, dtype=np.float32)[CLASSES]
    np.testing.assert_allclose(class_weights.balanced(KINDS["classification"], soft, 4), expected, rtol=1e-6)
    with_gaps = np.append(CLASSES, [-1, -1]).astype(np.int32)
    np.testing.assert_allclose(class_weights.balanced(KINDS["classification"], with_gaps, 4), expected)
    without = class_weights.balanced(KINDS["classification"], np.where(CLASSES == 1, 0, CLASSES), 4)
    np.testing.assert_allclose(without[[0, 2, 3]], reference(np.where(CLASSES == 1, 0, CLASSES)))
    assert without[1] == 1


def test_weights_of_labels_0_and_1_are_scikit_learns_for_each_output() -> None:
    np.testing.assert_allclose(class_weights.balanced(KINDS["binary"], BINARY, 1), [reference(BINARY[:, 0])])
    many = MANY.copy()
    many[::7, 1] = np.nan
    found = class_weights.balanced(KINDS["multi-label"], many, 3)
    for output, pair in enumerate(found):
        np.testing.assert_allclose(pair, reference(many[~np.isnan(many[:, output]), output]))
    np.testing.assert_array_equal(class_weights.balanced(KINDS["binary"], np.zeros((5, 1)), 1), [[1, 1]])


@pytest.mark.parametrize(
    ("kind", "labels", "expected"),
    [
        ("classification", CLASSES, np.bincount(CLASSES).max() / np.bincount(CLASSES).min()),
        ("binary", BINARY, (BINARY == 0).sum() / BINARY.sum()),
        ("multi-label", MANY, 1),
        ("regression", np.ones((3, 1)), 1),
    ],
)
def test_imbalance_is_that_of_the_largest_and_the_smallest_class(kind: str, labels: Any, expected: float) -> None:
    assert class_weights.imbalance(KINDS[kind], labels) == pytest.approx(expected)


def made(kind: str, labels: np.ndarray, outputs: int, **fields: Any) -> Task:
    x = np.random.default_rng(1).normal(size=(len(labels), 3)).astype(np.float32)
    settings: dict[str, Any] = {"batch_size": 20, "steps": 10, "optimizer": optax.sgd(0.1), "kind": kind, **fields}
    return Task(models.MLP((4, outputs)), (x, labels), (x, labels), **settings)


@pytest.mark.slow
def test_a_balanced_task_trains_as_one_whose_loss_is_weighed_by_hand() -> None:
    for kind, labels, outputs in (("binary", BINARY, 1), ("multi-label", MANY, 3)):
        task = made(kind, labels, outputs, metric="log_loss")
        pairs = jnp.array([reference(column) for column in labels.T], jnp.float32)

        def by_hand(logits: jax.Array, labels: jax.Array, pairs: jax.Array = pairs) -> jax.Array:
            losses = optax.sigmoid_binary_cross_entropy(logits, labels)
            return jnp.sum(losses * jnp.where(labels > 0.5, pairs[:, 1], pairs[:, 0]), axis=-1)

        cross_entropy = "x * log(y) + (1 - x) * log(1 - y)"
        (ours,) = evaluate(dataclasses.replace(task, class_weight="balanced"), [cross_entropy], 2)
        plain, expected = evaluate(task, [cross_entropy, by_hand], 2)
        np.testing.assert_allclose(ours, expected, atol=1e-5)
        assert not np.allclose(ours, plain, atol=1e-4)


def test_balanced_classes_have_the_weights_of_the_training_part() -> None:
    task = made("classification", CLASSES, 4, class_weight="balanced")
    given = made("classification", CLASSES, 4, class_weights=reference(CLASSES))
    np.testing.assert_allclose(task.loss_weights, given.loss_weights)  # type: ignore[arg-type]
    fewer = dataclasses.replace(task, train=(task.train[0][:100], CLASSES[:100]))  # type: ignore[index]
    np.testing.assert_allclose(fewer.loss_weights, class_weights.balanced(task.problem, CLASSES[:100], 4))  # type: ignore[arg-type]
    assert task.fingerprint != made("classification", CLASSES, 4).fingerprint


@pytest.mark.parametrize(
    ("kind", "labels", "fields", "message"),
    [
        ("binary", BINARY, {"class_weight": "equal"}, "Task.class_weight is 'equal'; 'balanced' or None is allowed"),
        ("binary", BINARY, {"class_weight": "balanced", "class_weights": [2.0]}, "one of them is allowed"),
        ("regression", BINARY, {"class_weight": "balanced"}, "only classes, or labels 0 and 1 of a sigmoid"),
    ],
)
def test_other_class_weights_are_refused(kind: str, labels: np.ndarray, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(kind, labels, 1, **fields)
