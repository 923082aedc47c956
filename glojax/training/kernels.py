"""What runs on one device: start, advance and score the groups of candidates that it holds.

Arrays have the axes ``[rows, group, ...]``: a row is one group, whose candidates share a seed. The device works through
its first ``count`` rows, one after another, and through the candidates of a row at once, by ``vmap``. Rows beyond the
count hold nothing, so the number of groups changes without a new compilation.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

import chex
import jax
import jax.numpy as jnp

from glojax.expressions.programs import Array
from glojax.tasks import inputs
from glojax.tasks.inputs import Inputs
from glojax.tasks.task import Task
from glojax.training import judging
from glojax.training import learner as learning
from glojax.training.candidates import Candidates
from glojax.training.gradients import Gradient
from glojax.training.judging import Judged, Portions
from glojax.training.learner import Learner
from glojax.training.spreading import constrained

Arrays = TypeVar("Arrays")


class Data(NamedTuple):
    """What a task has beside its functions, on a device."""

    splits: Mapping[str, tuple[Inputs, Any]]  # inputs and labels [examples, ...], by name, unless they are fed
    initial: Mapping[str, jax.Array]  # given parameters, by name


def start_groups(task: Task, seeds: jax.Array, count: jax.Array, data: Data) -> Learner:
    """Initialize the networks of every group.

    Args:
      task: gives model and optimizer.
      seeds: ``uint32[rows, group]``, the same throughout a row.
      count: ``int32[1]``, rows in use.
      data: the task's.

    Returns:
      Learners ``[rows, group]``; zeros in the rows that are not in use.
    """
    _check_rows(seeds, count)
    task = task.holding(data.initial)

    def row(i: jax.Array) -> Learner:
        learner = learning.start(task, learning.keys_of(seeds[i, 0]))
        group = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (seeds.shape[1], *leaf.shape)), learner)
        return constrained(task, group, 1)

    shapes = jax.eval_shape(row, jax.ShapeDtypeStruct((), jnp.int32))
    # Unlike jnp.zeros, full_like takes the random keys that a model's state may hold.
    unused = jax.tree.map(lambda leaf: jax.lax.full_like(leaf, 0, shape=(len(seeds), *leaf.shape)), shapes)
    unused = constrained(task, unused, 2)
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
    data: Data,
    *,
    at_once: int = 1,
) -> Learner:
    """Train every group for some steps.

    Args:
      task: gives model and optimizer.
      gradient: of the mean loss by the outputs.
      learners: ``[rows, group]``.
      candidates: ``[rows, group]``.
      count: ``int32[1]``, rows in use.
      places: ``int32[rows, steps, batch]``, the minibatches of the steps from ``first``; there may be room for more.
      first: ``int32[]``, the first step.
      last: ``int32[]``, the step after the last.
      data: the task's.
      at_once: steps of an inner loop, whose length is so known to the compiler; what it computes after the last step
        changes nothing. An accelerator's host need not look at every step then whether it was the last. Defaults to 1.

    Returns:
      The learners after these steps, ``[rows, group]``.
    """
    _check_rows(candidates.seed, count)
    chex.assert_shape(places, (len(candidates.seed), None, task.batch_size))
    chex.assert_type(places, jnp.int32)
    (x, labels), task = data.splits["train"], task.holding(data.initial)
    step = jax.vmap(partial(learning.step, task, gradient), in_axes=(0, 0, 0, None, None, None, None))

    def row(i: jax.Array, learners: Learner) -> Learner:
        members = _row(candidates, i)
        keys = learning.keys_of(members.seed[0])

        def one(number: jax.Array, learner: Learner) -> Learner:
            chosen = places[i, number - first]
            # Outside ``vmap``, and so once for the group.
            batch = learning.network_input(task, keys, number, inputs.taken(x, chosen))
            moved = step(learner, members.program, members.rate, keys, number, batch, inputs.taken(labels, chosen))
            return constrained(task, moved, 1)

        def some(number: jax.Array, learner: Learner) -> Learner:
            start = first + number * at_once
            return jax.lax.fori_loop(0, at_once, lambda i, learner: one_of_some(start + i, learner), learner)

        def one_of_some(number: jax.Array, learner: Learner) -> Learner:
            return jax.tree.map(partial(jnp.where, number < last), one(number, learner), learner)

        learner = _row(learners, i)
        if at_once == 1:
            return _with_row(learners, i, jax.lax.fori_loop(first, last, one, learner))
        rounds = (last - first + at_once - 1) // at_once
        return _with_row(learners, i, jax.lax.fori_loop(0, rounds, some, learner))

    return jax.lax.fori_loop(0, count[0], row, constrained(task, learners, 2))


def score_groups(
    task: Task, learners: Learner, seeds: jax.Array, count: jax.Array, wanted: jax.Array, data: Data
) -> jax.Array:
    """Score every group on some splits.

    Args:
      task: gives model and metric.
      learners: ``[rows, group]``.
      seeds: ``uint32[rows, group]``, the same throughout a row.
      count: ``int32[1]``, rows in use.
      wanted: ``bool[splits]``, which splits are scored, in the task's order.
      data: the task's.

    Returns:
      Scores ``float32[rows, group, splits]``; 0 in rows that are not in use, for splits that are not wanted, and for
      those that ``data`` lacks because they are fed.
    """
    _check_rows(seeds, count)
    chex.assert_shape(wanted, (len(task.splits),))
    task = task.holding(data.initial)

    def row(i: jax.Array, scores: jax.Array) -> jax.Array:
        learner, keys = _row(learners, i), learning.keys_of(seeds[i, 0])
        none = jnp.zeros(seeds.shape[1], jnp.float32)
        found = [
            none
            if (part := data.splits.get(split)) is None
            else jax.lax.cond(
                wanted[place],
                lambda part=part: jax.vmap(lambda one: learning.score(task, one, keys, *part))(learner),
                lambda: none,
            )
            for place, split in enumerate(task.splits)
        ]
        return scores.at[i].set(jnp.stack(found, axis=-1))

    return jax.lax.fori_loop(0, count[0], row, jnp.zeros((*seeds.shape, len(task.splits)), jnp.float32))


def start_judging(unseen: list[Judged], seeds: jax.Array) -> list[Judged]:
    """What is known of every group, seeds ``uint32[rows, group]``, before it is judged by a part that is fed."""

    def of_all(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        return jnp.full((*seeds.shape, *leaf.shape), leaf.dtype == jnp.bool_, leaf.dtype)

    return jax.tree.map(of_all, unseen)


def judge_groups(
    task: Task,
    portions: Portions,
    judged: list[Judged],
    learners: Learner,
    seeds: jax.Array,
    count: jax.Array,
    first: jax.Array,
    portion: tuple[Inputs, Any],
    initial: Mapping[str, jax.Array],
) -> list[Judged]:
    """Judge every group by one more portion of a part that is fed.

    Args:
      task: gives model and metric.
      portions: of the part.
      judged: ``[rows, group]``, by the portions before.
      learners: ``[rows, group]``.
      seeds: ``uint32[rows, group]``, the same throughout a row.
      count: ``int32[1]``, rows in use.
      first: ``int32[]``, the place of the portion's first example.
      portion: inputs and labels ``[size, ...]``.
      initial: ``Data.initial``.

    Returns:
      What is known then, ``[rows, group]``.
    """
    _check_rows(seeds, count)
    task = task.holding(initial)

    def row(i: jax.Array, judged: list[Judged]) -> list[Judged]:
        keys = learning.keys_of(seeds[i, 0])
        judge = jax.vmap(lambda learner, before: judging.add(task, portions, learner, keys, before, first, *portion))
        return _with_row(judged, i, judge(_row(learners, i), _row(judged, i)))

    return jax.lax.fori_loop(0, count[0], row, judged)


def score_judged(
    task: Task, portions: Portions, judged: list[Judged], learners: Learner, count: jax.Array, labels: Any
) -> jax.Array:
    """Score every group after the last portion; the arguments are those of ``judge_groups``.

    Returns:
      Scores ``float32[rows, group]``; 0 in rows that are not in use.
    """

    def row(i: jax.Array, scores: jax.Array) -> jax.Array:
        score = jax.vmap(lambda learner, of_one: judging.score(task, portions, learner, of_one, labels))
        return scores.at[i].set(score(_row(learners, i), _row(judged, i)))

    return jax.lax.fori_loop(0, count[0], row, jnp.zeros(learners.finite.shape, jnp.float32))


def regroup(learners: Learner, slots: jax.Array) -> Learner:
    """Form new groups of learners.

    Args:
      learners: ``[rows, group]``.
      slots: ``int32[new rows, new group]``, a learner's place in ``rows * group``.

    Returns:
      Learners ``[new rows, new group]``.
    """
    chex.assert_rank(slots, 2)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[slots], learners)


def _check_rows(seeds: Array, count: jax.Array) -> None:
    chex.assert_rank(seeds, 2)
    chex.assert_type([seeds, count], [jnp.uint32, jnp.int32])
    chex.assert_shape(count, (1,))


def _row(arrays: Arrays, i: jax.Array) -> Arrays:
    return jax.tree.map(lambda leaf: leaf[i], arrays)


def _with_row(arrays: Arrays, i: jax.Array, row: Arrays) -> Arrays:
    return jax.tree.map(lambda leaf, new: leaf.at[i].set(new), arrays, row)
