"""The gradient of the mean loss by a network's outputs.

In the search every candidate has a loss of its own, a ``Program`` (``program_gradient``); a comparison may train all
candidates with one loss, such as optax's cross-entropy (``fixed_gradient``). Both give a ``Gradient``, which takes
outputs and targets ``[batch, outputs]`` and gives the gradient, of the same shape, and whether all was finite.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np

from glojax.distributed import jax_settings
from glojax.errors import users_code
from glojax.expressions import programs
from glojax.expressions.programs import Program
from glojax.losses.loss import LossFunction
from glojax.losses.outputs import Output, predictions
from glojax.tasks import checks
from glojax.tasks.task import Task

Gradient = Callable[[Program, jax.Array, jax.Array, jax.Array | None], tuple[jax.Array, jax.Array]]
"""``gradient(program, outputs, x, weights) -> (gradient of the mean loss by the outputs, whether all was finite)``.

``outputs`` and the targets ``x`` are ``[batch, outputs]``; ``weights``, if there are any, are ``[batch, outputs]`` or
``[batch, 1]``, and 0 for an entry that takes no part. The gradient is ``[batch, outputs]``, finiteness ``bool[]``.
"""

Backward = Callable[[jax.Array, jax.Array], jax.Array]
"""From the gradient by the predictions and the predictions to the gradient by the outputs, ``[outputs, batch]``."""


def program_gradient(protected: bool, output: Output = "softmax") -> Gradient:
    """The gradient where every candidate's loss is its own program.

    Args:
      protected: whether losses use the protected operators.
      output: what makes predictions of a network's outputs (``losses.outputs``).
    """

    def gradient(
        program: Program, outputs: jax.Array, labels: jax.Array, weights: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        _check_shapes(outputs, labels, weights)
        # Outputs first: sums over them then run along the batch, which vectorizes.
        z, weights = outputs.T, None if weights is None else jnp.broadcast_to(weights, outputs.shape).T
        if output in ("softmax", "sigmoid", "identity"):
            x, y, _ = predictions(z, labels.T, 0, None, output)
            backward = _BACKWARD[str(output)]
        else:
            # A user's own function may reduce over its last axis.
            x = labels.T.astype(jnp.float32)
            y, pull = jax.vjp(lambda z: predictions(z.T, labels, -1, None, output)[1].T, z)
            backward: Backward = lambda g, _: pull(g)[0]
        value, slope = programs.value_and_slope(program, x, y, protected=protected)
        weighted = -slope / len(outputs)
        if weights is not None:
            weighted, value = jnp.where(weights == 0, 0, weighted * weights), jnp.where(weights == 0, 0, value)
        found = backward(weighted, y)
        finite = jnp.isfinite(jnp.sum(value)) & jnp.isfinite(jnp.sum(weighted))
        return found.T.astype(outputs.dtype), finite

    return gradient


_BACKWARD: dict[str, Backward] = {
    "softmax": lambda g, y: (weighted := g * y) - y * jnp.sum(weighted, axis=0),
    "sigmoid": lambda g, y: g * y * (1 - y),
    "identity": lambda g, y: g,
}


def fixed_gradient(loss: LossFunction) -> Gradient:
    """The gradient where one loss serves all candidates, whatever their programs.

    Args:
      loss: ``loss(outputs, targets)``, which gives a value for each example, ``[batch]``, or, as optax's losses for
        sigmoids and squared errors do, one for each output, ``[batch, outputs]``.
    """

    def gradient(
        program: Program, outputs: jax.Array, labels: jax.Array, weights: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        _check_shapes(outputs, labels, weights)

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


def is_wide(task: Task, loss: LossFunction | None) -> bool:
    """Whether a fixed loss asks for 64 bits, and the user has enabled them."""
    if loss is None:
        return False
    example = jax.ShapeDtypeStruct((task.batch_size, task.outputs), np.float32)
    return jax_settings.asks_for_64_bits(lambda: jax.eval_shape(loss, example, example))


def check_loss(task: Task, loss: LossFunction) -> None:
    """Raise ``ValueError`` unless ``loss(outputs, targets)`` takes ``[batch, outputs]`` and gives values of them."""
    example = jax.ShapeDtypeStruct((task.batch_size, task.outputs), jnp.float32)
    name, given = f"the loss {getattr(loss, '__name__', type(loss).__name__)}", checks.described(example)
    with users_code(f"{name}, called with outputs and targets {given},"):
        values = jax.eval_shape(loss, example, example)
    if getattr(values, "shape", None) not in (example.shape, example.shape[:1], ()):
        raise ValueError(
            f"{name} gives {checks.described(values)} of outputs and targets {given}; a value for each example, or "
            "for each output, is expected."
        )


def _check_shapes(outputs: jax.Array, labels: jax.Array, weights: jax.Array | None) -> None:
    chex.assert_rank(outputs, 2)
    chex.assert_equal_shape([outputs, labels])
    if weights is not None:
        chex.assert_shape(weights, (len(outputs), {1, outputs.shape[1]}))
