"""A task: what it knows of itself, what the model gets, and its old names."""

import dataclasses
import json
import subprocess
import sys
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from glojax import models, tasks
from glojax.data import augmentation
from glojax.discovery.scoring import evaluate
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_task_is_made_before_jax_starts() -> None:
    # Afterwards it is too late to make cores devices.
    ran = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=True)
    assert ran.stdout.split()[1] == "False"


def test_multi_steps_is_taken_as_its_transformation() -> None:
    several = optax.MultiSteps(optax.sgd(0.1), 4)
    task = made(optimizer=several)
    updates, _ = task.optimizer.update(jnp.ones(2), task.optimizer.init(jnp.ones(2)), jnp.ones(2))
    np.testing.assert_array_equal(updates, [0, 0])  # of the first of four steps


# IDS

IDS = np.random.default_rng(0).integers(0, 10, (60, 7))
PLACES = (IDS[:, 0] > 4).astype(int)


class LinenTokens(nn.Module):
    """An embedding of token ids."""

    @nn.compact
    def __call__(self, ids: jax.Array) -> jax.Array:
        return nn.Dense(2)(nn.Embed(256, 4)(ids).reshape(len(ids), -1))


class NnxTokens(nnx.Module):
    """The same."""

    def __init__(self, rngs: nnx.Rngs):
        self.embed, self.last = nnx.Embed(256, 4, rngs=rngs), nnx.Linear(28, 2, rngs=rngs)

    def __call__(self, ids: jax.Array) -> jax.Array:
        return self.last(self.embed(ids).reshape(len(ids), -1))


def functions_of_tokens() -> Any:
    def apply(params: jax.Array, state: Any, x: jax.Array, key: jax.Array, train: bool) -> Any:
        return params[x].sum(axis=1), state

    return lambda key: (jax.random.normal(key, (256, 2)), ()), apply


def task_of(x: np.ndarray, model: Any, **options: Any) -> Task:
    return Task(model, (x[:40], PLACES[:40]), (x[40:], PLACES[40:]), batch_size=20, steps=5, **options)


@pytest.mark.few(5)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, np.uint16, np.uint8])
@pytest.mark.parametrize("model", [LinenTokens(), NnxTokens, functions_of_tokens()], ids=["linen", "nnx", "functions"])
def test_ids_stay_integers_for_a_model_that_takes_nothing_else(model: Any, dtype: type) -> None:
    task = task_of(IDS.astype(dtype), model)
    assert task.splits["train"].x.dtype == task.batch.dtype == np.int32
    np.testing.assert_array_equal(task.splits["validation"].x, IDS[40:])
    assert dataclasses.replace(task, steps=6).batch.dtype == np.int32


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, bool, np.float64])
def test_whole_numbers_are_floats_for_a_model_that_takes_them(dtype: type) -> None:
    task = task_of(IDS.astype(dtype), nn.Dense(2))
    assert task.splits["train"].x.dtype == task.batch.dtype == np.float32


def test_ids_that_float32_would_merge_stay_integers() -> None:
    ids = IDS + 2**24
    hashed = linen_of(lambda self, x: nn.Dense(2)(jax.nn.one_hot(x.astype(jnp.int32) % 64, 64).reshape(len(x), -1)))
    task = task_of(ids, hashed)
    assert task.batch.dtype == np.int32
    np.testing.assert_array_equal(task.splits["train"].x, ids[:40])
    assert task_of(IDS, hashed).batch.dtype == np.float32
    assert task_of(IDS + 2**40, nn.Dense(2)).batch.dtype == np.float32  # beyond int32: measurements


def linen_of(call: Any) -> nn.Module:
    return type("Network", (nn.Module,), {"__call__": nn.compact(call)})()


def test_preprocess_and_augment_get_the_ids() -> None:
    seen = []

    def preprocess(x: jax.Array) -> jax.Array:
        seen.append(x.dtype)
        return x + 1

    def augment(key: jax.Array, x: jax.Array) -> jax.Array:
        seen.append(x.dtype)
        return x + 1

    assert task_of(IDS, LinenTokens(), preprocess=preprocess, augment=augment).batch.dtype == np.int32
    assert seen[-2:] == [np.int32, np.int32]
    by_hand = task_of(IDS.astype(float), LinenTokens(), preprocess=lambda x: x.astype(jnp.int32))
    assert by_hand.splits["train"].x.dtype == np.float32
    assert by_hand.batch.dtype == np.int32


def test_a_model_that_takes_neither_says_why() -> None:
    with pytest.raises(ValueError, match=r"called with float32\[20, 7\], raises ZeroDivisionError"):
        task_of(IDS, linen_of(lambda self, x: 1 / 0))
    with pytest.raises(ValueError, match=r"called with float32\[20, 7\], raises ValueError.*must be an integer"):
        task_of(IDS + 0.5, LinenTokens())


@pytest.mark.slow
def test_a_population_learns_from_ids() -> None:
    scores = evaluate(
        dataclasses.replace(task_of(IDS, LinenTokens(), optimizer=optax.adam(0.05)), steps=200), ["brier"]
    )
    assert scores.mean() > 0.7


@pytest.mark.parametrize(("examples", "batch_size"), [(6, 6), (60, 60), (100, 100), (140, 100)])
def test_a_batch_that_nobody_gave_is_no_larger_than_the_training_set(examples: int, batch_size: int) -> None:
    x, labels = np.eye(140, 4, dtype=np.float32), np.arange(140) % 2
    task = Task(models.MLP((4, 2)), (x[:examples], labels[:examples]), (x, labels))
    assert task.batch_size == batch_size
    assert dataclasses.replace(task, train=(x, labels)).batch_size == 100
    assert dataclasses.replace(task, train=(x[:4], labels[:4])).batch_size == 4
