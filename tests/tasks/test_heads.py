"""Tasks of several outputs: one gradient, the sum of the outputs', one score, the mean, and clear errors."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import accuracy_score

import glojax
from glojax.expressions.parsing import parse
from glojax.expressions.programs import encode
from glojax.tasks.identity import differences, identity
from glojax.tasks.task import Task
from glojax.training import learner
from glojax.training.gradients import program_gradient

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(20, 5)).astype(np.float32)
SIGN, SIZE = (X[:, 0] > 0).astype(int), np.digitize(X[:, 1], [-0.5, 0.5])
LABELS = {"sign": SIGN, "size": SIZE}


class TwoHeads(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> Any:
        hidden = nn.tanh(nn.Dense(6)(x))
        return {"size": nn.Dense(3)(hidden), "sign": nn.Dense(2)(hidden)}


class Pair(NamedTuple):
    sign: Any
    size: Any


def task_of(labels: Any = None, model: nn.Module | None = None, **fields: Any) -> Task:
    part = (X, LABELS if labels is None else labels)
    settings = {"train": part, "validation": part, "optimizer": optax.sgd(0.5), "batch_size": 10, "steps": 4}
    return Task(TwoHeads() if model is None else model, averaging=0, **(settings | fields))


@pytest.fixture(scope="module")
def task() -> Task:
    return task_of()


@pytest.mark.slow
def test_a_step_follows_the_sum_of_the_mean_losses(task: Task) -> None:
    keys = learner.keys_of(jnp.uint32(1))
    start = learner.start(task, keys)
    program = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), encode([parse("x * log(y)")], instructions=2))

    def loss(params: Any) -> jax.Array:
        made: Any = TwoHeads().apply({"params": params}, X)
        of_each = [optax.softmax_cross_entropy_with_integer_labels(made[name], LABELS[name]).mean() for name in LABELS]
        return of_each[0] + of_each[1]

    labels = task.splits["train"].labels
    after = jax.jit(
        lambda start: learner.step(
            task, program_gradient(False), start, program, jnp.float32(1), keys, jnp.int32(0), X, labels
        )
    )(start)
    expected = jax.tree.map(lambda p, g: p - 0.5 * g, start.params, jax.grad(loss)(start.params))
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-6), after.params, expected
    )

    made: Any = TwoHeads().apply({"params": start.params}, X)
    accuracies = [accuracy_score(LABELS[name], made[name].argmax(axis=-1)) for name in LABELS]
    score = jax.jit(lambda start: learner.score(task, start, keys, X, labels))(start)
    np.testing.assert_allclose(score, np.mean(accuracies), rtol=1e-6)


@pytest.mark.slow
def test_heads_are_trained_and_told_apart(task: Task) -> None:
    scores = glojax.evaluate(task, ["x * log(y)"], seeds=2)
    assert scores.shape == (1, 2)
    assert 0.2 < scores.min() <= 1
    assert [head.outputs for head in task.heads] == [2, 3]
    assert differences(identity(task), identity(task_of())) == []
    other = task_of(LABELS | {"size": (SIZE + 1) % 3})
    assert other.contents["train"] != task.contents["train"]
    assert other.fingerprint != task.fingerprint


def test_the_best_constant_is_the_mean_of_that_of_each_output(task: Task) -> None:
    shares = [np.bincount(labels).max() / len(labels) for labels in LABELS.values()]
    np.testing.assert_allclose(glojax.tasks.constant_metric(task), np.mean(shares))


def test_a_task_of_several_outputs_can_be_made_again(task: Task) -> None:
    few = glojax.tasks.harder(task, train_examples=11)
    assert few.splits["train"].labels["size"].shape == (11,)
    assert len(few.heads) == 2
    with pytest.raises(ValueError, match="labels of several outputs; only train_examples"):
        glojax.tasks.harder(task, label_noise=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": Pair(SIGN, SIZE)}, r"outputs .*'sign'.*'size'.*, and labels are .*Pair"),
        ({"labels": LABELS | {"size": SIZE[:9]}}, r"labels are int64\[9\]; .*It is the output \['size'\]"),
        ({"labels": LABELS | {"sign": 2 * SIGN}}, r"at least 3 classes .*It is the output \['sign'\]"),
        ({"validation": (X, SIGN)}, "Task.validation: labels are .*; those of the training set are .*'sign'.*'size'"),
        ({"class_weights": (1, 2)}, "Task.class_weights is given, and labels are of several outputs"),
        ({"where": {"train": SIGN > 0}}, r"Task.where\['train'\]: masks are .* all must be alike"),
        ({"where": {"train": {"sign": SIZE > 0, "size": SIZE}}}, r"Task.where\['train'\] is int64\[20\]; bool\[20\]"),
    ],
)
def test_labels_that_do_not_fit_the_outputs_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_of(**changes)


def test_a_mask_of_one_output_is_that_alone() -> None:
    where = {"train": {"sign": SIZE > 0, "size": np.ones(20, bool)}}
    labels = task_of(where=where).splits["train"].labels
    np.testing.assert_array_equal(labels["sign"], np.where(SIZE > 0, SIGN, -1))
    np.testing.assert_array_equal(labels["size"], SIZE)
