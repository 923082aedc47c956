"""The training of one network with one loss, as pure functions.

A ``Learner`` is the state: ``start`` makes one from the keys of a seed, ``step`` takes it through one minibatch, and
``score`` judges it. ``kernels`` maps these functions over the candidates of a group.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from glojax.expressions import context
from glojax.expressions.programs import Array
from glojax.seeds import named_random
from glojax.tasks import dense, inputs, metric_parts
from glojax.tasks.inputs import Inputs
from glojax.tasks.labels import known_of, unknown_label
from glojax.tasks.metric_parts import Parts
from glojax.tasks.priors import prior
from glojax.tasks.task import Task
from glojax.training.gradients import Gradient

EVALUATION_BATCH = 500
"""Examples whose outputs are computed at once."""

_EVALUATION_ROWS = 2**16  # positions in a batch, where an example has several


class Learner(NamedTuple):
    """A network in training."""

    params: chex.ArrayTree
    state: chex.ArrayTree  # the model's own, such as batch statistics: it changes without gradients
    optimizer_state: optax.OptState
    finite: jax.Array  # bool[], whether losses and gradients were finite so far
    average: "Weights | None" = None  # what is scored; None where the weights themselves are


class Weights(NamedTuple):
    """What a network is evaluated with."""

    params: chex.ArrayTree
    state: chex.ArrayTree


class Keys(NamedTuple):
    """Random keys of one training on the device, each ``key[]``; its minibatches are drawn by ``minibatches``."""

    init: jax.Array
    dropout: jax.Array
    evaluation: jax.Array
    augmentation: jax.Array


def keys_of(seed: jax.Array) -> Keys:
    """The random keys of a seed, ``uint32[]``."""
    chex.assert_shape(seed, ())
    return Keys(*jax.random.split(jax.random.fold_in(jax.random.key(0), seed), 4))


def minibatches(seed: int, examples: int, batch_size: int, first: int, last: int) -> np.ndarray:
    """Draw the minibatches of some steps of a training.

    Every epoch has a new order; its incomplete last batch is left out. They are drawn on the host, where sorting the
    data set costs nothing beside the steps of its epoch.

    Args:
      seed: seed of the training.
      examples: size of the training set.
      batch_size: examples in a minibatch.
      first: the first step, from 0.
      last: the step after the last.

    Returns:
      Places of examples, ``int32[last - first, batch_size]``.
    """
    in_epoch = examples // batch_size
    epochs = range(first // in_epoch, -(-last // in_epoch))
    orders = [named_random(seed, "minibatches", epoch).permutation(examples) for epoch in epochs]
    places = np.concatenate([order[: in_epoch * batch_size].reshape(in_epoch, batch_size) for order in orders])
    return places[first - epochs.start * in_epoch :][: last - first].astype(np.int32)


def start(task: Task, keys: Keys) -> Learner:
    """A network before its first step."""
    params, state = task.pure_model.init(keys.init)
    average = _accumulators(Weights(params, state)) if task.averaging else None
    return Learner(params, state, task.optimizer.init(params), jnp.array(True), average)


def shapes(task: Task) -> Learner:
    """A learner of the task as ``jax.ShapeDtypeStruct`` leaves; nothing is computed."""
    return jax.eval_shape(lambda seed: start(task, keys_of(seed)), jax.ShapeDtypeStruct((), jnp.uint32))


def network_input(task: Task, keys: Keys, number: jax.Array, x: Inputs) -> Inputs:
    """A minibatch as the network sees it in step ``number``; the same for all networks with these keys."""
    return task.training_input(jax.random.fold_in(keys.augmentation, number), x)


def step(
    task: Task,
    gradient: Gradient,
    learner: Learner,
    program: Any,
    rate: Array,
    keys: Keys,
    number: jax.Array,
    x: Inputs,
    labels: Any,
) -> Learner:
    """Take one optimizer step on a minibatch.

    Args:
      task: gives model, optimizer and targets.
      gradient: of the mean loss by the outputs.
      learner: the network before the step.
      program: its loss, a ``Program`` or one ``InContext``.
      rate: ``float32[]``, scale of the optimizer's updates.
      keys: of its seed.
      number: ``int32[]``, steps taken before this one.
      x: inputs ``[batch, ...]`` from ``network_input``.
      labels: ``[batch, ...]``, of several outputs a tree.

    Returns:
      The network after the step.
    """
    chex.assert_rank([rate, number], 0)
    chex.assert_equal_shape_prefix(jax.tree.leaves((x, labels)), 1)
    params, state, optimizer_state, finite, average = learner
    dropout_key = jax.random.fold_in(keys.dropout, number)
    (outputs, penalty), backward, state = jax.vjp(
        lambda params: _outputs_and_penalty(task, params, state, x, dropout_key), params, has_aux=True
    )
    outputs_gradient, step_is_finite = _outputs_gradient(task, gradient, program, number, outputs, labels)
    if penalty is None:
        (params_gradient,) = backward((outputs_gradient, None))
    else:
        (params_gradient,) = backward((outputs_gradient, jnp.float32(task.sown_weight)))
        step_is_finite &= jnp.isfinite(penalty)
    updates, optimizer_state = task.optimizer.update(params_gradient, optimizer_state, params)
    moved = optax.apply_updates(params, jax.tree.map(lambda update: rate * update, updates))
    if average is not None:
        average = averaged(average, Weights(moved, state), task.averaging, number)  # type: ignore[arg-type]
    return Learner(moved, state, optimizer_state, finite & step_is_finite, average)  # type: ignore[arg-type]


def _outputs_and_penalty(
    task: Task, params: chex.ArrayTree, state: chex.ArrayTree, x: Inputs, key: jax.Array
) -> tuple[tuple[Any, jax.Array | None], chex.ArrayTree]:
    """What the model gives in training, the sum of its own losses or ``None``, and its new state."""
    if (penalized := task.pure_model.penalized) is not None:
        return penalized(params, state, x, key)
    outputs, state = task.pure_model.apply(params, state, x, key, True)
    return (outputs, None), state


def _outputs_gradient(
    task: Task, gradient: Gradient, program: Any, number: jax.Array, outputs: Any, labels: Any
) -> tuple[Any, jax.Array]:
    """The gradient of the mean loss by every output, or of the sum of these by several, and whether all was finite."""
    progress = jnp.minimum(number.astype(jnp.float32) / task.steps, 1)
    found, finite = [], []
    leaves, structure = jax.tree.flatten(outputs)
    for head, z, of_head in zip(task.heads, leaves, jax.tree.leaves(labels), strict=True):
        in_context = context.filled(program, functools.partial(prior, head), progress)
        by_rows, is_finite = gradient(in_context, dense.rows(z), *head.targets(of_head, z.shape[-1]))
        found.append(by_rows if z.ndim == 2 else by_rows.reshape(z.shape))
        finite.append(is_finite)
    return jax.tree.unflatten(structure, found), functools.reduce(jnp.logical_and, finite)


def averaged(average: Weights, weights: Weights, share: float, number: Array) -> Weights:
    """Take one more step's weights into their average.

    Each average is over about the last ``share`` of the steps so far (polynomial-decay averaging: arXiv 1212.1824,
    section 4, with eta = 1 / share - 1), so it suits a training of any length, and each rung of one. Without a share
    it would be the last weights, and with a share of 1 it is the mean of all.

    Args:
      average: over the steps before, as ``_accumulators`` makes its arrays; not read for the first step.
      weights: after this step.
      share: above 0, at most 1.
      number: ``int32[]``, steps taken before this one.

    Returns:
      The average; arrays of the state that are no floats, such as counters, are those of ``weights``.
    """
    moves = 1 / (1 + share * number)

    def take(average: jax.Array, new: jax.Array) -> jax.Array:
        if not jnp.issubdtype(new.dtype, jnp.inexact):
            return new
        return average + (moves * (new.astype(average.dtype) - average)).astype(average.dtype)

    return jax.tree.map(take, average, weights)


def _accumulators(weights: Weights) -> Weights:
    """Arrays that averages of these fit in: 16 bits would lose small steps, so floats have at least 32."""

    def wide(leaf: jax.Array) -> jax.Array:
        floats = jnp.issubdtype(leaf.dtype, jnp.inexact)
        return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)) if floats else leaf

    return jax.tree.map(wide, weights)


def scored(learner: Learner) -> Weights:
    """The weights that a network is scored with: their average, in the types of its own, or the last."""
    last = Weights(learner.params, learner.state)
    if learner.average is None:
        return last
    return jax.tree.map(lambda average, like: average.astype(like.dtype), learner.average, last)


def score(task: Task, learner: Learner, keys: Keys, x: Inputs, labels: Any) -> jax.Array:
    """The task's score on a split, ``float32[]``; of several outputs the mean of their scores.

    It is 0 if a NaN or infinity occurred in training, in outputs whose label is known, or in the metric.

    Args:
      task: gives model and metric.
      learner: the trained network.
      keys: of its seed.
      x: inputs ``[examples, ...]``, as the data holds them.
      labels: ``[examples, ...]``, of several outputs a tree.
    """
    chex.assert_equal_shape_prefix(jax.tree.leaves((x, labels)), 1)
    heads = zip(task.heads, jax.tree.leaves(labels), strict=True)
    return mean_score(learner, [_score_of_head(head, learner, keys, x, of_head) for head, of_head in heads])


def mean_score(learner: Learner, judged: Sequence[tuple[jax.Array, jax.Array]]) -> jax.Array:
    """The score of a network of whose outputs it is known whether each is finite, and its score."""
    # A user's metric may count, or compute in the bits of its outputs, or be NaN for some of them.
    scores = [jnp.asarray(found, jnp.float32) for _, found in judged]
    found = functools.reduce(jnp.add, scores) / len(scores) if len(scores) > 1 else scores[0]
    sound = functools.reduce(jnp.logical_and, [finite for finite, _ in judged], learner.finite)
    return jnp.where(sound & jnp.isfinite(found), found, jnp.float32(0))


def _score_of_head(
    task: Task, learner: Learner, keys: Keys, x: Inputs, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Whether all outputs are finite, and their score."""
    parts = metric_parts.parts(task.metric_function) if task.positions else None
    if parts is None:
        return score_of_outputs(task, predict(task, learner, keys, x), labels)
    finite, found = sums_of_metric(task, parts, learner, keys, x, labels)
    return finite, task.as_score(parts.finish(found))


def score_of_outputs(task: Task, outputs: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whether all outputs are finite whose label is known, and their score."""
    return _finite(outputs, labels), task.score(outputs, labels)


def _finite(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    known = known_of(dense.label_rows(labels))
    return (jnp.isfinite(dense.rows(outputs)) | ~(known if known.ndim == 2 else known[:, None])).all()


def sums_of_metric(
    task: Task,
    parts: Parts,
    learner: Learner,
    keys: Keys,
    x: Inputs,
    labels: jax.Array,
    before: tuple[jax.Array, Any] | None = None,
) -> tuple[jax.Array, Any]:
    """Whether all outputs are finite, and the sums of a metric: outputs of one batch are in memory at a time.

    Args:
      task: gives the model.
      parts: of its metric.
      learner: the trained network.
      keys: of its seed.
      x: inputs ``[examples, ...]``.
      labels: ``[examples, ...]``.
      before: the same of other examples, to which these are added. Defaults to none.
    """
    size = max(1, min(len(labels), EVALUATION_BATCH, _EVALUATION_ROWS // math.prod(task.positions)))
    missing = -len(labels) % size
    batches = _in_batches(x, size)
    # Examples that fill the last batch have labels that do not count.
    unknown = jnp.full((missing, *labels.shape[1:]), unknown_label(labels.dtype), labels.dtype)
    filled = jnp.concatenate([labels, unknown]).reshape(-1, size, *labels.shape[1:])
    weights = scored(learner)

    def of_batch(x: Inputs, labels: jax.Array) -> tuple[jax.Array, Any]:
        outputs, _ = task.pure_model.apply(*weights, task.evaluation_input(x), keys.evaluation, False)
        return _finite(outputs, labels), parts.sums(dense.rows(outputs), dense.label_rows(labels))

    def add(carry: tuple[jax.Array, Any], batch: tuple[Inputs, jax.Array]) -> tuple[tuple[jax.Array, Any], None]:
        finite, found = of_batch(*batch)
        return (carry[0] & finite, metric_parts.plus(carry[1], found)), None

    rest = 0 if before is not None else 1
    first = before if before is not None else of_batch(inputs.taken(batches, 0), filled[0])
    return jax.lax.scan(add, first, (inputs.taken(batches, slice(rest, None)), filled[rest:]))[0]


def predict(task: Task, learner: Learner, keys: Keys, x: Inputs) -> jax.Array:
    """Outputs ``[examples, ..., outputs]`` outside training, a batch at a time so that large sets fit the memory."""
    examples = inputs.count(x)
    padded = _in_batches(x, min(examples, EVALUATION_BATCH))
    weights = scored(learner)

    def logits(block: Inputs) -> jax.Array:
        x = task.evaluation_input(block)
        return task.pure_model.apply(*weights, x, keys.evaluation, False)[0]

    found = jax.lax.map(logits, padded)
    return found.reshape(-1, *found.shape[2:])[:examples]


def _in_batches(x: Inputs, size: int) -> Inputs:
    """Inputs as ``[batches, size, ...]``, where the first of them fill the last batch."""

    def batched(x: jax.Array) -> jax.Array:
        batches = -(-len(x) // size)
        return jnp.concatenate([x, x[: batches * size - len(x)]]).reshape(batches, size, *x.shape[1:])

    return jax.tree.map(batched, x)
