"""What runs on one device, row by row and candidate by candidate, compared with one network at a time."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glojax.expressions.parsing import parse
from glojax.tasks.task import Task
from glojax.training import kernels, learner
from glojax.training.candidates import Candidates, encode_candidates
from glojax.training.gradients import program_gradient
from glojax.training.learner import Learner

SEEDS = np.array([[5, 5], [6, 6], [7, 7]], np.uint32)
TWO = np.array([2], np.int32)  # rows in use, of three
EXPRESSIONS = ("x * log(y)", "log(y) - x / y", "x * sqrt(y)", "x * log(y)", "y", "y")


@pytest.fixture(scope="module")
def data(tiny_task: Task) -> kernels.Data:
    """The tiny task's splits on the device."""
    return kernels.Data(jax.tree.map(jnp.asarray, {name: tuple(part) for name, part in tiny_task.splits.items()}), {})


@pytest.fixture(scope="module")
def candidates() -> Candidates:
    """Three rows of two candidates, at rates of their own."""
    encoded = encode_candidates(
        [parse(text) for text in EXPRESSIONS], SEEDS.ravel(), None, [1.0, 0.5, 2.0, 1.0, 1, 1], 31
    )
    return jax.tree.map(lambda leaf: jnp.asarray(leaf.reshape(3, 2, *leaf.shape[1:])), encoded)


@pytest.fixture(scope="module")
def started(tiny_task: Task, data: kernels.Data) -> Learner:
    """Learners before their first step, [3, 2]."""
    return jax.jit(kernels.start_groups, static_argnums=0)(tiny_task, SEEDS, TWO, data)


def one(arrays: Learner | Candidates, row: int, member: int) -> Learner | Candidates:
    """A single learner or candidate."""
    return jax.tree.map(lambda leaf: leaf[row, member], arrays)


@pytest.mark.slow
def test_networks_of_a_row_start_as_one_of_its_seed_and_unused_rows_are_empty(
    tiny_task: Task, started: Learner
) -> None:
    for row in range(2):
        expected = learner.start(tiny_task, learner.keys_of(jnp.uint32(SEEDS[row, 0])))
        for member in range(2):
            chex.assert_trees_all_close(one(started, row, member), expected, rtol=1e-6)
    chex.assert_trees_all_equal(one(started, 2, 1), jax.tree.map(jnp.zeros_like, one(started, 2, 1)))


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 3])
def test_steps_and_scores_are_those_of_each_network_alone(
    tiny_task: Task, started: Learner, candidates: Candidates, data: kernels.Data, at_once: int
) -> None:
    first, last = 3, 7
    gradient, x, labels = program_gradient(False), *data.splits["train"]
    places = np.zeros((3, 6, tiny_task.batch_size), np.int32)  # with room for two more steps
    for row in range(2):
        places[row, : last - first] = learner.minibatches(
            int(SEEDS[row, 0]), len(labels), tiny_task.batch_size, first, last
        )
    advance = jax.jit(partial(kernels.advance_groups, at_once=at_once), static_argnums=(0, 1))
    found = advance(tiny_task, gradient, started, candidates, TWO, places, jnp.int32(first), jnp.int32(last), data)
    score = jax.jit(kernels.score_groups, static_argnums=0)
    scores = score(tiny_task, found, SEEDS, TWO, np.array([False, True, True]), data)
    chex.assert_shape(scores, (3, 2, 3))
    for row, member in ((0, 0), (0, 1), (1, 0)):
        expected, own = one(started, row, member), one(candidates, row, member)
        keys = learner.keys_of(own.seed)
        for number in range(first, last):
            chosen = places[row, number - first]
            given = learner.network_input(tiny_task, keys, jnp.int32(number), x[chosen])
            expected = learner.step(
                tiny_task, gradient, expected, own.program, own.rate, keys, jnp.int32(number), given, labels[chosen]
            )
        chex.assert_trees_all_close(one(found, row, member), expected, rtol=1e-4, atol=1e-6)
        alone = [
            0,
            *(learner.score(tiny_task, expected, keys, *data.splits[split]) for split in ("validation", "test")),
        ]
        np.testing.assert_allclose(scores[row, member], alone, atol=0.011)  # one of 100 images
    chex.assert_trees_all_equal(one(found, 2, 0), one(started, 2, 0))
    np.testing.assert_array_equal(scores[2], 0)


def test_learners_that_are_regrouped_are_those_at_the_places_given(started: Learner) -> None:
    found = kernels.regroup(started, jnp.array([[3, 0, 3]], jnp.int32))
    for member, (row, before) in enumerate([(1, 1), (0, 0), (1, 1)]):
        chex.assert_trees_all_equal(one(found, 0, member), one(started, row, before))
    chex.assert_tree_shape_prefix(found, (1, 3))


@pytest.mark.parametrize(
    ("seeds", "count"),
    [
        (SEEDS[:, 0], TWO),
        (SEEDS.astype(np.float32), TWO),
        (SEEDS, np.int32(2)),
        (SEEDS, TWO.astype(np.float32)),
    ],
    ids=["no groups", "seeds of another type", "a scalar count", "a count of another type"],
)
def test_rows_of_another_shape_or_type_are_refused_when_traced(
    tiny_task: Task, seeds: np.ndarray, count: np.ndarray, data: kernels.Data
) -> None:
    with pytest.raises(AssertionError):
        jax.eval_shape(lambda seeds, count: kernels.start_groups(tiny_task, seeds, count, data), seeds, count)
