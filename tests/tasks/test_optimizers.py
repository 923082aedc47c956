"""Schedules and weight decay against optimizers written out, and which optimizers can train a population."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax.tasks import optimizers

STEPS, RATE, GRADIENT = 20, 0.1, 0.5


def path_of(optimizer: optax.GradientTransformation, start: float = 2.0) -> list[float]:
    """A parameter after each step, its gradient always the same."""
    value, found = jnp.array(start), []
    state = optimizer.init(value)
    for _ in range(STEPS):
        updates, state = optimizer.update(jnp.array(GRADIENT), state, value)
        value = optax.apply_updates(value, updates)
        found.append(float(value))
    return found


FACTORS = {
    "constant": lambda i: 1.0,
    "linear": lambda i: 1 - i / STEPS,
    "cosine": lambda i: (1 + math.cos(math.pi * i / STEPS)) / 2,
    "step": lambda i: 1.0 if i < 10 else 0.1 if i < 15 else 0.01,
}


@pytest.mark.parametrize("schedule", optimizers.SCHEDULES)
def test_steps_are_as_long_as_the_schedule_says(schedule: str) -> None:
    found = path_of(optimizers.adapted(optax.sgd(RATE), STEPS, schedule=schedule))
    moved = -np.diff([2.0, *found])
    np.testing.assert_allclose(moved, [RATE * GRADIENT * FACTORS[schedule](i) for i in range(STEPS)], atol=1e-6)


def test_warmup_rises_evenly_and_the_schedule_takes_the_rest() -> None:
    found = path_of(optimizers.adapted(optax.sgd(RATE), STEPS, schedule="linear", warmup=4))
    factors = [0.2, 0.4, 0.6, 0.8] + [1 - i / 16 for i in range(16)]
    np.testing.assert_allclose(-np.diff([2.0, *found]), RATE * GRADIENT * np.array(factors), atol=1e-6)


def test_weight_decay_is_a_penalty_in_the_gradient() -> None:
    value, expected = 2.0, []
    for _ in range(STEPS):
        value -= RATE * (GRADIENT + 0.3 * value)
        expected.append(value)
    np.testing.assert_allclose(
        path_of(optimizers.adapted(optax.sgd(RATE), STEPS, weight_decay=0.3)), expected, rtol=1e-5
    )


def test_with_no_change_the_optimizer_is_the_tasks_own() -> None:
    own = optax.sgd(RATE, momentum=0.9)
    assert optimizers.adapted(own, STEPS) is own


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "cos"}, "schedule is 'cos'; allowed are constant, linear, cosine, step"),
        ({"warmup": 20}, "warmup is 20; of 20 steps, 0 to 19 are allowed"),
        ({"warmup": -1}, "warmup is -1"),
        ({"weight_decay": -0.1}, r"weight_decay is -0\.1; a finite number of at least 0"),
        ({"weight_decay": math.nan}, "weight_decay is nan"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optimizers.adapted(optax.sgd(RATE), STEPS, **settings)


# WHAT CAN TRAIN A POPULATION

PARAMS = {"w": jax.ShapeDtypeStruct((20, 20), jnp.float32), "b": jax.ShapeDtypeStruct((20,), jnp.float32)}


@pytest.mark.few(4)
@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (optax.sgd(0.1), 1),
        (optax.sgd(0.1, momentum=0.9), 1),
        (optax.MultiSteps(optax.sgd(0.1), 4).gradient_transformation(), 1),
        (optax.MultiSteps(optax.sgd(0.1), 300).gradient_transformation(), 1),
        (optax.chain(optax.sgd(0.1), optax.apply_every(4)), 1),
        (optax.chain(optax.apply_every(7), optax.sgd(0.1)), 1),
        (optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)), 1),
        (optax.chain(optax.clip(1.0), optax.sgd(0.1)), 1),
        (optax.apply_if_finite(optax.sgd(0.1), 3), 1),
        (optax.sgd(optax.warmup_cosine_decay_schedule(0, 0.1, 100, 1000)), 1),
        (optax.adam(1e-3), 0),
        (optax.MultiSteps(optax.adam(1e-3), 2).gradient_transformation(), 0),
        (optax.MultiSteps(optax.adam(1e-3), 3).gradient_transformation(), 0),
        (optax.MultiSteps(optax.adam(1e-3), 50).gradient_transformation(), 0),
        (optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3)), 0),
        (optax.rmsprop(1e-3), 0),
        (optax.lion(1e-3), 0),
        (optax.lars(0.1), 0),
        (optax.sign_sgd(0.1), 0),
    ],
)
def test_updates_grow_as_the_optimizer_says(optimizer: optax.GradientTransformation, expected: int) -> None:
    assert optimizers.growth(optimizer, PARAMS) == pytest.approx(expected, abs=0.011)


def test_an_optimizer_that_never_moves_is_taken_for_sgd() -> None:
    assert optimizers.growth(optax.set_to_zero(), PARAMS) == 1


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.MultiSteps(optax.adam(1e-3), 4).gradient_transformation(),
        optax.contrib.prodigy(),
        optax.contrib.muon(0.1),
        optax.inject_hyperparams(optax.adam)(1e-3),
        optax.apply_if_finite(optax.sgd(0.1), 3),
        optax.chain(optax.clip(1.0), optax.add_decayed_weights(1e-4), optax.lamb(1e-3)),
    ],
)
def test_optimizers_of_gradients_are_taken(optimizer: object) -> None:
    assert optimizers.checked(optimizer, PARAMS) is optimizer


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (optax.polyak_sgd(), r"needs 'value' in its update"),
        (optax.lbfgs(), r"needs 'value', 'grad', and 'value_fn' in its update"),
        (optax.chain(optax.adam(1e-3), optax.contrib.reduce_on_plateau()), r"needs 'value' in its update"),
        (optax.contrib.momo(), r"needs 'value' in its update"),
        (optax.partition({"a": optax.polyak_sgd(), "b": optax.sgd(0.1)}, {"w": "a", "b": "b"}), r"needs 'value'"),
        (optax.contrib.sam(optax.sgd(0.1), optax.sgd(0.05)), "has a SAMState: it takes its perturbation back later"),
        (optax.apply_if_finite(optax.contrib.sam(optax.sgd(0.1), optax.sgd(0.05)), 3), "has a SAMState"),
        (optax.contrib.schedule_free_adamw(), "has a ScheduleFreeState: it is evaluated at other parameters"),
        (optax.chain(optax.clip(1.0), optax.contrib.schedule_free_sgd(0.1)), "has a ScheduleFreeState"),
        (optax.lookahead(optax.sgd(0.1), 5, 0.5), "is lookahead, which has a fast and a slow copy"),
        (optax.contrib.mechanize(optax.sgd(0.1)), "has a MechanicState"),
        (optax.contrib.cocob(), "has a COCOBState"),
        (optax.adam, r"Task.optimizer is <function adam .*an optax optimizer"),
        (0.1, r"Task.optimizer is 0.1; an optax optimizer"),
    ],
)
def test_optimizers_that_a_candidate_cannot_use_are_refused_in_a_line(optimizer: object, message: str) -> None:
    with pytest.raises(ValueError, match=r"^Task\.optimizer .*is expected\.$") as refused:
        optimizers.checked(optimizer, PARAMS)
    assert re.search(message, str(refused.value))
    assert "\n" not in str(refused.value)
