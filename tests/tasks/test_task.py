"""Tasks: what is accepted, and what is refused before anything trains."""

import dataclasses
import py_compile
import subprocess
import sys
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import SmallSets

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


def with_nan() -> np.ndarray:
    x = np.ones((40, 5))
    x[[7, 9], 2] = np.nan, np.inf
    return x


X, LABELS = np.ones((40, 5)), np.arange(40) % 3


class NeedsMore(nn.Module):
    def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
        return x


class Raises(nn.Module):
    def __call__(self, x: jax.Array) -> jax.Array:
        return {}["missing"]


class Two(nn.Module):
    def __call__(self, x: jax.Array) -> Any:
        return x[:, :3], x


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
        ({"model": "mlp"}, "Linen module .an object., an NNX constructor"),
        (
            {"model": NeedsMore()},
            "model, a NeedsMore, needs 'deterministic' in its call; a module is called with inputs",
        ),
        ({"model": Raises()}, r"called with float32\[8, 5\], raises KeyError \(.*test_task.py, line \d+\): 'missing'"),
        ({"model": lambda rngs: 1 / 0}, r"called with nnx.Rngs, raises ZeroDivisionError \(.*test_task.py, line"),
        (
            {"model": Two()},
            r"model gives \('float32\[8, 3\]', 'float32\[8, 5\]'\); one floating array \[batch, outputs\]",
        ),
        ({"model": (lambda key: ({}, 0), lambda *given: (given[2][:, :3].astype(int), 0))}, r"gives int32\[8, 3\]"),
        ({"model": (lambda key: {}, lambda params, x: x)}, r"called with float32\[8, 5\], raises ValueError"),
        (
            {"model": (lambda key: ({}, jnp.zeros(2)), lambda *given: (given[2][:, :3], jnp.zeros(3)))},
            r"model makes of the state float32\[2\] the state float32\[3\]; both must be alike",
        ),
        ({"optimizer": "adam"}, "optimizer is 'adam'; an optax optimizer"),
        ({"optimizer": optax.adam}, "optimizer is <function adam .*>; an optax optimizer"),
        ({"optimizer": 0.1}, "optimizer is 0.1; an optax optimizer"),
        ({"optimizer": optax.contrib.reduce_on_plateau()}, "optimizer raises TypeError: .*'value'"),
        ({"train": (X.astype(str), LABELS)}, r"train: inputs are <U32\[40, 5\]; real numbers are expected"),
        ({"train": (X.astype(object), LABELS)}, r"train: inputs are object\[40, 5\]; real numbers are expected"),
        ({"train": (X, LABELS.astype(str))}, r"train: labels are <U21\[40\]; integers of shape \[40\]"),
        ({"validation": None}, "validation must be a pair of arrays"),
        ({"steps": 10.5}, "steps is 10.5; it must be at least 1, a whole number"),
        ({"steps": "10"}, "steps is '10'; it must be at least 1, a whole number"),
        ({"batch_size": 8.0}, "batch_size is 8.0; 1 to 40"),
        ({"group": "2"}, "group is '2'; it must be at least 1, a whole number"),
        ({"metric": "rmse"}, "metric is 'rmse', which is for numbers; these labels are classes"),
        ({"preprocess": lambda x: x @ jnp.ones((3, 3))}, r"preprocess raises TypeError \(.*test_task.py, line"),
        ({"augment": lambda x: x}, "augment raises TypeError: .*takes 1 positional argument but 2 were given"),
        ({"test": (X, LABELS + 3)}, r"output of shape \[8, 3\].*at least 6 classes"),
        (
            {"augment": lambda key, x: x[:, :4]},
            r"augment gives float32\[8, 4\], .* float32\[8, 5\]; both must be alike",
        ),
        ({"preprocess": lambda x: x[:, :4], "augment": lambda key, x: x}, r"augment gives float32\[8, 5\], .*\[8, 4\]"),
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
    assert float(metrics.accuracy(logits, jnp.array([1, 0, 0, 0]))) == 0.75


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


# BY NAME


def test_a_ready_made_task_is_found_by_name() -> None:
    task = tasks.task_by_name("digits", steps=7)
    assert (task.name, task.steps, task.batch_size) == ("digits-mlp", 7, 32)
    assert tasks.task_by_name("digits", network="cnn").fingerprint != task.fingerprint


def test_mnist_is_the_papers_task(small_sets: SmallSets) -> None:
    task = tasks.task_by_name("mnist", data_dir=small_sets.data_dir)
    assert (task.name, task.steps, task.batch_size) == ("mnist", 2000, 100)
    assert [len(split.labels) for split in task.splits.values()] == [1100, 100, 30]
    assert task.splits["train"].x.dtype == np.uint8
    assert sum(leaf.size for leaf in jax.tree.leaves(models.shapes(task.pure_model)[0])) == 3_274_634
    given = task.evaluation_input(jnp.asarray(task.splits["test"].x))
    np.testing.assert_allclose(given, task.splits["test"].x / 255, rtol=1e-6)
    update, _ = task.optimizer.update(jnp.ones(2), task.optimizer.init(jnp.ones(2)), jnp.ones(2))
    np.testing.assert_allclose(update, -0.01, rtol=1e-6)


def test_cifar10_is_the_papers_task(small_sets: SmallSets) -> None:
    task = tasks.task_by_name("cifar10", data_dir=small_sets.data_dir, steps=7)
    assert (task.name, task.steps, task.batch_size) == ("cifar10", 7, 1024)
    assert [len(split.labels) for split in task.splits.values()] == [1080, 120, 30]
    assert task.batch.shape == (1024, 24, 24, 3)
    assert (task.preprocess, task.augment) == (augmentation.cifar_evaluation, augmentation.cifar_training)


def test_cifar10_decays_weights_and_divides_its_rate_by_ten_every_350_epochs(small_sets: SmallSets) -> None:
    optimizer = tasks.cifar10(data_dir=small_sets.data_dir).optimizer  # an epoch is one batch
    params = jnp.array([3.0, -1.0])
    for steps, rate in ((0, 0.05), (349, 0.05), (350, 0.005), (700, 0.0005)):
        state = optimizer.init(params)
        state = jax.tree.map(lambda leaf, steps=steps: jnp.full_like(leaf, steps), state)
        update, _ = optimizer.update(jnp.array([2.0, 2.0]), state, params)
        np.testing.assert_allclose(update, -rate * (2 + 0.004 * params), rtol=1e-5)


SOURCE = """
import numpy as np
from glojax import Task, models
def task(data_dir=None):
    assert data_dir in (None, "here")
    x = np.ones((6, 2))
    return Task(models.MLP((2, 2)), (x, np.arange(6) % 2), (x, np.arange(6) % 2), batch_size=2, name="mine")
def needy(size, steps=3):
    return task()
made = task()
other = 3
"""


@pytest.mark.parametrize("attribute", ["task", "made"])
def test_a_task_of_the_users_own_file_is_found(tmp_path: Path, attribute: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    assert tasks.task_by_name(f"{path}:{attribute}").name == "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "'digit' is not known; allowed are digits"),
        ("nowhere.py:task", "there is no file 'nowhere.py'"),
        ("os:system", "'os:system' is not known"),
        ("{path}:other", "other in .*mine.py is no Task and no function that returns one; there are task, needy, made"),
        (
            "{path}:missing",
            "missing in .*mine.py is no Task and no function that returns one; there are task, needy, made",
        ),
        ("{path}:__class__", "__class__ in .* is no Task"),
        ("{path}:needy", "needs size; a function that can do without is expected"),
    ],
)
def test_what_is_no_task_is_refused(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    with pytest.raises(ValueError, match=message):
        tasks.task_by_name(name.format(path=path))


@pytest.mark.parametrize("content", [b"def task(:", b"\xff\xfe", b"a = 1\x00"])
def test_a_file_that_is_not_python_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.py").write_bytes(content)
    with pytest.raises(ValueError, match=r"mine\.py raises (SyntaxError|ValueError)"):
        tasks.task_by_name(f"{tmp_path / 'mine.py'}:task")


def test_compiled_files_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()")
    py_compile.compile(str(tmp_path / "mine.py"), str(tmp_path / "mine.pyc"))
    with pytest.raises(ValueError, match="is not known; allowed are digits"):
        tasks.task_by_name(f"{tmp_path / 'mine.pyc'}:task")
    assert not (tmp_path / "mark").exists()


def test_a_users_file_takes_no_other_modules_place(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(SOURCE)
    assert tasks.task_by_name(f"{tmp_path / 'json.py'}:task").name == "mine"
    assert sys.modules["json"].__file__ != str(tmp_path / "json.py")


def test_digits_refuse_an_unknown_network() -> None:
    with pytest.raises(ValueError, match="network is 'rnn'; allowed are mlp, cnn"):
        tasks.digits(network="rnn")


def test_a_task_can_be_changed_in_one_field(tiny_task: Task) -> None:
    assert dataclasses.replace(tiny_task, steps=5).steps == 5


def test_an_option_reaches_a_function_that_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    assert tasks.task_by_name(f"{path}:task", data_dir="here").name == "mine"
    with pytest.raises(ValueError, match=r"mine.py:task' raises AssertionError \(.*mine.py, line 5\)"):
        tasks.task_by_name(f"{path}:task", data_dir="there")


@pytest.mark.parametrize("name", ["digits", "{path}:made"])
def test_an_option_that_a_task_does_not_take_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    with pytest.raises(ValueError, match="takes no data_dir; allowed for mnist, cifar10"):
        tasks.task_by_name(name.format(path=path), data_dir="here")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import nothing_like_it",
            r"raises ModuleNotFoundError \(.*mine.py, line 1\): No module named 'nothing_like_it'",
        ),
        ("x = 1\ndef task(:\n    pass", r"raises SyntaxError \(.*mine.py, line 2\): invalid syntax"),
        ("x = 1 / 0", r"raises ZeroDivisionError \(.*mine.py, line 1\): division by zero"),
        ("def task():\n    return {}['a']", r"mine.py:task' raises KeyError \(.*mine.py, line 2\): 'a'"),
        (
            "def task(a):\n    pass",
            "mine.py:task' needs a; a function that can do without is expected",
        ),
        ("def task():\n    pass\ndef other():\n    pass", "is no Task .*; there are task, other"),
        ("", "task in .*mine.py is no Task and no function that returns one; there are none"),
        (SOURCE.replace("% 2", "% 3"), r"raises ValueError \(.*mine.py, line 7\): Task.model gives an output"),
    ],
)
def test_a_file_that_fails_is_named_with_the_line(tmp_path: Path, source: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(ValueError, match=message) as raised:
        tasks.task_by_name(f"{path}:task")
    assert "\n" not in str(raised.value)


def test_a_file_may_import_its_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "the_neighbour.py").write_text(SOURCE)
    (tmp_path / "mine.py").write_text("from the_neighbour import task")
    assert tasks.task_by_name(f"{tmp_path}/mine.py:task").name == "mine"


def test_a_long_message_of_a_user_s_function_is_cut() -> None:
    def long(x: Any) -> Any:
        raise RuntimeError("word\n" * 200)

    with pytest.raises(ValueError, match=r"Task.preprocess raises RuntimeError .*: word word .*\.\.\.$") as raised:
        made(preprocess=long)
    assert len(str(raised.value)) < 500
