"""Train and score a whole population: every candidate's network in one compiled program.

A candidate is data - its loss as a ``Program``, a scale of its learning rate, a seed - so one program serves a
whole search, however many trees it meets. Candidates run in groups: a group shares its seed, hence its
initialization, minibatches and dropout masks, and is trained from first step to last while its parameters lie
in the cache. Groups are spread over a mesh of devices; how many run is data too, so a small generation costs
little and compiles nothing.

Inside ``_train`` everything reads as the training of one network; ``vmap`` makes it a group.
"""

import os
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

from glojax import losses, programs, trees
from glojax.losses import Loss, LossFunction
from glojax.programs import Program
from glojax.tasks import Task
from glojax.trees import Tree

_EVALUATION_BATCH = 500
_GROUPS_A_CALL = 64


class Candidates(NamedTuple):
    """What is trained: NumPy arrays with leading axis ``[candidates]``.

    A result depends on nothing but the task and these, whatever else is trained beside it.
    """

    program: Program
    rate: np.ndarray  # float32[candidates], scale of the optimizer's updates: 1 is the task's own learning rate
    seed: np.ndarray  # uint32[candidates], of initialization, minibatches and dropout


class Trainer:
    """Trains candidates on a task and scores them; compiled once.

    Args:
      task: what they are trained on.
      instructions: room for each tree's inner nodes.
      loss: instead of candidates' programs, one fixed loss for all of them.
      protected: use the protected operators.
      splits: parts of the data that are scored.
      steps: optimizer steps; the task's own if left out.
      points: the training is scored so many times, evenly, the last at its end.
      group: candidates trained together on a device; left out, 8 on CPU, where a group then fits the cache, and
        64 elsewhere.
      devices: all of the machine if left out.
    """

    def __init__(
        self,
        task: Task,
        *,
        instructions: int = 1,
        loss: LossFunction | None = None,
        protected: bool = False,
        splits: Sequence[str] = ("validation",),
        steps: int | None = None,
        points: int = 1,
        group: int | None = None,
        devices: Sequence[Any] | None = None,
    ):
        steps = task.steps if steps is None else steps
        if steps < 1 or not 1 <= points <= steps:
            raise ValueError(f"Trainer: steps is {steps} and points is {points}; 1 <= points <= steps is needed.")
        missing = [split for split in splits if split not in task.splits]
        if missing:
            raise ValueError(f"Trainer.splits holds {missing[0]!r}; the task has {', '.join(task.splits)}.")
        self.task, self.splits, self.points = task, tuple(splits), points
        self.steps = steps - steps % points
        self._instructions = instructions
        mesh = Mesh(np.array(jax.devices() if devices is None else devices), ("candidates",))
        self._devices = mesh.size
        self._group = group or (8 if jax.default_backend() == "cpu" else 64)
        gradient = partial(_program_gradient, protected) if loss is None else partial(_fixed_gradient, loss)
        train = partial(_train, task, gradient, self.splits, self.steps, points)
        shard, whole = PartitionSpec("candidates"), PartitionSpec()
        # Nothing is exchanged between devices; a user's model need not tell JAX which of its values vary over them.
        self._run = jax.jit(
            jax.shard_map(
                partial(_run_groups, train), mesh=mesh, in_specs=(shard, shard, whole), out_specs=shard, check_vma=False
            )
        )
        self._data = jax.device_put({name: tuple(map(jnp.asarray, part)) for name, part in task.splits.items()})

    @property
    def compilations(self) -> int:
        """How many programs were compiled so far."""
        return self._run._cache_size()  # type: ignore[attr-defined]

    def curves(self, candidates: Candidates) -> np.ndarray:
        """Scores ``[candidates, points, splits]`` in the course of training; 0 once a NaN or infinity was met."""
        groups = _grouped(candidates.seed, self._group)
        scores = np.zeros((len(candidates.seed), self.points, len(self.splits)), np.float32)
        at_once = _GROUPS_A_CALL * self._devices
        for first in range(0, len(groups), at_once):
            batch = groups[first : first + at_once]
            # Group i of the batch goes to device i modulo their number, into its next row.
            slots = np.zeros((self._devices, _GROUPS_A_CALL, self._group), np.int64)
            for place, members in enumerate(batch):
                # A group that is not full repeats its first member.
                slots[place % self._devices, place // self._devices] = np.resize(members, self._group)
            counts = np.array([len(batch[device :: self._devices]) for device in range(self._devices)], np.int32)
            chosen = jax.tree.map(lambda leaf, slots=slots: leaf[slots.reshape(-1, self._group)], candidates)
            result = np.asarray(self._run(chosen, counts, self._data))
            result = result.reshape(self._devices, _GROUPS_A_CALL, *result.shape[1:])
            for place, members in enumerate(batch):
                scores[members] = result[place % self._devices, place // self._devices, : len(members)]
        return scores

    def scores(self, candidates: Candidates) -> np.ndarray:
        """Scores ``[candidates, splits]`` at the end of training; 0 where a NaN or infinity was met."""
        return self.curves(candidates)[:, -1]

    def candidates(
        self,
        population: Sequence[Tree],
        seeds: Sequence[int],
        coefficients: Sequence[Sequence[float] | None] | None = None,
        rates: Sequence[float] | None = None,
    ) -> Candidates:
        """Trees with one seed each; coefficients and scales of the learning rate are 1 if left out."""
        program = programs.encode(population, coefficients, self._instructions)
        rate = np.ones(len(population)) if rates is None else np.asarray(rates)
        return Candidates(program, rate.astype(np.float32), np.asarray(seeds, np.uint32))


def _grouped(seeds: np.ndarray, size: int) -> list[np.ndarray]:
    """Places of the candidates in groups of at most ``size`` that share a seed."""
    groups = []
    for seed in np.unique(seeds):
        places = np.flatnonzero(seeds == seed)
        groups += [places[first : first + size] for first in range(0, len(places), size)]
    return groups


def _run_groups(train: Callable[..., jax.Array], groups: Candidates, count: jax.Array, data: Any) -> jax.Array:
    """Scores ``[rows, group, points, splits]`` of the first ``count[0]`` rows of this device's groups."""
    group = jax.vmap(train, in_axes=(0, 0, None, None))

    def row(i: jax.Array) -> jax.Array:
        member = jax.tree.map(lambda leaf: leaf[i], groups)
        return group(member.program, member.rate, jax.random.fold_in(jax.random.key(0), member.seed[0]), data)

    shape = jax.eval_shape(row, jax.ShapeDtypeStruct((), jnp.int32))
    scores = jnp.zeros((groups.seed.shape[0], *shape.shape), shape.dtype)
    return jax.lax.fori_loop(0, count[0], lambda i, scores: scores.at[i].set(row(i)), scores)


def _train(
    task: Task,
    gradient: Callable[..., tuple[jax.Array, jax.Array]],
    splits: Sequence[str],
    steps: int,
    points: int,
    program: Program,
    rate: jax.Array,
    key: jax.Array,
    data: dict[str, tuple[jax.Array, jax.Array]],
) -> jax.Array:
    """Train one network with one loss; its scores ``[points, splits]``."""
    model = task.pure_model
    x, labels = data["train"]

    # INITIALIZE
    init_key, order_key, noise_key, score_key = jax.random.split(key, 4)
    params, state = model.init(init_key)
    start = (params, state, task.optimizer.init(params), jnp.array(True))

    # TRAIN
    def step(carry: Any, minibatch: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
        params, state, optimizer_state, finite = carry
        number, places = minibatch
        dropout_key = jax.random.fold_in(noise_key, number)
        forward = partial(_forward, model, state, x[places], dropout_key)
        logits, backward, state = jax.vjp(forward, params, has_aux=True)
        one_hot = jax.nn.one_hot(labels[places], logits.shape[-1], dtype=logits.dtype)
        logits_gradient, step_is_finite = gradient(program, logits, one_hot)
        (params_gradient,) = backward(logits_gradient)
        updates, optimizer_state = task.optimizer.update(params_gradient, optimizer_state, params)
        params = optax.apply_updates(params, jax.tree.map(lambda update: rate * update, updates))
        return (params, state, optimizer_state, finite & step_is_finite), None

    def point(carry: Any, minibatches: Any) -> tuple[Any, jax.Array]:
        carry, _ = jax.lax.scan(step, carry, minibatches)
        params, state, _, finite = carry
        scores = []
        for split in splits:
            split_x, split_labels = data[split]
            logits = _predict(model, params, state, split_x, score_key)
            sound = finite & jnp.isfinite(logits).all()
            scores.append(jnp.where(sound, task.metric(logits, split_labels), 0.0))
        return carry, jnp.stack(scores)

    order = _minibatches(order_key, len(x), task.batch_size, steps)
    minibatches = jax.tree.map(
        lambda leaf: leaf.reshape(points, steps // points, *leaf.shape[1:]), (jnp.arange(steps), order)
    )
    return jax.lax.scan(point, start, minibatches)[1]


def _forward(model: Any, state: Any, x: jax.Array, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
    return model.apply(params, state, x, key, True)


def _minibatches(key: jax.Array, examples: int, batch_size: int, steps: int) -> jax.Array:
    """Places ``[steps, batch]`` of the examples: a new order every epoch, its incomplete last batch left out."""
    in_epoch = examples // batch_size
    epochs = -(-steps // in_epoch)
    orders = jax.vmap(lambda epoch: jax.random.permutation(jax.random.fold_in(key, epoch), examples))(
        jnp.arange(epochs)
    )
    return orders[:, : in_epoch * batch_size].reshape(-1, batch_size)[:steps]


def _predict(model: Any, params: Any, state: Any, x: jax.Array, key: jax.Array) -> jax.Array:
    """Logits ``[examples, classes]`` outside training, a batch at a time so that large sets fit the memory."""
    size = min(len(x), _EVALUATION_BATCH)
    blocks = -(-len(x) // size)
    padded = jnp.concatenate([x, x[: blocks * size - len(x)]]).reshape(blocks, size, *x.shape[1:])
    logits = jax.lax.map(lambda block: model.apply(params, state, block, key, False)[0], padded)
    return logits.reshape(blocks * size, -1)[: len(x)]


def _program_gradient(
    protected: bool, program: Program, logits: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Gradient of the batch's mean loss by the logits, and whether values and slopes were all finite.

    With g = -df/dy the gradient by a logit is y (g - sum over classes of g y).
    """
    # Classes first: sums over them then run along the batch, which vectorizes.
    x, y, _ = losses.probabilities(logits.T, labels.T, 0, None)
    value, slope = programs.value_and_slope(program, x, y, protected=protected)
    weighted = -slope * y / len(logits)
    gradient = weighted - y * jnp.sum(weighted, axis=0)
    return gradient.T.astype(logits.dtype), jnp.isfinite(jnp.sum(value)) & jnp.isfinite(jnp.sum(slope))


def _fixed_gradient(
    loss: LossFunction, program: Program, logits: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
    value, gradient = jax.value_and_grad(lambda logits: jnp.mean(loss(logits, labels)))(logits)
    return gradient, jnp.isfinite(value) & jnp.isfinite(jnp.sum(gradient))


# EVALUATION


def evaluate(
    task: Task,
    candidates: Sequence[LossFunction | Tree | str],
    seeds: int | Sequence[int] = 8,
    *,
    split: str = "validation",
    rates: Sequence[float] | None = None,
    steps: int | None = None,
) -> np.ndarray:
    """Every loss trained with every seed: scores ``[losses, seeds]``.

    Losses that are trees train together in one program; any other function of optax's shape, such as
    ``optax.softmax_cross_entropy``, in one of its own.

    Args:
      task: what they are trained on.
      candidates: ``Loss`` objects, trees, expressions, or functions ``loss(logits, labels)``.
      seeds: their number (0, 1, ...), or the seeds themselves.
      split: the part of the data that is scored.
      rates: scale of the learning rate of each loss, 1 if left out.
      steps: of training; the task's own if left out.

    Raises:
      ValueError: no candidates or seeds, rates of another number, a split that the task lacks, or what ``Loss`` raises.
    """
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not candidates or not chosen:
        raise ValueError(
            f"evaluate: got {len(candidates)} losses and {len(chosen)} seeds; at least one of each is needed."
        )
    scales = [1.0] * len(candidates) if rates is None else list(rates)
    if len(scales) != len(candidates):
        raise ValueError(f"evaluate: rates has {len(scales)} values for {len(candidates)} losses.")
    made = [_as_loss(given) for given in candidates]
    return score_losses(task, made, chosen, scales, splits=(split,), steps=steps)[..., 0]


def _as_loss(given: LossFunction | Tree | str) -> LossFunction:
    if isinstance(given, str):
        return Loss(trees.parse(given))
    return Loss(given) if isinstance(given, Tree) else given


def score_losses(
    task: Task,
    chosen: Sequence[LossFunction],
    seeds: Sequence[int],
    rates: Sequence[float],
    *,
    splits: Sequence[str] = ("validation",),
    steps: int | None = None,
) -> np.ndarray:
    """Every loss at its rate with every seed: scores ``[losses, seeds, splits]``; arguments as ``evaluate``'s."""
    return learning_curves(task, chosen, seeds, rates, splits=splits, steps=steps)[..., -1, :]


def learning_curves(
    task: Task,
    chosen: Sequence[LossFunction],
    seeds: Sequence[int],
    rates: Sequence[float],
    *,
    splits: Sequence[str] = ("validation",),
    steps: int | None = None,
    points: int = 1,
) -> np.ndarray:
    """The same in the course of training: scores ``[losses, seeds, points, splits]``, the last point at its end."""
    curves = np.zeros((len(chosen), len(seeds), points, len(splits)), np.float32)
    settings: dict[str, Any] = {"splits": tuple(splits), "steps": steps, "points": points}
    for protected in (False, True):
        places = [i for i, loss in enumerate(chosen) if isinstance(loss, Loss) and loss.protected == protected]
        inner = [loss for loss in chosen if isinstance(loss, Loss) and loss.protected == protected]
        if inner:
            longest = max(programs.instructions_of(loss.tree) for loss in inner)
            fitted = trainer(task, room(longest), protected=protected, **settings)
            candidates = fitted.candidates(
                [loss.tree for loss in inner for _ in seeds],
                list(seeds) * len(inner),
                [loss.coefficients for loss in inner for _ in seeds],
                [rates[place] for place in places for _ in seeds],
            )
            curves[places] = fitted.curves(candidates).reshape(len(inner), len(seeds), points, len(splits))
    for place, loss in enumerate(chosen):
        if not isinstance(loss, Loss):
            alone = Trainer(task, loss=loss, group=1, **settings)
            curves[place] = alone.curves(
                alone.candidates([Tree("y")] * len(seeds), seeds, rates=[rates[place]] * len(seeds))
            )
    return curves


def room(instructions: int) -> int:
    """Room for so many instructions as 31, 63 or 127, so that few programs are compiled."""
    return max(31, 2 ** instructions.bit_length() - 1)


@lru_cache(maxsize=8)
def trainer(task: Task, instructions: int, **settings: Any) -> Trainer:
    """The ``Trainer`` of these settings, made once: search, tuning and comparison share one compiled program."""
    return Trainer(task, instructions=instructions, **settings)


def use_all_cores() -> None:
    """Make every CPU core a device of its own, unless the user has chosen devices or XLA flags.

    A population is split over devices, and on CPU several small ones do more than the threads of one. Call it before
    any JAX computation.
    """
    if "XLA_FLAGS" not in os.environ and "JAX_NUM_CPU_DEVICES" not in os.environ:
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
