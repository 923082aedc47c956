"""Blocks: the candidates that the devices hold at once, from their first step to their scores.

Functions take the ``CompiledKernels`` of a trainer and a ``Block`` and give a new block. ``train_block`` consumes the
one that it is given: the buffers of its learners are donated to the compiled step, or freed when groups are formed
anew, so that a block's networks are in memory once. Everything a caller needs is in the block that comes back.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glojax.distributed import processes
from glojax.tasks import inputs
from glojax.training import feeding, grouping, learner
from glojax.training.candidates import Candidates, PopulationProgress
from glojax.training.compiled import CompiledKernels
from glojax.training.grouping import Layout
from glojax.training.kernels import Data
from glojax.training.learner import Learner

CHUNK = 100
"""Steps between two looks at which candidates are still alive."""


class Block(NamedTuple):
    """Candidates that the devices hold at once, in training."""

    layout: Layout
    candidates: Candidates  # [devices * rows, group], as laid out
    learners: Learner  # [devices * rows, group], on the devices


def start_block(compiled: CompiledKernels, candidates: Candidates, members: np.ndarray) -> Block:
    """A block before its first step.

    Args:
      compiled: the trainer's kernels.
      candidates: the whole population, ``[candidates]``.
      members: places of the block's candidates, ``int64[members]``.
    """
    layout = grouping.lay_out(compiled.plan, members, candidates.seed[members])
    chosen = lay_out_candidates(candidates, layout)
    return Block(layout, chosen, compiled.start(*compiled.shard((chosen.seed, layout.counts)), compiled.data))


def restore_block(compiled: CompiledKernels, candidates: Candidates, members: np.ndarray, learners: Learner) -> Block:
    """A block with learners ``[candidates, ...]`` of the host, as ``on_host`` gave them; else as ``start_block``."""
    layout = grouping.lay_out(compiled.plan, members, candidates.seed[members])
    like = learner.shapes(compiled.task)
    laid_out = compiled.shard_learners(jax.tree.map(lambda leaf: leaf[layout.slots], learners))
    return Block(layout, lay_out_candidates(candidates, layout), jax.tree.map(as_typed, like, laid_out))


def train_block(
    compiled: CompiledKernels,
    block: Block,
    candidates: Candidates,
    members: np.ndarray,
    progress: PopulationProgress,
    first: int,
    last: int,
) -> tuple[Block, PopulationProgress]:
    """Train a block for some steps, and after every ``CHUNK`` of them form groups anew where that saves time.

    Args:
      compiled: the trainer's kernels.
      block: the block, whose learners are consumed.
      candidates: the whole population, ``[candidates]``.
      members: places of the block's candidates, ``int64[members]``.
      progress: of the whole population.
      first: the first step, from 0.
      last: the step after the last.

    Returns:
      The block and the population's progress after these steps.
    """
    size = steps_at_once(compiled)
    for chunk in range(first, last, size):
        living = members[progress.alive[members]]
        if not len(living):
            break
        block = compact(compiled, block, candidates, living)
        length = min(size, last - chunk)
        block = advance_block(compiled, block, chunk, chunk + length)
        if compiled.feeder is not None and chunk + length < last:  # while the devices compute
            compiled.feeder.prepare(seeds_of(block), chunk + length, min(chunk + length + size, last), size)
        finite = by_candidate(block, block.learners.finite, len(progress.alive))
        progress = progress.after_steps(living, length, finite)
    return block, progress


def steps_at_once(compiled: CompiledKernels) -> int:
    """Steps between two looks: fewer than ``CHUNK`` where inputs are fed and those of as many would take too much."""
    return CHUNK if compiled.feeder is None else compiled.feeder.steps(CHUNK)


def advance_block(compiled: CompiledKernels, block: Block, first: int, last: int) -> Block:
    """Train a block for at most ``CHUNK`` steps, from ``first`` to before ``last``; its learners are donated."""
    places, data = minibatches_of(compiled, block, first, last)
    sharded = compiled.shard((block.candidates, block.layout.counts, places))
    steps = compiled.replicate((np.int32(first), np.int32(last)))
    return block._replace(learners=compiled.advance(block.learners, *sharded, *steps, data))


def minibatches_of(compiled: CompiledKernels, block: Block, first: int, last: int) -> tuple[np.ndarray, Data]:
    """The minibatches of each group for the steps from ``first`` to before ``last``, with room for ``CHUNK`` steps.

    Returns:
      Places of examples, ``int32[devices * rows, CHUNK, batch]``, and the data that they are places in.
    """
    seeds, data = block.candidates.seed[:, 0], compiled.data
    examples, batch_size = inputs.count(compiled.task.splits["train"].labels), compiled.task.batch_size
    if compiled.feeder is None:
        drawn = {seed: learner.minibatches(seed, examples, batch_size, first, last) for seed in seeds_of(block)}
    else:
        portion = compiled.feeder.take(seeds_of(block), first, last, steps_at_once(compiled))
        drawn, data = portion.places, data._replace(splits={"train": compiled.replicate(portion.batch)})
    places = np.zeros((len(seeds), CHUNK, batch_size), np.int32)
    for seed, of_seed in drawn.items():
        places[seeds == seed, : last - first] = of_seed
    return places, data


def seeds_of(block: Block) -> list[int]:
    """The seeds of the groups in use, each once."""
    return np.unique(block.candidates.seed[:, 0][block.layout.used]).tolist()


def compact(compiled: CompiledKernels, block: Block, candidates: Candidates, living: np.ndarray) -> Block:
    """The block of the living candidates alone, if that saves time; the learners of the former block are freed."""
    layout = grouping.lay_out(compiled.plan, living, candidates.seed[living])
    if layout.cost >= block.layout.cost:
        return block
    slot_of = np.zeros(len(candidates.seed), np.int32)
    slots = block.layout.slots
    slot_of[slots[block.layout.used]] = np.arange(slots.size).reshape(slots.shape)[block.layout.used]
    moved = compiled.regroup(block.learners, compiled.shard(slot_of[layout.slots]))
    for leaf in jax.tree.leaves(block.learners):
        leaf.delete()  # a donation would find no result of its shape
    return Block(layout, lay_out_candidates(candidates, layout), moved)


def score_block(compiled: CompiledKernels, block: Block, splits: Sequence[str], count: int) -> np.ndarray:
    """Score a block.

    Args:
      compiled: the trainer's kernels.
      block: the block.
      splits: the splits that are scored.
      count: candidates of the whole population.

    Returns:
      Scores ``float32[candidates, splits]``; 0 for candidates that are not in the block.
    """
    known = list(compiled.task.splits)
    wanted = np.array([split in splits and split not in compiled.judges for split in known])
    found = np.zeros((count, len(known)), np.float32)
    if wanted.any():
        sharded = compiled.shard((block.candidates.seed, block.layout.counts))
        scores = compiled.score(block.learners, *sharded, compiled.replicate(wanted), compiled.data)
        found = by_candidate(block, scores, count)
    for split in compiled.judges.keys() & set(splits):
        found[:, known.index(split)] = by_candidate(block, score_fed(compiled, block, split), count)
    return found[:, [known.index(split) for split in splits]]


def score_fed(compiled: CompiledKernels, block: Block, split: str) -> jax.Array:
    """Scores ``float32[devices * rows, group]`` of a block on a part that is fed."""
    judge, task = compiled.judges[split], compiled.task
    seeds, counts = compiled.shard((block.candidates.seed, block.layout.counts))
    judged = judge.start(seeds)
    for first, portion in feeding.portions(task, split):
        jax.block_until_ready(judged)  # was computed while this portion was read; the portion before it is let go
        placed = compiled.replicate((np.int32(first), portion))
        judged = judge.add(judged, block.learners, seeds, counts, *placed, compiled.data.initial)
    return judge.score(judged, block.learners, counts, compiled.replicate(task.splits[split].labels))


def by_candidate(block: Block, values: jax.Array, count: int) -> np.ndarray:
    """Values ``[devices * rows, group, ...]`` as ``[candidates, ...]``; 0 for candidates that are not in the block."""
    found = np.zeros((count, *values.shape[2:]), values.dtype)
    found[block.layout.slots[block.layout.used]] = processes.gathered(values)[block.layout.used]
    return found


def on_host(compiled: CompiledKernels, blocks: Iterable[Block], count: int) -> Learner:
    """Learners of all blocks as NumPy arrays ``[candidates, ...]``; zeros for a candidate that is in no block."""
    learners = jax.tree.map(np.zeros_like, host_arrays(compiled, count))
    for block in blocks:
        used = block.layout.used
        for array, leaf in zip(jax.tree.leaves(learners), jax.tree.leaves(block.learners), strict=True):
            array[block.layout.slots[used]] = processes.gathered(as_raw(leaf))[used]
    return learners


def host_arrays(compiled: CompiledKernels, count: int) -> Learner:
    """Arrays of the shapes and types that ``on_host`` gives for ``count`` candidates; no memory is touched."""

    def empty(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        raw = jax.eval_shape(as_raw, leaf)
        return np.empty((count, *raw.shape), raw.dtype)

    return jax.tree.map(empty, learner.shapes(compiled.task))


def lay_out_candidates(candidates: Candidates, layout: Layout) -> Candidates:
    """Candidates ``[candidates]`` as ``[devices * rows, group]``."""
    return jax.tree.map(lambda leaf: leaf[layout.slots], candidates)


def as_raw(leaf: jax.Array) -> jax.Array:
    """Random keys, which a model's state may hold, as their numbers; any other array as it is."""
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def as_typed(like: jax.Array | jax.ShapeDtypeStruct, leaf: jax.Array) -> jax.Array:
    """The array of which ``as_raw`` made ``leaf``; ``like`` has its type."""
    return jax.random.wrap_key_data(leaf) if jnp.issubdtype(like.dtype, jax.dtypes.prng_key) else leaf
