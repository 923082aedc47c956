"""Which candidate trains where, compared with a search over all arrangements."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from budgets import cases
from hypothesis import given
from hypothesis import strategies as st

from glojax import models
from glojax.tasks.task import Task
from glojax.training import grouping
from glojax.training.grouping import GroupPlan

SEEDS = st.lists(st.integers(0, 3), min_size=1, max_size=40).map(lambda seeds: np.array(seeds, np.uint32))
PLANS = st.builds(
    lambda devices, size: GroupPlan(devices, tuple(range(1, size + 1)), (1, 2, 64)),
    st.integers(1, 4),
    st.integers(1, 9),
)


@given(SEEDS, PLANS)
@cases()
def test_a_layout_holds_every_candidate_in_a_group_of_its_seed(seeds: np.ndarray, plan: GroupPlan) -> None:
    members = np.arange(len(seeds)) * 2 + 1
    layout = grouping.lay_out(plan, members, seeds)
    rows = layout.slots[layout.used]
    assert set(rows.ravel().tolist()) == set(members.tolist())
    assert all(len(set(seeds[row // 2].tolist())) == 1 for row in rows)
    # Nobody is in two groups, though twice in one that is not full.
    assert sum(len(set(row.tolist())) for row in rows) == len(seeds)
    assert layout.counts.max() - layout.counts.min() <= 1
    assert layout.cost == layout.counts.max() * layout.slots.shape[1]


@given(SEEDS, PLANS)
@cases()
def test_groups_are_the_smallest_that_need_the_fewest_rows(seeds: np.ndarray, plan: GroupPlan) -> None:
    def rows(size: int) -> int:
        needed = sum(-(-int((seeds == seed).sum()) // size) for seed in set(seeds.tolist()))
        return -(-needed // plan.devices)

    held, size = plan.shape(seeds)
    fewest = min(map(rows, plan.sizes))
    assert rows(size) == fewest <= held
    assert all(rows(smaller) > fewest for smaller in plan.sizes if smaller < size)


def test_blocks_hold_what_the_devices_hold() -> None:
    plan = GroupPlan(2, (4,), (3,))
    seeds = np.array([1] * 30 + [2] * 30)
    blocks = grouping.blocks(plan, seeds)
    assert [len(block) for block in blocks] == [24, 22, 14]  # 8 groups a seed, the last of 2; 6 groups a block
    assert sorted(np.concatenate(blocks).tolist()) == list(range(60))
    for block in blocks:
        assert grouping.lay_out(plan, block, seeds[block]).counts.max() <= 3


def test_a_group_is_smaller_where_a_step_takes_more_memory(tiny_task: Task) -> None:
    cpu = jax.devices()[0]
    wide = dataclasses.replace(tiny_task, model=models.MLP((20_000, 10)))
    assert grouping.group_that_fits(tiny_task, cpu) == 8
    assert grouping.group_that_fits(wide, cpu) == 1


def accelerator(memory: int) -> Any:
    return SimpleNamespace(platform="gpu", process_index=0, memory_stats=lambda: {"bytes_limit": memory})


def test_an_accelerator_has_groups_and_rows_of_several_sizes_within_its_memory(tiny_task: Task) -> None:
    plan = grouping.plan(tiny_task, [accelerator(2**34)] * 2, 10)
    assert plan.sizes == (1, 2, 3, 4, 6, 8, 10)
    assert plan.rows == (1, 2, 4, 8, 16, 32, 64)
    assert grouping.plan(tiny_task, [accelerator(2**34)]).sizes[-1] == 1024
    assert grouping.group_that_fits(tiny_task, accelerator(2**20)) < 64
    assert grouping.plan(tiny_task, [accelerator(2**20)]).rows[-1] < 64


@pytest.mark.parametrize(("batch_size", "expected"), [(1, 24), (20, 24 * 20)])
def test_memory_of_a_step_is_that_of_all_it_computes(batch_size: int, expected: int) -> None:
    def forward(x: jax.Array) -> jax.Array:
        return jax.jit(lambda x: x + 1)(x) * 2

    jaxpr = jax.make_jaxpr(forward)(np.zeros((batch_size, 3), np.float32))
    assert grouping._intermediate_bytes(jaxpr.jaxpr) == expected
