"""Labels of several outputs: a dict, tuple or NamedTuple of labels, for a model that gives a tree of the same names.

A task of several outputs holds one task for each, its ``heads``: the same inputs, labels of that output, and a model
that gives it alone. All checks, targets and scores are those of the heads.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax

from glojax import models
from glojax.tasks.inputs import is_tree


class Names(NamedTuple):
    """The outputs of a task."""

    names: list[str]  # such as "['digit']"
    structure: Any  # a ``jax.tree_util.PyTreeDef``


def names_of(train: Any) -> Names | None:
    """The outputs that a training part has labels for; ``None`` where its labels are an array."""
    try:
        _, labels = train
    except (TypeError, ValueError):
        return None
    if not is_tree(labels):
        return None
    paths, structure = jax.tree_util.tree_flatten_with_path(labels)
    return Names([jax.tree_util.keystr(path) for path, _ in paths], structure)


def of_each(field: str, labels: Any, outputs: Names) -> list[Any]:
    """The labels, or masks, of each output.

    Args:
      field: what they are, for messages.
      labels: as the user gave them.
      outputs: those of the training part.

    Raises:
      ValueError: they are no tree of the same names.
    """
    if (found := jax.tree.structure(labels)) != outputs.structure:
        raise ValueError(
            f"{field} are {found}; those of the training set are {outputs.structure}, and all must be alike."
        )
    return jax.tree.leaves(labels)


def masks(where: Any, outputs: Names) -> list[dict[str, Any] | None]:
    """``Task.where`` of each output."""
    if not isinstance(where, Mapping):
        return [where] * len(outputs.names)
    parts = {field: of_each(f"Task.where[{field!r}]: masks", mask, outputs) for field, mask in where.items()}
    return [{field: mask[place] for field, mask in parts.items()} for place in range(len(outputs.names))]


@contextmanager
def told(name: str) -> Iterator[None]:
    """Add the name of an output to a ``ValueError`` from inside."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error} It is the output {name}.") from None


def made(task: Any, outputs: Names, where: Any) -> dict[str, Any]:
    """Make a task for each output.

    Args:
      task: the ``Task`` of all, which is being made.
      outputs: those of its training labels.
      where: ``Task.where``.

    Returns:
      Attributes of ``task``: its heads, and what they have found for it.

    Raises:
      ValueError: labels or masks that are no such trees, class weights, or whatever the task of an output refuses.
    """
    if task.class_weights is not None:
        raise ValueError("Task.class_weights is given, and labels are of several outputs; None is allowed there.")
    given = {field: getattr(task, field) for field in ("train", "validation", "test")}
    given = {field: part for field, part in given.items() if part is not None}
    labels = {field: of_each(f"Task.{field}: labels", part[1], outputs) for field, part in given.items()}
    found: list[Any] = []
    for place, (name, mask) in enumerate(zip(outputs.names, masks(where, outputs), strict=True)):
        parts = {field: (part[0], labels[field][place]) for field, part in given.items()}
        model = models.OneOutput(task.model, place, outputs.structure)
        with told(name):
            found.append(dataclasses.replace(task, model=model, where=mask, sown_weight=0, **parts))
    whole: dict[str, Any] = {}
    for field in given:
        x, kept = getattr(found[0], field)[0], [getattr(head, field)[1] for head in found]
        for head, of_head in zip(found, kept, strict=True):
            object.__setattr__(head, field, (x, of_head))  # one copy for all
        whole[field] = (x, jax.tree.unflatten(outputs.structure, kept))
    ignored = next((head.ignore_label for head in found if head.ignore_label is not None), None)
    same = {field: getattr(found[0], field) for field in ("kind", "batch_size", "optimizer", "initial")}
    return whole | same | {"ignore_label": ignored, "_heads": tuple(found)}
