"""What a model gives beside its outputs: an auxiliary value, and losses of its own.

``Sown`` and ``of_outputs`` take apart what a call gives; a training adds the losses to that of the outputs.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

LOSSES = "losses"
"""The collection of Linen in which modules sow losses, and their name in a dict of auxiliary values."""


class Sown(NamedTuple):
    """What a call gives, and what modules in it have sown as losses."""

    made: Any
    losses: Any


def of_outputs(made: Any, has_aux: bool) -> tuple[Any, Any]:
    """Take apart what a call gives.

    Args:
      made: what the call gave, or ``Sown``.
      has_aux: whether that is a pair of outputs and an auxiliary value.

    Returns:
      The outputs, and the losses beside them: those sown, and the auxiliary dict's ``"losses"``.

    Raises:
      ValueError: it is no pair.
    """
    made, sown = made if isinstance(made, Sown) else (made, ())
    if not has_aux:
        return made, sown
    if not (isinstance(made, tuple) and len(made) == 2):
        raise ValueError(
            f"Task.has_aux is True, and the model gives a {type(made).__name__}; a pair (outputs, auxiliary) is "
            "expected."
        )
    return made[0], (sown, made[1].get(LOSSES, ()) if isinstance(made[1], Mapping) else ())


def total(losses: Any) -> jax.Array:
    """The sum of all numbers in a tree of losses, ``float32[]``.

    Raises:
      ValueError: there is none, or it has arrays that are not floating.
    """
    leaves = jax.tree.leaves(losses)
    if not leaves:
        raise ValueError(
            f"Task.sown_weight is given, and the model gives no losses; self.sow({LOSSES!r}, name, value) in a Linen "
            f"module, or an auxiliary dict with {LOSSES!r} and has_aux=True, is expected."
        )
    if wrong := [leaf.dtype for leaf in map(jnp.asarray, leaves) if not jnp.issubdtype(leaf.dtype, jnp.floating)]:
        raise ValueError(f"Task.sown_weight is given, and a loss of the model is {wrong[0]}; floats are expected.")
    return sum((jnp.sum(leaf).astype(jnp.float32) for leaf in leaves), jnp.float32(0))
