"""Train and score a whole population: every candidate's network in one compiled program.

A candidate is data - its loss as a ``Program``, a scale of its learning rate, a seed - so one program serves a
whole search, however many trees it meets. Candidates run in groups: a group shares its seed, hence its
initialization, minibatches, their augmentation and dropout masks, and takes a chunk of steps while its parameters lie
in the cache. Groups are spread over a mesh of devices; how many run is data too, so a small generation costs little
and compiles nothing. Between chunks the groups are formed anew from the candidates that are worth going on with.

What a step does to one network is in ``training``, which candidate runs where in ``groups``; here ``vmap`` makes one
training that of a group.
"""

import hashlib
import itertools
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from glojax import groups, processes, programs, training
from glojax.devices import all_devices
from glojax.groups import Layout, Plan
from glojax.losses import LossFunction
from glojax.programs import Program
from glojax.tasks import Task
from glojax.training import Gradient, Learner
from glojax.trees import Tree

CHUNK = 100
"""Steps between two looks at which candidates still live."""


class Candidates(NamedTuple):
    """What is trained: NumPy arrays with leading axis ``[candidates]``.

    A result depends on nothing but the task and these, whatever else is trained beside it.
    """

    program: Program
    rate: np.ndarray  # float32[candidates], scale of the optimizer's updates: 1 is the task's own learning rate
    seed: np.ndarray  # uint32[candidates], of initialization, minibatches and dropout


class Trained(NamedTuple):
    """What the training of candidates gave."""

    scores: np.ndarray  # float32[candidates, stops, splits]
    steps: np.ndarray  # int64[candidates], optimizer steps that each was trained for


class Progress(NamedTuple):
    """How far candidates have come; what is changed in place as they train."""

    scores: np.ndarray  # float32[candidates, stops, splits]
    alive: np.ndarray  # bool[candidates]
    steps: np.ndarray  # int64[candidates]

    @classmethod
    def start(cls, candidates: int, stops: int, splits: int) -> "Progress":
        """Of so many candidates, before the first step."""
        scores = np.zeros((candidates, stops, splits), np.float32)
        return cls(scores, np.ones(candidates, bool), np.zeros(candidates, np.int64))

    def drop(self, reached: int, kept: np.ndarray) -> None:
        """Train those that are not kept, bool ``[candidates]``, no further than to the stop of this number, from 1."""
        self.scores[~kept, reached:] = self.scores[~kept, reached - 1, None]
        self.alive[~kept] = False


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
        on, sizes, rows = processes.first(lambda: groups.plan(task, list(mesh.devices.flat)))
        self.plan = Plan(on, tuple(sizes), tuple(rows))
        task.check_metric()
        if loss is not None:
            training.check_loss(task, loss)
        output = task.problem.output
        gradient = training.program_gradient(protected, output) if loss is None else training.fixed_gradient(loss)
        shard, whole = PartitionSpec("candidates"), PartitionSpec()

        def on_devices(function: Callable[..., Any], *specs: PartitionSpec, **options: Any) -> Any:
            # Nothing is exchanged between devices; a user's model need not tell JAX which of its values vary over them.
            mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=shard, check_vma=False)
            return jax.jit(mapped, **options)

        self._start = on_devices(partial(_start, task), shard, shard)
        self._advance = on_devices(
            partial(_advance, task, gradient), shard, shard, shard, shard, whole, whole, whole, donate_argnums=0
        )
        self._score = on_devices(partial(_score, task), shard, shard, shard, whole, whole)
        # JAX keeps one cache for a function: a partial is this trainer's own.
        self._sharded, self._whole = (partial(_placed, NamedSharding(mesh, spec)) for spec in (shard, whole))
        self._regroup = jax.jit(partial(_regrouped), out_shardings=NamedSharding(mesh, shard))
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
            from glojax.checkpoints import Checkpoint  # Orbax takes most of a second to import

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
        self, block: _Block, candidates: Candidates, members: np.ndarray, progress: Progress, first: int, last: int
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
        layout = groups.lay_out(self.plan, members, candidates.seed[members])
        chosen = _laid_out(candidates, layout)
        if learners is None:
            return _Block(layout, chosen, self._start(*self._sharded((chosen.seed, layout.counts))))
        like = training.shapes(self.task)
        laid_out = self._sharded(jax.tree.map(lambda leaf: leaf[layout.slots], learners))
        return _Block(layout, chosen, jax.tree.map(_typed, like, laid_out))

    def _learners_like(self, count: int) -> Learner:
        """Arrays as ``_on_host`` gives them for so many candidates; no memory is touched."""

        def empty(leaf: Any) -> np.ndarray:
            raw = jax.eval_shape(_raw, leaf)
            return np.empty((count, *raw.shape), raw.dtype)

        return jax.tree.map(empty, training.shapes(self.task))

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
        layout = groups.lay_out(self.plan, living, candidates.seed[living])
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
            drawn = training.minibatches(int(seed), examples, batch_size, first, last)
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
        self.identity = _identity(trainer.task, candidates, stops, splits)
        processes.agree("candidates", self.identity)
        self.progress = Progress.start(len(candidates.seed), len(stops), len(splits))
        self.reached = 0
        self._trainer, self._candidates, self._stops, self._splits = trainer, candidates, stops, splits
        self._members = groups.blocks(trainer.plan, candidates.seed)
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
    def like(self) -> tuple[Progress, Learner]:
        """What ``on_host`` gives, without its values."""
        return self.progress, self._trainer._learners_like(len(self.progress.alive))

    def on_host(self) -> tuple[Progress, Learner]:
        """All that training needs to go on, as NumPy arrays."""
        return self.progress, self._trainer._on_host(list(self._begun.values()), len(self.progress.alive))

    def restore(self, reached: int, kept: tuple[Progress, Learner]) -> None:
        """Go on with what ``on_host`` gave after so many stops."""
        self.reached, (self.progress, learners) = reached, kept
        for number, members in enumerate(self._members):
            if len(living := members[self.progress.alive[members]]):
                self._begun[number] = self._trainer._begin(self._candidates, living, learners)


def check_stops(task: Task, stops: Sequence[int], splits: Sequence[str]) -> None:
    """Raise ``ValueError`` for stops that do not rise from 1, or a split that the task lacks."""
    if not stops or any(later <= earlier for earlier, later in itertools.pairwise((0, *stops))):
        raise ValueError(f"Trainer: the stops are {list(stops)}; numbers of steps that rise from 1 are needed.")
    missing = [split for split in splits if split not in task.splits]
    if missing:
        raise ValueError(f"Trainer: splits holds {missing[0]!r}; the task has {', '.join(task.splits)}.")


def encoded(
    population: Sequence[Tree],
    seeds: Sequence[int],
    coefficients: Sequence[Sequence[float] | None] | None,
    rates: Sequence[float] | None,
    instructions: int,
) -> Candidates:
    """As ``Trainer.candidates``, with room for so many instructions."""
    program = programs.encode(population, coefficients, instructions)
    rate = np.ones(len(population)) if rates is None else np.asarray(rates)
    return Candidates(program, rate.astype(np.float32), np.asarray(seeds, np.uint32))


def _identity(task: Task, candidates: Candidates, stops: Sequence[int], splits: Sequence[str]) -> str:
    digest = hashlib.sha256(repr((task.fingerprint, list(stops), list(splits))).encode())
    for leaf in jax.tree.leaves(candidates):
        digest.update(leaf.tobytes())
    return digest.hexdigest()


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


# ON ONE DEVICE: arrays have leading axes [rows, group], of which the first ``count[0]`` rows are in use.


def _start(task: Task, seeds: jax.Array, count: jax.Array) -> Learner:
    def row(i: jax.Array) -> Learner:
        learner = training.start(task, training.keys_of(seeds[i, 0]))
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (seeds.shape[1], *leaf.shape)), learner)

    shapes = jax.eval_shape(row, jax.ShapeDtypeStruct((), jnp.int32))
    # Unlike jnp.zeros, full_like takes the random keys that a model's state may hold.
    unused = jax.tree.map(lambda leaf: jax.lax.full_like(leaf, 0, shape=(len(seeds), *leaf.shape)), shapes)
    return jax.lax.fori_loop(0, count[0], lambda i, learners: _with_row(learners, i, row(i)), unused)


def _advance(
    task: Task,
    gradient: Gradient,
    learners: Learner,
    candidates: Candidates,
    count: jax.Array,
    places: jax.Array,
    first: jax.Array,
    last: jax.Array,
    data: dict[str, tuple[jax.Array, jax.Array]],
) -> Learner:
    """The learners after the steps from ``first`` to ``last``, whose minibatches are ``places[rows, steps, batch]``."""
    x, labels = data["train"]
    step = jax.vmap(partial(training.step, task, gradient), in_axes=(0, 0, 0, None, None, None, None))

    def row(i: jax.Array, learners: Learner) -> Learner:
        members = _row(candidates, i)
        keys = training.keys_of(members.seed[0])

        def one(number: jax.Array, learner: Learner) -> Learner:
            chosen = places[i, number - first]
            # Once for the group, outside ``vmap``.
            batch = training.network_input(task, keys, number, x[chosen])
            return step(learner, members.program, members.rate, keys, number, batch, labels[chosen])

        return _with_row(learners, i, jax.lax.fori_loop(first, last, one, _row(learners, i)))

    return jax.lax.fori_loop(0, count[0], row, learners)


def _score(
    task: Task,
    learners: Learner,
    seeds: jax.Array,
    count: jax.Array,
    wanted: jax.Array,
    data: dict[str, tuple[jax.Array, jax.Array]],
) -> jax.Array:
    """Scores ``[rows, group, splits]``; 0 where a split is not wanted."""

    def row(i: jax.Array, scores: jax.Array) -> jax.Array:
        learner, keys = _row(learners, i), training.keys_of(seeds[i, 0])
        found = [
            jax.lax.cond(
                wanted[place],
                lambda part=part: jax.vmap(lambda one: training.score(task, one, keys, *part))(learner),
                lambda: jnp.zeros(seeds.shape[1]),
            )
            for place, part in enumerate(data[split] for split in task.splits)
        ]
        return scores.at[i].set(jnp.stack(found, axis=-1))

    return jax.lax.fori_loop(0, count[0], row, jnp.zeros((*seeds.shape, len(task.splits))))


def _row(arrays: Any, i: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], arrays)


def _with_row(arrays: Any, i: jax.Array, row: Any) -> Any:
    return jax.tree.map(lambda leaf, new: leaf.at[i].set(new), arrays, row)


def _regrouped(learners: Learner, slots: jax.Array) -> Learner:
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[slots], learners)
