"""Optimizers by name, and learning-rate schedules and weight decay around a task's own optimizer."""

from collections.abc import Callable

import chex
import jax
import numpy as np
import optax

from glojax.distributed import jax_settings

OPTIMIZERS: dict[str, Callable[[float], optax.GradientTransformation]] = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "adam": optax.adam,
    "adamw": optax.adamw,
    "rmsprop": optax.rmsprop,
}
"""Functions that make an optimizer of a learning rate, by name."""


def optimizer_by_name(name: str, rate: float) -> optax.GradientTransformation:
    """Make an optimizer by its name.

    Args:
      name: a key of ``OPTIMIZERS``.
      rate: its learning rate, above 0.

    Raises:
      ValueError: an unknown name, or a rate that is not above 0.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer is {name!r}; allowed are {', '.join(OPTIMIZERS)}.")
    if not 0 < rate < float("inf"):
        raise ValueError(f"learning rate is {rate}; a number above 0 is allowed.")
    return OPTIMIZERS[name](rate)


def growth(optimizer: optax.GradientTransformation, params: chex.ArrayTree) -> float:
    """Measure how updates grow with gradients: about 1 for SGD, where they are proportional, and about 0 for Adam.

    Args:
      optimizer: the optimizer.
      params: shapes and types of the parameters.

    Returns:
      The exponent p with which updates grow like gradients to the power p, in the third of three steps; 1 where the
      updates are 0.
    """
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), params)
    random = np.random.default_rng(0)
    drawn = [jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(leaf.dtype), params) for _ in range(3)]

    @jax.jit
    def size(factor: jax.Array) -> jax.Array:
        state, updates = optimizer.init(zeros), zeros
        for gradient in drawn:
            updates, state = optimizer.update(jax.tree.map(lambda leaf: factor * leaf, gradient), state, zeros)
        return optax.tree.norm(updates)

    wide = jax_settings.asks_for_64_bits(lambda: jax.eval_shape(size, np.float32(1)))
    # Zero gradients make some optimizers divide by 0.
    with jax_settings.standard(wide=wide):
        small, large = (float(size(np.float32(factor))) for factor in (1, 10))
    return float(np.log10(large / small)) if small > 0 and large > 0 else 1.0


SCHEDULES: dict[str, Callable[[int], optax.Schedule]] = {
    "constant": lambda steps: optax.constant_schedule(1.0),
    "linear": lambda steps: optax.linear_schedule(1.0, 0.0, steps),
    "cosine": lambda steps: optax.cosine_decay_schedule(1.0, steps),
    "step": lambda steps: optax.piecewise_constant_schedule(1.0, {steps // 2: 0.1, steps * 3 // 4: 0.1}),
}
"""Functions that make a schedule of a number of steps, by name: factors of the learning rate that begin at 1."""


def adapted(
    optimizer: optax.GradientTransformation,
    steps: int,
    *,
    schedule: str = "constant",
    warmup: int = 0,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Add weight decay in front of an optimizer and a schedule behind it.

    Args:
      optimizer: the task's optimizer.
      steps: optimizer steps of the whole training.
      schedule: a key of ``SCHEDULES``: ``"linear"`` and ``"cosine"`` end at 0, ``"step"`` divides the rate by 10 after
        half of the training and again after three quarters. Defaults to ``"constant"``.
      warmup: the number of first steps in which the rate rises linearly from 0; the schedule covers the rest. At least
        0 and below ``steps``. Defaults to 0.
      weight_decay: a factor, at least 0; the parameters times this are added to the gradients before the optimizer
        sees them. For SGD that is an L2 penalty, as arXiv 1905.11528 uses it on CIFAR-10. Defaults to 0.

    Returns:
      The new optimizer; ``optimizer`` itself if nothing is added.

    Raises:
      ValueError: an unknown schedule, or a number out of its range.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule is {schedule!r}; allowed are {', '.join(SCHEDULES)}.")
    if not 0 <= warmup < steps:
        raise ValueError(f"warmup is {warmup}; of {steps} steps, 0 to {steps - 1} are allowed.")
    if not 0 <= weight_decay < float("inf"):
        raise ValueError(f"weight_decay is {weight_decay}; a finite number of at least 0 is needed.")
    parts = [optimizer]
    if weight_decay:
        parts.insert(0, optax.add_decayed_weights(weight_decay))
    if schedule != "constant" or warmup:
        factor = SCHEDULES[schedule](steps - warmup)
        if warmup:
            # Step 0 moves too, or it would be wasted.
            rise = optax.linear_schedule(1 / (warmup + 1), 1.0, warmup)
            factor = optax.join_schedules([rise, factor], [warmup])
        parts.append(optax.scale_by_schedule(factor))
    return parts[0] if len(parts) == 1 else optax.chain(*parts)
