"""How a network is spread: which parameter is divided, and what is refused before anything is trained."""

from typing import Any

import jax
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec

import glojax
from glojax import models
from glojax.tasks.task import Task

X, LABELS = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32), np.arange(20) % 4
COLUMNS, ROWS = PartitionSpec(None, "model"), PartitionSpec("model")


def task_of(sharding: Any) -> Task:
    return Task(models.MLP((8, 4)), (X, LABELS), (X, LABELS), batch_size=5, sharding=sharding)


def test_an_optimizer_s_arrays_are_divided_as_their_parameter_is() -> None:
    sharding = glojax.Sharding(2, {"Dense_0/kernel": COLUMNS, "kernel": ROWS})
    params = {"Dense_0": {"kernel": np.zeros((6, 8)), "bias": np.zeros(8)}, "Dense_1": {"kernel": np.zeros((8, 4))}}
    whole = PartitionSpec()
    assert sharding.specs(params, params) == [whole, COLUMNS, ROWS]  # in the order of names
    state = optax.chain(optax.clip(1.0), optax.adam(0.1)).init(params)
    assert sharding.specs(params, state) == [whole, *2 * [whole, COLUMNS, ROWS]]
    smaller = jax.tree.map(lambda leaf: leaf.mean(axis=0), params)  # as Adafactor keeps: of another shape
    assert sharding.specs(params, smaller) == 3 * [whole]


@pytest.mark.parametrize(
    ("devices", "rules", "message"),
    [
        (1, {"kernel": ROWS}, "Sharding.devices is 1; a whole number of at least 2"),
        (2.0, {"kernel": ROWS}, "Sharding.devices is 2.0; a whole number"),
        (2, {}, "Sharding.rules is {}; a dict of PartitionSpec by name"),
        (2, {"(": ROWS}, r"Sharding.rules has '\(', no regular expression"),
        (
            2,
            {"kernel": "model"},
            r"Sharding.rules\['kernel'\] is 'model'; a jax.sharding.PartitionSpec of None",
        ),
        (2, {"kernel": PartitionSpec("data")}, r"Sharding.rules\['kernel'\] is P.*'data',?\); a jax"),
        (2, {"kernel": PartitionSpec("model", "model")}, "once 'model' is expected"),
    ],
)
def test_what_is_no_sharding_is_refused(devices: Any, rules: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        glojax.Sharding(devices, rules)


@pytest.mark.parametrize(
    ("sharding", "message"),
    [
        ({"kernel": ROWS}, "Task.sharding is a dict; a glojax.Sharding or None is expected"),
        (glojax.Sharding(2, {"weight": ROWS}), "Task.sharding has a rule for 'weight'; the model has Linear_0/bias"),
        (
            glojax.Sharding(4, {"Linear_0/kernel": COLUMNS}),
            r"divides axis 1 of Linear_0/kernel, float32\[8, 6\], ov",
        ),
        (glojax.Sharding(2, {"bias": COLUMNS}), r"divides axis 1 of Linear_0/bias, float32\[8\]"),
    ],
)
def test_what_does_not_fit_a_model_is_refused(sharding: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        task_of(sharding)
    assert "\n" not in str(raised.value)
