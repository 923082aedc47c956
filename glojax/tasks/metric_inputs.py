"""What metrics are given: outputs and labels in their shapes, checked, and which labels are known.

Labels are of three types. Those of **classes** are whole numbers ``[examples]``, or one-hot or soft rows
``[examples, classes]``. **Binary** ones are 0 and 1, and **numbers** anything real, both ``[examples, outputs]``, or
``[examples]`` for one output. One-hot rows look like binary labels of several outputs: ``means_classes`` tells them
apart where it can and asks for the argument ``classes`` where it cannot.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from glojax.tasks.labels import check_binary

Metric = Callable[[jax.Array, jax.Array], jax.Array]
"""``metric(outputs, labels) -> scalar``."""

_LARGEST = float(np.finfo(np.float32).max) / 4  # what infinite logits count as, so that differences are finite
_TELLING = 10  # rows that all sum to 1 by no accident: a few examples of several outputs may each have one positive


class Classes(NamedTuple):
    """Outputs and labels of classes."""

    outputs: Any  # [examples, classes], an array of JAX or of NumPy
    labels: jax.Array  # int32[examples], 0 where unknown
    known: jax.Array  # bool[examples]
    soft: Any  # [examples, classes], one-hot or soft labels as given, or None


# WHICH TYPE


def means_classes(metric: str, outputs: Any, labels: Any, given: bool | None, several: bool = False) -> bool:
    """Tell labels of classes from binary ones.

    Args:
      metric: the metric's name, for messages.
      outputs: ``[examples, outputs]``.
      labels: of either type.
      given: what the user says. Defaults to what the shapes tell.
      several: whether labels of the shape of several outputs are binary unless something speaks against it. Defaults
        to False: they are refused.

    Raises:
      ValueError: labels of the shape of several outputs, which may be either; with ``several`` only where they can be
        looked at and every row sums to 1.
    """
    if given is not None:
        return given
    outputs, labels = array(metric, "outputs", outputs), array(metric, "labels", labels)
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        return False
    if labels.shape in ((len(outputs),), (len(outputs), 1)):
        return True
    if labels.shape == outputs.shape and (not several or _has_rows_of_classes(labels)):
        raise ValueError(
            f"{metric}: labels {described(labels)} may be one-hot or soft rows of classes, or labels 0 and 1 of "
            f"several outputs. Write classes=True for rows of classes, classes=False for several outputs."
        )
    return False


def _has_rows_of_classes(labels: Any) -> bool:
    """Whether all known rows of labels that can be looked at sum to 1."""
    if is_traced(labels):
        return False
    rows = np.asarray(labels).astype(float)
    rows = rows[~np.isnan(rows).any(axis=1)]
    return len(rows) >= _TELLING and bool((np.abs(rows.sum(axis=1) - 1) < 1e-3).all())


# CHECKED


def array(metric: str, name: str, given: Any) -> Any:
    """Outputs or labels as an array of JAX or of NumPy; ``ValueError`` for what holds no real numbers."""
    found = given if isinstance(given, jax.Array) else np.asarray(given)
    if not (found.dtype == bool or any(jnp.issubdtype(found.dtype, kind) for kind in (jnp.integer, jnp.floating))):
        raise ValueError(f"{metric}: {name} are {described(found)}; real numbers are expected.")
    return found


def classes(metric: str, outputs: Any, labels: Any) -> Classes:
    """Outputs ``[examples, classes]`` and labels of classes.

    Args:
      metric: the metric's name, for messages.
      outputs: ``[examples, classes]``, two classes or more.
      labels: whole numbers ``[examples]`` or ``[examples, 1]``; those that are no class, such as -1, are unknown. Or
        one-hot or soft labels ``[examples, classes]``, of which the largest counts; rows of NaN or zeros are unknown.

    Raises:
      ValueError: other shapes, or labels that are no whole numbers.
    """
    outputs, labels = array(metric, "outputs", outputs), array(metric, "labels", labels)
    if outputs.ndim != 2 or outputs.shape[1] < 2 or not len(outputs):
        hint = " binary_accuracy is for one output." if metric == "accuracy" else ""
        raise ValueError(
            f"{metric}: outputs are {described(outputs)}; [examples, classes] of two classes or more is expected.{hint}"
        )
    examples, count = outputs.shape
    if labels.shape == outputs.shape:
        known = jnp.asarray(~is_nan(labels).any(axis=-1) & (labels != 0).any(axis=-1))
        return Classes(outputs, jnp.where(known, jnp.asarray(labels.argmax(axis=-1), jnp.int32), 0), known, labels)
    if labels.shape not in ((examples,), (examples, 1)):
        raise ValueError(
            f"{metric}: outputs are {described(outputs)} and labels {described(labels)}; labels [{examples}] of "
            f"classes, or [{examples}, {count}], are expected."
        )
    labels = labels.reshape(examples)
    known = (labels >= 0) & (labels < count)  # NaN is neither
    if not is_traced(labels):
        seen = np.asarray(labels)  # inside jit, what JAX computes of them is traced
        if (wrong := seen[(seen >= 0) & (seen < count) & (seen % 1 != 0)]).size:
            raise ValueError(f"{metric}: labels hold {wrong[0]:g}; classes are whole numbers, and NaN where unknown.")
    where = jnp.where if isinstance(labels, jax.Array) else np.where
    return Classes(outputs, jnp.asarray(where(known, labels, 0).astype(jnp.int32)), jnp.asarray(known), None)


def pair(metric: str, outputs: Any, labels: Any) -> tuple[Any, Any]:
    """Outputs and labels ``[examples, outputs]``; ``ValueError`` for other shapes."""
    outputs, labels = array(metric, "outputs", outputs), array(metric, "labels", labels)
    given = f"{metric}: outputs are {described(outputs)} and labels {described(labels)}"
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if labels.ndim == 1 and outputs.ndim == 2 and outputs.shape[1] == 1:
        labels = labels[:, None]
    if outputs.ndim != 2 or outputs.shape != labels.shape or not outputs.size:
        hint = " accuracy is for labels that are classes." if metric == "binary_accuracy" and outputs.ndim == 2 else ""
        raise ValueError(f"{given}; both [examples, outputs] are expected, or [examples] for one output.{hint}")
    return outputs, labels


def binary(metric: str, outputs: Any, labels: Any) -> tuple[Any, Any]:
    """Outputs, and labels of which all that can be looked at are 0 to 1 or NaN; both ``[examples, outputs]``."""
    outputs, labels = pair(metric, outputs, labels)
    if not is_traced(labels):
        check_binary(metric, np.asarray(labels), soft=True)
    return outputs, labels


def numbers(metric: str, outputs: Any, labels: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Outputs, labels, and which labels are known, all ``[examples, outputs]``, at least float32."""
    outputs, labels = pair(metric, outputs, labels)
    known = ~is_nan(labels)
    if isinstance(outputs, np.ndarray) and isinstance(labels, np.ndarray):
        # Both without the labels' mean: what float32 has no digits for in numbers far from 0.
        labels = labels.astype(np.float64)
        mean = labels.sum(axis=0, where=known) / np.maximum(known.sum(axis=0), 1)
        with np.errstate(over="ignore"):
            outputs, labels = (outputs - mean).astype(np.float32), (labels - mean).astype(np.float32)
    dtype = jnp.promote_types(jnp.promote_types(outputs.dtype, labels.dtype), jnp.float32)
    return jnp.asarray(outputs, dtype), jnp.asarray(labels, dtype), jnp.asarray(known)


# LOGITS


def logits(outputs: Any) -> Any:
    """Outputs of a sigmoid or softmax, at least float32; infinite ones count as a quarter of the largest number."""
    wide = outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))
    return wide.clip(-_LARGEST, _LARGEST)


def log_odds(outputs: Any) -> Any:
    """log(p / (1 - p)) of each class's softmax probability p, also where p or 1 - p has no digits in float32.

    Args:
      outputs: ``[examples, classes]``, an array of JAX or of NumPy.

    Returns:
      An array of the same kind and shape, at least float32. A sigmoid of it is p.
    """
    xp: Any = jnp if isinstance(outputs, jax.Array) else np
    z = logits(outputs)
    z = z - z.max(axis=-1, keepdims=True)
    largest = xp.arange(z.shape[1])[None] == z.argmax(axis=-1)[:, None]
    shares = xp.exp(z)
    # Of all others: that of the largest is 1 and among them, so nothing cancels.
    others = xp.where(largest, 1, shares.sum(axis=-1, keepdims=True) - shares)
    rest = xp.where(largest, -xp.inf, z)
    second = rest.max(axis=-1, keepdims=True)
    of_largest = -(second + xp.log(xp.exp(rest - second).sum(axis=-1, keepdims=True)))
    return xp.where(largest, of_largest, z - xp.log(others))


# SMALL HELPERS


def is_traced(given: Any) -> bool:
    """Whether the values of an array cannot be looked at."""
    return isinstance(given, Tracer)


def is_nan(given: Any) -> Any:
    """Which entries are NaN; none of integers."""
    return given != given


def answers(found: Classes) -> jax.Array:
    """The class of the largest output, int32 ``[examples]``."""
    return jnp.asarray(found.outputs.argmax(axis=-1)).astype(jnp.int32)  # 64 bits where the user has enabled them


def lost(found: Classes) -> jax.Array:
    """Whether an output of a known label is NaN."""
    return jnp.any(jnp.asarray(is_nan(found.outputs).any(axis=-1)) & found.known)


def described(given: Any) -> str:
    """The type and shape of an array, for messages."""
    return f"{given.dtype}{list(given.shape)}"
