"""Fed inputs give the record of the same arrays on the device, to the bit, with little of them in memory at a time."""

from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest

from glojax.data.fed import Fed
from glojax.expressions.parsing import parse
from glojax.tasks.identity import differences, identity
from glojax.tasks.task import Task
from glojax.training import feeding
from glojax.training.feeding import Feeder
from glojax.training.learner import minibatches
from glojax.training.trainer import Trainer

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 256, (60, 4, 4, 1)).astype(np.uint8)
LABELS = (X.mean(axis=(1, 2, 3)) > 127).astype(int)
TOKENS = RANDOM.integers(0, 9, (60, 5))


class Pixels(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(2)(x.reshape(len(x), -1) / 255)


class Tokens(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(2)(nn.Embed(9, 3)(x).mean(axis=1))


def task_of(x: Any, model: nn.Module | None = None, **fields: Any) -> Task:
    validation = (X if model is None else TOKENS, LABELS)
    training = {"optimizer": optax.sgd(0.1), "batch_size": 10, "steps": 7}
    return Task(Pixels() if model is None else model, (x, LABELS), validation, **(training | fields))


def scores(task: Task, **options: Any) -> np.ndarray:
    trainer = Trainer(task, instructions=3)
    trees = [parse("x * log(y)"), parse("x * log(y)"), parse("log(y) - x / y")]
    candidates = trainer.candidates(trees, seeds=[1, 2, 2])
    return trainer.train(candidates, [4, 7], splits=("train", "validation"), **options).scores


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return scores(task_of(X))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fed") / "x.npy"
    np.save(path, X)
    return path


@pytest.mark.slow
def test_fed_inputs_give_the_scores_of_those_on_the_device_to_the_bit(
    file: Path, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "_BYTES", 3 * 10 * 16)  # three steps at a time
    task = task_of(Fed(file))
    assert Feeder(task).steps(100) == 3
    np.testing.assert_array_equal(scores(task), expected)


@pytest.mark.slow
def test_a_training_of_fed_inputs_is_continued_from_a_checkpoint(
    file: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop(reached: int, scores: np.ndarray) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        scores(task_of(Fed(file)), directory=tmp_path / "kept", on_stop=stop)
    np.testing.assert_array_equal(scores(task_of(Fed(file)), directory=tmp_path / "kept"), expected)


@pytest.mark.slow
def test_a_task_of_fed_inputs_is_the_task_of_the_same_arrays(file: Path) -> None:
    one, other = task_of(Fed(file)), task_of(X)
    assert one.fingerprint == other.fingerprint
    assert differences(identity(one), identity(other)) == []
    assert task_of(Fed(file, digest="v1")).fingerprint != task_of(Fed(file, digest="v2")).fingerprint
    tree = {"a": X, "b": TOKENS}
    by_name = Task(AsDict(), (Fed(tree), LABELS), (tree, LABELS), batch_size=10)
    assert by_name.contents["train"] == by_name.contents["validation"]


class AsDict(nn.Module):
    @nn.compact
    def __call__(self, a: jax.Array, b: jax.Array) -> jax.Array:
        return nn.Dense(2)(a.reshape(len(a), -1)) + nn.Embed(9, 2)(b).mean(axis=1)


def test_token_ids_stay_integers() -> None:
    task = task_of(Fed(TOKENS), Tokens())
    assert task.batch.dtype == np.int32
    assert task.splits["train"].x[:2].dtype == np.int32
    assert task_of(Fed(X.astype(np.int64))).batch.dtype == np.float32


def test_a_portion_holds_the_minibatches_of_its_steps() -> None:
    task = task_of(Fed(X))
    portion = Feeder(task).take([3, 8, 9], 2, 7, 6)
    x, labels = portion.batch
    assert len(x) == len(labels) == 60  # no more than there are
    for seed, places in portion.places.items():
        expected = minibatches(seed, 60, 10, 2, 7)
        np.testing.assert_array_equal(x[places], X[expected])
        np.testing.assert_array_equal(labels[places], LABELS[expected])
    assert len(Feeder(task).take([3], 0, 1, 2).batch[0]) == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": (Fed(X[:, :3]), LABELS)}, "inputs differ in shape"),
        ({"train": (Fed(X[:50]), LABELS)}, r"labels are int64\[60\]; integers of shape \[50\]"),
        ({"train": (Fed(X[:, :3]), LABELS)}, "inputs differ in shape"),
        ({"train": (Fed(X.astype("U")), LABELS)}, r"Task.train: inputs are <U3\[1, 4, 4, 1\]; real numbers"),
    ],
)
def test_fed_inputs_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Task(Pixels(), **({"train": (X, LABELS), "validation": (X, LABELS)} | changes))


def test_an_example_that_is_not_finite_is_named_when_it_is_read() -> None:
    x = X.astype(np.float32)
    x[41] = np.nan
    with pytest.raises(ValueError, match="inputs of example 41 are NaN or infinite"):
        Feeder(task_of(Fed(x))).take([0], 0, 6, 6)
