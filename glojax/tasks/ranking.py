"""What a search ranks candidates by where the metric is accuracy, which is coarse: margins.

On a few hundred validation examples the best losses are fewer examples apart than chance moves, and all seeds share
these examples. How far outputs are on the right side tells more of them, for the same trainings
(experiments/README.md, "Smoother scores").
"""

import dataclasses

import jax
import jax.numpy as jnp

from glojax.tasks import metric_inputs as inputs
from glojax.tasks import metrics
from glojax.tasks.metrics import Metric
from glojax.tasks.task import Task

RANKINGS = ("margins", "metric")
"""Allowed values of ``SharedSettings.rank_by``."""

_STEEPNESS = 4.0  # the best of 1, 4, 8 and 16 on digits, and not the worst elsewhere


def margins(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """A smooth accuracy: the mean over examples of sigmoid(4 m / u).

    m is the margin of an example, the output of its class minus the largest other, and u is the median of their sizes,
    so that the scale of outputs changes nothing.

    Args:
      outputs: ``[examples, classes]``, two classes or more.
      labels: as ``metrics.accuracy`` takes them.

    Returns:
      From 0 to 1.

    Raises:
      ValueError: what ``metrics.accuracy`` raises.
    """
    found = inputs.classes("margins", outputs, labels)
    logits = jnp.asarray(inputs.logits(found.outputs))
    own = jax.nn.one_hot(found.labels, logits.shape[1], dtype=bool)
    of_label = jnp.sum(jnp.where(own, logits, 0), axis=1)
    score = _smooth_share(of_label - jnp.max(jnp.where(own, -jnp.inf, logits), axis=1), found.known)
    return jnp.where(inputs.lost(found), jnp.nan, score)


def binary_margins(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The same of labels 0 and 1: a margin is the output or, for 0, minus it. Both are ``[examples, outputs]``."""
    outputs, labels = inputs.binary("binary_margins", outputs, labels)
    known = ~inputs.is_nan(labels)
    logits = inputs.logits(outputs)
    score = _smooth_share(jnp.where(labels > 0.5, logits, -logits), known)
    return jnp.where((inputs.is_nan(outputs) & known).any(), jnp.nan, score)


def _smooth_share(sizes: jax.Array, known: jax.Array) -> jax.Array:
    """The mean of sigmoids of margins where they are known; the share of those above 0 if most are exactly 0."""
    sizes = sizes / 8  # sums of the largest are finite
    unit = jnp.nanmedian(jnp.where(known, jnp.abs(sizes), jnp.nan))
    # Infinite outputs are on one side or the other; a network that gives one and the same for all has learned nothing.
    steps = jnp.where(unit > 0, jax.nn.sigmoid(_STEEPNESS * sizes / jnp.where(unit > 0, unit, 1)), sizes > 0)
    return jnp.sum(jnp.where(known, steps, 0)) / jnp.sum(known)


_SMOOTH: dict[Metric, Metric] = {metrics.accuracy: margins, metrics.binary_accuracy: binary_margins}


def ranked(task: Task, rank_by: str = "margins") -> Task:
    """The task with what candidates are ranked by in place of its metric.

    Args:
      task: the task. Its trainers are not those of the result, which is the same at every call.
      rank_by: ``"margins"``, which changes a task whose metric is accuracy alone, or ``"metric"``, which changes none.
    """
    smooth = _SMOOTH.get(metrics.unbound(task.metric_function)) if rank_by == "margins" else None
    if smooth is None or task.positions:  # accuracy over many positions is not coarse
        return task
    kept = vars(task)
    if _MEMO not in kept:
        kept[_MEMO] = dataclasses.replace(task, metric=smooth)
    return kept[_MEMO]


_MEMO = "_ranked"  # attribute of a task that holds its ranked form, so that all searches share their compiled programs
