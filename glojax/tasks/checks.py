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

from glojax.data.splits import Split
from glojax.distributed.jax_settings import PRECISIONS
from glojax.errors import users_code
from glojax.models.adapters import Model
from glojax.tasks import dense, inputs
from glojax.tasks.class_weights import CHOICES
from glojax.tasks.inputs import Inputs
from glojax.tasks.labels import known_of
from glojax.tasks.problems import Kind

# DATA


def split(
    kind: Kind,
    field: str,
    given: Any,
    ignore_label: int | None = None,
    positions: tuple[int, ...] = (),
    where: Any = None,
) -> Split:
    """Check one part of the data and convert it to the form that a task keeps.

    Args:
      kind: the kind of problem, which decides what labels may be.
      field: ``"train"``, ``"validation"`` or ``"test"``, for messages.
      given: a pair (inputs, labels).
      ignore_label: the label that stands for none. Defaults to none.
      positions: the axes of labels between examples and outputs (``dense``). Defaults to none.
      where: which labels take part (``dense.masked``). Defaults to all.

    Returns:
      Inputs as ``inputs.checked`` converts them, and labels as ``Kind.checked`` converts them.

    Raises:
      ValueError: no pair, or wrong inputs or labels.
    """
    try:
        x, labels = given
        x = inputs.as_given(x)
    except (TypeError, ValueError):
        raise ValueError(f"Task.{field} must be a pair of arrays (inputs, labels).") from None
    x = inputs.checked(field, x)
    examples = inputs.count(x)
    ignored = () if ignore_label is None else (ignore_label,)
    labels = dense.masked(field, labels, where, examples, positions)
    rows, count = dense.given_rows(field, labels, examples, positions)
    kept = kind.checked(field, rows, count, *ignored)
    return Split(x, kept.reshape(examples, *positions, *kept.shape[1:]) if positions else kept)


def data(kind: Kind, splits: Mapping[str, Split]) -> None:
    """Check that all parts have inputs of one shape, and that the training labels differ.

    Raises:
      ValueError: inputs differ in shape, all training labels are the same, or none of an output is known.
    """
    shapes = {
        field: shape.shape[1:] if hasattr(shape := inputs.shapes(part.x, 1), "shape") else described(shape)
        for field, part in splits.items()
    }
    if any(shape != shapes["train"] for shape in shapes.values()):
        raise ValueError(f"Task: inputs differ in shape: {shapes}; all parts must have one shape.")
    labels = splits["train"].labels
    known = known_of(labels)
    if kind.has_classes and labels.ndim == 2:
        rows = labels[known.all(axis=1)]
        if (rows == rows[0]).all():
            raise ValueError(f"Task.train has soft labels that are all {rows[0].tolist()}; at least two are needed.")
        return
    present = np.unique(labels[known])
    if len(present) < 2:
        raise ValueError(f"Task.train has labels of one class, {present.tolist()}; at least two are needed.")
    if labels.ndim == 2 and not known.any(axis=0).all():
        raise ValueError(
            f"Task.train: labels of output {int(known.any(axis=0).argmin())} are all unknown; at least one that is "
            "known is needed."
        )


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


def share(field: str, value: object) -> None:
    """Raise ``ValueError`` for a field that is not a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        raise ValueError(f"{field} is {value!r}; a number from 0 to 1 is allowed.")


def machine(group: object) -> None:
    """Raise ``ValueError`` unless the deprecated ``Task.group`` is None or a whole number of at least 1."""
    if group is not None:
        count("group", group)


def auxiliary(has_aux: object, sown_weight: object) -> None:
    """Raise ``ValueError`` unless ``Task.has_aux`` is a bool and ``Task.sown_weight`` a finite number of at least 0."""
    if not isinstance(has_aux, bool):
        raise ValueError(f"Task.has_aux is {has_aux!r}; True or False is allowed.")
    number = isinstance(sown_weight, int | float | np.number) and not isinstance(sown_weight, bool)
    if not (number and 0 <= sown_weight < math.inf):  # type: ignore[operator]
        raise ValueError(f"Task.sown_weight is {sown_weight!r}; a finite number of at least 0 is allowed.")


def precision(field: str, value: object) -> None:
    """Raise ``ValueError`` for a field that is neither ``None`` nor a key of ``jax_settings.PRECISIONS``."""
    if value is not None and value not in tuple(PRECISIONS):
        raise ValueError(f"{field} is {value!r}; allowed are {', '.join(PRECISIONS)} and None.")


# THE MODEL


class Called(NamedTuple):
    """Shapes and types of what a model has and computes."""

    params: chex.ArrayTree
    state: chex.ArrayTree
    outputs: jax.ShapeDtypeStruct
    new_state: chex.ArrayTree


def called(given: Model, batch: Any, train: bool) -> Called:
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
        outputs, new_state = given.apply(params, state, inputs.zeros(batch), key, train)
        return params, state, outputs, new_state

    return Called(*jax.eval_shape(call))


def described(arrays: object) -> Any:
    """Replace the arrays in a tree by their types and shapes, such as ``"float32[8, 3]"``."""
    return jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", arrays)


def model_input(
    evaluation_input: Callable[[Inputs], Inputs],
    training_input: Callable[[jax.Array, Inputs], Inputs],
    raw_batch: Any,
) -> Any:
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
    if described(augmented) != described(batch):
        raise ValueError(
            f"Task.augment gives {described(augmented)}, and evaluation gives the model {described(batch)}; both must "
            "be alike."
        )
    return batch


def model(given: Model, batch: Any, kind: Kind, splits: Mapping[str, Split], positions: tuple[int, ...] = ()) -> None:
    """Check that a model can be called in both modes, and that its outputs suit the labels.

    Args:
      given: the model as pure functions.
      batch: shape and type of its input.
      kind: the kind of problem.
      splits: the data, by name, with the labels of rows.
      positions: the axes of outputs between batch and outputs. Defaults to none.

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
        _outputs(outputs, (jax.tree.leaves(batch)[0].shape[0], *positions), kind, splits)


def penalty(given: Model, batch: Any) -> None:
    """Trace the losses that a model has beside its outputs, where they are wanted.

    Raises:
      ValueError: it has none, or they are not floats.
    """
    if (penalized := given.penalized) is not None:
        key = jax.random.key(0)
        with users_code("Task.model"):
            jax.eval_shape(lambda: penalized(*given.init(key), inputs.zeros(batch), key))


def _outputs(outputs: jax.ShapeDtypeStruct, before: tuple[int, ...], kind: Kind, splits: Mapping[str, Split]) -> None:
    """Check the shape of a model's outputs against the labels, and what ``Kind.output`` makes of them."""
    shape = outputs.shape
    gives = f"Task.model gives an output of shape {list(shape)} for a batch of {before[0]}"
    fits = len(shape) > 1 and shape[:-1] == before
    between = "".join(f"{size}, " for size in before[1:])
    if kind.has_classes:
        _classes(gives, shape[-1] if fits else 0, splits, between)
        return
    columns = {name: part.labels.shape[-1] for name, part in splits.items()}
    if not (fits and set(columns.values()) == {shape[-1]}):
        raise ValueError(
            f"{gives}, and labels have {columns} columns; [batch, {between}outputs] with an output for each "
            "column is expected."
        )
    if callable(predict := kind.output):
        with users_code("Kind.output"):
            outputs = jax.eval_shape(dense.rows, outputs)
            predicted = jax.eval_shape(predict, outputs)
        if described(predicted) != described(outputs):
            raise ValueError(
                f"Kind.output makes {described(predicted)} of {described(outputs)}; it must keep the shape."
            )


def _classes(gives: str, outputs: int, splits: Mapping[str, Split], between: str = "") -> None:
    """Check the number of a model's outputs against labels that are classes."""
    soft = {name: part.labels.shape[1] for name, part in splits.items() if part.labels.ndim == 2}
    if outputs and any(columns != outputs for columns in soft.values()):
        raise ValueError(f"{gives}, and soft labels have {soft} columns; an output for each class is expected.")
    count = class_count(splits)
    whole = [part.labels for part in splits.values() if part.labels.ndim == 1]
    present = set().union(*(np.unique(labels[labels >= 0]).tolist() for labels in whole))
    has_gaps = any((labels < 0).any() for labels in whole)  # perhaps what stood in the place of 0
    from_1 = not soft and not has_gaps and count > 2 and present == set(range(1, count))
    if from_1 and outputs in (count - 1, count):
        raise ValueError(
            f"Task: labels are numbered from 1 to {count - 1}; classes count from 0. Write labels - 1, with a model of "
            f"{count - 1} outputs."
        )
    if outputs < count:
        hint = ' One output is for kind="binary".' if outputs == 1 and count == 2 else ""
        raise ValueError(
            f"{gives}; [batch, {between}classes] is expected, with at least {count} classes for the labels in the "
            f"data.{hint}"
        )


def class_count(splits: Mapping[str, Split]) -> int:
    """The number of classes in labels: the largest label plus one, or the columns of soft labels."""
    return max(
        part.labels.shape[1] if part.labels.ndim == 2 else 1 + int(part.labels.max()) for part in splits.values()
    )


def class_weight(given: Any, weights: object, kind: Kind) -> None:
    """Raise ``ValueError`` for an unknown way to weigh classes, one beside weights, or where there are no classes."""
    if given is None:
        return
    if given not in CHOICES:
        raise ValueError(f"Task.class_weight is {given!r}; {', '.join(map(repr, CHOICES))} or None is allowed.")
    if weights is not None:
        raise ValueError(f"Task.class_weight is {given!r}, and class_weights is given too; one of them is allowed.")
    if kind.output not in ("softmax", "sigmoid"):
        raise ValueError(f"Task.class_weight is {given!r}; only classes, or labels 0 and 1 of a sigmoid, are weighed.")


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


def ignore_label(given: object) -> int | None:
    """Check the label that stands for none.

    Raises:
      ValueError: it is no whole number.
    """
    if given is None or (isinstance(given, int | np.integer) and not isinstance(given, bool)):
        return None if given is None else int(given)
    raise ValueError(
        f"Task.ignore_label is {given!r}; a whole number such as -1, or None, is allowed. NaN is unknown without it."
    )
