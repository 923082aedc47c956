"""The shares of classes in training labels, counted by hand."""

import flax.linen as nn
import numpy as np
import pytest

from glojax.tasks.priors import prior
from glojax.tasks.task import Task

X = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)


def task_of(labels: np.ndarray, outputs: int, kind: str = "classification") -> Task:
    ignored = -1 if kind == "classification" and labels.ndim == 1 else None
    return Task(nn.Dense(outputs), (X, labels), (X, labels), kind=kind, batch_size=5, ignore_label=ignored)


def test_each_class_counts_once_more_than_it_occurs() -> None:
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, -1])  # the last is unknown
    np.testing.assert_allclose(prior(task_of(labels, 3)), np.array([6, 4, 2]) / 12, rtol=1e-6)


def test_soft_labels_count_in_parts() -> None:
    labels = np.full((10, 2), [0.25, 0.75], np.float32)
    labels[0], labels[1] = np.nan, [1, 0]
    np.testing.assert_allclose(prior(task_of(labels, 2)), np.array([1 + 2 + 1, 6 + 1]) / 11, rtol=1e-6)


def test_each_output_of_several_labels_has_a_share_of_its_own() -> None:
    labels = np.zeros((10, 2), np.float32)
    labels[:3, 0], labels[:9, 1], labels[9, 1] = 1, 1, np.nan
    np.testing.assert_allclose(prior(task_of(labels, 2, "multi-label")), [4 / 12, 10 / 11], rtol=1e-6)


def test_positions_are_counted_one_by_one() -> None:
    x = np.zeros((4, 2, 3, 1), np.float32)
    labels = np.zeros((4, 2, 3), np.int32)
    labels[0] = 1
    task = Task(nn.Dense(2), (x, labels), (x, labels), batch_size=2)
    np.testing.assert_allclose(prior(task), [19 / 26, 7 / 26], rtol=1e-6)


def test_a_regression_has_none() -> None:
    with pytest.raises(ValueError, match=r"the leaf prior .* the task task has none: its output is 'identity'"):
        prior(task_of(np.arange(10.0), 1, "regression"))
