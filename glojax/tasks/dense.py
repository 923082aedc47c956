"""Tasks whose model gives outputs for many positions of an example: pixels, tokens, steps of a series.

Outputs are ``[batch, *positions, outputs]``. A task keeps labels of classes as int32 ``[examples, *positions]``, every
other label as float32 ``[examples, *positions, outputs]``. A loss and a metric see the same as **rows**, one for each
position: outputs ``[rows, outputs]``, and labels in the form of a task without positions. So a dense task is a task of
``examples * positions`` examples, whose minibatches are of whole examples.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glojax.data.splits import Split
from glojax.models.adapters import Model
from glojax.tasks import inputs

_EXAMPLES = 2  # in the batch with which a model is asked for the shape of its outputs


def positions(labels: Any) -> tuple[int, ...]:
    """The shape of the positions of labels in the form that a task keeps; () where an example has one label."""
    return tuple(labels.shape[1:] if jnp.issubdtype(labels.dtype, jnp.integer) else labels.shape[1:-1])


def rows(outputs: jax.Array) -> jax.Array:
    """Outputs ``[batch, *positions, outputs]`` as ``[rows, outputs]``."""
    return outputs if outputs.ndim == 2 else outputs.reshape(-1, outputs.shape[-1])


def label_rows(labels: Any) -> Any:
    """Labels in the form that a task keeps as those of rows: ``[rows]`` of classes, else ``[rows, outputs]``."""
    where = positions(labels)
    return labels.reshape(-1, *labels.shape[1 + len(where) :]) if where else labels


def flat(splits: Mapping[str, Split]) -> dict[str, Split]:
    """The parts of a task's data, with the labels of rows; inputs are as they were."""
    return {name: Split(part.x, label_rows(part.labels)) for name, part in splits.items()}


def asked(
    as_model: Callable[[Any], Model], preprocess: Callable[[jax.Array], jax.Array] | None, train: Any
) -> tuple[int, ...]:
    """Ask a model for the positions of its outputs, before its task is checked.

    Args:
      as_model: makes pure functions of the user's model, from an example of its inputs.
      preprocess: ``Task.preprocess``.
      train: a pair of arrays (inputs, labels), not yet checked.

    Returns:
      The axes of its outputs between the first and the last. () where labels are ``[examples]``, and where the model
      cannot be called, which a later check explains.
    """
    try:
        x, labels = train
        batches = list(inputs.asked(x, (_EXAMPLES,))) if np.ndim(labels) > 1 else []
    except (TypeError, ValueError, IndexError):
        return ()
    for batch in batches:
        try:
            batch = batch if preprocess is None else jax.eval_shape(preprocess, batch)
            found = jax.eval_shape(partial(_outputs, as_model, batch))
            return tuple(found.shape[1:-1])
        except Exception:  # whatever a user's model raises
            continue
    return ()


def _outputs(as_model: Callable[[Any], Model], batch: Any) -> jax.Array:
    example, key = inputs.zeros(batch), jax.random.key(0)
    pure = as_model(example)
    return pure.apply(*pure.init(key), example, key, False)[0]


def given_rows(field: str, labels: Any, examples: int, where: tuple[int, ...]) -> tuple[Any, int]:
    """Labels as the user gave them as those of rows.

    Args:
      field: the part of the data, for messages.
      labels: ``[examples, *positions]``, or ``[examples, *positions, outputs]``.
      examples: the number of inputs.
      where: the shape of the positions.

    Returns:
      The labels, and the number of rows.

    Raises:
      ValueError: labels of another shape.
    """
    if not where:
        return labels, examples
    try:
        array = labels if hasattr(labels, "reshape") else np.asarray(labels)
        shape = tuple(array.shape)
    except (TypeError, ValueError, AttributeError):
        raise ValueError(f"Task.{field}: labels are no array; an array of numbers is expected.") from None
    wanted = (examples, *where)
    if shape[: len(wanted)] != wanted or len(shape) > len(wanted) + 1:
        sizes = ", ".join(map(str, wanted))
        raise ValueError(
            f"Task.{field}: labels have shape {list(shape)}; [{sizes}] or [{sizes}, outputs] is expected, because the "
            f"model gives [batch, {', '.join(map(str, where))}, outputs]."
        )
    return array.reshape(-1, *shape[len(wanted) :]), math.prod(wanted)


def masked(field: str, labels: Any, where: Any, examples: int, positions: tuple[int, ...]) -> Any:
    """Labels of which those that take no part are masked, as ``labels.classes`` and ``labels.numbers`` take them.

    Args:
      field: the part of the data, for messages.
      labels: as the user gave them.
      where: ``Task.where`` of this part, or None.
      examples: the number of inputs.
      positions: the shape of the positions.

    Raises:
      ValueError: ``where`` has another shape than the labels or their positions, or does not hold booleans.
    """
    if where is None:
        return labels
    mask, shape = np.asarray(where), np.shape(labels)
    wanted = (examples, *positions)
    if mask.dtype != bool or mask.shape not in (wanted, shape) or not mask.size:
        either = f" or {list(shape)}" if shape != wanted else ""
        raise ValueError(
            f"Task.where[{field!r}] is {mask.dtype}{list(mask.shape)}; bool{list(wanted)}{either} is expected."
        )
    if shape[: len(wanted)] != wanted:
        return labels  # which a later check refuses
    if mask.ndim < len(shape):
        mask = mask.reshape(*mask.shape, *(1,) * (len(shape) - mask.ndim))
    return np.ma.array(
        labels if np.ma.isMaskedArray(labels) else np.asarray(labels), mask=~np.broadcast_to(mask, shape)
    )


def check_where(where: Any, parts: Any) -> None:
    """Raise ``ValueError`` unless ``Task.where`` has arrays by the names of ``parts``, or is None."""
    if where is not None and not (isinstance(where, Mapping) and set(where) <= set(parts)):
        given = sorted(map(str, where)) if isinstance(where, Mapping) else type(where).__name__
        raise ValueError(f"Task.where is {given}; a mapping with arrays for some of {', '.join(parts)} is expected.")
