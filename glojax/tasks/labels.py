"""Labels as people have them, converted to the form that a task keeps.

A task keeps classes as int32 ``[examples]``, where -1 is no label, or soft ones as float32 ``[examples, classes]``;
every other label is float32 ``[examples, outputs]``, NaN where unknown. What has one clear meaning is converted. For
the rest there is a message with the line to write.
"""

from typing import Any

import numpy as np
from jax import numpy as jnp

from glojax.errors import quoted

_SUM_TOLERANCE = 1e-2  # of a soft label: bfloat16 has two to three digits
_LOST = 1e-3  # largest share of the labels' deviation that float32 may round away
_ENCODED = "classes, labels = np.unique(labels, return_inverse=True) makes numbers of them, before the data is split."


# WHAT A TASK KEEPS


def classes(field: str, given: Any, examples: int, ignore_label: int | None = None) -> np.ndarray:
    """Check labels of classes and convert them.

    Args:
      field: the part of the data, for messages.
      given: whole numbers or bools ``[examples]`` or ``[examples, 1]``, NaN where unknown; or one-hot or soft labels
        ``[examples, classes]``, whose rows sum to 1, or are NaN where unknown.
      examples: the number of inputs.
      ignore_label: the number that stands for no label, as -1 then does too. Defaults to none.

    Returns:
      int32 ``[examples]``, -1 for no label, or float32 ``[examples, classes]``.

    Raises:
      ValueError: labels of the wrong shape, type or range, or none that is known.
    """
    labels = _array(field, given)
    if labels.shape == (examples, 1):
        labels = labels[:, 0]
    if labels.ndim == 2 and len(labels) == examples and _is_real(labels):
        return _soft(field, labels, ignore_label)
    if labels.shape != (examples,) or not _is_real(labels):
        raise ValueError(
            f"{field}: labels are {_described(labels)}; integers of shape [{examples}] are expected."
            f"{_text_hint(labels, _ENCODED)}"
        )
    floating = jnp.issubdtype(labels.dtype, jnp.floating)
    labels = labels.astype(np.float64) if floating else labels
    unknown = np.isnan(labels) if floating else np.zeros(examples, bool)
    if ignore_label is not None:
        unknown = unknown | (labels == ignore_label) | (False if labels.dtype == bool else labels == -1)
    known = labels[~unknown]
    _check_any(field, known)
    if floating and not (whole := np.isfinite(known) & (known == np.floor(known))).all():
        raise ValueError(
            f"{field}: labels hold {known[~whole][0]:g}; classes are whole numbers, and NaN where unknown. Other "
            'numbers are targets of kind="regression".'
        )
    if known.dtype != bool and known.min() < 0:
        raise ValueError(f"{field}: labels hold {known.min():g}; classes count from 0.{_negative_hint(known)}")
    if int(known.max()) >= 2**31 - 1:
        raise ValueError(f"{field}: labels hold {int(known.max())}; classes count from 0. {_ENCODED}")
    return np.where(unknown, -1, np.where(unknown, 0, labels)).astype(np.int32)


def numbers(
    field: str, given: Any, examples: int, ignore_label: int | None = None, *, binary: bool = False
) -> np.ndarray:
    """Check labels that are numbers and convert them.

    Args:
      field: the part of the data, for messages.
      given: numbers or bools ``[examples, outputs]``, or ``[examples]`` for one output, NaN where unknown.
      examples: the number of inputs.
      ignore_label: the number that stands for no label. Defaults to none.
      binary: whether only 0 and 1 are allowed.

    Returns:
      float32 ``[examples, outputs]``, NaN where unknown.

    Raises:
      ValueError: labels of the wrong shape, type or range, or none that is known.
    """
    labels = _array(field, given)
    if labels.ndim not in (1, 2) or len(labels) != examples or not labels.size or not _is_real(labels):
        text = _ENCODED if binary else "labels.astype(float) reads numbers that are text."
        raise ValueError(
            f"{field}: labels are {_described(labels)}; numbers of shape [{examples}] or [{examples}, outputs] are "
            f"expected.{_text_hint(labels, text)}"
        )
    labels = labels.reshape(examples, -1)
    labels = labels if jnp.issubdtype(labels.dtype, jnp.floating) else labels.astype(np.float64)
    if ignore_label is not None:
        labels = np.where(labels == ignore_label, np.nan, labels)
    with np.errstate(over="ignore"):
        kept = labels.astype(np.float32)
    if np.isinf(kept).any():
        raise ValueError(f"{field}: labels of example {int(np.isinf(kept).any(axis=1).argmax())} are infinite.")
    _check_any(field, kept[~np.isnan(kept)])
    if binary:
        check_binary(field, kept)
    else:
        _check_digits(field, labels, kept)
    return kept


def known_of(labels: Any) -> Any:
    """Which labels in the form that a task keeps are known: of the same shape, but ``[examples]`` for soft classes.

    Labels ``[examples]`` are classes.
    """
    return labels >= 0 if labels.ndim == 1 else labels == labels


def unknown_label(dtype: Any) -> float:
    """The unknown label of a type of labels, as a task keeps them."""
    return -1 if jnp.issubdtype(dtype, jnp.integer) else np.nan


def check_binary(what: str, labels: np.ndarray, *, soft: bool = False) -> None:
    """Check that labels are 0 and 1, or NaN.

    Args:
      what: what holds them, for the message.
      labels: numbers of any shape.
      soft: whether numbers between 0 and 1 are allowed too.

    Raises:
      ValueError: they hold another number; the message says what makes 0 and 1 of what they seem to be.
    """
    right = (labels >= 0) & (labels <= 1) if soft else (labels == 0) | (labels == 1)
    wrong = labels[~right & (labels == labels)]
    if wrong.size:
        raise ValueError(
            f"{what}: labels hold {wrong[0]:g}; 0 and 1 are allowed, and NaN where unknown."
            f"{_binary_hint(np.unique(labels[labels == labels]))}"
        )


# HOW THEY COME


def _array(field: str, given: Any) -> np.ndarray:
    """Labels as an array: masked ones are NaN, and objects that are numbers are numbers."""
    if np.ma.isMaskedArray(given):
        given = np.where(np.ma.getmaskarray(given), np.nan, given.data) if np.ma.is_masked(given) else given.data
    try:
        labels = np.asarray(given)
        if labels.dtype == object:
            plain = [np.nan if value is None else value for value in labels.ravel().tolist()]
            labels = np.asarray(plain).reshape(labels.shape) if plain else labels
    except (TypeError, ValueError):
        raise ValueError(f"{field}: labels are {quoted(given)}; an array of numbers is expected.") from None
    return labels


def _is_real(labels: np.ndarray) -> bool:
    return labels.dtype == bool or any(jnp.issubdtype(labels.dtype, kind) for kind in (jnp.integer, jnp.floating))


def _described(labels: np.ndarray) -> str:
    return f"{labels.dtype}{list(labels.shape)}"


def _check_any(field: str, known: np.ndarray) -> None:
    if not known.size:
        raise ValueError(f"{field}: all labels are unknown; at least one that is known is needed.")


def _soft(field: str, labels: np.ndarray, ignore_label: int | None) -> np.ndarray:
    """One-hot or soft labels ``[examples, classes]`` as float32."""
    labels = labels.astype(np.float32)
    if ignore_label is not None and ignore_label not in (0, 1):
        labels = np.where((labels == ignore_label).all(axis=1, keepdims=True), np.nan, labels)
    unknown = np.isnan(labels).all(axis=1)
    _check_any(field, labels[~unknown])
    sums = np.where(unknown, 1, labels.sum(axis=1))
    low = np.where(unknown, 0, labels.min(axis=1))
    wrong = ~((np.abs(sums - 1) <= _SUM_TOLERANCE) & (low >= 0))  # NaN in a row of others is wrong too
    if not wrong.any():
        return labels
    place = int(wrong.argmax())
    row = labels[place]
    if np.isin(labels[~unknown], (0, 1)).all():
        hint = (
            "NaN in the whole row stands for no label."
            if sums[place] == 0
            else 'kind="multi-label" is for examples of several classes.'
        )
    elif np.isnan(row).any():
        hint = "NaN in the whole row stands for no label."
    elif low[place] < 0:
        hint = "Logits become soft labels by jax.nn.softmax(labels)."
    else:
        hint = "labels / labels.sum(axis=1, keepdims=True) makes shares of them."
    raise ValueError(
        f"{field}: labels are {_described(labels)}, whose example {place} is {quoted(row.tolist())}; rows of soft "
        f"labels are at least 0 and sum to 1. {hint}"
    )


def _check_digits(field: str, labels: np.ndarray, kept: np.ndarray) -> None:
    """Raise where float32 rounds the differences of the targets away: far from 0 it has no digits for them."""
    for output in range(labels.shape[1]):
        exact = labels[:, output][~np.isnan(kept[:, output])].astype(np.float64)
        if not len(exact):
            continue
        lost = (kept[:, output][~np.isnan(kept[:, output])] - exact).std()
        if lost > _LOST * exact.std():
            raise ValueError(
                f"{field}: labels of output {output} go from {exact.min():.10g} to {exact.max():.10g}, and float32 "
                "rounds their differences. Take their mean away: labels - labels.mean(axis=0), of the training labels."
            )


# HINTS


def _text_hint(labels: np.ndarray, line: str) -> str:
    return f" {line}" if labels.dtype.kind in "UST" else " NaN stands for an unknown label." * (labels.dtype == object)


def _negative_hint(known: np.ndarray) -> str:
    negative = np.unique(known[known < 0])
    if set(np.unique(known).tolist()) == {-1, 1}:
        return " (labels + 1) // 2 makes 0 and 1 of -1 and 1."
    if len(negative) == 1:
        least = int(negative[0])
        return (
            f" If {least} stands for no label, write Task(ignore_label={least}); if it is a class, labels + {-least}."
        )
    return f" {_ENCODED}"


def _binary_hint(present: np.ndarray) -> str:
    values = present.tolist()
    if values == [-1, 1]:
        return " (labels + 1) / 2 makes them of -1 and 1."
    if values == [1, 2]:
        return " labels - 1 makes them of 1 and 2."
    others = [value for value in values if value not in (0, 1)]
    if len(values) == 2 and others != [-1]:
        return f" labels == {max(values, key=abs):g} makes them of two numbers."
    if len(others) == 1 and others[0] == int(others[0]):
        return f" If {others[0]:g} stands for no label, write Task(ignore_label={others[0]:g})."
    if all(0 <= value <= 1 for value in values):
        return " labels > 0.5 makes them of probabilities."
    return ' More classes are labels of kind="classification".'
