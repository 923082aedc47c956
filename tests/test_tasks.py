"""Tasks: what is accepted, and what is refused before anything trains."""

import dataclasses
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from glojax import models, tasks
from glojax.tasks import Task


def made(**changes: Any) -> Task:
    random = np.random.default_rng(0)
    x, labels = random.normal(size=(40, 5)), np.arange(40) % 3
    return Task(
        **({"model": models.MLP((4, 3)), "train": (x, labels), "validation": (x, labels), "batch_size": 8} | changes)
    )


def with_nan() -> np.ndarray:
    x = np.ones((40, 5))
    x[[7, 9], 2] = np.nan, np.inf
    return x


X, LABELS = np.ones((40, 5)), np.arange(40) % 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": (with_nan(), LABELS)}, "train: inputs of 2 examples are NaN or infinite, the first at 7"),
        ({"validation": (with_nan(), LABELS)}, "validation: inputs of 2 examples"),
        ({"train": (X, LABELS[:39])}, r"train: labels are int64\[39\]; integers of shape \[40\]"),
        ({"train": (X, np.eye(3)[LABELS])}, r"train: labels are float64\[40, 3\]; integers of shape \[40\]"),
        ({"train": (X, LABELS.astype(float))}, r"train: labels are float64\[40\]"),
        ({"train": (X, LABELS - 1)}, "train: labels hold -1; classes count from 0"),
        ({"train": (X, LABELS * 0 + 2)}, r"one class, \[2\]; at least two"),
        ({"train": X}, "train must be a pair of arrays"),
        ({"train": (X[:0], LABELS[:0])}, "with an example is expected"),
        ({"train": (np.ones(40), LABELS)}, r"inputs have shape \[40\]"),
        ({"validation": (X[:, :4], LABELS)}, "inputs differ in shape"),
        ({"batch_size": 41}, "batch_size is 41; 1 to 40"),
        ({"batch_size": 0}, "batch_size is 0; 1 to 40"),
        ({"steps": 0}, "steps is 0"),
        ({"group": 0}, "group is 0; it must be at least 1"),
        ({"model": models.MLP((4, 2))}, r"output of shape \[8, 2\].*at least 3 classes"),
        ({"model": nn.Sequential([models.MLP((4, 3)), jnp.ravel])}, r"output of shape \[24\]"),
        ({"model": "mlp"}, "Linen module, an NNX constructor"),
        ({"test": (X, LABELS + 3)}, r"output of shape \[8, 3\].*at least 6 classes"),
    ],
)
def test_bad_input_is_refused_by_name(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(**changes)


def test_a_sound_task_knows_its_classes_and_prints_briefly() -> None:
    task = made()
    assert task.classes == 3
    assert repr(task) == "Task('task': 40 train, 40 validation; 2000 steps in batches of 8)"


def test_accuracy_is_the_share_of_right_answers() -> None:
    logits = jnp.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [5.0, 4.0]])
    assert float(tasks.accuracy(logits, jnp.array([1, 0, 0, 0]))) == 0.75


def test_the_fingerprint_follows_what_a_score_depends_on() -> None:
    task = made()
    assert made().fingerprint == task.fingerprint
    others = [
        made(steps=3), made(batch_size=9), made(model=models.MLP((5, 3))),
        made(train=(task.splits["train"].x + 1e-6, task.splits["train"].labels)),
        made(validation=(X, np.roll(LABELS, 1))), made(test=(X, LABELS)),
    ]  # fmt: skip
    assert len({task.fingerprint, *(other.fingerprint for other in others)}) == 7


# BY NAME


def test_a_ready_made_task_is_found_by_name() -> None:
    task = tasks.named("digits", steps=7)
    assert (task.name, task.steps, task.batch_size) == ("digits-mlp", 7, 32)
    assert tasks.named("digits", network="cnn").fingerprint != task.fingerprint


SOURCE = """
import numpy as np
from glojax import Task, models
def task():
    x = np.ones((6, 2))
    return Task(models.MLP((2, 2)), (x, np.arange(6) % 2), (x, np.arange(6) % 2), batch_size=2, name="mine")
made = task()
other = 3
"""


@pytest.mark.parametrize("attribute", ["task", "made"])
def test_a_task_of_the_users_own_file_is_found(tmp_path: Path, attribute: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    assert tasks.named(f"{path}:{attribute}").name == "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "'digit' is not known; allowed are digits"),
        ("nowhere.py:task", "there is no file nowhere.py"),
        ("{path}:other", "other in .* is no Task"),
        ("{path}:missing", "missing in .* is no Task"),
    ],
)
def test_what_is_no_task_is_refused(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    with pytest.raises(ValueError, match=message):
        tasks.named(name.format(path=path))


def test_digits_refuse_an_unknown_network() -> None:
    with pytest.raises(ValueError, match="network is 'rnn'; allowed are mlp, cnn"):
        tasks.digits(network="rnn")


def test_a_task_can_be_changed_in_one_field(tiny_task: Task) -> None:
    assert dataclasses.replace(tiny_task, steps=5).steps == 5
