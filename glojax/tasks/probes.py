"""Probes: what the functions of a task compute on fixed inputs, as rows of a few floats.

A probe tells functions apart by what they do and holds no name or address. Its rows have at most 16 floats, ``None``
for what is not finite. Probes run on the CPU where that is possible, so that they do not depend on the accelerator.
"""

import contextlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from glojax import models
from glojax.distributed import jax_settings
from glojax.errors import users_code
from glojax.losses.loss import LossFunction
from glojax.models.adapters import Model
from glojax.tasks import inputs
from glojax.tasks.inputs import Inputs
from glojax.tasks.task import Task

_WIDTH = 8  # floats in a row
_EXAMPLES, _METRIC_EXAMPLES = 8, 1000
_SCALES = (0.0, 1e-6, 1.0, 1e3)  # of gradients: shows weight decay, epsilons, learning rates and clipping
_PERIOD = 7  # distinct gradients
_STRETCHES = 8  # of a training, in each of which updates are added up
_TABLE = np.random.default_rng(0).normal(size=9973)  # the source of every fixed number

Row = list[float | None]
Probe = list[Row]


# WHERE PROBES RUN


@contextlib.contextmanager
def fixed_precision(wide: bool) -> Iterator[None]:
    """Compute everything inside as training does (``Task.is_wide``), and at full precision."""
    # Zero gradients make some optimizers divide by 0, which is nothing to debug.
    with jax_settings.standard(wide=wide), jax.default_matmul_precision("highest"):
        yield


def _tried(field: str, compute: Callable[[int], Any], sizes: Sequence[int]) -> Any:
    """Compute on the CPU with the first size; where a function of the task refuses that, with the others or elsewhere.

    A network of a fixed batch size needs the last size, and one of kernels for accelerators needs its accelerator.
    """
    devices: list[Any] = [None]
    with contextlib.suppress(RuntimeError):
        devices.insert(0, jax.local_devices(backend="cpu")[0])
    attempts = [(device, size) for device in devices for size in dict.fromkeys(sizes)]
    for device, size in attempts[:-1]:
        with contextlib.suppress(Exception), jax.default_device(device):
            return compute(size)
    with users_code(field), jax.default_device(attempts[-1][0]):
        return compute(attempts[-1][1])


def _compiled(function: Callable[..., Any]) -> Any:
    """A function compiled in little time rather than for speed: it runs once."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


# FIXED NUMBERS


def _fixed(place: int, shape: Sequence[int]) -> np.ndarray:
    """Fixed normal numbers of a shape; others for another place."""
    return np.resize(np.roll(_TABLE, -1009 * place), tuple(shape)).astype(np.float32)


def _row(arrays: chex.ArrayTree) -> Row:
    """Fixed weighted sums of all floating arrays of a tree."""
    total = np.zeros(_WIDTH)
    for place, leaf in enumerate(jax.tree.leaves(arrays)):
        if _is_real(leaf):
            flat = np.asarray(leaf, np.float64).ravel()
            with np.errstate(all="ignore"):
                total += [_fixed(place + 17 * number, flat.shape) @ flat for number in range(_WIDTH)]
    return _rounded(total)


def _is_real(leaf: jax.Array | jax.ShapeDtypeStruct) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def _rounded(values: np.ndarray) -> Row:
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]


def _spread(count: int, size: int) -> np.ndarray:
    """Places of at most ``size`` of ``count`` examples, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, size)).astype(int))


def _spread_examples(x: Inputs, size: int) -> Inputs:
    return inputs.taken(x, _spread(inputs.count(x), size))


# WHAT THE FUNCTIONS OF A TASK COMPUTE


def inputs_probe(task: Task) -> dict[str, Probe]:
    """What ``preprocess`` and ``augment`` make of some training examples."""
    x = task.splits["train"].x

    def floats(x: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), x)

    def prepared(size: int) -> Probe:
        return [_row(_compiled(lambda x: floats(task.evaluation_input(x)))(_spread_examples(x, size)))]

    def augmented(size: int) -> Probe:
        make = _compiled(lambda seed, x: floats(task.training_input(jax.random.key(seed), x)))
        return [_row(make(seed, _spread_examples(x, size))) for seed in range(2)]

    sizes = (_EXAMPLES, task.batch_size)
    return {
        "preprocess": _tried("Task.preprocess", prepared, sizes),
        "augment": _tried("Task.augment", augmented, sizes),
    }


class _Outputs(NamedTuple):
    """What a model computes; the arrays of one compiled call."""

    initial: chex.ArrayTree  # the parameters after initialization
    initial_outputs: jax.Array  # [examples, outputs] from them
    training: jax.Array  # [examples, outputs] from fixed parameters
    evaluation: jax.Array  # the same
    new_state: chex.ArrayTree  # after the call in training mode


def model_probe(task: Task) -> dict[str, Any]:
    """How the model initializes, and its outputs for some training examples from fixed parameters."""
    model, x = task.pure_model, task.splits["train"].x

    def compute(size: int) -> dict[str, Any]:
        batch, fixed = _spread_examples(x, size), _parameters(model)
        traced = _compiled(lambda fixed, x: _outputs(model, fixed, task.evaluation_input(x))).trace(fixed, batch)
        found: _Outputs = traced.lower().compile()(fixed, batch)
        leaves = [
            np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(found.initial) if leaf.size and _is_real(leaf)
        ]
        return {
            "low_precision": sorted(set(re.findall(r"\b(bf16|f16|f8\w*|f4\w*)\[", str(traced.jaxpr)))),
            "initialization": [
                _row([np.array([leaf.mean() for leaf in leaves])]),
                _row([np.array([np.sqrt((leaf**2).mean()) for leaf in leaves])]),
                _row(found.initial_outputs),
            ],
            "model": [_row(found.evaluation), _row(found.training), _row(found.new_state)],
        }

    return _tried("Task.model", compute, (_EXAMPLES, task.batch_size))


def _outputs(model: Model, fixed: Sequence[np.ndarray], batch: Inputs) -> _Outputs:
    key = jax.random.key(0)
    params, state = model.init(key)
    leaves, structure = jax.tree.flatten(params)
    given = iter(fixed)
    fixed_params = jax.tree.unflatten(structure, [next(given) if _is_real(leaf) else leaf for leaf in leaves])
    training, new_state = model.apply(fixed_params, state, batch, key, True)
    evaluation, _ = model.apply(fixed_params, state, batch, key, False)
    return _Outputs(params, model.apply(params, state, batch, key, False)[0], training, evaluation, new_state)


def _parameters(model: Model) -> list[np.ndarray]:
    """Fixed values for all floating parameters, of the size that keeps outputs near 1."""
    leaves = [leaf for leaf in jax.tree.leaves(models.shapes(model)[0]) if _is_real(leaf)]
    fan_in = [max(1, math.prod(leaf.shape[:-1])) for leaf in leaves]
    return [(_fixed(place, leaf.shape) / fan_in[place] ** 0.5).astype(leaf.dtype) for place, leaf in enumerate(leaves)]


def kind_probe(task: Task) -> dict[str, Any]:
    """What the kind of problem makes of outputs and labels, and its baseline of both."""
    kind, labels = task.problem, task.flat["train"].labels
    labels = labels[_spread(len(labels), 64)]
    z = 3 * _fixed(0, (len(labels), task.outputs))

    def output(size: int) -> Probe | str:
        if isinstance(kind.output, str):
            return kind.output
        make = _compiled(kind.output)
        return [_row(make(scale * z[:size])) for scale in (0.1, 1.0)]

    def targets(size: int) -> Probe:
        return [_row(part) for part in _compiled(of_labels)(labels[:size]) if part is not None]

    def baseline(size: int) -> Probe:
        value = _compiled(lambda z, labels: kind.baseline(z, of_labels(labels)[0]))
        return [_row(value(scale * z[:size], labels[:size])) for scale in (0.1, 1.0)]

    def of_labels(labels: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        x, known = kind.targets(labels, task.outputs)
        return x, None if known is None else known.astype(jnp.float32)

    probes = {"output": output, "targets": targets, "baseline": baseline}
    return {name: _tried(f"Kind.{name}", probe, [len(labels)]) for name, probe in probes.items()}


def loss_probe(task: Task, loss: LossFunction) -> Probe:
    """What a loss function gives for fixed outputs and labels of a task."""
    labels = task.flat["train"].labels
    labels = labels[_spread(len(labels), 64)]
    z = 3 * _fixed(0, (len(labels), task.outputs))

    def compute(size: int) -> Probe:
        x, _ = task.targets(jnp.asarray(labels[:size]), task.outputs)
        return [_row(_compiled(loss)(scale * z[:size], x)) for scale in (0.1, 1.0)]

    return _tried("the loss", compute, [len(labels)])


def metric_probe(task: Task) -> Probe:
    """The metric of outputs that tell the labels of some validation examples well and less well."""
    labels = task.flat["validation"].labels

    def compute(size: int) -> Probe:
        some = labels[_spread(len(labels), size)]
        # No class is 0 in every output.
        rows = np.eye(task.outputs + 1)[some, :-1] if some.ndim == 1 else some
        target = np.nan_to_num(rows)
        noise = _fixed(1, target.shape) * max(float(target.std()), 1e-6)
        centred = 2 * (target - target.mean(axis=0))
        outputs = [start + share * noise for start in (target, centred) for share in (0.1, 0.5, 1.0, 3.0)]
        metric = _compiled(task.metric_function)
        return [_rounded(np.array([float(metric(z.astype(np.float32), some)) for z in outputs]))]

    return _tried("Task.metric", compute, (_METRIC_EXAMPLES, len(labels)))


def optimizer_probe(task: Task, horizon: int) -> Probe:
    """What the optimizer makes of fixed gradients: in a small copy of the parameters over all steps, then in full size.

    The copy has the parameters' names and numbers of axes, so masks that look at these act as in training.
    """
    shapes, _ = models.shapes(task.pure_model)

    def shaped(size: int) -> chex.ArrayTree:
        return jax.tree.map(
            lambda leaf: _fixed(1, [min(axis, size) for axis in leaf.shape]).astype(
                jnp.promote_types(leaf.dtype, jnp.float32)
            ),
            shapes,
        )

    def small(size: int) -> Probe:
        return _updates(task.optimizer, shaped(size), horizon)

    def full(size: int) -> Probe:
        params = shaped(size)
        gradients = [jax.tree.map(lambda leaf, step=step: _fixed(2 + step, leaf.shape), params) for step in range(2)]

        def two_steps(params: chex.ArrayTree, gradients: list[chex.ArrayTree]) -> list[Any]:
            first, state = task.optimizer.update(gradients[0], task.optimizer.init(params), params)
            return [first, task.optimizer.update(gradients[1], state, params)[0]]

        return [_row(updates) for updates in _compiled(two_steps)(params, gradients)]

    largest = max((axis for leaf in jax.tree.leaves(shapes) for axis in leaf.shape), default=1)
    return _tried("Task.optimizer", small, (3, largest)) + _tried("Task.optimizer", full, (largest,))


def _updates(optimizer: optax.GradientTransformation, params: chex.ArrayTree, steps: int) -> Probe:
    """Updates added up over stretches of a training, for gradients of every scale.

    Sums, unlike single steps, show every change of a schedule. For each scale there is a row of stretches that double
    in length, which shows a warmup, and one of equal stretches over the whole training.
    """
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    gradients = np.stack([_fixed(3 + number, [size]) for number in range(_PERIOD)])
    gradients *= np.logspace(-1, 1, _PERIOD, dtype=np.float32)[:, None]
    weights = np.stack([_fixed(20 + number, [size]) for number in range(2)])
    doubling = np.unique(np.minimum(2 ** np.arange(_STRETCHES), steps))
    equal = np.unique(np.linspace(0, steps, _STRETCHES + 1).astype(int)[1:])
    ends = np.union1d(doubling, equal)
    ends = ends[ends > 0]

    def train(scale: jax.Array) -> jax.Array:
        vector, to_tree = ravel_pytree(params)

        def step(carry: Any, number: jax.Array) -> tuple[Any, None]:
            params, state, sums = carry
            gradient = to_tree((scale * jnp.asarray(gradients)[number % _PERIOD]).astype(vector.dtype))
            updates, state = optimizer.update(gradient, state, params)
            moved = weights @ ravel_pytree(updates)[0].astype(jnp.float32)
            sums = sums.at[jnp.searchsorted(ends, number, side="right")].add(moved)
            return (optax.apply_updates(params, updates), state, sums), None

        start = (params, optimizer.init(params), jnp.zeros((len(ends), 2), jnp.float32))
        return jax.lax.scan(step, start, jnp.arange(steps))[0][2]

    sums = np.asarray(_compiled(jax.vmap(train))(np.array(_SCALES, np.float32)), np.float64)  # [scales, ends, 2]
    total = np.cumsum(sums, axis=1)
    rows = []
    for of_scale in total:
        for some in (doubling, equal):
            at_ends = of_scale[np.isin(ends, some)]
            rows.append(_rounded(np.diff(at_ends, axis=0, prepend=0).ravel()))
    return rows
