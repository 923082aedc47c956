"""What can be told exactly of a task: digests of its data, shapes and types, and its numbers.

``contents`` lists them as JSON-able values. ``digest`` makes a short string of them, the same in every process. What
needs a computation, such as what an optimizer does, is in ``identity``.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import chex
import jax
import numpy as np

from glojax.data.fed import Fed
from glojax.data.splits import Split
from glojax.tasks import inputs


def contents(
    splits: Mapping[str, Split],
    parameters: chex.ArrayTree,
    state: chex.ArrayTree,
    model_input: chex.ArrayTree,
    model_output: jax.ShapeDtypeStruct,
) -> dict[str, Any]:
    """List what is exact about the data and the model of a task.

    Args:
      splits: the parts of the data, by name.
      parameters: shapes and types of the model's parameters.
      state: shapes and types of its state, such as batch statistics.
      model_input: shapes and types of a minibatch as the model gets it.
      model_output: shape and type of what the model makes of it.

    Returns:
      A digest for each part of the data, and a description of the model's arrays.
    """
    of_one = [
        jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), batch)
        for batch in (model_input, model_output)
    ]
    arrays = {"parameters": parameters, "state": state, "input": of_one[0], "output": of_one[1]}
    return {
        **{name: digest_of_split(split) for name, split in splits.items()},
        "arrays": {
            f"{group}{jax.tree_util.keystr(path)}": f"{leaf.dtype}{list(leaf.shape)}"
            for group, tree in arrays.items()
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        },
    }


def digest_of_split(split: Split) -> str:
    """Digest the inputs and labels of a part of the data, with their shapes and types."""
    found = hashlib.sha256()
    for tree in (inputs.shapes(split.x, 1), split.labels):
        if not hasattr(tree, "shape"):
            found.update(str(jax.tree.structure(tree)).encode())
    if isinstance(split.x, Fed):
        _add_fed(found, split.x)
    for array in jax.tree.leaves(split.labels if isinstance(split.x, Fed) else tuple(split)):
        found.update(f"{array.dtype}{list(array.shape)}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:32]


def _add_fed(found: Any, fed: Fed) -> None:
    """Add what ``digest_of_split`` adds for arrays of the same content, or the digest that the user gave."""
    if fed.digest is not None:
        found.update(fed.digest.encode())
        return
    for place, like in enumerate(jax.tree.leaves(inputs.shapes(fed, len(fed)))):
        found.update(f"{like.dtype}{list(like.shape)}".encode())
        for block in fed.blocks():
            found.update(np.ascontiguousarray(jax.tree.leaves(block)[place]).data)


def digest_of_arrays(arrays: Mapping[str, Any]) -> str:
    """Digest arrays by name, with their shapes and types."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        found.update(f"{name} {array.dtype}{list(array.shape)}".encode())
        found.update(array.tobytes())
    return found.hexdigest()[:32]


def digest(values: Mapping[str, Any]) -> str:
    """Digest JSON-able values in 16 characters, for display."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
