"""The kernels compiled for a mesh of devices, and arrays placed on it.

Groups are spread over the devices along the axis ``rows``; the task's data lies on each of them. Nothing is exchanged
between devices while candidates train, unless each candidate is itself spread over several (``spreading``).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from glojax.data.fed import Fed
from glojax.tasks.task import Task
from glojax.training import feeding, learner, spreading
from glojax.training.feeding import Feeder
from glojax.training.gradients import Gradient
from glojax.training.grouping import GroupPlan
from glojax.training.judging import Portions
from glojax.training.kernels import (
    Data,
    advance_groups,
    judge_groups,
    regroup,
    score_groups,
    score_judged,
    start_groups,
    start_judging,
)

Arrays = TypeVar("Arrays")

STEPS_AT_ONCE = dict.fromkeys(("gpu", "cuda", "rocm", "tpu"), 10)
"""Steps in a loop of a length that the compiler knows, by the platform; on any other 1: there a loop costs nothing."""


class Judge(NamedTuple):
    """What scores networks on a part that is fed, from portion to portion; ``add`` reuses the buffers of ``judged``."""

    start: Any  # start(seeds) -> judged
    add: Any  # add(judged, learners, seeds, counts, first, portion, initial) -> judged
    score: Any  # score(judged, learners, counts, labels) -> scores [devices * rows, group]


class CompiledKernels(NamedTuple):
    """What a training runs on its devices; each program is compiled when it is first called with a new shape.

    ``advance`` is given the buffers of its learners and reuses them: the learners that go in are lost.
    """

    task: Task
    plan: GroupPlan
    sharding: NamedSharding  # of arrays [devices * rows, ...]
    replication: NamedSharding  # of arrays that every device has
    learners: Any  # of learners [devices * rows, group, ...], a ``NamedSharding`` for each array
    data: Data  # on every device
    feeder: Feeder | None  # of the training examples, where their inputs are fed
    start: Any  # start(seeds, counts, data) -> learners
    advance: Any  # advance(learners, candidates, counts, places, first, last, data) -> learners
    score: Any  # score(learners, seeds, counts, wanted, data) -> scores
    judges: Mapping[str, Judge]  # of the parts that are fed, by name
    regroup: Any  # regroup(learners, slots) -> learners
    traced: list[str]  # the name of a kernel each time that it was traced to be compiled

    @property
    def compilations(self) -> int:
        """How many programs were compiled so far."""
        return len(self.traced)

    def shard(self, arrays: Arrays) -> Arrays:
        """NumPy arrays ``[devices * rows, ...]`` on the devices, to each its own rows."""
        return _placed(self.sharding, arrays)

    def shard_learners(self, learners: Arrays) -> Arrays:
        """Learners ``[devices * rows, group, ...]`` of the host on the devices, each spread as the task says."""
        return jax.tree.map(lambda leaf, sharding: _placed(sharding, leaf), learners, self.learners)

    def replicate(self, arrays: Arrays) -> Arrays:
        """NumPy arrays on the devices, whole on each."""
        return _placed(self.replication, arrays)


class _Compiler(NamedTuple):
    """Compiles kernels for a mesh."""

    mesh: Mesh
    traced: list[str]  # the name of a kernel each time that it was traced

    def counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which notes when it is traced."""

        @wraps(function)
        def run(*arguments: Any) -> Any:
            self.traced.append(name)
            return function(*arguments)

        return run

    def on_devices(self, name: str, function: Callable[..., Any], *specs: PartitionSpec, **options: Any) -> Any:
        """The function of each device's rows, by the specs of its arguments; what it gives has rows, too."""
        # Nothing is exchanged between devices; a user's model need not tell JAX which of its values vary over them.
        # Over the devices of one candidate XLA divides the work.
        given, axes = PartitionSpec("candidates"), {"candidates"}
        mapped = jax.shard_map(
            function, mesh=self.mesh, in_specs=specs, out_specs=given, axis_names=axes, check_vma=False
        )
        return jax.jit(self.counted(name, mapped), **options)


def compile_kernels(task: Task, gradient: Gradient, devices: Sequence[Any], plan: GroupPlan) -> CompiledKernels:
    """Prepare the kernels of a task for these devices, and place its data there.

    Args:
      task: what candidates are trained on.
      gradient: of the mean loss by the outputs.
      devices: ``jax.Device`` objects of one kind.
      plan: the shapes of groups on them.
    """
    mesh = spreading.mesh_of(task, devices)
    shard, whole = PartitionSpec("candidates"), PartitionSpec()

    compiler = _Compiler(mesh, [])
    on_devices = compiler.on_devices

    def judge(name: str, portions: Portions) -> Judge:
        return Judge(
            on_devices("start judging", partial(start_judging, feeding.unseen(task, name)), shard),
            on_devices(
                "judge",
                partial(judge_groups, task, portions),
                *(shard, shard, shard, shard, whole, whole, whole),
                donate_argnums=0,
            ),
            on_devices("score judged", partial(score_judged, task, portions), shard, shard, shard, whole),
        )

    sharding, replication = NamedSharding(mesh, shard), NamedSharding(mesh, whole)
    learners = spreading.shardings(task, mesh, learner.shapes(task))
    lying: dict[str, Any] = {} if task.sharding is None else {"out_shardings": learners}
    given = {name: NamedSharding(mesh, spreading.spec_of(task, name)) for name in task.initial or {}}
    return CompiledKernels(
        task=task,
        plan=plan,
        sharding=sharding,
        replication=replication,
        learners=learners,
        data=Data(
            _placed(replication, feeding.held(task)),
            {name: _placed(given[name], array) for name, array in (task.initial or {}).items()},
        ),
        feeder=Feeder(task) if isinstance(task.splits["train"].x, Fed) else None,
        start=on_devices("start", partial(start_groups, task), shard, shard, whole, **lying),
        advance=on_devices(
            "advance",
            partial(advance_groups, task, gradient, at_once=STEPS_AT_ONCE.get(devices[0].platform, 1)),
            *(shard, shard, shard, shard, whole, whole, whole),
            donate_argnums=0,
            **lying,
        ),
        score=on_devices("score", partial(score_groups, task), shard, shard, shard, whole, whole),
        judges={name: judge(name, portions) for name, portions in feeding.divided(task).items()},
        regroup=jax.jit(compiler.counted("regroup", regroup), out_shardings=learners),
        traced=compiler.traced,
    )


def _placed(sharding: NamedSharding, arrays: Any) -> Any:
    """NumPy arrays on the devices; a process that has only some of the devices places its own part."""
    return jax.tree.map(
        lambda leaf: jax.make_array_from_callback(np.shape(leaf), sharding, lambda part: leaf[part]), arrays
    )
