"""The training of one network with one loss, as pure functions; ``populations`` trains many by them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from glojax.expressions.programs import Program
from glojax.seeds import named_random
from glojax.tasks.task import Task
from glojax.training.gradients import Gradient

_EVALUATION_BATCH = 500


class Learner(NamedTuple):
    """A network in the course of its training."""

    params: Any
    state: Any  # of the model: what changes without gradients
    optimizer_state: Any
    finite: jax.Array  # bool[], whether losses and slopes were finite so far


class Keys(NamedTuple):
    """Randomness of one training on the device; its minibatches are drawn by ``minibatches``."""

    init: jax.Array
    dropout: jax.Array
    evaluation: jax.Array
    augmentation: jax.Array


def keys_of(seed: jax.Array) -> Keys:
    """The keys that a seed, uint32[], stands for."""
    return Keys(*jax.random.split(jax.random.fold_in(jax.random.key(0), seed), 4))


def minibatches(seed: int, examples: int, batch_size: int, first: int, last: int) -> np.ndarray:
    """Places ``[last - first, batch]`` of the examples for these steps.

    Every epoch has a new order; its incomplete last batch is left out. Drawn on the host, where a sort of the data
    set costs nothing beside the steps of its epoch.
    """
    in_epoch = examples // batch_size
    epochs = range(first // in_epoch, -(-last // in_epoch))
    orders = [named_random(seed, "minibatches", epoch).permutation(examples) for epoch in epochs]
    places = np.concatenate([order[: in_epoch * batch_size].reshape(in_epoch, batch_size) for order in orders])
    return places[first - epochs.start * in_epoch :][: last - first].astype(np.int32)


def start(task: Task, keys: Keys) -> Learner:
    """A network before its first step."""
    params, state = task.pure_model.init(keys.init)
    return Learner(params, state, task.optimizer.init(params), jnp.array(True))


def shapes(task: Task) -> Learner:
    """The shapes and types of what ``start`` gives."""
    return jax.eval_shape(lambda seed: start(task, keys_of(seed)), jax.ShapeDtypeStruct((), jnp.uint32))


def network_input(task: Task, keys: Keys, number: jax.Array, x: jax.Array) -> jax.Array:
    """A minibatch as the network is given it in step ``number``; the same for all networks with these keys."""
    return task.training_input(jax.random.fold_in(keys.augmentation, number), x)


def step(
    task: Task,
    gradient: Gradient,
    learner: Learner,
    program: Program,
    rate: jax.Array,
    keys: Keys,
    number: jax.Array,
    x: jax.Array,
    labels: jax.Array,
) -> Learner:
    """One optimizer step on a minibatch, its updates scaled by ``rate``; ``number`` counts steps from 0.

    ``x`` is what ``network_input`` gives.
    """
    params, state, optimizer_state, finite = learner
    dropout_key = jax.random.fold_in(keys.dropout, number)
    logits, backward, state = jax.vjp(
        lambda params: task.pure_model.apply(params, state, x, dropout_key, True), params, has_aux=True
    )
    logits_gradient, step_is_finite = gradient(program, logits, *task.targets(labels, logits.shape[-1]))
    (params_gradient,) = backward(logits_gradient)
    updates, optimizer_state = task.optimizer.update(params_gradient, optimizer_state, params)
    params = optax.apply_updates(params, jax.tree.map(lambda update: rate * update, updates))
    return Learner(params, state, optimizer_state, finite & step_is_finite)


def score(task: Task, learner: Learner, keys: Keys, x: jax.Array, labels: jax.Array) -> jax.Array:
    """The task's score on a part of the data; 0 if a NaN or infinity was met, in training or here."""
    outputs = predict(task, learner, keys, x)
    sound = learner.finite & jnp.isfinite(outputs).all()
    return jnp.where(sound, task.score(outputs, labels), 0.0)


def predict(task: Task, learner: Learner, keys: Keys, x: jax.Array) -> jax.Array:
    """Logits ``[examples, classes]`` outside training, a batch at a time so that large sets fit the memory."""
    size = min(len(x), _EVALUATION_BATCH)
    blocks = -(-len(x) // size)
    padded = jnp.concatenate([x, x[: blocks * size - len(x)]]).reshape(blocks, size, *x.shape[1:])

    def logits(block: jax.Array) -> jax.Array:
        x = task.evaluation_input(block)
        return task.pure_model.apply(learner.params, learner.state, x, keys.evaluation, False)[0]

    return jax.lax.map(logits, padded).reshape(blocks * size, -1)[: len(x)]
