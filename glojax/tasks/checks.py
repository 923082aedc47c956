"""Checks of the values that a ``Task`` is given, in the order in which it calls them.

Each takes plain values, raises a ``ValueError`` that names the field and what is allowed, and returns what the task
keeps, if anything. Functions of the user are traced for their shapes and never run.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from glojax.data.splits import Split
from glojax.distributed import jax_settings
from glojax.errors import users_code
from glojax.models.adapters import Model
from glojax.tasks import metrics
from glojax.tasks.metrics import Metric
from glojax.tasks.problems import Kind

# DATA


def split(kind: Kind, field: str, given: Any) -> Split:
    """Check one part of the data and convert it to the form that a task keeps.

    Args:
      kind: the kind of problem, which decides what labels may be.
      field: ``"train"``, ``"validation"`` or ``"test"``, for messages.
      given: a pair of arrays (inputs, labels).

    Returns:
      Inputs as float32, or uint8 if they were, and labels as ``Kind.checked`` converts them.

    Raises:
      ValueError: no pair of arrays, inputs that are not real, not finite or have fewer than two axes, or wrong labels.
    """
    try:
        x, labels = (np.asarray(part) for part in given)
    except (TypeError, ValueError):
        raise ValueError(f"Task.{field} must be a pair of arrays (inputs, labels).") from None
    if not (x.dtype == bool or jnp.issubdtype(x.dtype, jnp.integer) or jnp.issubdtype(x.dtype, jnp.floating)):
        raise ValueError(f"Task.{field}: inputs are {x.dtype}{list(x.shape)}; real numbers are expected.")
    x = x if x.dtype == np.uint8 else x.astype(np.float32)
    if x.ndim < 2 or len(x) == 0:
        raise ValueError(
            f"Task.{field}: inputs have shape {list(x.shape)}; [examples, ...] with an example is expected."
        )
    if not np.isfinite(x).all():
        rows = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
        raise ValueError(f"Task.{field}: inputs of {len(rows)} examples are NaN or infinite, the first at {rows[0]}.")
    return Split(x, kind.checked(field, labels, len(x)))


def data(splits: Mapping[str, Split]) -> None:
    """Check that all parts have inputs of one shape, and that the training labels differ.

    Raises:
      ValueError: inputs differ in shape, or all training labels are the same.
    """
    shapes = {field: part.x.shape[1:] for field, part in splits.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"Task: inputs differ in shape: {shapes}; all parts must have one shape.")
    labels = splits["train"].labels
    present = np.unique(labels[~np.isnan(labels)])
    if len(present) < 2:
        raise ValueError(f"Task.train has labels of one class, {present.tolist()}; at least two are needed.")


def count(field: str, value: object, largest: int | None = None) -> None:
    """Check that a field is a whole number of at least 1.

    Args:
      field: the field's name.
      value: the number.
      largest: the number of training examples if they bound it. Defaults to no bound.

    Raises:
      ValueError: it is out of range or not a whole number.
    """
    most = math.inf if largest is None else largest
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and 1 <= int(value) <= most:
        return
    allowed = (
        "it must be at least 1, a whole number"
        if largest is None
        else f"1 to {largest}, the training examples, are allowed"
    )
    raise ValueError(f"Task.{field} is {value!r}; {allowed}.")


def metric(given: str | Metric, name: str, kind: Kind, minimize: object) -> None:
    """Check that a metric exists, suits the labels, and is an error where it is to be minimized.

    Args:
      given: the metric, or its name.
      name: its name in messages.
      kind: the kind of problem.
      minimize: ``Task.minimize``.

    Raises:
      ValueError: an unknown metric, one for other labels, or a wrong ``minimize``.
    """
    found = metrics.metric_by_name("Task.metric", given)
    ours = found in metrics.METRICS.values()
    if ours and (found in metrics.OF_CLASSES) != kind.has_classes:
        labels, others = ("classes", "numbers") if kind.has_classes else ("numbers", "classes")
        raise ValueError(f"Task.metric is {name!r}, which is for {others}; these labels are {labels}.")
    if not isinstance(minimize, bool):
        raise ValueError(f"Task.minimize is {minimize!r}; True or False is allowed.")
    if minimize and ours and found not in metrics.MINIMIZED:
        raise ValueError(f"Task.minimize is for a metric that is an error; more of {name!r} is better.")


# THE MODEL


class Called(NamedTuple):
    """Shapes and types of what a model has and computes."""

    params: chex.ArrayTree
    state: chex.ArrayTree
    outputs: jax.ShapeDtypeStruct
    new_state: chex.ArrayTree


def called(given: Model, batch: jax.ShapeDtypeStruct, train: bool) -> Called:
    """Trace a model's initialization and a call.

    Args:
      given: the model as pure functions.
      batch: shape and type of the inputs.
      train: whether the call is in training mode.

    Returns:
      Shapes and types alone; nothing is computed.
    """

    def call() -> tuple[Any, ...]:
        key = jax.random.key(0)
        params, state = given.init(key)
        outputs, new_state = given.apply(params, state, jnp.zeros(batch.shape, batch.dtype), key, train)
        return params, state, outputs, new_state

    return Called(*jax.eval_shape(call))


def described(arrays: object) -> Any:
    """Replace the arrays in a tree by their types and shapes, such as ``"float32[8, 3]"``."""
    return jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", arrays)


def model_input(
    evaluation_input: Callable[[jax.Array], jax.Array],
    training_input: Callable[[jax.Array, jax.Array], jax.Array],
    raw_batch: jax.ShapeDtypeStruct,
) -> jax.ShapeDtypeStruct:
    """Check that ``preprocess`` and ``augment`` can be called and agree.

    Args:
      evaluation_input: makes the model's input of a batch.
      training_input: the same for training, with a random key first.
      raw_batch: shape and type of a minibatch as the data holds it.

    Returns:
      Shape and type of the model's input.

    Raises:
      ValueError: one of them raises, or they make inputs of different shapes or types.
    """
    with users_code("Task.preprocess"):
        batch = jax.eval_shape(evaluation_input, raw_batch)
    with users_code("Task.augment"):
        augmented = jax.eval_shape(lambda x: training_input(jax.random.key(0), x), raw_batch)
    if (augmented.shape, augmented.dtype) != (batch.shape, batch.dtype):
        raise ValueError(
            f"Task.augment gives {described(augmented)}, and evaluation gives the model {described(batch)}; both must "
            "be alike."
        )
    return batch


def model(given: Model, batch: jax.ShapeDtypeStruct, kind: Kind, splits: Mapping[str, Split]) -> None:
    """Check that a model can be called in both modes, and that its outputs suit the labels.

    Args:
      given: the model as pure functions.
      batch: shape and type of its input.
      kind: the kind of problem.
      splits: the data, by name.

    Raises:
      ValueError: the model raises, changes the structure of its state, or gives outputs that do not suit the labels.
    """
    for train in (True, False):
        with users_code(f"Task.model, called with {described(batch)},"):
            found = called(given, batch, train)
        outputs = found.outputs
        if not (isinstance(outputs, jax.ShapeDtypeStruct) and jnp.issubdtype(outputs.dtype, jnp.floating)):
            raise ValueError(f"Task.model gives {described(outputs)}; one floating array [batch, outputs] is expected.")
        before, after = described(found.state), described(found.new_state)
        if before != after:
            raise ValueError(f"Task.model makes of the state {before} the state {after}; both must be alike.")
        _outputs(outputs, batch.shape[0], kind, splits)


def _outputs(outputs: jax.ShapeDtypeStruct, batch_size: int, kind: Kind, splits: Mapping[str, Split]) -> None:
    """Check the shape of a model's outputs against the labels, and what ``Kind.output`` makes of them."""
    shape = outputs.shape
    gives = f"Task.model gives an output of shape {list(shape)} for a batch of {batch_size}"
    fits = len(shape) == 2 and shape[0] == batch_size
    if kind.has_classes:
        classes = class_count(splits)
        if not (fits and shape[1] >= classes):
            raise ValueError(
                f"{gives}; [batch, classes] is expected, with at least {classes} classes for the labels in the data."
            )
        return
    columns = {name: part.labels.shape[-1] for name, part in splits.items()}
    if not (fits and set(columns.values()) == {shape[1]}):
        raise ValueError(
            f"{gives}, and labels have {columns} columns; [batch, outputs] with an output for each column is expected."
        )
    if callable(predict := kind.output):
        with users_code("Kind.output"):
            predicted = jax.eval_shape(predict, outputs)
        if described(predicted) != described(outputs):
            raise ValueError(
                f"Kind.output makes {described(predicted)} of {described(outputs)}; it must keep the shape."
            )


def class_count(splits: Mapping[str, Split]) -> int:
    """The number of classes in integer labels: the largest label plus one."""
    return 1 + max(int(part.labels.max()) for part in splits.values())


def optimizer(given: object, params: chex.ArrayTree) -> None:
    """Check that an optimizer is one of optax and can update the model's parameters.

    Args:
      given: the optimizer.
      params: shapes and types of the parameters.

    Raises:
      ValueError: it is another object, or it raises.
    """
    if not isinstance(given, optax.GradientTransformation):
        raise ValueError(f"Task.optimizer is {given!r}; an optax optimizer, such as optax.sgd(0.1), is expected.")
    with users_code("Task.optimizer"), jax_settings.standard():  # schedules of optax mix types of numbers
        jax.eval_shape(lambda params: given.update(params, given.init(params), params), params)


def class_weights(given: Any, outputs: int) -> tuple[float, ...]:
    """Check class weights.

    Args:
      given: the weights.
      outputs: the number of outputs of the network.

    Returns:
      A weight for each output.

    Raises:
      ValueError: weights of another number, or that are not above 0 and finite.
    """
    try:
        weights = np.asarray(given, float)
    except (TypeError, ValueError):
        weights = np.zeros(0)
    if weights.shape != (outputs,) or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(
            f"Task.class_weights is {given!r}; a number above 0 for each of the {outputs} outputs is expected."
        )
    return tuple(weights.tolist())


def metric_value(found: Any, name: str, for_search: bool) -> None:
    """Check what a metric gave for random outputs.

    Args:
      found: its value.
      name: its name in messages.
      for_search: whether it must be at least 0.

    Raises:
      ValueError: it is not one finite number, or is below 0 for a search.
    """
    if getattr(found, "shape", None) != ():
        raise ValueError(f"{name} gives {described(found)} for the validation set; one number is expected.")
    value = np.asarray(found)
    if not np.isfinite(value) or (for_search and value < 0):
        raise ValueError(
            f"{name} gives {value} of random outputs for the validation set; one finite number"
            f"{' of at least 0' * for_search} is expected."
        )
