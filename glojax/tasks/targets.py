"""The targets and the weights of a loss, made of a minibatch's labels."""

import jax
import jax.numpy as jnp
import numpy as np

from glojax.tasks.dense import label_rows
from glojax.tasks.problems import Kind


def weighed(
    kind: Kind, labels: jax.Array, outputs: int, factors: np.ndarray | None, has_gaps: bool, below_0: bool
) -> tuple[jax.Array, jax.Array | None]:
    """Convert labels to a loss's targets.

    Args:
      kind: the kind of problem.
      labels: of a minibatch, in the form that a task keeps.
      outputs: the number of outputs of the network.
      factors: ``Task.loss_weights``.
      has_gaps: whether a label of the training set is unknown.
      below_0: whether -1 among classes stands for no label.

    Returns:
      x ``[rows, outputs]``, and weights that broadcast to it, or ``None`` where all entries weigh the same. There is a
      row for each position of each example.
    """
    labels = label_rows(labels)
    x, known = kind.targets(labels, outputs)
    if known is None and below_0:
        known = (labels >= 0)[:, None]
    if factors is None:
        return x, known.astype(jnp.float32) if known is not None and has_gaps else None
    weights = jnp.array(factors, jnp.float32)
    if weights.ndim == 2:  # of labels 0 and 1
        weights = x * weights[:, 1] + (1 - x) * weights[:, 0]
        return x, weights if known is None or not has_gaps else weights * known
    if known is not None and not kind.has_classes:
        return x, weights[None] * known
    of_examples = weights[labels] if labels.ndim == 1 else jnp.sum(x * weights[None], axis=-1)
    return x, of_examples[:, None] if known is None else of_examples[:, None] * known
