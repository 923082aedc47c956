"""Which candidate trains on which device, and together with which others: NumPy on the host.

A ``GroupPlan`` says how large groups may be and how many a device may hold. ``blocks`` divides a population into parts
that fit the devices at once, and ``lay_out`` places the candidates of one part in groups that share a seed.
"""

import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn

from glojax import models, platforms
from glojax.tasks.task import Task
from glojax.training import feeding, learner, spreading

_MAX_ROWS = 64


class GroupPlan(NamedTuple):
    """The shapes that groups may take on a mesh of devices; each pair of size and rows that is used is compiled once.

    A group takes its whole time even where it is not full. On CPU groups are small and there is one shape; on an
    accelerator they are large, so that smaller shapes pay.
    """

    devices: int  # or sets of devices, where each candidate is spread over several
    sizes: tuple[int, ...]  # candidates in a group, rising
    rows: tuple[int, ...]  # groups that a device holds, rising

    def shape(self, seeds: np.ndarray) -> tuple[int, int]:
        """Rows and size of the groups for candidates with these seeds, ``uint32[candidates]``.

        The size is the smallest of those that need the fewest rows.
        """

        def most_rows(size: int) -> int:
            return -(-len(split(seeds, size)) // self.devices)

        fewest = most_rows(self.sizes[-1])
        size = next(size for size in self.sizes if most_rows(size) == fewest)
        return next(rows for rows in self.rows if rows >= fewest), size


def check_group(group: int | None) -> None:
    """Raise ``ValueError`` unless a size of groups is None or a whole number of at least 1."""
    if group is None:
        return
    if not isinstance(group, numbers.Integral) or isinstance(group, bool) or group < 1:
        raise ValueError(f"group is {group!r}; it must be at least 1, a whole number.")


def plan(task: Task, devices: Sequence[Any], group: int | None = None) -> GroupPlan:
    """Plan the shapes of groups for a task on some devices.

    Args:
      task: gives the sizes of its network and batch.
      devices: ``jax.Device`` objects of one kind.
      group: candidates in a group, at most. Defaults to as many as fit (``group_that_fits``), and to 1 where each is
        spread over several devices.

    Raises:
      ValueError: ``group`` is not a whole number of at least 1, or devices cannot be divided among candidates.
    """
    check_group(group)
    device = devices[0]
    lanes = spreading.lanes(task, devices)
    if group is None:
        group = group_that_fits(task, device) if task.sharding is None else 1
    size, kept = group, learner.shapes(task)
    beside = sum(other.process_index == device.process_index for other in devices)
    of_one = spreading.bytes_of(task, kept) + feeding.judged_bytes(task)
    most_rows = min(_MAX_ROWS, max(1, _budgets(device, beside).kept // (size * of_one)))
    if device.platform == "cpu":
        return GroupPlan(lanes, (size,), (most_rows,))
    # Two sizes an octave waste at most a third of a group.
    sizes = {bucket for power in range(size.bit_length()) for bucket in (2**power, 3 * 2**power // 2)}
    rows = {2**power for power in range(most_rows.bit_length())}
    return GroupPlan(
        lanes,
        (*sorted(bucket for bucket in sizes if bucket < size), size),
        (*sorted(count for count in rows if count < most_rows), most_rows),
    )


class _Budgets(NamedTuple):
    group: int  # candidates in a group, at most
    step: int  # bytes of intermediate results in one step of a group
    kept: int  # bytes of the networks that a device holds between their steps


def _budgets(device: Any, devices: int) -> _Budgets:
    if device.platform == "cpu":
        # A group of 8 digits networks is fastest; a step larger than the caches gains nothing from a larger group.
        return _Budgets(8, 8 * 2**20, 512 * 2**20 // devices)
    memory = (device.memory_stats() or {}).get("bytes_limit", 8 * 2**30)
    return _Budgets(1024, memory // 2, memory // 4)


def group_that_fits(task: Task, device: Any) -> int:
    """How many candidates a device trains together: a power of two, by the memory that one step takes.

    Args:
      task: gives the sizes of its network and batch.
      device: a ``jax.Device``; on CPU, caches count instead of memory.
    """
    params, state = models.shapes(task.pure_model)

    def apply(params: chex.ArrayTree, state: chex.ArrayTree, x: jax.Array) -> tuple[jax.Array, chex.ArrayTree]:
        return task.pure_model.apply(params, state, x, jax.random.key(0), True)

    forward = jax.make_jaxpr(apply)(params, state, task.batch)
    budgets = _budgets(device, 1)
    fitting = budgets.step // (_intermediate_bytes(forward.jaxpr) + _bytes(params))
    return 2 ** (min(max(fitting, 1), budgets.group).bit_length() - 1)


def _intermediate_bytes(jaxpr: Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        inner = sum(map(_intermediate_bytes, inner_jaxprs(equation)))
        total += inner or _bytes([variable.aval for variable in equation.outvars])
    return total


def inner_jaxprs(equation: JaxprEqn) -> list[Jaxpr]:
    """The functions that an equation of a jaxpr calls; of forms for several platforms, that of this machine."""
    called = equation.params
    if forms := called.get("branches_platforms"):
        here = {name for name, device in (("cuda", "gpu"), ("tpu", "tpu")) if platforms.has_device(device)}
        place = next((place for place, names in enumerate(forms) if here & {*(names or ())}), len(forms) - 1)
        called = called["branches"][place]
    parts = [getattr(part, "jaxpr", part) for part in jax.tree.leaves(called)]
    return [part for part in parts if hasattr(part, "eqns")]


def _bytes(arrays: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arrays))


class Layout(NamedTuple):
    """Candidates in groups that share a seed; group i lies on device i modulo their number, in its next row."""

    slots: np.ndarray  # int64[devices * rows, group], place of a candidate; a group that is not full repeats one
    counts: np.ndarray  # int32[devices], rows in use

    @property
    def used(self) -> np.ndarray:
        """Which rows are in use, bool ``[devices * rows]``."""
        rows = len(self.slots) // len(self.counts)
        return (np.arange(rows) < self.counts[:, None]).ravel()

    @property
    def cost(self) -> int:
        """Candidates, empty places included, that the busiest device trains."""
        return int(self.counts.max()) * self.slots.shape[1]


def split(seeds: np.ndarray, size: int) -> list[np.ndarray]:
    """Divide candidates with these seeds, ``uint32[candidates]``, into groups of at most ``size`` that share one.

    Returns:
      The places of the candidates of each group, ``int64[group]``.
    """
    groups = []
    for seed in np.unique(seeds):
        places = np.flatnonzero(seeds == seed)
        groups += [places[first : first + size] for first in range(0, len(places), size)]
    return groups


def lay_out(plan: GroupPlan, members: np.ndarray, seeds: np.ndarray) -> Layout:
    """Lay out candidates that fit the devices at once.

    Args:
      plan: the shapes of groups.
      members: places of the candidates in their population, ``int64[members]``.
      seeds: their seeds, ``uint32[members]``.
    """
    rows, size = plan.shape(seeds)
    slots = np.full((plan.devices, rows, size), members[0])
    groups = split(seeds, size)
    for number, group in enumerate(groups):
        slots[number % plan.devices, number // plan.devices] = np.resize(members[group], size)
    counts = [len(groups[device :: plan.devices]) for device in range(plan.devices)]
    return Layout(slots.reshape(-1, size), np.array(counts, np.int32))


def blocks(plan: GroupPlan, seeds: np.ndarray) -> list[np.ndarray]:
    """Divide candidates with these seeds, ``uint32[candidates]``, into blocks that the devices hold at once.

    Returns:
      The places of the candidates of each block, ``int64[members]``.
    """
    most, size = plan.devices * plan.rows[-1], plan.sizes[-1]
    groups = split(seeds, size)
    return [np.concatenate(groups[first : first + most]) for first in range(0, len(groups), most)]
