"""Optimizers by name, and learning-rate schedules and weight decay around a task's own optimizer."""

import re
from collections.abc import Callable, Iterator, Mapping

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from glojax.distributed import jax_settings
from glojax.errors import users_code

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


_FEWEST_STEPS, _MOST_STEPS = 16, 256
"""Bounds of the steps over which updates are added up; a large network gets fewer."""

_ENTRIES = 20_000_000
"""About so many parameters are updated in all."""

_WAITING_STEPS = 1024
"""Steps after which an optimizer that has not moved is given up."""


def growth(optimizer: optax.GradientTransformation, params: chex.ArrayTree) -> float:
    """Measure how updates grow with gradients: about 1 for SGD, where they are proportional, and about 0 for Adam.

    Gradients have the size that they have in training: together a norm of 0.1, and of 1.

    Args:
      optimizer: the optimizer.
      params: shapes and types of the parameters.

    Returns:
      The exponent p with which updates grow like gradients to the power p, to two digits, over so many steps that the
      optimizer moves; 1 where it never does.
    """
    random = np.random.default_rng(0)
    drawn = [jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(leaf.dtype), params) for _ in range(4)]
    norms = [_norm(gradient) for gradient in drawn[1:]]
    gradients = jax.tree.map(
        lambda *leaves: np.stack([leaf / norm for leaf, norm in zip(leaves, norms, strict=True)]).astype(
            leaves[0].dtype
        ),
        *drawn[1:],
    )
    weights = jax.tree.map(lambda leaf: (0.1 * leaf).astype(leaf.dtype), drawn[0])
    entries = sum(leaf.size for leaf in jax.tree.leaves(params))
    steps = max(_FEWEST_STEPS, min(_MOST_STEPS, _ENTRIES // max(entries, 1)))

    @jax.jit
    def size(factor: jax.Array) -> jax.Array:
        def goes_on(carry: tuple[jax.Array, jax.Array, optax.OptState]) -> jax.Array:
            number, total, _ = carry
            return (number < steps) | ((total == 0) & (number < _WAITING_STEPS))

        def step(
            carry: tuple[jax.Array, jax.Array, optax.OptState],
        ) -> tuple[jax.Array, jax.Array, optax.OptState]:
            number, total, state = carry
            gradient = jax.tree.map(
                lambda leaves: (factor * jnp.asarray(leaves)[number % 3]).astype(leaves.dtype), gradients
            )
            updates, state = optimizer.update(gradient, state, weights)
            return number + 1, total + optax.tree.norm(updates).astype(jnp.float32), state

        return jax.lax.while_loop(goes_on, step, (jnp.int32(0), jnp.float32(0), optimizer.init(weights)))[1]

    wide = jax_settings.asks_for_64_bits(lambda: jax.eval_shape(size, np.float32(1)))
    # Zero gradients make some optimizers divide by 0.
    with jax_settings.standard(wide=wide):
        small, large = (float(size(np.float32(factor))) for factor in (0.1, 1))
    return round(float(np.log10(large / small)), 2) if small > 0 and large > 0 else 1.0


def _norm(arrays: chex.ArrayTree) -> float:
    """The Euclidean norm of NumPy arrays together; JAX would compile a program for each shape."""
    return float(np.sqrt(sum(np.sum(np.abs(leaf.astype(complex)) ** 2) for leaf in jax.tree.leaves(arrays))))


_NOT_SCALABLE = {
    "SAMState": "takes its perturbation back later, which a candidate's rate would scale",
    "MechanicState": "learns its rate from how far it has moved, which a candidate's rate would scale",
    "COCOBState": "moves from where it began by what it has earned, which a candidate's rate would scale",
    "ScheduleFreeState": "is evaluated at other parameters than those that it trains",
    "LookaheadState": "has a fast and a slow copy of the parameters",
}
"""States of optimizers that cannot train a population, by the names of their types, and why."""


def checked(given: object, params: chex.ArrayTree) -> optax.GradientTransformation:
    """Check that an optimizer is one of optax and can update a model's parameters.

    Every candidate scales the updates by a rate of its own and has a loss of its own, whose value says nothing beside
    others'. So an optimizer must need nothing but gradients and parameters, and bear that its updates are scaled.

    Args:
      given: the optimizer.
      params: shapes and types of the parameters.

    Returns:
      The optimizer.

    Raises:
      ValueError: it is another object, it needs more, or it raises.
    """
    advice = "an optax optimizer of gradients alone, such as optax.adam(1e-3), is expected"
    if not isinstance(given, optax.GradientTransformation):
        raise ValueError(f"Task.optimizer is {given!r}; an optax optimizer, such as optax.sgd(0.1), is expected.")
    if getattr(given.init, "__qualname__", "").startswith("lookahead."):  # its own parameters are a pair
        raise ValueError(f"Task.optimizer is lookahead, which {_NOT_SCALABLE['LookaheadState']}; {advice}.")

    with users_code("Task.optimizer"), jax_settings.standard():
        state = jax.eval_shape(given.init, params)
    for name in _type_names(state):
        if name in _NOT_SCALABLE:
            raise ValueError(f"Task.optimizer has a {name}: it {_NOT_SCALABLE[name]}; {advice}.")
    with users_code("Task.optimizer"), jax_settings.standard():  # schedules of optax mix types of numbers
        try:
            jax.eval_shape(lambda params: given.update(params, given.init(params), params), params)
        except TypeError as error:
            needed = re.search(r"missing \d+ required .*argument.*?: (.*)", str(error))
            if not needed:
                raise
            raise ValueError(
                f"it needs {needed[1]} in its update, and a candidate has none that could be compared; {advice}."
            ) from None
    return given


def _type_names(state: object) -> Iterator[str]:
    """The names of the types of all nodes of a state."""
    yield type(state).__name__
    if isinstance(state, tuple | list):
        for part in state:
            yield from _type_names(part)
    elif isinstance(state, Mapping):
        for part in state.values():
            yield from _type_names(part)


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
