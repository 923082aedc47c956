"""Derivatives of validation scores by the coefficients of a loss, through the training itself.

Forward mode: beside every network its derivatives by the coefficients are trained, from the first step to the score
(Franceschi et al. 2017, arXiv 1703.01785, section 3.2). The kernels are those of every training, differentiated by
JAX, so what is found is the derivative of the score that a search ranks by, but for rounding. Memory and time grow
with the number of coefficients, and not with that of steps.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from glojax.data.fed import Fed
from glojax.distributed import jax_settings, processes
from glojax.distributed.devices import all_devices
from glojax.expressions import context
from glojax.expressions.trees import Tree
from glojax.tasks import inputs
from glojax.tasks.task import Task
from glojax.training import blocks, gradients, grouping, kernels
from glojax.training import learner as learning
from glojax.training.candidates import Candidates
from glojax.training.compiled import CompiledKernels, compile_kernels
from glojax.training.gradients import Gradient
from glojax.training.grouping import GroupPlan
from glojax.training.kernels import Data
from glojax.training.learner import Learner

Tangents = list[jax.Array]
"""Derivatives of the floating arrays of learners, in the order of ``jax.tree.leaves``: ``[directions, rows, group,
...]``."""


class Sensitivities(NamedTuple):
    """Scores of trainings, and how they change with the coefficients."""

    scores: np.ndarray  # float32[candidates], on the validation set
    derivatives: np.ndarray  # float32[candidates, directions]; what a failed training has means nothing


class SensitivityTrainer(NamedTuple):
    """Trains losses of one tree, and differentiates their scores; ``sensitivity_trainer`` makes one."""

    task: Task
    tree: Tree
    compiled: CompiledKernels
    directions: np.ndarray  # float32[directions, nodes], what the derivatives are along
    start: Any  # start(learners) -> tangents
    advance: Any  # advance(learners, tangents, candidates, counts, places, first, last, directions, data) -> both
    score: Any  # score(learners, tangents, seeds, counts, data) -> scores and derivatives

    def sensitivities(
        self, factors: np.ndarray, seeds: Sequence[int], rates: Sequence[float], steps: int
    ) -> Sensitivities:
        """Train candidates, and differentiate their scores by the factors of the tree's nodes.

        Args:
          factors: of each candidate's nodes in pre-order, ``[candidates, nodes]``.
          seeds: one for each candidate, below 2³².
          rates: scales of the task's learning rate.
          steps: optimizer steps, at least 1.

        Returns:
          For each candidate its score after these steps, and the derivatives along the trainer's directions.
        """
        program = context.prepared([self.tree], factors.astype(np.float32), len(factors))
        candidates = Candidates(program, np.asarray(rates, np.float32), np.asarray(seeds, np.uint32))
        found = Sensitivities(
            np.zeros(len(seeds), np.float32), np.zeros((len(seeds), len(self.directions)), np.float32)
        )
        with jax_settings.standard(wide=self.task.is_wide, products=self.task.precision):
            for members in grouping.blocks(self.compiled.plan, candidates.seed):
                part = self._of_block(candidates, members, steps)
                for whole, new in zip(found, part, strict=True):
                    whole[members] = new[members]
        return found

    def _of_block(self, candidates: Candidates, members: np.ndarray, steps: int) -> Sensitivities:
        compiled = self.compiled
        block = blocks.start_block(compiled, candidates, members)
        learners, tangents = block.learners, self.start(block.learners)
        directions = compiled.replicate(self.directions)
        size = blocks.steps_at_once(compiled)
        for first in range(0, steps, size):
            last = min(first + size, steps)
            places, data = blocks.minibatches_of(compiled, block, first, last)
            sharded = compiled.shard((block.candidates, block.layout.counts, places))
            ends = compiled.replicate((np.int32(first), np.int32(last)))
            learners, tangents = self.advance(learners, tangents, *sharded, *ends, directions, data)
        sharded = compiled.shard((block.candidates.seed, block.layout.counts))
        found = self.score(learners, tangents, *sharded, compiled.data)
        return Sensitivities(*(blocks.by_candidate(block, values, len(candidates.seed)) for values in found))


def sensitivity_trainer(
    task: Task, tree: Tree, nodes: Sequence[int], *, protected: bool = False, group: int | None = None
) -> SensitivityTrainer:
    """Prepare the training of losses of one tree, with derivatives by some of its coefficients.

    Args:
      task: what they are trained on; its metric must have a derivative.
      tree: the tree.
      nodes: pre-order indices of the nodes whose factors are differentiated by, at least one.
      protected: whether the loss uses the protected operators.
      group: candidates trained together on a device, at most. Defaults to as many as fit beside their derivatives.

    Raises:
      ValueError: the metric's derivative is 0, as that of accuracy, or the model has no derivative in forward mode.
    """
    directions = np.eye(tree.size, dtype=np.float32)[list(nodes)]
    gradient = gradients.tree_gradient(tree, protected, task.problem.output)
    with jax_settings.standard(wide=task.is_wide, products=task.precision):
        check_derivatives(task, gradient, tree)
        devices = all_devices()
        # A step has so many more arrays, and a device keeps so many more.
        networks = 1 + len(directions)
        size = max(1, grouping.group_that_fits(task, devices[0]) // networks) if group is None else group
        count, sizes, rows = processes.first(lambda: grouping.plan(task, devices, size))
        plan = GroupPlan(count, tuple(sizes), tuple(sorted({max(1, most // networks) for most in rows})))
        compiled = compile_kernels(task, gradient, devices, plan)

        def on_devices(function: Callable[..., Any], takes: Sequence[Any], gives: Any, donated: Any = ()) -> Any:
            mesh = compiled.sharding.mesh
            mapped = jax.shard_map(function, mesh=mesh, in_specs=tuple(takes), out_specs=gives, check_vma=False)
            return jax.jit(mapped, donate_argnums=donated)

        rows_of, whole = PartitionSpec("candidates"), PartitionSpec()
        beside = PartitionSpec(None, "candidates")
        return SensitivityTrainer(
            task,
            tree,
            compiled,
            directions,
            on_devices(partial(start_tangents, len(directions)), [rows_of], beside),
            on_devices(
                partial(advance_groups, task, gradient),
                [rows_of, beside, rows_of, rows_of, rows_of, whole, whole, whole, whole],
                (rows_of, beside),
                (0, 1),
            ),
            on_devices(partial(score_groups, task), [rows_of, beside, rows_of, rows_of, whole], rows_of),
        )


# WHAT RUNS ON ONE DEVICE: the functions of ``kernels`` with derivatives


def start_tangents(directions: int, learners: Learner) -> Tangents:
    """The derivatives of networks before their first step, which no coefficient has touched."""
    moving, _ = _parted(learners)
    return [jnp.zeros((directions, *leaf.shape), leaf.dtype) for leaf in moving]


def advance_groups(
    task: Task,
    gradient: Gradient,
    learners: Learner,
    tangents: Tangents,
    candidates: Candidates,
    count: jax.Array,
    places: jax.Array,
    first: jax.Array,
    last: jax.Array,
    directions: jax.Array,
    data: Data,
) -> tuple[Learner, Tangents]:
    """Train every group for some steps, as ``kernels.advance_groups``, and the derivatives with it.

    Args:
      task: gives model and optimizer.
      gradient: of the mean loss by the outputs; candidates' programs are the factors of their nodes.
      learners: ``[rows, group]``.
      tangents: their derivatives, ``[directions, rows, group]``.
      candidates: ``[rows, group]``.
      count: as there, like ``places``, ``first``, ``last`` and ``data``.
      places: as there.
      first: as there.
      last: as there.
      directions: ``float32[directions, nodes]``.
      data: as there.

    Returns:
      The learners after these steps, and their derivatives.
    """
    moving, merged = _parted(learners)

    def train(moving: list[jax.Array], factors: Any) -> tuple[list[jax.Array], Learner]:
        given = candidates._replace(program=context.replaced(candidates.program, factors))
        trained = kernels.advance_groups(task, gradient, merged(moving), given, count, places, first, last, data)
        return _parted(trained)[0], trained

    def along(tangent: list[jax.Array], direction: jax.Array) -> tuple[list[jax.Array], list[jax.Array], Learner]:
        factors, _ = context.parted(candidates.program)
        return jax.jvp(train, (moving, factors), (tangent, jnp.broadcast_to(direction, factors.shape)), has_aux=True)

    # Only derivatives depend on the direction; the training itself is computed once.
    _, tangents, trained = jax.vmap(along, out_axes=(None, 0, None))(tangents, directions)
    return trained, tangents


def score_groups(
    task: Task, learners: Learner, tangents: Tangents, seeds: jax.Array, count: jax.Array, data: Data
) -> tuple[jax.Array, jax.Array]:
    """Score every group on the validation set, and differentiate the scores.

    Returns:
      Scores ``float32[rows, group]`` and derivatives ``float32[rows, group, directions]``.
    """
    moving, merged = _parted(learners)
    place = list(task.splits).index("validation")
    wanted = jnp.arange(len(task.splits)) == place

    def scored(moving: list[jax.Array]) -> jax.Array:
        return kernels.score_groups(task, merged(moving), seeds, count, wanted, data)[..., place]

    return jax.vmap(lambda tangent: jax.jvp(scored, (moving,), (tangent,)), out_axes=(None, -1))(tangents)


def _parted(learners: Learner) -> tuple[list[jax.Array], Callable[[list[jax.Array]], Learner]]:
    """The floating arrays, and what puts others in their places; counters and random keys stay as they are."""
    leaves, structure = jax.tree.flatten(learners)
    moves = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]

    def merged(moving: list[jax.Array]) -> Learner:
        left = iter(moving)
        return jax.tree.unflatten(
            structure, [next(left) if does else leaf for does, leaf in zip(moves, leaves, strict=True)]
        )

    return [leaf for does, leaf in zip(moves, leaves, strict=True) if does], merged


# WHAT IS REFUSED


def check_derivatives(task: Task, gradient: Gradient, tree: Tree) -> None:
    """Check that a task's score can be differentiated through a training; next to nothing is computed.

    Args:
      task: the task.
      gradient: of the mean loss of one tree.
      tree: that tree.

    Raises:
      ValueError: several outputs with labels of their own, validation inputs that are fed, a sharding, a metric whose
        derivative by the outputs is 0, or a function that has no derivative in forward mode.
    """
    if len(task.heads) > 1:
        raise ValueError(f"derivatives through the training of {task.name} are for one output, not {len(task.heads)}.")
    if isinstance(task.validation[0], Fed):
        raise ValueError(
            f"derivatives through the training of {task.name} are of one score; Task.validation has inputs that are "
            "Fed, and arrays are expected."
        )
    if task.sharding is not None:
        raise ValueError(f"derivatives through the training of {task.name} are of one device; Task.sharding is given.")
    labels: Any = task.flat["validation"].labels
    outputs, moved = np.random.default_rng(0).normal(size=(2, len(labels), task.outputs)).astype(np.float32)
    refused = f"derivatives through the training of {task.name}"
    try:
        _, slope = jax.jvp(lambda outputs: task.metric_function(outputs, labels), (outputs,), (moved,))
        jax.jit(partial(_step, task, gradient, tree)).lower(jnp.ones(tree.size))  # tracing alone lets such a model pass
    except (TypeError, NotImplementedError, ValueError) as error:
        raise ValueError(
            f"{refused} need a forward-mode derivative (jax.jvp) of its model, optimizer and metric, and one has none "
            f"(glojax.convolution has none, jax.lax.conv_general_dilated has): {str(error).splitlines()[0]}"
        ) from error
    if not np.any(np.asarray(slope)):
        raise ValueError(
            f"{refused} need a score with a derivative, and that of {task.metric_name} is 0; margins (rank_by) or a "
            "metric such as log_loss, brier, rmse or r2 have one."
        )


def _step(task: Task, gradient: Gradient, tree: Tree, factors: jax.Array) -> Any:
    """One step of training and a score, differentiated by the factors, for its shapes alone."""
    keys = learning.keys_of(jnp.uint32(0))
    x, labels = inputs.taken(tuple(task.splits["train"]), slice(task.batch_size))
    one = learning.start(task, keys)

    def score(factors: Any) -> jax.Array:
        program = context.prepared([tree], factors, 1)
        batch = learning.network_input(task, keys, jnp.int32(0), jax.tree.map(jnp.asarray, x))
        stepped = learning.step(
            task, gradient, one, program, jnp.float32(1), keys, jnp.int32(0), batch, jnp.asarray(labels)
        )
        return learning.score(task, stepped, keys, *jax.tree.map(jnp.asarray, tuple(task.splits["validation"])))

    return jax.jvp(score, (factors,), (factors,))
