"""What runs on one device: start, advance and score the candidates that it holds."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from glojax.tasks.task import Task
from glojax.training import learner as training
from glojax.training.candidates import Candidates
from glojax.training.gradients import Gradient
from glojax.training.learner import Learner


def start_groups(task: Task, seeds: jax.Array, count: jax.Array) -> Learner:
    def row(i: jax.Array) -> Learner:
        learner = training.start(task, training.keys_of(seeds[i, 0]))
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (seeds.shape[1], *leaf.shape)), learner)

    shapes = jax.eval_shape(row, jax.ShapeDtypeStruct((), jnp.int32))
    # Unlike jnp.zeros, full_like takes the random keys that a model's state may hold.
    unused = jax.tree.map(lambda leaf: jax.lax.full_like(leaf, 0, shape=(len(seeds), *leaf.shape)), shapes)
    return jax.lax.fori_loop(0, count[0], lambda i, learners: _with_row(learners, i, row(i)), unused)


def advance_groups(
    task: Task,
    gradient: Gradient,
    learners: Learner,
    candidates: Candidates,
    count: jax.Array,
    places: jax.Array,
    first: jax.Array,
    last: jax.Array,
    data: dict[str, tuple[jax.Array, jax.Array]],
) -> Learner:
    """The learners after the steps from ``first`` to ``last``, whose minibatches are ``places[rows, steps, batch]``."""
    x, labels = data["train"]
    step = jax.vmap(partial(training.step, task, gradient), in_axes=(0, 0, 0, None, None, None, None))

    def row(i: jax.Array, learners: Learner) -> Learner:
        members = _row(candidates, i)
        keys = training.keys_of(members.seed[0])

        def one(number: jax.Array, learner: Learner) -> Learner:
            chosen = places[i, number - first]
            # Once for the group, outside ``vmap``.
            batch = training.network_input(task, keys, number, x[chosen])
            return step(learner, members.program, members.rate, keys, number, batch, labels[chosen])

        return _with_row(learners, i, jax.lax.fori_loop(first, last, one, _row(learners, i)))

    return jax.lax.fori_loop(0, count[0], row, learners)


def score_groups(
    task: Task,
    learners: Learner,
    seeds: jax.Array,
    count: jax.Array,
    wanted: jax.Array,
    data: dict[str, tuple[jax.Array, jax.Array]],
) -> jax.Array:
    """Scores ``[rows, group, splits]``; 0 where a split is not wanted."""

    def row(i: jax.Array, scores: jax.Array) -> jax.Array:
        learner, keys = _row(learners, i), training.keys_of(seeds[i, 0])
        found = [
            jax.lax.cond(
                wanted[place],
                lambda part=part: jax.vmap(lambda one: training.score(task, one, keys, *part))(learner),
                lambda: jnp.zeros(seeds.shape[1]),
            )
            for place, part in enumerate(data[split] for split in task.splits)
        ]
        return scores.at[i].set(jnp.stack(found, axis=-1))

    return jax.lax.fori_loop(0, count[0], row, jnp.zeros((*seeds.shape, len(task.splits))))


def _row(arrays: Any, i: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], arrays)


def _with_row(arrays: Any, i: jax.Array, row: Any) -> Any:
    return jax.tree.map(lambda leaf, new: leaf.at[i].set(new), arrays, row)


def regrouped(learners: Learner, slots: jax.Array) -> Learner:
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[slots], learners)
