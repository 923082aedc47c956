"""Train and score a whole population: every candidate's network in one compiled program.

A candidate is data - its loss as a ``Program``, a scale of its learning rate, a seed - so one program serves a
whole search, however many trees it meets. Candidates run in groups: a group shares its seed, hence its
initialization, minibatches, their augmentation and dropout masks, and takes a chunk of steps while its parameters lie
in the cache. Groups are spread over a mesh of devices; how many run is data too, so a small generation costs little
and compiles nothing. Between chunks the groups are formed anew from the candidates that are worth going on with.

What a step does to one network is in ``learner``, which candidate runs where in ``grouping``; here ``vmap`` makes one
training that of a group.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from glojax.distributed import processes
from glojax.distributed.devices import all_devices
from glojax.expressions.trees import Tree
from glojax.losses.loss import LossFunction
from glojax.tasks.task import Task
from glojax.training import gradients, grouping, learner
from glojax.training.candidates import Candidates, PopulationProgress, Trained, check_stops, encoded, identity_of
from glojax.training.grouping import GroupPlan, Layout
from glojax.training.kernels import advance_groups, regrouped, score_groups, start_groups
from glojax.training.learner import Learner

CHUNK = 100
"""Steps between two looks at which candidates still live."""


class _Block(NamedTuple):
    """Candidates that the devices hold at once, in the course of their training."""

    layout: Layout
    candidates: Candidates  # [devices * rows, group], as laid out
    learners: Learner  # [devices * rows, group], on the devices


class Trainer:
    """Trains candidates on a task and scores them; compiled once, whatever their number and that of the steps.

    Args:
      task: what they are trained on.
      instructions: room for each tree's inner nodes.
      loss: instead of candidates' programs, one fixed loss for all of them.
      protected: use the protected operators.
      devices: all of the machine if left out.
    """

    def __init__(
        self,
        task: Task,
        *,
        instructions: int = 1,
        loss: LossFunction | None = None,
        protected: bool = False,
        devices: Sequence[Any] | None = None,
    ):
        self.task = task
        self._instructions = instructions
        mesh = Mesh(np.array(all_devices() if devices is None else devices), ("candidates",))
        on, sizes, rows = processes.first(lambda: grouping.plan(task, list(mesh.devices.flat)))
        self.plan = GroupPlan(on, tuple(sizes), tuple(rows))
        task.check_metric()
        if loss is not None:
            gradients.check_loss(task, loss)
        output = task.problem.output
        gradient = gradients.program_gradient(protected, output) if loss is None else gradients.fixed_gradient(loss)
        shard, whole = PartitionSpec("candidates"), PartitionSpec()

        def on_devices(function: Callable[..., Any], *specs: PartitionSpec, **options: Any) -> Any:
            # Nothing is exchanged between devices; a user's model need not tell JAX which of its values vary over them.
            mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=shard, check_vma=False)
            return jax.jit(mapped, **options)

        self._start = on_devices(partial(start_groups, task), shard, shard)
        self._advance = on_devices(
            partial(advance_groups, task, gradient), shard, shard, shard, shard, whole, whole, whole, donate_argnums=0
        )
        self._score = on_devices(partial(score_groups, task), shard, shard, shard, whole, whole)
        # JAX keeps one cache for a function: a partial is this trainer's own.
        self._sharded, self._whole = (partial(_placed, NamedSharding(mesh, spec)) for spec in (shard, whole))
        self._regroup = jax.jit(partial(regrouped), out_shardings=NamedSharding(mesh, shard))
        self._data = self._whole({name: tuple(part) for name, part in task.splits.items()})

    @property
    def compilations(self) -> int:
        """How many programs were compiled so far."""
        programs: Any = (self._start, self._advance, self._score, self._regroup)
        return sum(program._cache_size() for program in programs)

    def candidates(
        self,
        population: Sequence[Tree],
        seeds: Sequence[int],
        coefficients: Sequence[Sequence[float] | None] | None = None,
        rates: Sequence[float] | None = None,
    ) -> Candidates:
        """Trees with one seed each; coefficients and scales of the learning rate are 1 if left out."""
        return encoded(population, seeds, coefficients, rates, self._instructions)

    def scores(
        self, candidates: Candidates, *, splits: Sequence[str] = ("validation",), steps: int | None = None
    ) -> np.ndarray:
        """Scores ``[candidates, splits]`` after so many steps, the task's own number if left out; as ``train``'s."""
        return self.train(candidates, [self.task.steps if steps is None else steps], splits=splits).scores[:, -1]

    def train(
        self,
        candidates: Candidates,
        stops: Sequence[int],
        *,
        splits: Sequence[str] = ("validation",),
        keep: Callable[[np.ndarray], np.ndarray] | None = None,
        directory: str | os.PathLike[str] | None = None,
        on_stop: Callable[[int, np.ndarray], None] | None = None,
    ) -> Trained:
        """Train candidates, and score them at every stop.

        One that meets NaN or infinity scores 0 from then on. It is trained no further, nor is one that is not kept;
        the others' scores are what they would be if all were.

        Args:
          candidates: what is trained.
          stops: numbers of optimizer steps, rising; training ends at the last.
          splits: parts of the data that are scored.
          keep: called at every stop but the last with scores ``[candidates, splits]``; which candidates go on, as
            bool ``[candidates]``. One that does not keeps that score at the stops that follow.
          directory: keep all that training needs to go on there, at every stop; go on with what is there already,
            on as many devices as there are now.
          on_stop: called after every stop with their number so far and scores ``[candidates, stops, splits]``.

        Raises:
          ValueError: stops that do not rise from 1, an unknown split, or a directory that cannot be gone on with.
        """
        training = self.begin(candidates, stops, splits)
        checkpoint = None
        if directory is not None:
            from glojax.training.checkpoints import Checkpoint  # Orbax takes most of a second to import

            checkpoint = Checkpoint(directory, training.identity)
            if (kept := checkpoint.restore(training.like)) is not None:
                training.restore(*kept)
                if on_stop is not None:
                    on_stop(training.reached, training.progress.scores)
        while training.reached < len(stops):
            scores = training.advance(hold=checkpoint is not None)
            if keep is not None and training.reached < len(stops):
                training.drop(keep(scores))
            if checkpoint is not None:
                checkpoint.save(training.reached, training.on_host())
            if on_stop is not None:
                on_stop(training.reached, training.progress.scores)
        return Trained(training.progress.scores, training.progress.steps)

    def begin(self, candidates: Candidates, stops: Sequence[int], splits: Sequence[str]) -> "Training":
        """The same from stop to stop, for those who have something to do between; arguments as ``train``'s.

        Raises:
          ValueError: stops that do not rise from 1, or an unknown split.
        """
        check_stops(self.task, stops, splits)
        return Training(self, candidates, stops, splits)

    def _train_block(
        self,
        block: _Block,
        candidates: Candidates,
        members: np.ndarray,
        progress: PopulationProgress,
        first: int,
        last: int,
    ) -> _Block:
        for chunk in range(first, last, CHUNK):
            living = members[progress.alive[members]]
            if not len(living):
                break
            block = self._compact(block, candidates, living)
            length = min(CHUNK, last - chunk)
            block = self._advance_block(block, chunk, chunk + length)
            progress.steps[living] += length
            progress.alive[living] = self._by_candidate(block, block.learners.finite, len(progress.alive))[living]
        return block

    def _begin(self, candidates: Candidates, members: np.ndarray, learners: Learner | None = None) -> _Block:
        """A block of these candidates: new, or as ``learners`` ``[candidates, ...]`` of the host."""
        layout = grouping.lay_out(self.plan, members, candidates.seed[members])
        chosen = _laid_out(candidates, layout)
        if learners is None:
            return _Block(layout, chosen, self._start(*self._sharded((chosen.seed, layout.counts))))
        like = learner.shapes(self.task)
        laid_out = self._sharded(jax.tree.map(lambda leaf: leaf[layout.slots], learners))
        return _Block(layout, chosen, jax.tree.map(_typed, like, laid_out))

    def _learners_like(self, count: int) -> Learner:
        """Arrays as ``_on_host`` gives them for so many candidates; no memory is touched."""

        def empty(leaf: Any) -> np.ndarray:
            raw = jax.eval_shape(_raw, leaf)
            return np.empty((count, *raw.shape), raw.dtype)

        return jax.tree.map(empty, learner.shapes(self.task))

    def _on_host(self, begun: Sequence[_Block], count: int) -> Learner:
        """Learners ``[candidates, ...]``; what lies there for a candidate that is in no block has no meaning."""
        learners = jax.tree.map(np.zeros_like, self._learners_like(count))
        for block in begun:
            used = block.layout.used
            for array, leaf in zip(jax.tree.leaves(learners), jax.tree.leaves(block.learners), strict=True):
                array[block.layout.slots[used]] = processes.gathered(_raw(leaf))[used]
        return learners

    def _compact(self, block: _Block, candidates: Candidates, living: np.ndarray) -> _Block:
        """The block without the others, if that saves time."""
        layout = grouping.lay_out(self.plan, living, candidates.seed[living])
        if layout.cost >= block.layout.cost:
            return block
        slot_of = np.zeros(len(candidates.seed), np.int32)
        slots = block.layout.slots
        slot_of[slots[block.layout.used]] = np.arange(slots.size).reshape(slots.shape)[block.layout.used]
        moved = self._regroup(block.learners, self._sharded(slot_of[layout.slots]))
        return _Block(layout, _laid_out(candidates, layout), moved)

    def _advance_block(self, block: _Block, first: int, last: int) -> _Block:
        layout, seeds = block.layout, block.candidates.seed[:, 0]
        examples, batch_size = len(self.task.splits["train"].labels), self.task.batch_size
        places = np.zeros((len(seeds), CHUNK, batch_size), np.int32)
        for seed in np.unique(seeds[layout.used]):
            drawn = learner.minibatches(int(seed), examples, batch_size, first, last)
            places[seeds == seed, : last - first] = drawn
        given = self._sharded((block.candidates, layout.counts, places))
        learners = self._advance(block.learners, *given, *self._whole((np.int32(first), np.int32(last))), self._data)
        return block._replace(learners=learners)

    def _score_block(self, block: _Block, splits: Sequence[str], count: int) -> np.ndarray:
        """Scores ``[candidates, splits]``, of use where the block has the candidate."""
        wanted = np.array([split in splits for split in self.task.splits])
        given = self._sharded((block.candidates.seed, block.layout.counts))
        scores = self._score(block.learners, *given, self._whole(wanted), self._data)
        columns = [list(self.task.splits).index(split) for split in splits]
        return self._by_candidate(block, scores, count)[:, columns]

    def _by_candidate(self, block: _Block, values: jax.Array, count: int) -> np.ndarray:
        """Values ``[devices * rows, group, ...]`` as ``[candidates, ...]``."""
        found = np.zeros((count, *values.shape[2:]), values.dtype)
        found[block.layout.slots[block.layout.used]] = processes.gathered(values)[block.layout.used]
        return found


class Training:
    """Candidates in the course of their training, which ``Trainer.begin`` gives.

    Attributes:
      progress: so far.
      reached: how many stops were.
      identity: digest of what is trained.
    """

    def __init__(self, trainer: Trainer, candidates: Candidates, stops: Sequence[int], splits: Sequence[str]):
        self.identity = identity_of(trainer.task, candidates, stops, splits)
        processes.agree("candidates", self.identity)
        self.progress = PopulationProgress.start(len(candidates.seed), len(stops), len(splits))
        self.reached = 0
        self._trainer, self._candidates, self._stops, self._splits = trainer, candidates, stops, splits
        self._members = grouping.blocks(trainer.plan, candidates.seed)
        self._begun: dict[int, _Block] = {}

    def advance(self, *, hold: bool = False) -> np.ndarray:
        """Train to the next stop; the scores there ``[candidates, splits]``.

        Args:
          hold: keep the networks on the devices even after the last stop.
        """
        trainer, progress, stop = self._trainer, self.progress, self.reached
        first, last = (0, *self._stops)[stop : stop + 2]
        for number, members in enumerate(self._members):
            block = self._begun.pop(number, None)
            if progress.alive[members].any():
                block = block or trainer._begin(self._candidates, members)
                block = trainer._train_block(block, self._candidates, members, progress, first, last)
                living = members[progress.alive[members]]
                found = trainer._score_block(block, self._splits, len(progress.alive))
                progress.scores[living, stop] = found[living]
                if last < self._stops[-1] or hold:
                    self._begun[number] = block
        self.reached += 1
        return progress.scores[:, stop]

    def drop(self, kept: np.ndarray) -> None:
        """Go on with those that are kept, bool ``[candidates]``; the others' score at this stop stays theirs."""
        self.progress.drop(self.reached, kept)

    @property
    def like(self) -> tuple[PopulationProgress, Learner]:
        """What ``on_host`` gives, without its values."""
        return self.progress, self._trainer._learners_like(len(self.progress.alive))

    def on_host(self) -> tuple[PopulationProgress, Learner]:
        """All that training needs to go on, as NumPy arrays."""
        return self.progress, self._trainer._on_host(list(self._begun.values()), len(self.progress.alive))

    def restore(self, reached: int, kept: tuple[PopulationProgress, Learner]) -> None:
        """Go on with what ``on_host`` gave after so many stops."""
        self.reached, (self.progress, learners) = reached, kept
        for number, members in enumerate(self._members):
            if len(living := members[self.progress.alive[members]]):
                self._begun[number] = self._trainer._begin(self._candidates, living, learners)


def _raw(leaf: jax.Array) -> jax.Array:
    """Random keys, which a model's state may hold, as the numbers that they are."""
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _typed(like: Any, leaf: jax.Array) -> jax.Array:
    return jax.random.wrap_key_data(leaf) if jnp.issubdtype(like.dtype, jax.dtypes.prng_key) else leaf


def _placed(sharding: NamedSharding, arrays: Any) -> Any:
    """NumPy arrays on the devices; of a process that has only some of them, its part."""
    return jax.tree.map(
        lambda leaf: jax.make_array_from_callback(np.shape(leaf), sharding, lambda part: leaf[part]), arrays
    )


def _laid_out(candidates: Candidates, layout: Layout) -> Candidates:
    return jax.tree.map(lambda leaf: leaf[layout.slots], candidates)
