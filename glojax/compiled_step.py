"""One training step of a population, compiled for an accelerator that this machine does not have.

XLA's compilers for CUDA and for the TPU run on any CPU. What they make tells how many kernels a step starts, how many
loops and copies are in it and what memory it takes, but no times. On a GPU nothing is tuned by timing here, so a kernel
may differ from the one that runs there.

The packages are those of ``experiments/compilers.py``, which need not be installed: a folder of them on ``PYTHONPATH``
is enough. JAX has to be told to compute on the CPU, by ``JAX_PLATFORMS=cpu``: without its own libraries the plugin of
CUDA refuses to start anything else.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from glojax.distributed import jax_settings
from glojax.expressions import programs
from glojax.losses.loss import LossFunction
from glojax.tasks import inputs
from glojax.tasks.inputs import Inputs
from glojax.tasks.task import Task
from glojax.training import gradients, learner
from glojax.training.learner import Learner

_H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128 block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: 3352320000000 l2_cache_size: 52428800
  clock_rate_ghz: 1.98 device_memory_size: 84942979072 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 } registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA" dnn_version_info { major: 9 minor: 10 } device_description_str: "NVIDIA H100 80GB HBM3"
"""


class _Target(NamedTuple):
    platform: str
    options: dict[str, Any]  # of JAX's description of a topology


def _tpu(topology: str) -> _Target:
    bounds = (*(int(size) for size in topology.split(":")[1].split("x")), 1)[:3]
    return _Target("tpu", {"topology_name": topology, "chips_per_host_bounds": bounds})


TARGETS: dict[str, _Target] = {
    "h100": _Target("cuda", {"topology": "1x1x1", "target_config": _H100}),
    "v5e": _tpu("v5e:2x2"),
    "v6e": _tpu("v6e:2x2"),
    "v5p": _tpu("v5p:2x2x1"),
}
"""The devices that can be compiled for, by name."""


class CompiledStep(NamedTuple):
    """What a compiler made of one training step, or of another program."""

    device: str
    kernels: int  # started in it, those inside loops counted once
    loops: int
    copies: int  # of arrays, among the kernels
    temporary_bytes: int
    text: str  # of the compiled program, in XLA's notation


def compile_step(
    task: Task,
    target: str,
    candidates: int,
    *,
    instructions: int = 31,
    loss: LossFunction | None = None,
    protected: bool = False,
) -> CompiledStep:
    """Compile one step of a group of candidates that train together.

    Args:
      task: what candidates are trained on.
      target: a key of ``TARGETS``.
      candidates: their number.
      instructions: room for each tree's inner nodes.
      loss: one fixed loss for all candidates instead of their own programs. Defaults to None.
      protected: whether losses use the protected operators.

    Raises:
      ValueError: the target is unknown, ``candidates`` is below 1, or the packages of the compiler are not there.
    """
    if candidates < 1:
        raise ValueError(f"candidates is {candidates}; it must be at least 1.")
    found = partial(gradients.program_gradient, protected, task.problem.output)
    gradient = found() if loss is None else gradients.fixed_gradient(loss)

    def batched(shape: Any) -> Any:
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((candidates, *leaf.shape), leaf.dtype), shape)

    program = jax.tree.map(lambda leaf: leaf[0], programs.encode([programs.Tree("y")], instructions=instructions))
    number, seed = (jax.ShapeDtypeStruct((), kind) for kind in (jnp.int32, jnp.uint32))
    places = jax.ShapeDtypeStruct((task.batch_size,), jnp.int32)
    arguments = (
        batched(learner.shapes(task)),
        batched(program),
        batched(jax.ShapeDtypeStruct((), jnp.float32)),
        *(seed, number, places),
        *(inputs.shapes(part, inputs.count(part)) for part in task.splits["train"]),
    )
    return compile_program(partial(_step, task, gradient), target, *arguments, precision=task.precision, donate=True)


def compile_program(
    function: Callable[..., Any], target: str, *arguments: Any, precision: str | None = None, donate: bool = False
) -> CompiledStep:
    """Compile a function for a device that is not here.

    Args:
      function: of arrays; it is traced.
      target: a key of ``TARGETS``.
      *arguments: arrays, or anything with their shapes and types, as trees.
      precision: of products, a key of ``jax_settings.PRECISIONS``. Defaults to what JAX is set to.
      donate: whether the program may reuse the buffers of the first argument. Defaults to False.

    Raises:
      ValueError: the target is unknown, or the packages of the compiler are not there.
    """
    device = device_of(target)
    whole = NamedSharding(Mesh(np.array([device]), ("candidates",)), PartitionSpec())
    placed = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole), arguments)
    with jax_settings.standard(wide=False, products=precision):
        compiled = jax.jit(function, donate_argnums=(0,) if donate else ()).lower(*placed).compile()
    text, memory = compiled.as_text(), compiled.memory_analysis()
    assert text is not None
    assert memory is not None
    counts = count_operations(text)
    return CompiledStep(
        device=device.device_kind,
        kernels=sum(counts.values()) - counts["while"],
        loops=counts["while"],
        copies=counts["copy"] + counts["copy-start"],
        temporary_bytes=memory.temp_size_in_bytes,
        text=text,
    )


def _step(
    task: Task,
    gradient: gradients.Gradient,
    learners: Learner,
    program: programs.Program,
    rate: jax.Array,
    seed: jax.Array,
    number: jax.Array,
    places: jax.Array,
    x: Inputs,
    labels: Any,
) -> Learner:
    """The step of ``kernels.advance_groups``."""
    keys = learner.keys_of(seed)
    batch = learner.network_input(task, keys, number, inputs.taken(x, places))
    step: Callable[..., Learner] = jax.vmap(
        partial(learner.step, task, gradient), in_axes=(0, 0, 0, None, None, None, None)
    )
    return step(learners, program, rate, keys, number, batch, inputs.taken(labels, places))


def device_of(target: str) -> Any:
    """The description of a device to compile for.

    Raises:
      ValueError: the target is unknown, or the packages of its compiler are not there.
    """
    if target not in TARGETS:
        raise ValueError(f"compile-for is {target!r}; allowed are {', '.join(TARGETS)}.")
    platform, options = TARGETS[target]
    # A TPU's library looks for the machine it runs on; there is none.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-1")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    try:
        return topologies.get_topology_desc(platform=platform, **options).devices[0]
    except Exception as error:
        raise ValueError(
            f"compile-for is {target}, whose compiler is not here ({type(error).__name__}: {str(error)[:200]}). Get it "
            f"with `python experiments/compilers.py {platform} DIR`, put DIR on PYTHONPATH, and set JAX_PLATFORMS=cpu."
        ) from error


# READING A COMPILED PROGRAM

_OPERATION = re.compile(r"^\s+(?:ROOT )?%?[\w.\-]+ = (?:\((?:[^()]|\([^()]*\))*\)|\S+) ([a-z][\w\-]*)\(")
_CALLED = re.compile(r"(?:body|to_apply|condition)=%?([\w.\-]+)")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_FREE = {
    "after-all", "bitcast", "constant", "copy-done", "get-tuple-element", "iota", "optimization-barrier", "parameter",
    "partition-id", "replica-id", "tuple", "call",
}  # fmt: skip


def count_operations(text: str) -> Counter[str]:
    """Count what a device has to start for a compiled program, by the name of the operation.

    Args:
      text: the program as ``as_text`` of a compiled function gives it.
    """
    computations: dict[str, list[str]] = {}
    entry, lines = "", list[str]()
    for line in re.sub(r"/\*.*?\*/", "", text).splitlines():
        if header := _HEADER.match(line):
            lines = computations.setdefault(header[2], [])
            entry = header[2] if header[1] else entry
        lines.append(line)
    return Counter(name for name in _operations(computations, entry) if name not in _FREE)


def _operations(computations: dict[str, list[str]], name: str) -> Iterator[str]:
    for line in computations.get(name, []):
        if found := _OPERATION.match(line):
            yield found[1]
            if found[1] in ("call", "while"):  # what a fusion or a reduction applies is part of its kernel
                for called in _CALLED.findall(line):
                    yield from _operations(computations, called)
