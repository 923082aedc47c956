"""Networks that are spread over several devices each (``tasks.sharding``), where a task asks for it.

The mesh has the axes ``candidates`` and ``model``. Kernels are mapped over the first alone; along the second XLA
divides the work of one candidate, guided by where its arrays lie.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from glojax import models
from glojax.tasks.sharding import AXIS
from glojax.tasks.task import Task

Arrays = TypeVar("Arrays")


def mesh_of(task: Task, devices: Sequence[Any]) -> Mesh:
    """The mesh that a task trains on: ``candidates``, and ``model`` where candidates are spread."""
    if task.sharding is None:
        return Mesh(np.array(devices), ("candidates",))
    return Mesh(np.array(devices).reshape(-1, task.sharding.devices), ("candidates", AXIS))


def lanes(task: Task, devices: Sequence[Any]) -> int:
    """How many candidates, or groups, are trained at once.

    Raises:
      ValueError: devices that cannot be divided among candidates.
    """
    of_one = 1 if task.sharding is None else task.sharding.devices
    if len(devices) % of_one:
        raise ValueError(
            f"Task.sharding has {of_one} devices for a candidate, and {len(devices)} are there; a multiple is needed "
            "(on a CPU, --devices or glojax.use_cores)."
        )
    return len(devices) // of_one


def specs_of(task: Task, tree: Any) -> list[PartitionSpec]:
    """How the leaves of one learner, or of what it holds, are divided; nothing is where candidates are not spread."""
    if task.sharding is None:
        return [PartitionSpec()] * len(jax.tree.leaves(tree))
    return task.sharding.specs(models.shapes(task.pure_model)[0], tree)


def spec_of(task: Task, name: str) -> PartitionSpec:
    """How a parameter of this name is divided."""
    return PartitionSpec() if task.sharding is None else task.sharding.spec(name)


def constrained(task: Task, arrays: Arrays, axes: int) -> Arrays:
    """Keep learners divided, inside a kernel.

    Args:
      task: says how.
      arrays: learners, or what they hold.
      axes: of rows and groups before those of a leaf.
    """
    if task.sharding is None:
        return arrays
    leaves, structure = jax.tree.flatten(arrays)
    ones = [jax.ShapeDtypeStruct(leaf.shape[axes:], leaf.dtype) for leaf in leaves]
    specs = specs_of(task, jax.tree.unflatten(structure, ones))
    kept = [
        jax.lax.with_sharding_constraint(leaf, PartitionSpec(*[None] * axes, *spec)) if AXIS in spec else leaf
        for leaf, spec in zip(leaves, specs, strict=True)
    ]
    return jax.tree.unflatten(structure, kept)


def shardings(task: Task, mesh: Mesh, one: Arrays) -> Arrays:
    """Where learners ``[devices * rows, group, ...]`` lie; ``one`` has the shapes of one learner."""
    whole = PartitionSpec("candidates")
    specs = [PartitionSpec(*whole, None, *spec) if AXIS in spec else whole for spec in specs_of(task, one)]
    made = [NamedSharding(mesh, spec) for spec in specs]
    return jax.tree.unflatten(jax.tree.structure(one), made)


def bytes_of(task: Task, tree: Any) -> int:
    """What one device holds of one learner, or of what it holds."""
    parts = zip(jax.tree.leaves(tree), specs_of(task, tree), strict=True)
    of_one = 1 if task.sharding is None else task.sharding.devices
    return sum(leaf.size * leaf.dtype.itemsize // (of_one if AXIS in spec else 1) for leaf, spec in parts)
