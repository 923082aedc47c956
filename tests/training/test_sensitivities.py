"""Derivatives through a training: reverse mode through a loop written out here, and differences of trainings."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import glojax
from glojax.expressions.parsing import parse
from glojax.losses.loss import apply
from glojax.tasks.ranking import ranked
from glojax.tasks.task import Task
from glojax.training import learner
from glojax.training.sensitivities import Sensitivities, SensitivityTrainer, sensitivity_trainer

TREE, NODES = parse("x * log(y) + y * x"), (0, 1)
FACTORS = np.ones((3, TREE.size))
FACTORS[1:, :2] = [[1.5, 0.7], [0.8, 2.0]]
SEEDS, STEPS = [5, 5, 6], 12


class Smooth(nn.Module):
    """A network whose derivatives have no jumps."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(10)(nn.tanh(nn.Dense(16)(x.reshape(len(x), -1))))


@pytest.fixture(scope="module")
def smooth(tiny_task: Task) -> Task:
    momentum = optax.sgd(0.3, momentum=0.5)
    # Margins have kinks, at which differences are not derivatives.
    return dataclasses.replace(tiny_task, model=Smooth(), optimizer=momentum, metric="log_loss")


@pytest.fixture(scope="module")
def made(smooth: Task) -> SensitivityTrainer:
    return sensitivity_trainer(smooth, TREE, NODES)


def written_out(task: Task, factors: jax.Array, seed: int) -> jax.Array:
    """The score after a training, step by step with optax, of the average of the weights."""
    (x, labels), (validation, right) = (map(jnp.asarray, task.splits[name]) for name in ("train", "validation"))
    params, _ = task.pure_model.init(learner.keys_of(jnp.uint32(seed)).init)
    state = task.optimizer.init(params)

    def logits(params: Any, x: jax.Array) -> jax.Array:
        return Smooth().apply({"params": params.get("params", params)}, x)  # type: ignore[return-value]

    def loss(params: Any, places: jax.Array) -> jax.Array:
        one_hot = jax.nn.one_hot(labels[places], 10)
        return apply(TREE, factors, logits(params, x[places]), one_hot).mean()

    def step(state: Any, minibatch: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
        (params, inner, average), (places, number) = state, minibatch
        updates, inner = task.optimizer.update(jax.grad(loss)(params, places), inner, params)
        params = optax.apply_updates(params, updates)
        average = jax.tree.map(lambda a, new: a + (new - a) / (1 + task.averaging * number), average, params)
        return (params, inner, average), None

    places = jnp.asarray(learner.minibatches(seed, len(labels), task.batch_size, 0, STEPS))
    (_, _, average), _ = jax.lax.scan(step, (params, state, params), (places, jnp.arange(STEPS)))
    error = optax.softmax_cross_entropy_with_integer_labels(logits(average, validation), right).mean()
    return 1 / (1 + error)


@pytest.fixture(scope="module")
def found(made: SensitivityTrainer) -> Sensitivities:
    return made.sensitivities(FACTORS, SEEDS, [1, 1, 1], STEPS)


@pytest.mark.slow
def test_derivatives_are_those_of_reverse_mode_through_the_same_steps(smooth: Task, found: Sensitivities) -> None:
    by_reverse_mode = jax.jit(
        jax.value_and_grad(lambda factors, seed: written_out(smooth, factors, seed)), static_argnums=1
    )
    for place in (0, 2):
        score, gradient = by_reverse_mode(jnp.asarray(FACTORS[place], jnp.float32), SEEDS[place])
        assert found.scores[place] == pytest.approx(float(score), abs=1e-5)
        np.testing.assert_allclose(found.derivatives[place], np.array(gradient)[list(NODES)], rtol=2e-3, atol=2e-5)
    assert np.abs(found.derivatives).min() > 1e-3


def test_derivatives_are_differences_of_scores(made: SensitivityTrainer, found: Sensitivities) -> None:
    step = 0.01
    for place, node in enumerate(NODES):
        move = step * (np.arange(TREE.size) == node)
        high, low = (made.sensitivities(FACTORS + way, SEEDS, [1, 1, 1], STEPS).scores for way in (move, -move))
        np.testing.assert_allclose(found.derivatives[:, place], (high - low) / (2 * step), rtol=0.01, atol=1e-4)


def test_a_score_without_a_derivative_is_refused(tiny_task: Task) -> None:
    with pytest.raises(
        ValueError, match=r"through the training of tiny need a score .* that of accuracy is 0; margins"
    ):
        sensitivity_trainer(tiny_task, TREE, NODES)


def test_a_model_without_forward_mode_is_refused(tiny_task: Task) -> None:
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            x = nn.Conv(2, (3, 3), conv_general_dilated=glojax.convolution)(x.reshape(-1, 8, 8, 1))
            return nn.Dense(10)(x.reshape(len(x), -1))

    task = ranked(dataclasses.replace(tiny_task, model=Net()))
    with pytest.raises(ValueError, match=r"glojax.convolution has none, jax.lax.conv_general_dilated has"):
        sensitivity_trainer(task, TREE, NODES)
