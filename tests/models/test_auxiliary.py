"""Auxiliary values are dropped, and losses that a model sows are added to that of its outputs with their weight."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax.expressions.parsing import parse
from glojax.expressions.programs import encode
from glojax.models.adapters import as_model
from glojax.models.auxiliary import Sown, of_outputs, total
from glojax.tasks.task import Task
from glojax.training import learner
from glojax.training.gradients import program_gradient

X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
LABELS = np.arange(12) % 3


class Sowing(nn.Module):
    has_aux: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> Any:
        hidden = nn.Dense(5)(x)
        self.sow("losses", "activity", (hidden**2).mean())
        self.sow("intermediates", "hidden", hidden)
        outputs = nn.Dense(3)(hidden)
        return (outputs, {"losses": {"size": jnp.abs(outputs).mean()}, "hidden": hidden}) if self.has_aux else outputs


class Silent(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(3)(x)


def task_of(model: nn.Module, **fields: Any) -> Task:
    part = (X, LABELS)
    return Task(model, part, part, optimizer=optax.sgd(0.5), batch_size=12, steps=3, averaging=0, **fields)


@pytest.mark.slow
@pytest.mark.parametrize("has_aux", [False, True])
@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_a_step_follows_the_loss_and_the_weighted_sum_of_its_own(has_aux: bool, weight: float) -> None:
    model = Sowing(has_aux)
    task = task_of(model, has_aux=has_aux, sown_weight=weight)
    keys = learner.keys_of(jnp.uint32(0))
    start = learner.start(task, keys)
    program = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), encode([parse("x * log(y)")], instructions=2))
    assert start.state == {}

    def loss(params: Any) -> jax.Array:
        made, sown = model.apply({"params": params}, X, mutable=["losses"])
        outputs: Any = made[0] if has_aux else made
        own = sown["losses"]["activity"][0] + (made[1]["losses"]["size"] if has_aux else 0)  # type: ignore[index]
        return optax.softmax_cross_entropy_with_integer_labels(outputs, jnp.asarray(LABELS)).mean() + weight * own

    after = jax.jit(
        lambda start: learner.step(
            task, program_gradient(False), start, program, jnp.float32(1), keys, jnp.int32(0), X, jnp.asarray(LABELS)
        )
    )(start)
    expected = jax.tree.map(lambda p, g: p - 0.5 * g, start.params, jax.grad(loss)(start.params))
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-6), after.params, expected
    )
    assert after.finite
    assert after.state == {}


def test_own_losses_of_a_model_with_given_and_frozen_parameters_are_those_of_all() -> None:
    params: Any = Sowing().init(jax.random.key(5), X)["params"]
    task = task_of(Sowing(), sown_weight=0.3, initial=params, trainable="Dense_1")
    trained, state = task.pure_model.init(jax.random.key(0))
    assert task.pure_model.penalized is not None
    (_, penalty), _ = task.pure_model.penalized(trained, state, X, jax.random.key(0))
    hidden = X @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
    np.testing.assert_allclose(penalty, (hidden**2).mean(), rtol=1e-5)


def test_functions_give_losses_in_an_auxiliary_dict() -> None:
    def apply(params: Any, state: Any, x: Any, key: Any, train: bool) -> Any:
        return (x @ params, {"losses": [params.sum(), 2.0]}), state

    pure = as_model((lambda key: (jnp.ones((4, 3)), {}), apply), X, has_aux=True, penalized=True)
    assert pure.penalized is not None
    (outputs, penalty), _ = pure.penalized(jnp.ones((4, 3)), {}, X, jax.random.key(0))
    np.testing.assert_allclose(penalty, 14)
    np.testing.assert_allclose(outputs, pure.apply(jnp.ones((4, 3)), {}, X, jax.random.key(0), False)[0])


def test_outputs_and_losses_are_taken_apart() -> None:
    assert of_outputs(Sown(1, {"a": 2}), False) == (1, {"a": 2})
    assert of_outputs((1, "text"), True) == (1, ((), ()))
    np.testing.assert_allclose(total({"a": jnp.arange(3.0), "b": (jnp.float32(4),)}), 7)


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        (
            Silent(),
            {"sown_weight": 0.1},
            r"Task.sown_weight is given, and the model gives no losses; self.sow\('losses'",
        ),
        (Silent(), {"sown_weight": -1}, "Task.sown_weight is -1; a finite number of at least 0"),
        (Silent(), {"has_aux": 1}, "Task.has_aux is 1; True or False"),
        (Silent(), {"has_aux": True}, r"Task.has_aux is True, and the model gives .*; a pair \(outputs, auxiliary\)"),
        (Sowing(True), {}, "one floating array"),
    ],
)
def test_a_model_without_what_is_asked_for_is_refused(model: nn.Module, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_of(model, **fields)


def test_a_loss_of_integers_is_refused() -> None:
    with pytest.raises(ValueError, match="a loss of the model is int32; floats are expected"):
        total(jnp.arange(3))
