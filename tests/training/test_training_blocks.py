"""Blocks: what the devices hold at once, laid out, compacted and copied to the host."""

import chex
import jax
import numpy as np
import pytest

from glojax.expressions.parsing import parse
from glojax.tasks.task import Task
from glojax.training import blocks, learner
from glojax.training.candidates import Candidates, PopulationProgress
from glojax.training.trainer import Trainer

SEEDS = [4, 9, 4, 9, 4]


@pytest.fixture(scope="module")
def trainer(tiny_task: Task) -> Trainer:
    """Groups of two on each of two devices."""
    return Trainer(tiny_task, instructions=31, group=2)


@pytest.fixture(scope="module")
def candidates(trainer: Trainer) -> Candidates:
    """Five candidates with two seeds."""
    return trainer.candidates([parse("x * log(y)")] * 5, SEEDS, rates=[1, 2, 3, 4, 5])


def started(trainer: Trainer, seed: int) -> learner.Learner:
    """One network before its first step, as NumPy arrays."""
    return jax.tree.map(np.asarray, learner.start(trainer.task, learner.keys_of(np.uint32(seed))))


@pytest.mark.slow
def test_a_block_starts_with_each_candidate_at_its_place(trainer: Trainer, candidates: Candidates) -> None:
    block = blocks.start_block(trainer.compiled, candidates, np.arange(5))
    used = block.layout.used
    np.testing.assert_array_equal(block.candidates.rate[used], candidates.rate[block.layout.slots[used]])
    host = blocks.on_host(trainer.compiled, [block], 5)
    for place, seed in enumerate(SEEDS):
        chex.assert_trees_all_close(
            jax.tree.map(lambda leaf, i=place: leaf[i], host), started(trainer, seed), rtol=1e-6
        )


@pytest.mark.slow
def test_learners_on_the_host_come_back_as_they_were(trainer: Trainer, candidates: Candidates) -> None:
    block = blocks.start_block(trainer.compiled, candidates, np.arange(5))
    host = blocks.on_host(trainer.compiled, [blocks.advance_block(trainer.compiled, block, 0, 5)], 5)
    again = blocks.restore_block(trainer.compiled, candidates, np.arange(5), host)
    chex.assert_trees_all_equal(blocks.on_host(trainer.compiled, [again], 5), host)
    chex.assert_trees_all_equal_shapes_and_dtypes(blocks.host_arrays(trainer.compiled, 5), host)


def test_candidates_of_no_block_are_zeros_on_the_host(trainer: Trainer, candidates: Candidates) -> None:
    block = blocks.start_block(trainer.compiled, candidates, np.array([1, 3]))
    host = blocks.on_host(trainer.compiled, [block], 5)
    np.testing.assert_array_equal(host.finite, [False, True, False, True, False])


def test_a_block_is_compacted_only_where_that_saves_time_and_keeps_its_networks(
    trainer: Trainer, candidates: Candidates
) -> None:
    whole = blocks.start_block(trainer.compiled, candidates, np.arange(5))
    whole = blocks.advance_block(trainer.compiled, whole, 0, 5)
    before = blocks.on_host(trainer.compiled, [whole], 5)
    assert blocks.compact(trainer.compiled, whole, candidates, np.array([0, 1, 2, 4])) is whole  # two groups a device
    living = np.array([1, 4])
    small = blocks.compact(trainer.compiled, whole, candidates, living)
    assert small.layout.cost < whole.layout.cost
    after = blocks.on_host(trainer.compiled, [small], 5)
    chex.assert_trees_all_equal(*(jax.tree.map(lambda leaf: leaf[living], part) for part in (before, after)))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(whole.learners))


@pytest.mark.slow
def test_a_block_trains_to_its_last_step_in_chunks_of_any_size(
    trainer: Trainer, candidates: Candidates, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = PopulationProgress.start(5, 1, 1)

    def trained() -> tuple[learner.Learner, np.ndarray]:
        block = blocks.start_block(trainer.compiled, candidates, np.arange(5))
        block, after = blocks.train_block(trainer.compiled, block, candidates, np.arange(5), progress, 0, 12)
        return blocks.on_host(trainer.compiled, [block], 5), after.steps

    expected, steps = trained()
    monkeypatch.setattr(blocks, "CHUNK", 5)
    found, others = trained()
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal([steps, others], np.full((2, 5), 12))


@pytest.mark.slow
def test_scores_of_a_block_are_in_the_order_of_splits_that_was_asked_for(
    trainer: Trainer, candidates: Candidates
) -> None:
    block = blocks.start_block(trainer.compiled, candidates, np.array([0, 1, 3]))
    found = blocks.score_block(trainer.compiled, block, ["test", "train"], 5)
    data = trainer.task.splits
    for place in (0, 1, 3):
        keys = learner.keys_of(np.uint32(SEEDS[place]))
        network = learner.start(trainer.task, keys)
        expected = [learner.score(trainer.task, network, keys, *data[split]) for split in ("test", "train")]
        np.testing.assert_allclose(found[place], expected, atol=0.011)  # one of 100 images
    np.testing.assert_array_equal(found[[2, 4]], 0)
