"""The gradient of a loss by a network's outputs: of every candidate's own program, or of one loss for all."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from glojax.errors import users_code
from glojax.expressions import programs
from glojax.expressions.programs import Program
from glojax.losses.loss import LossFunction
from glojax.losses.outputs import Output, predictions
from glojax.tasks import checks
from glojax.tasks.task import Task

Gradient = Callable[[Program, jax.Array, jax.Array, jax.Array | None], tuple[jax.Array, jax.Array]]
"""``gradient(program, outputs, x, weights) -> (gradient of the mean loss by the outputs, whether all was finite)``.

All are ``[batch, outputs]``; weights, if there are any, are those of the entries, 0 for one that takes no part.
"""


def program_gradient(protected: bool, output: Output = "softmax") -> Gradient:
    """The gradient where every candidate's loss is its own program."""

    def gradient(
        program: Program, outputs: jax.Array, labels: jax.Array, weights: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        # Outputs first: sums over them then run along the batch, which vectorizes.
        z, weights = outputs.T, None if weights is None else jnp.broadcast_to(weights, outputs.shape).T
        if output in ("softmax", "sigmoid", "identity"):
            x, y, _ = predictions(z, labels.T, 0, None, output)
            backward = _BACKWARD[str(output)]
        else:
            # A function of the user's may look along its last axis.
            x = labels.T.astype(jnp.float32)
            y, pull = jax.vjp(lambda z: predictions(z.T, labels, -1, None, output)[1].T, z)

            backward = _pulled(pull)
        value, slope = programs.value_and_slope(program, x, y, protected=protected)
        weighted = -slope / len(outputs)
        if weights is not None:
            weighted, value = jnp.where(weights == 0, 0, weighted * weights), jnp.where(weights == 0, 0, value)
        found = backward(weighted, y)
        finite = jnp.isfinite(jnp.sum(value)) & jnp.isfinite(jnp.sum(weighted))
        return found.T.astype(outputs.dtype), finite

    return gradient


def _pulled(pull: Callable[..., Any]) -> Callable[[jax.Array, jax.Array], jax.Array]:
    return lambda g, _: pull(g)[0]


_BACKWARD: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "softmax": lambda g, y: (weighted := g * y) - y * jnp.sum(weighted, axis=0),
    "sigmoid": lambda g, y: g * y * (1 - y),
    "identity": lambda g, y: g,
}
"""The gradient by the outputs, of that by the predictions and the predictions, all ``[outputs, batch]``."""


def check_loss(task: Task, loss: LossFunction) -> None:
    """Raise ``ValueError`` for a function that is no loss of a task's outputs and of targets ``[batch, outputs]``."""
    example = jax.ShapeDtypeStruct((task.batch_size, task.outputs), jnp.float32)
    name, given = f"the loss {getattr(loss, '__name__', type(loss).__name__)}", checks.described(example)
    with users_code(f"{name}, called with outputs and targets {given},"):
        values = jax.eval_shape(loss, example, example)
    if getattr(values, "shape", None) not in (example.shape, example.shape[:1], ()):
        raise ValueError(
            f"{name} gives {checks.described(values)} of outputs and targets {given}; a value for each example, or "
            "for each output, is expected."
        )


def fixed_gradient(loss: LossFunction) -> Gradient:
    """The gradient where one loss serves all candidates, whatever their programs.

    It gives a value for each example, or, as optax's for sigmoids and squared errors, for each output.
    """

    def gradient(
        program: Program, outputs: jax.Array, labels: jax.Array, weights: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        def total(outputs: jax.Array) -> jax.Array:
            values = loss(outputs, labels)
            if values.shape == outputs.shape:
                values = jnp.sum(values if weights is None else jnp.where(weights == 0, 0, weights * values), axis=-1)
            elif weights is not None and weights.shape[-1] == 1:
                values = values * weights[:, 0]
            elif weights is not None:
                raise ValueError(
                    "this loss gives a value for each example; where outputs have weights, or labels that may be "
                    "unknown, one for each output is needed."
                )
            return jnp.mean(values)

        value, found = jax.value_and_grad(total)(outputs)
        return found, jnp.isfinite(value) & jnp.isfinite(jnp.sum(found))

    return gradient
