"""Schedules and weight decay against optimizers written out."""

import math

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
