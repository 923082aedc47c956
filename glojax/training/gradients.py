"""The gradient of the mean loss by a network's outputs.

In the search every candidate has a loss of its own, a ``Program`` (``program_gradient``); where derivatives by
coefficients are wanted all have one tree, each with its own coefficients (``tree_gradient``); a comparison may train
all candidates with one loss, such as optax's cross-entropy (``fixed_gradient``), or each with one of a few
(``chosen_gradient``). All give a ``Gradient``, which takes outputs and targets ``[batch, outputs]`` and gives the
gradient, of the same shape, and whether all was finite.
"""

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from glojax import losses, platforms
from glojax.distributed import jax_settings
from glojax.errors import users_code
from glojax.expressions import context, programs, slopes
from glojax.expressions.programs import Program
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss, LossFunction
from glojax.losses.outputs import Output, predictions
from glojax.seeds import named_random
from glojax.tasks import checks
from glojax.tasks.labels import known_of
from glojax.tasks.task import Task

_FEW_SUMS = 16
_FLAT, _APART = 1e-8, 1e-5  # shares of a loss's values below which a gradient, or a difference, is rounding

Gradient = Callable[[Program, jax.Array, jax.Array, jax.Array | None], tuple[jax.Array, jax.Array]]
"""``gradient(program, outputs, x, weights) -> (gradient of the mean loss by the outputs, whether all was finite)``.

A program may be ``InContext``, whose context is filled in. ``outputs`` and the targets ``x`` are ``[batch, outputs]``;
``weights``, if there are any, are ``[batch, outputs]`` or ``[batch, 1]``, and 0 for an entry that takes no part. The
gradient is ``[batch, outputs]``, finiteness ``bool[]``.
"""

Backward = Callable[[jax.Array, jax.Array], jax.Array]
"""From the gradient by the predictions and the predictions to the gradient by the outputs, ``[outputs, batch]``."""


def program_gradient(protected: bool, output: Output = "softmax") -> Gradient:
    """The gradient where every candidate's loss is its own program.

    Args:
      protected: whether losses use the protected operators.
      output: what makes predictions of a network's outputs (``losses.outputs``).
    """
    return _swept(functools.partial(programs.swept, protected=protected), output)


def tree_gradient(tree: Tree, protected: bool, output: Output = "softmax") -> Gradient:
    """The gradient where all candidates have one tree, and a candidate's program is the factors of its nodes.

    It is that of ``program_gradient`` but for rounding, and can be differentiated by the factors.

    Args:
      tree: f(x, y). The program is ``float32[nodes]``, in pre-order.
      protected: whether the loss uses the protected operators.
      output: what makes predictions of a network's outputs (``losses.outputs``).
    """

    def sweep(
        factors: jax.Array, x: jax.Array, y: jax.Array, *, given: Mapping[str, jax.Array]
    ) -> tuple[jax.Array, jax.Array, None]:
        found = slopes.value_and_slope(tree, x, y, jnp, factors.astype(y.dtype), protected, given)
        value, slope = (jnp.broadcast_to(each, y.shape) for each in found)
        return value, slope, None

    return _swept(sweep, output)


def _swept(sweep: Callable[..., tuple[jax.Array, jax.Array, jax.Array | None]], output: Output) -> Gradient:
    """The gradient where a sweep, from a program and x and y ``[outputs, batch]``, gives value and slope.

    Its third result are their sums, as ``programs.swept`` gives them, or ``None``.
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
        alone, leaves = context.parted(program)
        value, slope, sums = sweep(alone, x, y, given=context.on_points(leaves, y))
        weighted = -slope / len(outputs)
        if weights is not None:
            weighted, value = jnp.where(weights == 0, 0, weighted * weights), jnp.where(weights == 0, 0, value)
        found = backward(weighted, y)
        if weights is not None:
            found = _without_lost(found, weights)
        # With weights, entries that do not count are in the sums of the sweep.
        finite = _all_finite(value, weighted, None if weights is not None else sums)
        return found.T.astype(outputs.dtype), finite

    return gradient


def _all_finite(value: jax.Array, weighted: jax.Array, sums: jax.Array | None) -> jax.Array:
    """Whether values and gradients are finite, by their sums; on a GPU by those of the interpreter's kernel."""

    def of_both(value: jax.Array, weighted: jax.Array) -> jax.Array:
        return jnp.isfinite(jnp.sum(value)) & jnp.isfinite(jnp.sum(weighted))

    def without_sums(value: jax.Array, weighted: jax.Array, _: jax.Array) -> jax.Array:
        return of_both(value, weighted)

    def of_sums(_: jax.Array, __: jax.Array, sums: jax.Array) -> jax.Array:
        found = jnp.isfinite(sums).reshape(-1)
        # A few of them need no kernel of their own: they are part of the one that reads them.
        return functools.reduce(jnp.logical_and, found) if len(found) <= _FEW_SUMS else found.all()

    if sums is None:
        return of_both(value, weighted)
    return platforms.choose(value, weighted, sums, cpu=without_sums, gpu=of_sums, tpu=without_sums)


_BACKWARD: dict[str, Backward] = {
    "softmax": lambda g, y: (weighted := g * y) - y * jnp.sum(weighted, axis=0),
    "sigmoid": lambda g, y: g * y * (1 - y),
    "identity": lambda g, y: g,
}


def _without_lost(gradient: jax.Array, weights: jax.Array) -> jax.Array:
    """The gradient, 0 instead of NaN or infinity where nothing counts."""
    return jnp.where((weights == 0) & ~jnp.isfinite(gradient), 0, gradient)


def fixed_gradient(loss: LossFunction) -> Gradient:
    """The gradient where one loss serves all candidates, whatever their programs.

    Args:
      loss: ``loss(outputs, targets)``, which gives a value for each example, ``[batch]``, or, as optax's losses for
        sigmoids and squared errors do, one for each output, ``[batch, outputs]``. It may give the mean over the batch,
        a scalar, where all entries weigh the same.
    """

    def gradient(
        program: Program, outputs: jax.Array, labels: jax.Array, weights: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        _check_shapes(outputs, labels, weights)

        def total(outputs: jax.Array) -> jax.Array:
            values = loss(outputs, labels)
            if weights is None:
                return jnp.mean(jnp.sum(values, axis=-1) if values.shape == outputs.shape else values)
            if values.shape == outputs.shape:
                return jnp.mean(jnp.sum(jnp.where(weights == 0, 0, weights * values), axis=-1))
            if values.shape != outputs.shape[:1] or weights.shape[-1] != 1:
                raise ValueError(_for_weights(f"the loss gives {checks.described(values)}", values, weights))
            return jnp.mean(jnp.where(weights[:, 0] == 0, 0, weights[:, 0] * values))

        value, found = jax.value_and_grad(total)(outputs)
        if weights is not None:  # where a loss is not finite, no weight makes its gradient 0
            found = _without_lost(found, weights)
        return found, jnp.isfinite(value) & jnp.isfinite(jnp.sum(found))

    return gradient


def chosen_gradient(fixed: Sequence[LossFunction]) -> Gradient:
    """The gradient where each candidate has one of a few fixed losses, all of which are computed.

    Args:
      fixed: the losses, as ``fixed_gradient`` takes them. A candidate's program is a leaf, whose factor is the place of
        its loss among them.
    """
    of_each = [fixed_gradient(loss) for loss in fixed]

    def gradient(
        program: Program, outputs: jax.Array, labels: jax.Array, weights: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        found = [gradient(program, outputs, labels, weights) for gradient in of_each]
        place = jnp.asarray(program.output_scale, jnp.int32)
        return jnp.stack([one for one, _ in found])[place], jnp.stack([finite for _, finite in found])[place]

    return gradient


def is_wide(task: Task, loss: LossFunction | tuple[LossFunction, ...] | None) -> bool:
    """Whether a fixed loss asks for 64 bits, and the user has enabled them."""
    example = jax.ShapeDtypeStruct((task.batch_size, task.outputs), np.float32)
    fixed = () if loss is None else loss if isinstance(loss, tuple) else (loss,)
    return any(jax_settings.asks_for_64_bits(lambda one=one: jax.eval_shape(one, example, example)) for one in fixed)


def _for_weights(what: str, values: jax.ShapeDtypeStruct | jax.Array, weights: jax.ShapeDtypeStruct | jax.Array) -> str:
    """Say which values are needed where entries have weights, ``[batch, 1]`` or ``[batch, outputs]``."""
    line = "leave out .mean()" if values.shape == () else "leave out .sum(axis=-1) or .mean(axis=-1)"
    needed = "example needs a value" if weights.shape[-1] == 1 else "output needs a value"
    shape = "[batch]" if weights.shape[-1] == 1 else "[batch, outputs]"
    return (
        f"{what}; where class_weights are given, or labels are unknown, each {needed} of its own, {shape}, so that it "
        f"can be weighed or left out: {line}."
    )


# WHETHER A LOSS FITS


def check_loss(task: Task, loss: LossFunction) -> None:
    """Check a fixed loss by what it is and by its shapes; nothing is computed.

    Raises:
      ValueError: it is made for another output, does not take ``[batch, outputs]``, or does not give values of them
        that the task's weights can weigh.
    """
    check_output(task, loss)
    batch = task.batch_size
    # Another size where the number of examples could be mistaken for that of outputs.
    values = _values(task, loss, batch + 1 if batch == task.outputs else batch)
    examples = len(values.outputs)
    if values.found.shape not in (values.outputs.shape, (examples,), ()):
        raise ValueError(
            f"{values.what}; a value for each example, or for each output, is expected: [{examples}] or "
            f"[{examples}, {task.outputs}]."
        )
    if not jnp.issubdtype(values.found.dtype, jnp.floating):
        raise ValueError(f"{values.what}; floating values are expected, which have a gradient.")
    labels = task.flat["train"].labels
    example = jax.ShapeDtypeStruct((examples, *labels.shape[1:]), labels.dtype)
    _, weights = jax.eval_shape(lambda labels: task.targets(labels, task.outputs), example)
    if weights is None or values.found.shape == values.outputs.shape:
        return
    if values.found.shape == () or weights.shape[-1] != 1:
        raise ValueError(_for_weights(values.what, values.found, weights))


def check_output(task: Task, loss: LossFunction) -> None:
    """Raise ``ValueError`` if a loss is known to be made for another output than the task's."""
    output, wanted = losses.output_of(loss), task.problem.output
    if isinstance(loss, Loss) and output != wanted:
        raise ValueError(
            f"the loss {loss} is of output {output!r}, the task {task.name} of {wanted!r}; make it with task.loss(...)."
        )
    if output is not None and isinstance(wanted, str) and output != wanted:
        raise ValueError(
            f"{_name(loss)} is a loss of output {output!r}, the task {task.name} of {wanted!r}; the trees in "
            "glojax.losses.ZOO by their names, such as 'cross_entropy', are for any output."
        )


class _Values(NamedTuple):
    outputs: jax.ShapeDtypeStruct  # [examples, outputs]
    found: Any  # what the loss gives of them
    what: str  # both in words


def _values(task: Task, loss: LossFunction, examples: int) -> _Values:
    example = jax.ShapeDtypeStruct((examples, task.outputs), jnp.float32)
    given = checks.described(example)
    with users_code(f"{_name(loss)}, called with outputs and targets {given},"):
        found = jax.eval_shape(loss, example, example)
    what = f"{_name(loss)} gives {checks.described(found)} of outputs and targets {given}"
    if not isinstance(found, jax.ShapeDtypeStruct):
        raise ValueError(f"{what}; one array with a value for each example is expected.")
    return _Values(example, found, what)


def _name(loss: LossFunction) -> str:
    inner = loss.func if isinstance(loss, functools.partial) else loss
    return f"the loss {getattr(inner, '__name__', type(inner).__name__)}"


def check_gradient(task: Task, loss: LossFunction) -> None:
    """Try a fixed loss on some labels of the task: warn where it trains nothing, refuse what weights cannot weigh.

    Outputs are drawn at several scales, so that no loss is flat at all of them that is not flat everywhere.

    Args:
      task: the task.
      loss: a loss that ``check_loss`` took.

    Raises:
      ValueError: the values of examples depend on each other where some of them do not count.
    """
    labels = task.flat["train"].labels
    known = known_of(labels)
    (places,) = np.nonzero(known if known.ndim == 1 else known.any(axis=-1))
    some = labels[np.resize(places[np.linspace(0, len(places) - 1, min(len(places), 64)).astype(int)], task.batch_size)]
    drawn = named_random(0, "a loss is tried").normal(size=(task.batch_size, task.outputs)).astype(np.float32)

    @jax.jit
    def tried(outputs: jax.Array, labels: jax.Array) -> tuple[jax.Array, ...]:
        x, weights = task.targets(labels, task.outputs)
        gradient, finite = fixed_gradient(loss)(None, outputs, x, weights)  # type: ignore[arg-type]  # no program is used
        values, others = loss(outputs, x), loss(outputs.at[-1].add(1.0), x)
        apart = jnp.array(0.0) if values.shape == () else jnp.abs(values - others)[:-1].max(initial=0)
        return jnp.abs(gradient).max() * len(outputs), jnp.abs(values).max(), finite, apart

    with jax_settings.standard(wide=is_wide(task, loss)):
        found = [jax.device_get(tried(jnp.asarray(scale * drawn), jnp.asarray(some))) for scale in (0.1, 1.0, 10.0)]
    if all(finite and slope <= _FLAT * value for slope, value, finite, _ in found):
        warnings.warn(
            f"{_name(loss)} has no gradient at outputs of shape {list(drawn.shape)}: training with it leaves the "
            f"parameters as they are. It may be made for other outputs than those of this task, "
            f"{task.problem.output!r}: softmax of a single output, for example, is always 1.",
            stacklevel=2,
        )
    if any(finite and apart > _APART * value for _, value, finite, apart in found):
        mixed = (
            f"{_name(loss)} gives an example a value that depends on the outputs of other examples; perhaps [batch] "
            "and [batch, 1] were broadcast to [batch, batch]"
        )
        if task.loss_weights is not None or task.has_gaps:
            raise ValueError(
                f"{mixed}. Where class_weights are given, or labels are unknown, each example needs a value of its own."
            )
        warnings.warn(f"{mixed}. If that is meant, let the loss give its mean over the batch.", stacklevel=2)


def _check_shapes(outputs: jax.Array, labels: jax.Array, weights: jax.Array | None) -> None:
    chex.assert_rank(outputs, 2)
    chex.assert_equal_shape([outputs, labels])
    if weights is not None:
        chex.assert_shape(weights, (len(outputs), {1, outputs.shape[1]}))
