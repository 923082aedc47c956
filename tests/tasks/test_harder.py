"""Tasks made harder: what is changed, what stays, and what cannot be."""

import dataclasses

import flax.linen as nn
import numpy as np
import pytest

from glojax import data, models, tasks
from glojax.tasks import identity
from glojax.tasks.task import Task


def test_label_noise_is_in_training_alone_unless_validation_gets_it_too(tiny_task: Task) -> None:
    noisy = tasks.harder(tiny_task, label_noise=0.4)
    assert (noisy.splits["train"].labels != tiny_task.splits["train"].labels).sum() == 80
    both = tasks.harder(tiny_task, label_noise=0.4, noisy_validation=True)
    assert (both.splits["validation"].labels != tiny_task.splits["validation"].labels).sum() == 40
    for task, part in ((noisy, "validation"), (noisy, "test"), (both, "test")):
        np.testing.assert_array_equal(task.splits[part].labels, tiny_task.splits[part].labels)
    np.testing.assert_array_equal(noisy.splits["train"].x, tiny_task.splits["train"].x)
    assert noisy.name == "tiny, 40% label noise"
    assert identity.differences(identity.identity(tiny_task), identity.identity(noisy)) == ["other training data"]


def test_few_examples_and_imbalance_leave_validation_alone(tiny_task: Task) -> None:
    task = tasks.harder(tiny_task, train_examples=10, imbalance=4, noisy_validation=True)
    assert len(task.splits["train"].labels) == task.batch_size == 10
    assert len(task.splits["validation"].labels) == 100
    assert task.name == "tiny, imbalance 4, 10 examples"
    counts = np.bincount(tasks.harder(tasks.digits(), imbalance=50).splits["train"].labels)
    assert counts[0] / counts[-1] == pytest.approx(50, rel=0.3)


def test_nothing_asked_is_the_task_itself(tiny_task: Task) -> None:
    assert tasks.harder(tiny_task) is tiny_task


def test_outliers_are_in_training_and_the_test_set_is_clean() -> None:
    clean, task = tasks.diabetes(), tasks.diabetes(outliers=0.2)
    assert (clean.splits["train"].labels != task.splits["train"].labels).sum() == round(0.2 * 264)
    for part in ("validation", "test"):
        np.testing.assert_array_equal(clean.splits[part].labels, task.splits[part].labels)
    assert np.abs(task.splits["train"].labels).max() > 6


def test_binary_labels_are_flipped_and_made_rare() -> None:
    x = np.random.default_rng(0).normal(size=(200, 3))
    part = (x, np.arange(200) % 2)
    task = Task(models.MLP((1,)), part, part, kind="binary", steps=5)
    flipped = tasks.harder(task, label_noise=0.1)
    assert (flipped.splits["train"].labels != task.splits["train"].labels).sum() == 20
    rare = tasks.harder(task, imbalance=10).splits["train"].labels
    assert (int((rare == 0).sum()), int((rare == 1).sum())) == (100, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_noise": 1.1}, "harder: label_noise is 1.1; a number from 0 to 1 is allowed"),
        ({"label_noise": float("nan")}, "harder: label_noise is nan"),
        ({"label_noise": True}, "harder: label_noise is True"),
        ({"noise": "some"}, "harder: noise is 'some'; allowed are symmetric, pairs"),
        ({"imbalance": 0.5}, "harder: imbalance is 0.5; a number from 1"),
        ({"train_examples": 201}, "train_examples is 201; 1 to 200, the training examples, are allowed"),
        ({"train_examples": 0}, "train_examples is 0"),
        ({"outliers": 0.1}, "harder: outliers is 0.1; tiny has classes"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tiny_task: Task, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.harder(tiny_task, **options)


def test_classes_are_needed_for_label_noise_and_imbalance(tiny_task: Task) -> None:
    with pytest.raises(ValueError, match=r"label_noise is 0.2; the labels of diabetes are not classes. Give outliers"):
        tasks.harder(tasks.diabetes(), label_noise=0.2)
    with pytest.raises(ValueError, match="imbalance was given; the labels of diabetes are not one class"):
        tasks.harder(tasks.diabetes(), imbalance=3)
    soft = dataclasses.replace(
        tiny_task,
        **{name: (part.x, np.eye(10)[part.labels] * 0.9 + 0.01) for name, part in tiny_task.splits.items()},
        model=nn.Sequential([lambda x: x.reshape(len(x), -1), nn.Dense(10)]),
    )
    with pytest.raises(ValueError, match=r"label_noise is 0.2; the labels of tiny are not classes"):
        tasks.harder(soft, label_noise=0.2)
    assert len(tasks.harder(soft, train_examples=50).splits["train"].labels) == 50


def test_diabetes_is_scaled_by_its_training_part() -> None:
    splits = data.diabetes()
    assert [len(part.labels) for part in splits] == [264, 89, 89]
    np.testing.assert_allclose(splits.train.x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(splits.train.x.std(axis=0), 1, rtol=1e-5)
    assert abs(float(splits.test.labels.mean())) > 1e-3
