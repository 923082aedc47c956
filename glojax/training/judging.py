"""Scores of a part of the data whose inputs are fed: the same as ``learner.score``, from one portion to the next.

What is known between two portions is a ``Judged`` for each output: the outputs of all examples so far, which is little
beside their inputs; or the sums of a metric, where that has some and outputs would take much.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from glojax.tasks import metric_parts
from glojax.tasks.inputs import Inputs
from glojax.tasks.metric_parts import Parts
from glojax.tasks.task import Task
from glojax.training import learner as learning
from glojax.training.learner import Keys, Learner

_MOST_OUTPUTS = 2**22
"""Outputs of one network that are kept where their metric could be summed; more of them are not."""


class Portions(NamedTuple):
    """How a part of the data is divided."""

    examples: int  # of the part
    size: int  # examples in a portion; the last is filled with some whose labels are unknown

    @property
    def number(self) -> int:
        """The number of portions."""
        return -(-self.examples // self.size)


class Judged(NamedTuple):
    """What is known of one output of a network after some portions."""

    finite: Any  # bool[], whether the outputs that were summed are finite
    found: Any  # outputs [portions * size, ..., outputs], or the sums of the metric


def unseen(task: Task, portions: Portions, x: Any, labels: Any) -> list[Judged]:
    """What is known before the first portion, as ``jax.ShapeDtypeStruct`` leaves: zeros, and that all is finite.

    Args:
      task: gives model and metric.
      portions: of the part.
      x: shapes and types of a portion's inputs.
      labels: the same of its labels.
    """
    found = []
    network, keys = jax.eval_shape(partial(_network, task), jax.ShapeDtypeStruct((), jnp.uint32))
    for head, of_head in zip(task.heads, jax.tree.leaves(labels), strict=True):
        if (parts := _summed(head, portions.examples)) is not None:
            shapes = jax.eval_shape(partial(learning.sums_of_metric, head, parts), network, keys, x, of_head)
            found.append(Judged(*shapes))
        else:
            outputs = jax.eval_shape(partial(learning.predict, head), network, keys, x)
            room = jax.ShapeDtypeStruct((portions.number * portions.size, *outputs.shape[1:]), outputs.dtype)
            found.append(Judged(jax.ShapeDtypeStruct((), jnp.bool_), room))
    return found


def _network(task: Task, seed: jax.Array) -> tuple[Learner, Keys]:
    keys = learning.keys_of(seed)
    return learning.start(task, keys), keys


def _summed(head: Task, examples: int) -> Parts | None:
    """The parts of a metric that is summed."""
    outputs = examples * head.outputs
    return metric_parts.parts(head.metric_function) if head.positions or outputs > _MOST_OUTPUTS else None


def add(
    task: Task,
    portions: Portions,
    learner: Learner,
    keys: Keys,
    judged: list[Judged],
    first: jax.Array,
    x: Inputs,
    labels: Any,
) -> list[Judged]:
    """Judge a network by one more portion.

    Args:
      task: gives model and metric.
      portions: of the part.
      learner: the network.
      keys: of its seed.
      judged: by the portions before.
      first: ``int32[]``, the place of the portion's first example.
      x: inputs ``[size, ...]``.
      labels: ``[size, ...]``, of several outputs a tree.
    """
    found = []
    for head, before, of_head in zip(task.heads, judged, jax.tree.leaves(labels), strict=True):
        if (parts := _summed(head, portions.examples)) is not None:
            sums = learning.sums_of_metric(head, parts, learner, keys, x, of_head, (before.finite, before.found))
            found.append(Judged(*sums))
        else:
            outputs = learning.predict(head, learner, keys, x)
            kept = jax.lax.dynamic_update_slice_in_dim(before.found, outputs, first, axis=0)
            found.append(before._replace(found=kept))
    return found


def score(task: Task, portions: Portions, learner: Learner, judged: list[Judged], labels: Any) -> jax.Array:
    """The score of a network, ``float32[]``, after the last portion.

    Args:
      task: gives the metric.
      portions: of the part.
      learner: the network.
      judged: by all portions.
      labels: of all examples, of several outputs a tree.
    """
    found = []
    for head, of_one, of_head in zip(task.heads, judged, jax.tree.leaves(labels), strict=True):
        if (parts := _summed(head, portions.examples)) is not None:
            found.append((of_one.finite, head.as_score(parts.finish(of_one.found))))
        else:
            found.append(learning.score_of_outputs(head, of_one.found[: portions.examples], of_head))
    return learning.mean_score(learner, found)
