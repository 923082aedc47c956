"""What a task refuses, in the order in which it looks; nothing is computed but shapes."""

import numbers
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from glojax import models
from glojax.data.datasets import Split
from glojax.errors import users_code
from glojax.models.adapters import Model
from glojax.tasks import metrics
from glojax.tasks.problems import Kind

if TYPE_CHECKING:
    from glojax.tasks.task import Task


def split(kind: Kind, field: str, given: Any) -> Split:
    """A part of the data as a task keeps it."""
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


def data(task: "Task") -> None:
    """The parts beside each other, and the numbers that go with them."""
    shapes = {field: part.x.shape[1:] for field, part in task.splits.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"Task: inputs differ in shape: {shapes}; all parts must have one shape.")
    labels = task.splits["train"].labels
    present = np.unique(labels[~np.isnan(labels)])
    if len(present) < 2:
        raise ValueError(f"Task.train has labels of one class, {present.tolist()}; at least two are needed.")
    size = len(labels)
    if not _is_count(task.batch_size) or task.batch_size > size:
        raise ValueError(f"Task.batch_size is {task.batch_size!r}; 1 to {size}, the training examples, are allowed.")
    for field in ("steps", "group"):
        value = getattr(task, field)
        if not _is_count(value) and (field, value) != ("group", None):
            raise ValueError(f"Task.{field} is {value!r}; it must be at least 1, a whole number.")


def _is_count(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= 1


def metric(task: "Task") -> None:
    """That it is one, for such labels, and an error if less of it is to be better."""
    found = metrics.metric_by_name("Task.metric", task.problem.metric if task.metric is None else task.metric)
    ours = found in metrics.METRICS.values()
    if ours and (found in metrics.OF_CLASSES) != task.problem.has_classes:
        labels, others = ("classes", "numbers") if task.problem.has_classes else ("numbers", "classes")
        raise ValueError(f"Task.metric is {task.metric_name!r}, which is for {others}; these labels are {labels}.")
    if not isinstance(task.minimize, bool):
        raise ValueError(f"Task.minimize is {task.minimize!r}; True or False is allowed.")
    if task.minimize and ours and found not in metrics.MINIMIZED:
        raise ValueError(f"Task.minimize is for a metric that is an error; more of {task.metric_name!r} is better.")


# THE MODEL


class Called(NamedTuple):
    """What a model gives of a batch, as shapes and types."""

    params: Any
    state: Any
    outputs: Any
    new_state: Any


def called(given: Model, batch: jax.ShapeDtypeStruct, train: bool) -> Called:
    """The model's beginning, and what it gives of a batch."""

    def call() -> Called:
        key = jax.random.key(0)
        params, state = given.init(key)
        outputs, new_state = given.apply(params, state, jnp.zeros(batch.shape, batch.dtype), key, train)
        return Called(params, state, outputs, new_state)

    return jax.eval_shape(call)


def described(arrays: Any) -> Any:
    """A structure of arrays with their types and shapes in their places."""
    return jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", arrays)


def model(task: "Task") -> None:
    """That it can be called with what the data gives, in training and outside, and what comes of it."""
    with users_code("Task.preprocess"):
        batch = task.batch
    with users_code("Task.augment"):
        augmented = jax.eval_shape(lambda x: task.training_input(jax.random.key(0), x), task.raw_batch)
    if (augmented.shape, augmented.dtype) != (batch.shape, batch.dtype):
        raise ValueError(
            f"Task.augment gives {described(augmented)}, and evaluation gives the model {described(batch)}; both must "
            "be alike."
        )
    made = task.pure_model
    for train in (True, False):
        with users_code(f"Task.model, called with {described(batch)},"):
            found = called(made, batch, train)
        outputs = found.outputs
        if not (isinstance(outputs, jax.ShapeDtypeStruct) and jnp.issubdtype(outputs.dtype, jnp.floating)):
            raise ValueError(f"Task.model gives {described(outputs)}; one floating array [batch, outputs] is expected.")
        before, after = described(found.state), described(found.new_state)
        if before != after:
            raise ValueError(f"Task.model makes of the state {before} the state {after}; both must be alike.")
        _outputs(task, outputs)


def _outputs(task: "Task", outputs: jax.ShapeDtypeStruct) -> None:
    shape = outputs.shape
    gives = f"Task.model gives an output of shape {list(shape)} for a batch of {task.batch_size}"
    fits = len(shape) == 2 and shape[0] == task.batch_size
    if task.problem.has_classes:
        if not (fits and shape[1] >= task.classes):
            raise ValueError(
                f"{gives}; [batch, classes] with at least {task.classes} classes, as many as the labels name, is "
                "expected."
            )
        return
    columns = {name: part.labels.shape[-1] for name, part in task.splits.items()}
    if not (fits and set(columns.values()) == {shape[1]}):
        raise ValueError(
            f"{gives}, and labels have {columns} columns; [batch, outputs] with an output for each column is expected."
        )
    if callable(predict := task.problem.output):
        with users_code("Kind.output"):
            predicted = jax.eval_shape(predict, outputs)
        if described(predicted) != described(outputs):
            raise ValueError(
                f"Kind.output makes {described(predicted)} of {described(outputs)}; it must keep the shape."
            )


def optimizer(task: "Task") -> None:
    """That it is one, and can update the model's parameters."""
    if not isinstance(task.optimizer, optax.GradientTransformation):
        raise ValueError(
            f"Task.optimizer is {task.optimizer!r}; an optax optimizer, such as optax.sgd(0.1), is expected."
        )
    params, _ = models.shapes(task.pure_model)
    with users_code("Task.optimizer"):
        jax.eval_shape(lambda params: task.optimizer.update(params, task.optimizer.init(params), params), params)


def class_weights(given: Any, outputs: int) -> tuple[float, ...]:
    """The weights, one for each output."""
    try:
        weights = np.asarray(given, float)
    except (TypeError, ValueError):
        weights = np.zeros(0)
    if weights.shape != (outputs,) or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(
            f"Task.class_weights is {given!r}; a number above 0 for each of the {outputs} outputs is expected."
        )
    return tuple(weights.tolist())
