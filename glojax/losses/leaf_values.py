"""Values of the leaves ``prior`` and ``progress`` in a call of a loss."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from glojax.errors import short
from glojax.expressions import context
from glojax.expressions.trees import Tree
from glojax.losses.shapes import Axis, output_axes


def leaf_values(
    tree: Tree, logits: jax.Array, axis: Axis, prior: ArrayLike | None, progress: ArrayLike | None
) -> dict[str, jax.Array]:
    """The leaves that a tree has, in shapes that broadcast to the logits.

    Args:
      tree: f(x, y).
      logits: the network's outputs.
      axis: the axis of the outputs.
      prior: the share of the training labels that each output has, ``[outputs]``.
      progress: steps taken over all steps of the training, from 0 to 1, a scalar.

    Raises:
      ValueError: a leaf that the tree has is not given, or has another shape.
    """
    given = {"prior": prior, "progress": progress}
    for name in context.leaves_of(tree):
        if given[name] is None:
            raise ValueError(f"{short(tree)} has the leaf {name}; call the loss with {name}={_MEANINGS[name]}.")
    found = {}
    if prior is not None:
        shares, axes = jnp.asarray(prior, logits.dtype), output_axes(logits, axis)
        sizes = tuple(logits.shape[place] for place in axes)
        if shares.shape != sizes:
            raise ValueError(f"prior has shape {list(shares.shape)}; {list(sizes)} is expected, one for each output.")
        order = sorted(range(len(axes)), key=axes.__getitem__)
        shape = [size if place in axes else 1 for place, size in enumerate(logits.shape)]
        found["prior"] = jnp.transpose(shares, order).reshape(shape)
    if progress is not None:
        found["progress"] = jnp.asarray(progress, logits.dtype)
        if found["progress"].shape:
            raise ValueError(f"progress has shape {list(found['progress'].shape)}; one number is expected.")
    return found


_MEANINGS = {"prior": "the shares of the classes, [outputs]", "progress": "the share of the steps taken, from 0 to 1"}
