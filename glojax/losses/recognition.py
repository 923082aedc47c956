"""Whether a loss trains as a known one does: its gradient by the outputs is the same, up to scale.

Then it is that loss, however its formula is written: terms without y and a factor change no direction of a training.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from glojax.expressions import context, grammar
from glojax.expressions.trees import Tree
from glojax.losses.known import known_losses
from glojax.losses.loss import Loss, LossFunction
from glojax.losses.outputs import OUTPUTS

_CLASSES = 3  # of the grid of softmax outputs
_TOLERANCE = 1e-3  # of a gradient, or of the median one


def recognized(loss: Loss, spread: float = 1.0) -> str:
    """The known loss that has this loss's gradient up to a factor above 0, in words; "" if none has.

    Gradients are compared on a grid: of a regression over targets and outputs from -3 to 3, of classes over one-hot
    labels and outputs from -3 to 3. Losses whose value depends on the number of classes are not looked for.

    Args:
      loss: the loss.
      spread: of the targets of a regression, the unit of losses that have one. Defaults to 1.

    Returns:
      Such as ``"squared error"``, ``"focal, gamma 2"`` or "".
    """
    if callable(loss.output) or loss.output not in OUTPUTS or context.leaves_of(loss.tree):
        return ""
    ours = _direction(_gradient(loss))
    if ours is None:
        return ""
    for name, theirs in _known(str(loss.output), spread):
        if np.allclose(ours, theirs, rtol=_TOLERANCE, atol=_TOLERANCE):
            return name
    return ""


@functools.lru_cache(maxsize=8)
def _known(output: str, spread: float) -> list[tuple[str, np.ndarray]]:
    """Labels and directions of the known losses."""
    known = [one for one in known_losses(output, _CLASSES) if one.name != "label smoothing"]  # type: ignore[arg-type]
    functions = [one.loss for one in known if not isinstance(one.loss, Loss)]
    of_functions = iter(_gradients(functions, output))
    gradients = [_gradient(one.loss) if isinstance(one.loss, Loss) else next(of_functions) for one in known]
    directions = [_direction(gradient) for gradient in gradients]
    # Of some the coefficient is in units of a task's targets.
    names = [one.name if one.name in ("Huber", "log-cosh") else one.label for one in known]
    return [(name, found) for name, found in zip(names, directions, strict=True) if found is not None]


def _grid(output: str) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and labels, float64 ``[examples, outputs]``."""
    if output == "softmax":
        logits = np.random.default_rng(0).uniform(-3, 3, (40, _CLASSES))
        return np.repeat(logits, _CLASSES, axis=0), np.tile(np.eye(_CLASSES), (40, 1))
    # Uneven values, so that no residual is 0 and none lies where a known loss has its bend.
    values = np.linspace(-3, 3, 14) * 1.013 + 0.017
    targets = np.array([0.0, 1.0]) if output == "sigmoid" else values[::2] + 0.11
    outputs, labels = np.meshgrid(values, targets)
    return outputs.reshape(-1, 1), labels.reshape(-1, 1)


def _gradient(loss: Loss) -> np.ndarray:
    """The gradient by the outputs of the grid, float64 ``[examples, outputs]``."""
    outputs, labels = _grid(str(loss.output))
    if loss.output == "softmax":
        y = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    else:
        y = 1 / (1 + np.exp(-outputs)) if loss.output == "sigmoid" else outputs
    with np.errstate(all="ignore"):
        slope = -_slope(loss, labels, y)
        if loss.output == "softmax":
            return y * (slope - (y * slope).sum(axis=1, keepdims=True))
        return slope * y * (1 - y) if loss.output == "sigmoid" else slope


def _slope(loss: Loss, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """df/dy by dual numbers, of the shape of y."""
    rows = {row.symbol: row for row in grammar.operators(loss.protected)}
    factors = iter(loss.coefficients)

    def visit(node: Tree) -> tuple[np.ndarray, np.ndarray]:
        factor = next(factors)
        if node.children:
            operands = [visit(child) for child in node.children]
            row = rows[node.symbol]
            assert row.value is not None
            assert row.partials is not None
            values = [value for value, _ in operands]
            value = row.value(np, *values)
            partials = row.partials(np, value, *values)
            # An operand without y has no slope, even where its partial is infinite.
            parts = zip(partials, (own for _, own in operands), strict=True)
            slope = np.sum([np.where(own == 0, 0, part * own) for part, own in parts], axis=0)
        else:
            leaves = {"x": x, "y": y}
            value = leaves[node.symbol] if node.symbol in leaves else np.full_like(y, float(node.symbol))  # type: ignore[index]
            slope = np.ones_like(y) if node.symbol == "y" else np.zeros_like(y)
        return factor * value, factor * slope

    return visit(loss.tree)[1]


def _gradients(losses: list[LossFunction], output: str) -> list[np.ndarray]:
    """The gradients of losses that are no trees, compiled together."""
    if not losses:
        return []
    outputs, labels = (jnp.asarray(part, jnp.float32) for part in _grid(output))

    def gradients(outputs: jax.Array) -> list[jax.Array]:
        return [jax.grad(lambda z, loss=loss: jnp.sum(loss(z, labels)))(outputs) for loss in losses]

    return [np.asarray(one, float) for one in jax.jit(gradients)(outputs)]


def _direction(gradient: np.ndarray) -> np.ndarray | None:
    """The gradient in units of its median size; None where it is not finite or mostly 0."""
    size = float(np.median(np.abs(gradient)))
    return gradient / size if np.isfinite(gradient).all() and size > 0 else None
