"""How often each output is right among a task's training labels: the leaf ``prior`` of a loss."""

import numpy as np

from glojax.tasks.labels import known_of
from glojax.tasks.task import Task


def prior(task: Task) -> np.ndarray:
    """The share of the training labels that each output of a task has.

    Each class is counted once more than it occurs, so that none has a share of 0 (Laplace's rule of succession). Of a
    sigmoid's outputs each is 0 or 1 by itself.

    Args:
      task: of one output, or one of the ``heads`` of a task of several.

    Returns:
      ``float32[outputs]``, above 0 and below 1.

    Raises:
      ValueError: the task's labels are no classes.
    """
    labels, output = task.flat["train"].labels, task.problem.output
    if output not in ("softmax", "sigmoid"):
        raise ValueError(
            f"the leaf prior is the share of the training labels that a class has, and the task {task.name} has none: "
            f"its output is {output if isinstance(output, str) else 'a function'!r}; leave prior out."
        )
    known = known_of(labels)
    if labels.ndim == 1:
        counts, others = np.bincount(labels[known], minlength=task.outputs), task.outputs
    else:
        counts = np.where(known if known.ndim == 2 else known[:, None], labels, 0).sum(axis=0, dtype=np.float64)
        others = task.outputs if output == "softmax" else 2
    return ((counts + 1) / (known.sum(axis=0) + others)).astype(np.float32)
