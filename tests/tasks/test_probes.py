"""Probes: rows of numbers that follow what a function computes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax import losses
from glojax.tasks import probes
from glojax.tasks.task import Task


def row(array: jax.Array | np.ndarray) -> np.ndarray:
    """By hand: the weighted sums of one array."""
    flat = np.asarray(array, np.float64).ravel()
    return np.array([np.resize(np.roll(probes._TABLE, -1009 * 17 * number), flat.shape) @ flat for number in range(8)])


def test_the_probe_of_a_loss_is_what_it_gives_for_fixed_outputs(tiny_task: Task) -> None:
    labels = tiny_task.splits["train"].labels
    labels = labels[np.unique(np.linspace(0, len(labels) - 1, 64).astype(int))]
    z = 3 * np.resize(probes._TABLE, (64, 10)).astype(np.float32)
    values = [optax.softmax_cross_entropy_with_integer_labels(scale * z, labels) for scale in (0.1, 1.0)]
    found = probes.loss_probe(tiny_task, optax.softmax_cross_entropy)
    np.testing.assert_allclose(np.array(found, float), [row(value) for value in values], rtol=1e-4)
    np.testing.assert_allclose(np.array(probes.loss_probe(tiny_task, losses.cross_entropy), float), found, rtol=1e-4)
    assert probes.loss_probe(tiny_task, losses.baikal) != found


def test_updates_of_sgd_are_proportional_to_its_rate_in_every_row(tiny_task: Task) -> None:
    slow, fast = (
        np.array(probes.optimizer_probe(dataclasses.replace(tiny_task, optimizer=optax.sgd(rate)), 30)[:8], object)
        for rate in (0.1, 0.2)
    )
    for one, two in zip(slow, fast, strict=True):
        np.testing.assert_allclose(np.array(two, float), 2 * np.array(one, float), rtol=1e-3, atol=1e-6)


def test_a_schedule_changes_the_rows_from_the_step_at_which_it_changes(tiny_task: Task) -> None:
    schedule = optax.piecewise_constant_schedule(0.1, {15: 0.1})
    plain, stepped = (
        probes.optimizer_probe(dataclasses.replace(tiny_task, optimizer=optimizer), 30)
        for optimizer in (optax.sgd(0.1), optax.sgd(schedule))
    )
    equal_stretches = 5  # of gradients of scale 1: rows come in pairs for each scale
    first, then = np.array(plain[equal_stretches], float), np.array(stepped[equal_stretches], float)
    changed = ~np.isclose(first, then, rtol=1e-3)
    half = len(first) // 2
    assert not changed[: half - 2].any()
    assert changed[half + 2 :].all()


def test_what_is_not_finite_is_none() -> None:
    assert probes._rounded(np.array([1.23456789, np.nan, np.inf])) == [1.23457, None, None]


def test_the_metric_is_probed_from_good_outputs_to_bad_ones(tiny_task: Task) -> None:
    (found,) = probes.metric_probe(tiny_task)
    values = np.array(found, float).reshape(2, 4)
    assert (values[:, 0] > 0.95).all()
    assert (np.diff(values, axis=1) <= 0).all()


@pytest.mark.parametrize("field", ["preprocess", "augment"])
def test_inputs_follow_what_prepares_them(tiny_task: Task, field: str) -> None:
    plain = probes.inputs_probe(tiny_task)
    doubled = {"preprocess": lambda x: 2 * x, "augment": lambda key, x: 2 * x}[field]
    found = probes.inputs_probe(dataclasses.replace(tiny_task, **{field: doubled}))
    np.testing.assert_allclose(np.array(found[field], float), 2 * np.array(plain[field], float), rtol=1e-5)
    assert jnp.isfinite(jnp.array(found[field])).all()
