"""A task: what it knows of itself, what the model gets, and its old names."""

import dataclasses
import json
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glojax import models, tasks
from glojax.data import augmentation
from glojax.tasks import metrics
from glojax.tasks.task import Task
from glojax.training import grouping


def made(**changes: Any) -> Task:
    random = np.random.default_rng(0)
    x, labels = random.normal(size=(40, 5)), np.arange(40) % 3
    return Task(
        **({"model": models.MLP((4, 3)), "train": (x, labels), "validation": (x, labels), "batch_size": 8} | changes)
    )


X, LABELS = np.ones((40, 5)), np.arange(40) % 3


def test_a_sound_task_knows_its_classes_and_prints_briefly() -> None:
    task = made()
    assert task.classes == 3
    assert repr(task) == "Task('task': 40 train, 40 validation; 2000 steps in batches of 8)"


def test_the_fingerprint_follows_what_a_score_depends_on() -> None:
    task = made()
    assert made().fingerprint == task.fingerprint
    others = [
        made(steps=3), made(batch_size=9), made(model=models.MLP((5, 3))),
        made(train=(task.splits["train"].x + 1e-6, task.splits["train"].labels)),
        made(validation=(X, np.roll(LABELS, 1))), made(test=(X, LABELS)), made(preprocess=augmentation.from_bytes),
        made(augment=lambda key, x: x), made(preprocess=augmentation.from_bytes, augment=lambda key, x: x),
    ]  # fmt: skip
    assert len({task.fingerprint, *(other.fingerprint for other in others)}) == 10


def test_a_task_can_be_changed_in_one_field(tiny_task: Task) -> None:
    assert dataclasses.replace(tiny_task, steps=5).steps == 5


def test_the_fingerprint_holds_no_name_or_address_of_a_function() -> None:
    def one(outputs: jax.Array, labels: jax.Array) -> jax.Array:
        return jnp.float32(1)

    def other(outputs: jax.Array, labels: jax.Array) -> jax.Array:
        return jnp.float32(1)

    assert made(metric=one).fingerprint == made(metric=other).fingerprint != made().fingerprint
    assert made(preprocess=lambda x: x).fingerprint == made(preprocess=lambda x: 2 * x).fingerprint
    json.dumps(made().contents)


# OLD NAMES


@pytest.mark.parametrize(("field", "value"), [("group", 2), ("executor", print)])
def test_the_machine_in_a_task_is_deprecated_and_stays_readable(field: str, value: Any) -> None:
    with pytest.warns(
        DeprecationWarning, match=rf"Task\.{field} is deprecated; .*glojax\.search\(task, {field}="
    ) as seen:
        task = made(**{field: value})
    assert len(seen) == 1
    assert getattr(task, field) == value
    assert getattr(made(), field) is None
    with pytest.warns(DeprecationWarning, match=rf"Task\.{field}"):
        assert getattr(dataclasses.replace(task, steps=3), field) == value


@pytest.mark.parametrize(
    ("module", "found"), [(tasks, tasks.task_by_name), (metrics, metrics.metric_by_name)], ids=["tasks", "metrics"]
)
def test_the_old_name_of_a_look_up_warns(module: Any, found: Any) -> None:
    with pytest.warns(DeprecationWarning, match=f"named is now {found.__name__}"):
        assert module.named is found
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = module.other


# WHAT THE MODEL IS GIVEN


def images(**changes: Any) -> Task:
    x, labels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3)).astype(np.uint8), np.arange(40) % 3
    return made(train=(x, labels), validation=(x, labels), **changes)


def test_bytes_stay_bytes_and_are_float32_of_the_same_values_for_the_model() -> None:
    task = images()
    x = task.splits["train"].x
    assert x.dtype == np.uint8
    given = task.evaluation_input(jnp.asarray(x))
    assert given.dtype == jnp.float32
    np.testing.assert_array_equal(given, x.astype(np.float32))
    np.testing.assert_array_equal(task.training_input(jax.random.key(0), jnp.asarray(x)), given)


def test_the_model_is_given_what_preprocess_and_augment_make() -> None:
    task = images(preprocess=augmentation.cifar_evaluation, augment=augmentation.cifar_training)
    x, key = jnp.asarray(task.splits["train"].x[:8]), jax.random.key(1)
    assert (task.batch.shape, task.batch.dtype) == ((8, 24, 24, 3), jnp.float32)
    assert jax.tree.leaves(models.shapes(task.pure_model))[1].shape == (4, 24 * 24 * 3)
    np.testing.assert_array_equal(task.evaluation_input(x), augmentation.cifar_evaluation(x.astype(jnp.float32)))
    np.testing.assert_array_equal(task.training_input(key, x), augmentation.cifar_training(key, x.astype(jnp.float32)))


def test_memory_of_a_step_is_that_of_what_the_model_is_given() -> None:
    def group(**changes: Any) -> int:
        return grouping.group_that_fits(images(model=models.CNN(), batch_size=16, **changes), jax.devices()[0])

    assert group() < group(preprocess=lambda x: augmentation.centre_crop(x, 8))


STARTED = """
from jax._src import xla_bridge
import numpy as np
from glojax import augmentation, models, tasks
x, labels = np.zeros((40, 32, 32, 3), np.uint8), np.arange(40) % 3
task = tasks.Task(
    models.CifarCNN(), (x, labels), (x, labels), batch_size=8,
    preprocess=augmentation.cifar_evaluation, augment=augmentation.cifar_training,
)
print(task.fingerprint, xla_bridge.backends_are_initialized())
"""


def test_a_task_is_made_before_jax_starts() -> None:
    # Afterwards it is too late to make cores devices.
    ran = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=True)
    assert ran.stdout.split()[1] == "False"
