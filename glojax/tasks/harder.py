"""Tasks made harder on purpose: settings in which a loss matters, on any task.

    noisy = glojax.tasks.harder(glojax.tasks.digits(), label_noise=0.4)

On clean data with enough of it most losses train alike. Wrong labels, few examples and outliers are where they differ.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from glojax.data import corruption
from glojax.data.splits import Split
from glojax.tasks import inputs
from glojax.tasks.task import Task


def harder(
    task: Task,
    *,
    label_noise: float = 0.0,
    noise: str = "symmetric",
    train_examples: int | None = None,
    outliers: float = 0.0,
    imbalance: float = 1.0,
    noisy_validation: bool = False,
    seed: int = 0,
) -> Task:
    """Make a task's data harder. The test set stays as it is.

    Args:
      task: the task; its own data is not changed.
      label_noise: share of the training labels that become wrong ones, from 0 to 1.
      noise: how: ``"symmetric"``, any other class, or ``"pairs"``, the class that follows. Defaults to ``"symmetric"``.
      train_examples: how many training examples are kept, classes in proportion. Defaults to all.
      outliers: share of the training targets of a regression that move by 8 standard deviations, from 0 to 1.
      imbalance: how many times more frequent the first class becomes than the last, in training alone. Classes between
        them follow geometrically.
      noisy_validation: give the validation labels the same noise and outliers, as in data that nobody could clean.
        Defaults to False.
      seed: decides what is drawn.

    Returns:
      The task with that data; what was done is part of its name and, as data, of its identity.

    Raises:
      ValueError: a value out of its range, or something that labels of the task's kind cannot have.

    Example:
      ``harder(task, label_noise=0.2, train_examples=300)``
    """
    _check("label_noise", label_noise, 0, 1)
    _check("outliers", outliers, 0, 1)
    _check("imbalance", imbalance, 1, 1e9)
    if noise not in corruption.NOISES:
        raise ValueError(f"harder: noise is {noise!r}; allowed are {', '.join(corruption.NOISES)}.")
    _check_heads(task, bool(label_noise or outliers or imbalance > 1))
    parts, done = dict(task.splits), list[str]()
    if imbalance > 1:
        classes = _classes_of(task, "imbalance")
        parts["train"] = _only(parts["train"], corruption.imbalanced(classes, imbalance, seed=seed))
        done.append(f"imbalance {imbalance:g}")
    if train_examples is not None:
        parts["train"] = _fewer(parts["train"], train_examples, seed)
        done.append(f"{train_examples} examples")
    changes: list[Callable[[np.ndarray], np.ndarray]] = []
    if label_noise:
        changes.append(_wrong_labels(task, label_noise, noise, seed))
        done.append(f"{100 * label_noise:g}% label noise" + (" by pairs" if noise == "pairs" else ""))
    if outliers:
        changes.append(_far_off(task, outliers, seed))
        done.append(f"{100 * outliers:g}% outliers")
    for part in ("train", "validation") if noisy_validation else ("train",):
        for change in changes:
            parts[part] = Split(parts[part].x, change(parts[part].labels))
    if not done:
        return task
    given: dict[str, Any] = {part: tuple(split) for part, split in parts.items() if part != "test"}
    batch_size = min(task.batch_size, inputs.count(parts["train"].labels))
    return dataclasses.replace(task, **given, batch_size=batch_size, name=f"{task.name}, {', '.join(done)}")


def _check(field: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"harder: {field} is {value!r}; a number from {low} to {high:g} is allowed.")


def _check_heads(task: Task, changes_labels: bool) -> None:
    if changes_labels and len(task.heads) > 1:
        raise ValueError(f"harder: {task.name} has labels of several outputs; only train_examples is allowed there.")


def _only(part: Split, places: np.ndarray) -> Split:
    return Split(inputs.taken(part.x, places), inputs.taken(part.labels, places))


def _fewer(part: Split, examples: int, seed: int) -> Split:
    """So many examples, classes in proportion."""
    labels = jax.tree.leaves(part.labels)[0]
    most = len(labels)
    if not isinstance(examples, int) or isinstance(examples, bool) or not 1 <= examples <= most:
        raise ValueError(f"harder: train_examples is {examples!r}; 1 to {most}, the training examples, are allowed.")
    return _only(part, corruption.few(labels, examples, seed=seed))


def _classes_of(task: Task, field: str) -> np.ndarray:
    """The training labels as classes ``int[examples]``, -1 where a label is unknown."""
    labels = task.splits["train"].labels
    if task.problem.has_classes and labels.ndim == 1:
        return labels
    if task.problem.output == "sigmoid" and labels.shape[1] == 1:
        return np.where(np.isnan(labels[:, 0]), -1, labels[:, 0]).astype(int)
    raise ValueError(f"harder: {field} was given; the labels of {task.name} are not one class for each example.")


def _wrong_labels(task: Task, share: float, noise: str, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """What makes a share of labels wrong, in the form that the task keeps."""
    labels = task.splits["train"].labels
    if task.problem.output == "sigmoid":
        return lambda labels: corruption.flipped(labels, share, seed=seed)
    if task.problem.has_classes and labels.ndim == 1:
        classes = max(task.classes, 2)
        return lambda labels: corruption.label_noise(labels, share, classes, noise=noise, seed=seed)
    raise ValueError(
        f"harder: label_noise is {share}; the labels of {task.name} are not classes. Give outliers instead."
    )


def _far_off(task: Task, share: float, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """What moves a share of targets far off."""
    if task.problem.output in ("softmax", "sigmoid"):
        raise ValueError(f"harder: outliers is {share}; {task.name} has classes, whose labels cannot be far off.")
    return lambda labels: corruption.outliers(labels, share, seed=seed)
