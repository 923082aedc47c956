"""What a task refuses, with the message that names it; nothing is trained."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax import models
from glojax.tasks.task import Task


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
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
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
        ({"train": (X, LABELS - 1)}, "train: labels hold -1; classes count from 0"),
        ({"train": (X, LABELS * 0 + 2)}, r"one class, \[2\]; at least two"),
        ({"train": X}, "train must be a pair of arrays"),
        ({"train": (X[:0], LABELS[:0])}, "with an example is expected"),
        ({"train": (np.ones(40), LABELS)}, r"inputs have shape \[40\]"),
        ({"validation": (X[:, :4], LABELS)}, "inputs differ in shape"),
        ({"batch_size": 41}, "batch_size is 41; 1 to 40"),
        ({"precision": "float32"}, "Task.precision is 'float32'; allowed are highest, tf32, bf16 and None"),
        ({"batch_size": 0}, "batch_size is 0; 1 to 40"),
        ({"steps": 0}, "steps is 0"),
        ({"group": 0}, "group is 0; it must be at least 1"),
        ({"model": models.MLP((4, 2))}, r"output of shape \[8, 2\].*at least 3 classes"),
        ({"model": nn.Sequential([models.MLP((4, 3)), jnp.ravel])}, r"output of shape \[24\]"),
        ({"model": "mlp"}, "Linen module .an object., an NNX constructor"),
        (
            {"model": NeedsMore()},
            "model, a NeedsMore, needs 'mask' in its call; a module is called with inputs",
        ),
        (
            {"model": Raises()},
            r"called with float32\[8, 5\], raises KeyError \(.*checks.py, line \d+\): 'missing'",
        ),
        ({"model": lambda rngs: 1 / 0}, r"called with nnx.Rngs, raises ZeroDivisionError \(.*test_checks.py, line"),
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
        (
            {"optimizer": optax.contrib.reduce_on_plateau()},
            "optimizer raises ValueError: it needs 'value' in its update",
        ),
        ({"train": (X.astype(str), LABELS)}, r"train: inputs are <U32\[40, 5\]; real numbers are expected"),
        ({"train": (X.astype(object), LABELS)}, r"train: inputs are object\[40, 5\]; real numbers are expected"),
        ({"train": (X, LABELS.astype(str))}, r"train: labels are <U21\[40\]; integers of shape \[40\]"),
        ({"validation": None}, "validation must be a pair of arrays"),
        ({"steps": 10.5}, "steps is 10.5; it must be at least 1, a whole number"),
        ({"steps": "10"}, "steps is '10'; it must be at least 1, a whole number"),
        ({"batch_size": 8.0}, "batch_size is 8.0; 1 to 40"),
        ({"group": "2"}, "group is '2'; it must be at least 1, a whole number"),
        ({"metric": "rmse"}, "metric is 'rmse', which is for numbers; these labels are classes"),
        ({"preprocess": lambda x: x @ jnp.ones((3, 3))}, r"preprocess raises TypeError \(.*test_checks.py, line"),
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


def test_a_long_message_of_a_user_s_function_is_cut() -> None:
    def long(x: Any) -> Any:
        raise RuntimeError("word\n" * 200)

    with pytest.raises(ValueError, match=r"Task.preprocess raises RuntimeError .*: word word .*\.\.\.$") as raised:
        made(preprocess=long)
    assert len(str(raised.value)) < 500
