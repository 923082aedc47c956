"""The training of one network: its minibatches, and its predictions in blocks."""

import jax.numpy as jnp
import numpy as np
import pytest

from glojax.tasks.task import Task
from glojax.training import learner


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


def test_prediction_in_blocks_equals_prediction_at_once(tiny_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "_EVALUATION_BATCH", 30)
    keys = learner.keys_of(jnp.uint32(0))
    trained = learner.start(tiny_task, keys)
    x = jnp.asarray(tiny_task.splits["validation"].x)
    expected, _ = tiny_task.pure_model.apply(trained.params, trained.state, x, keys.evaluation, False)
    np.testing.assert_allclose(learner.predict(tiny_task, trained, keys, x), expected, rtol=1e-4, atol=1e-6)
