"""The kernels on a mesh of devices: where arrays lie, and how many programs are compiled."""

import jax
import numpy as np
import pytest

from glojax.expressions.parsing import parse
from glojax.tasks.task import Task
from glojax.training import compiled, gradients
from glojax.training.compiled import CompiledKernels
from glojax.training.grouping import GroupPlan
from glojax.training.trainer import Trainer


@pytest.fixture(scope="module")
def kernels(tiny_task: Task) -> CompiledKernels:
    """The tiny task's kernels on two devices."""
    plan = GroupPlan(2, (2,), (1,))
    return compiled.compile_kernels(tiny_task, gradients.program_gradient(False), jax.devices()[:2], plan)


def test_rows_are_divided_among_devices_and_data_lies_on_each(kernels: CompiledKernels, tiny_task: Task) -> None:
    rows = np.arange(12).reshape(4, 3)
    sharded = kernels.shard(rows)
    shards = {shard.device: np.asarray(shard.data) for shard in sharded.addressable_shards}
    np.testing.assert_array_equal(np.concatenate([shards[device] for device in jax.devices()[:2]]), rows)
    assert [shard.shape for shard in shards.values()] == [(2, 3)] * 2
    for name, part in tiny_task.splits.items():
        for array, expected in zip(kernels.data.splits[name], part, strict=True):
            assert len(array.addressable_shards) == 2
            for shard in array.addressable_shards:
                np.testing.assert_array_equal(shard.data, expected)


def test_a_scalar_can_be_replicated(kernels: CompiledKernels) -> None:
    first, last = kernels.replicate((np.int32(3), np.int32(5)))
    assert (first.shape, int(first), int(last)) == ((), 3, 5)
    assert len(first.addressable_shards) == 2


@pytest.mark.slow
def test_two_trainers_count_their_own_compilations(tiny_task: Task) -> None:
    jax.clear_caches()  # of thousands of tests; where they are full, JAX forgets programs and counts 0
    one, other = (Trainer(tiny_task, instructions=31, group=2) for _ in range(2))
    assert (one.compilations, other.compilations) == (0, 0)
    one.scores(one.candidates([parse("x * log(y)")], [0]), steps=2)
    assert (one.compilations, other.compilations) == (3, 0)
