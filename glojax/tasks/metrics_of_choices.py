"""Metrics of what a network chooses: the class of its largest output, or 1 where an output is above 0."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glojax.tasks import metric_inputs as inputs


class Counts(NamedTuple):
    """What is counted of each class, or of the positives of each output."""

    hits: jax.Array  # int32[classes], right predictions
    labels: jax.Array  # int32[classes], examples of it
    answers: jax.Array  # int32[classes], predictions of it
    examples: jax.Array  # int32[classes], whose label is known
    lost: jax.Array  # bool[classes], whether an output is NaN


def accuracy(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of examples whose largest output is their label's.

    Args:
      outputs: ``[examples, classes]``, two classes or more.
      labels: whole numbers ``[examples]``; those that are no class, such as -1, do not count. Or one-hot or soft labels
        ``[examples, classes]``, of which the largest counts; rows of NaN or of zeros do not.

    Returns:
      From 0 to 1.

    Raises:
      ValueError: other shapes, or labels that are no whole numbers.
    """
    found = inputs.classes("accuracy", outputs, labels)
    right = (inputs.answers(found) == found.labels) & found.known
    # The second factor is exactly 1 where all labels are known.
    share = jnp.sum(right) / len(right) * (len(right) / jnp.sum(found.known))
    return jnp.where(inputs.lost(found), jnp.nan, share)


def binary_accuracy(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of labels, 0 or 1, that the sign of their output predicts; both ``[examples, outputs]``."""
    outputs, labels = inputs.binary("binary_accuracy", outputs, labels)
    known = ~inputs.is_nan(labels)
    right = ((outputs > 0) == (labels > 0.5)) & known
    return jnp.where((inputs.is_nan(outputs) & known).any(), jnp.nan, jnp.sum(right) / jnp.sum(known))


def balanced_accuracy(outputs: jax.Array, labels: jax.Array, *, classes: bool | None = None) -> jax.Array:
    """The mean over classes of the share of a class's examples that are predicted right, as in scikit-learn.

    Classes without examples do not count. For labels 0 and 1 it is the mean over outputs, each with two classes.

    Args:
      outputs: ``[examples, classes]``, or ``[examples, outputs]`` where above 0 predicts the label 1.
      labels: classes as ``accuracy`` takes them, or 0 and 1 ``[examples, outputs]``; NaN where unknown.
      classes: whether labels of the shape of several outputs are one-hot or soft rows of classes. Must be given for
        these.

    Returns:
      From 0 to 1; NaN where nothing is known.

    Raises:
      ValueError: other shapes or labels, or labels of which ``classes`` must say what they are.
    """
    name = "balanced_accuracy"
    of_classes = inputs.means_classes(name, outputs, labels, classes)
    return recall_of(counts(name, outputs, labels, of_classes), of_classes)


def recall_of(counts: Counts, of_classes: bool) -> jax.Array:
    """The balanced accuracy of counts; ``of_classes`` says what they are of."""
    if of_classes:
        return jnp.where(counts.lost, jnp.nan, _mean_recall(counts.hits, counts.labels))
    hits = jnp.stack([counts.examples - counts.labels - counts.answers + counts.hits, counts.hits])
    recall = _mean_recall(hits, jnp.stack([counts.examples - counts.labels, counts.labels]))
    return jnp.mean(jnp.where(counts.lost, jnp.nan, recall))


def _mean_recall(hits: jax.Array, of_labels: jax.Array) -> jax.Array:
    """The mean along the first axis over what has labels."""
    present = of_labels > 0
    recall = hits / jnp.maximum(of_labels, 1)
    return jnp.sum(recall, axis=0) / jnp.sum(present, axis=0).astype(recall.dtype)


def f1(outputs: jax.Array, labels: jax.Array, *, classes: bool | None = None) -> jax.Array:
    """The mean of 2 TP / (2 TP + FP + FN) over classes, or over outputs of labels 0 and 1: scikit-learn's macro F1.

    A class that is neither among the labels nor predicted does not count; one that is only predicted has an F1 of 0. So
    has an output without positives.

    Args:
      outputs: ``[examples, classes]``, or ``[examples, outputs]`` where above 0 predicts the label 1.
      labels: classes as ``accuracy`` takes them, or 0 and 1 ``[examples, outputs]``; NaN where unknown.
      classes: whether labels of the shape of several outputs are one-hot or soft rows of classes. Defaults to False:
        such labels are 0 and 1 of each output.

    Returns:
      From 0 to 1; NaN where nothing is known.

    Raises:
      ValueError: other shapes or labels; or, without ``classes``, rows of labels that all sum to 1.
    """
    of_classes = inputs.means_classes("f1", outputs, labels, classes, several=True)
    return f1_of(counts("f1", outputs, labels, of_classes), of_classes)


def f1_of(counts: Counts, of_classes: bool) -> jax.Array:
    """The F1 of counts; ``of_classes`` says what they are of."""
    return _mean_of_present(counts, _f1(counts), of_classes)


def dice(outputs: jax.Array, labels: jax.Array, *, classes: bool | None = None) -> jax.Array:
    """The Dice coefficient, 2 TP / (2 TP + FP + FN), which is the F1 of pixels: see ``f1``, whose value it has."""
    of_classes = inputs.means_classes("dice", outputs, labels, classes, several=True)
    return f1_of(counts("dice", outputs, labels, of_classes), of_classes)


def iou(outputs: jax.Array, labels: jax.Array, *, classes: bool | None = None) -> jax.Array:
    """The mean of TP / (TP + FP + FN) over classes, or over outputs of labels 0 and 1: scikit-learn's macro Jaccard.

    Intersection over union. A class that is neither among the labels nor predicted does not count; an output without
    positives has 0.

    Args:
      outputs: ``[examples, classes]``, or ``[examples, outputs]`` where above 0 predicts the label 1.
      labels: as ``f1`` takes them.
      classes: as there.

    Returns:
      From 0 to 1; NaN where nothing is known.

    Raises:
      ValueError: other shapes or labels; or, without ``classes``, rows of labels that all sum to 1.
    """
    of_classes = inputs.means_classes("iou", outputs, labels, classes, several=True)
    return iou_of(counts("iou", outputs, labels, of_classes), of_classes)


def iou_of(counts: Counts, of_classes: bool) -> jax.Array:
    """The intersection over union of counts; ``of_classes`` says what they are of."""
    union = counts.labels + counts.answers - counts.hits
    return _mean_of_present(counts, counts.hits / jnp.maximum(union, 1), of_classes)


@dataclass(frozen=True)
class F1OfClass:
    """The F1 of one class alone; see ``f1_of_class``."""

    of: int

    def __call__(self, outputs: jax.Array, labels: jax.Array, *, classes: bool | None = None) -> jax.Array:
        name = self.__name__
        is_of_classes = inputs.means_classes(name, outputs, labels, classes, several=True)
        found = counts(name, outputs, labels, is_of_classes)
        return self.of_counts(found, is_of_classes)

    def of_counts(self, counts: Counts, of_classes: bool) -> jax.Array:
        """The F1 of the class by counts; ``of_classes`` says what they are of."""
        name, of = self.__name__, self.of
        if not of_classes and len(counts.hits) == 1 and of < 2:  # one output has the classes 0 and 1
            counts = counts if of else _of_negatives(counts)
            of = 0
        if of >= len(counts.hits):
            raise ValueError(f"{name}: outputs are of {len(counts.hits)} classes; the first is 0.")
        return jnp.where(counts.lost | (counts.examples == 0), jnp.nan, _f1(counts))[of]

    @property
    def __name__(self) -> str:
        return f"f1:{self.of}"


def f1_of_class(of: int) -> F1OfClass:
    """Make the metric F1 of one class, ``"f1:3"`` by name: 2 TP / (2 TP + FP + FN), 0 without positives.

    Args:
      of: the class, from 0. With labels 0 and 1 it is one of several outputs, and for a single output 1 is F1 itself
        and 0 that of the label 0.

    Returns:
      A metric that takes what ``f1`` takes. Two of the same class are equal.

    Raises:
      ValueError: it is no whole number from 0. The metric raises one for a class that the outputs do not have.
    """
    if isinstance(of, bool) or not isinstance(of, int | np.integer) or of < 0:
        raise ValueError(f"f1_of_class is given {of!r}; a class, 0 or above, is expected.")
    return F1OfClass(int(of))


# COUNTS


def counts(metric: str, outputs: jax.Array, labels: jax.Array, of_classes: bool) -> Counts:
    """Count what a network chooses; both as ``f1`` takes them, and ``metric`` is the name for messages."""
    return (_of_classes if of_classes else _of_outputs)(metric, outputs, labels)


def _of_classes(metric: str, outputs: jax.Array, labels: jax.Array) -> Counts:
    found = inputs.classes(metric, outputs, labels)
    count = found.outputs.shape[1]
    numbers = jnp.arange(count, dtype=jnp.int32)[None]
    is_label = (found.labels[:, None] == numbers) & found.known[:, None]
    is_answer = (inputs.answers(found)[:, None] == numbers) & found.known[:, None]
    hits, of_labels, of_answers = (jnp.sum(part, axis=0) for part in (is_label & is_answer, is_label, is_answer))
    everywhere = jnp.full((count,), jnp.sum(found.known))
    # A NaN anywhere makes the answer unknown, and so all counts.
    return Counts(hits, of_labels, of_answers, everywhere, inputs.lost(found))


def _of_outputs(metric: str, outputs: jax.Array, labels: jax.Array) -> Counts:
    outputs, labels = inputs.binary(metric, outputs, labels)
    known = ~inputs.is_nan(labels)
    is_label, is_answer = (labels > 0.5) & known, (outputs > 0) & known
    parts = (is_label & is_answer, is_label, is_answer, known)
    hits, of_labels, of_answers, examples = (jnp.sum(part, axis=0) for part in parts)
    return Counts(hits, of_labels, of_answers, examples, jnp.asarray((inputs.is_nan(outputs) & known).any(axis=0)))


def _of_negatives(counts: Counts) -> Counts:
    """The same counts of the label 0."""
    of_labels, of_answers = counts.examples - counts.labels, counts.examples - counts.answers
    return counts._replace(hits=of_labels - counts.answers + counts.hits, labels=of_labels, answers=of_answers)


def _f1(counts: Counts) -> jax.Array:
    return 2 * counts.hits / jnp.maximum(counts.labels + counts.answers, 1)


def _mean_of_present(counts: Counts, of_each: jax.Array, of_classes: bool) -> jax.Array:
    """The mean over classes that are there or predicted, or over all outputs."""
    if of_classes:
        present = counts.labels + counts.answers > 0
        return jnp.where(counts.lost, jnp.nan, jnp.sum(of_each) / jnp.sum(present).astype(of_each.dtype))
    return jnp.mean(jnp.where(counts.lost | (counts.examples == 0), jnp.nan, of_each))
