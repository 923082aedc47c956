"""The training of one network: its minibatches, and its predictions in blocks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import poch

import glojax
from glojax.tasks.task import Task
from glojax.training import learner
from glojax.training.learner import Weights


def test_every_epoch_sees_an_example_at_most_once_and_in_a_new_order() -> None:
    places = learner.minibatches(1, 23, 5, 0, 11)
    assert places.shape == (11, 5)
    epochs = [places[:4].ravel(), places[4:8].ravel(), places[8:].ravel()]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == len(epoch)
        assert set(epoch.tolist()) <= set(range(23))
    assert not np.array_equal(epochs[0], epochs[1])


@pytest.mark.parametrize(("first", "last"), [(0, 1), (3, 5), (4, 8), (7, 17), (16, 17)])
def test_minibatches_of_some_steps_are_those_of_the_whole_training(first: int, last: int) -> None:
    whole = learner.minibatches(1, 23, 5, 0, 17)
    np.testing.assert_array_equal(learner.minibatches(1, 23, 5, first, last), whole[first:last])
    assert not np.array_equal(learner.minibatches(2, 23, 5, first, last), whole[first:last])


@pytest.mark.slow
def test_prediction_in_blocks_equals_prediction_at_once(tiny_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "EVALUATION_BATCH", 30)
    keys = learner.keys_of(jnp.uint32(0))
    trained = learner.start(tiny_task, keys)
    x = jnp.asarray(tiny_task.splits["validation"].x)
    expected, _ = tiny_task.pure_model.apply(trained.params, trained.state, x, keys.evaluation, False)
    np.testing.assert_allclose(learner.predict(tiny_task, trained, keys, x), expected, rtol=1e-4, atol=1e-6)


# AVERAGED WEIGHTS


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 1.0])
def test_an_average_is_the_closed_form_of_polynomial_decay_at_every_step(share: float) -> None:
    """Also for 16-bit weights, whose own type would lose the small moves of a long training."""
    values = np.random.default_rng(0).normal(3, 1, (400, 5)).astype(jnp.bfloat16)
    average = Weights({"w": jnp.zeros(5)}, {})
    step = jax.jit(lambda average, new, number: learner.averaged(average, Weights({"w": new}, {}), share, number))
    for number, new in enumerate(values):
        average = step(average, jnp.asarray(new), jnp.int32(number))
        if number in (0, 1, 17, 399):
            shares = poch(np.arange(1, number + 2), 1 / share - 1)
            expected = np.average(values[: number + 1].astype(float), axis=0, weights=shares)
            np.testing.assert_allclose(average.params["w"], expected, rtol=1e-5)


def test_what_is_no_float_is_that_of_the_last_step() -> None:
    def weights(number: int) -> Weights:
        return Weights({}, {"mean": jnp.float32(number), "count": jnp.int32(number), "key": jax.random.key(number)})

    average = weights(0)
    for number in range(5):
        average = learner.averaged(average, weights(number), 1.0, jnp.int32(number))
    assert float(average.state["mean"]) == 2
    assert int(average.state["count"]) == 4
    assert average.state["key"] == jax.random.key(4)


def test_a_network_is_scored_with_its_average_in_its_own_types(tiny_task: Task) -> None:
    keys = learner.keys_of(jnp.uint32(0))
    network = learner.start(tiny_task, keys)
    halves = network._replace(params=jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), network.params))
    average = Weights(jax.tree.map(lambda leaf: 2 * leaf, network.params), network.state)
    found = learner.scored(halves._replace(average=average))
    expected = jax.tree.map(lambda leaf: (2 * leaf).astype(jnp.bfloat16), network.params)
    assert all(jax.tree.leaves(jax.tree.map(lambda one, other: (one == other).all(), found.params, expected)))
    assert learner.start(dataclasses.replace(tiny_task, averaging=0), keys).average is None
    assert learner.scored(network._replace(average=None)).params is network.params


# LEAVES OF A CONTEXT


@pytest.mark.slow
def test_progress_is_the_share_of_the_steps(tiny_task: Task) -> None:
    """With plain SGD a loss that grows with progress is one whose learning rate grows so."""
    rising = optax.sgd(lambda step: 0.05 * (1 + step / tiny_task.steps))
    (found,) = glojax.evaluate(dataclasses.replace(tiny_task, metric="log_loss"), ["x * log(y) * (1 + progress)"], 2)
    with_schedule = dataclasses.replace(tiny_task, optimizer=rising, metric="log_loss")
    (expected,) = glojax.evaluate(with_schedule, ["x * log(y)"], 2)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.slow
def test_a_prior_is_that_of_the_training_labels(tiny_task: Task) -> None:
    task = dataclasses.replace(tiny_task, metric="log_loss", train=(tiny_task.train[0][:60], tiny_task.train[1][:60]))
    counts = np.bincount(np.asarray(task.train[1]), minlength=10)
    shares = (counts + 1) / 70
    scores = glojax.evaluate(
        task, ["10 * prior * x * log(y)", lambda z, x: -(10 * shares * x * jax.nn.log_softmax(z)).sum(axis=-1)], 2
    )
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4)
    assert abs(scores[0] - glojax.evaluate(task, ["x * log(y)"], 2)[0]).min() > 1e-3
