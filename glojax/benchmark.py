"""How fast this machine trains populations: the work of ``glojax bench``, and the losses and networks it is done with.

Speed is that of training alone, from a network's first step to its score; compiling is told apart. Arithmetic is the
nominal count of products and convolutions of one network's step (a convolution's padding counts as pixels), beside
what one large matrix product reaches on the same machine in the same run.
"""

import dataclasses
import itertools
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.interpreters import partial_eval

from glojax import models, tasks
from glojax.distributed.devices import all_devices
from glojax.executors import local
from glojax.expressions import canonical, programs, trees
from glojax.expressions.trees import Tree
from glojax.seeds import named_random
from glojax.tasks.task import Task
from glojax.training import grouping
from glojax.training.trainer import Trainer

NODES = (5, 64)
"""Fewest and most nodes of a loss."""

_GEMM_SIZE = 2048


class Work(NamedTuple):
    """A network to train, and how much of it is measured unless the user says otherwise."""

    task: Callable[[], Task]
    population: int
    steps: int


def _images(model: Any, shape: tuple[int, int, int], batch_size: int, ink: float, name: str) -> Task:
    """Random images of a data set's shape: speed does not depend on what they show."""
    random = named_random(0, "images")
    x = random.random((1200, *shape), np.float32)
    x *= random.random(x.shape) < ink
    labels = random.integers(0, 10, len(x))
    return Task(
        model, (x[:1000], labels[:1000]), (x[1000:], labels[1000:]), optimizer=optax.sgd(0.01),
        batch_size=batch_size, steps=2000, name=name,
    )  # fmt: skip


NETWORKS: dict[str, Work] = {
    "mlp": Work(tasks.digits, 80, 500),
    "cnn": Work(lambda: tasks.digits(network="cnn"), 80, 100),
    "paper": Work(lambda: _images(models.PaperCNN(), (28, 28, 1), 100, 0.2, "paper"), 4, 50),
    "cifar": Work(lambda: _images(models.CifarCNN(), (24, 24, 3), 128, 1.0, "cifar"), 4, 20),
    "allcnn": Work(lambda: _images(models.AllCNN(), (32, 32, 3), 128, 1.0, "allcnn"), 4, 2),
    "resnet": Work(lambda: _images(models.ResNet20(), (32, 32, 3), 128, 1.0, "resnet"), 4, 5),
}
"""What can be measured by name: the digits networks at their batch of 32, those of arXiv 1905.11528 on random images of
MNIST's shape and of CIFAR-10's as it crops them, and All-CNN-C and ResNet-20 on images of CIFAR-10's own shape, these
three at a batch of 128."""


@lru_cache
def losses(count: int, nodes: int) -> tuple[Tree, ...]:
    """Different losses of one size that train the digits network to the end, as random trees seldom do.

    They are sums of small random trees that do; fewer than ``count`` where no more are found.
    """
    random = named_random(0, "benchmark", nodes)
    trainer = local.local(tasks.digits(), instructions=programs.room(nodes - 1))
    drawn = (trees.grow(random, int(random.integers(2, 5))) for _ in range(2000))
    pieces = _that_train(trainer, (tree for tree in drawn if tree.has_x_and_y and tree.size <= min(nodes, 9)))
    sums = (_sum(random, pieces, nodes) for _ in range(6 * count))
    return tuple(_that_train(trainer, (tree for tree in sums if tree.size == nodes))[:count])


def _sum(random: np.random.Generator, pieces: list[Tree], nodes: int) -> Tree:
    """A sum of random pieces of so many nodes, or of fewer where no piece fits."""
    tree = pieces[random.integers(len(pieces))]
    while fitting := [piece for piece in pieces if tree.size + 1 + piece.size <= nodes]:
        tree = Tree("+", (tree, fitting[random.integers(len(fitting))]))
    return tree


def _that_train(trainer: Trainer, drawn: Iterable[Tree]) -> list[Tree]:
    different = list({canonical.canonical(tree): tree for tree in drawn}.values())
    steps = trainer.train(trainer.candidates(different, [0] * len(different)), [trainer.task.steps]).steps
    return [tree for tree, taken in zip(different, steps, strict=True) if taken == trainer.task.steps]


# MEASURING


class Spread(NamedTuple):
    """A quantity over the rounds."""

    median: float
    lowest: float
    highest: float


class Speed(NamedTuple):
    """What was measured of one network with one size of the population."""

    network: str
    population: int
    group: int  # candidates trained together on a device, at most
    nodes: int
    steps: int
    rounds: int
    candidate_steps_per_second: Spread
    candidates_per_second: float  # at the task's own number of steps
    gemm_share: Spread  # arithmetic a second, over that of one large matrix product in the same round
    gflop_per_candidate_step: float
    compilations: int
    compile_seconds: float
    memory_bytes: int  # peak so far: of the device, or on CPU of the process


class BenchmarkPlan(NamedTuple):
    """What is to be measured; ``planned`` makes one whose numbers are in range."""

    network: str
    task: Callable[[], Task]
    population: int
    nodes: int
    steps: int
    rounds: int
    group: int | None


def planned(
    network: str,
    population: int | None = None,
    *,
    nodes: int = 16,
    steps: int | None = None,
    rounds: int = 5,
    group: int | None = None,
) -> BenchmarkPlan:
    """A measurement of a population on a network.

    Args:
      network: a key of ``NETWORKS``, or the task of a user's own ``path/to/file.py:function``.
      population: candidates; the network's own number if left out.
      nodes: of each candidate's loss.
      steps: of a candidate in a round; the network's own number if left out.
      rounds: how often it is trained; the first training, which compiles, is not among them.
      group: candidates trained together on a device, at most; the task's own choice if left out.

    Raises:
      ValueError: an unknown network, or a number out of its range.
    """
    if network in NETWORKS:
        work = NETWORKS[network]
    elif ":" in network:
        task = tasks.task_by_name(network)
        work = Work(lambda: task, 80, min(task.steps, 100))
    else:
        raise ValueError(
            f"network {network!r} is not known; allowed are {', '.join(NETWORKS)} or path/to/file.py:function."
        )
    plan = BenchmarkPlan(
        network, work.task, work.population if population is None else population, nodes,
        work.steps if steps is None else steps, rounds, group,
    )  # fmt: skip
    for field in ("population", "steps", "rounds", "group"):
        value = getattr(plan, field)
        if value is not None and value < 1:
            raise ValueError(f"{field} is {value}; it must be at least 1.")
    if not NODES[0] <= nodes <= NODES[1]:
        raise ValueError(f"nodes is {nodes}; {NODES[0]} to {NODES[1]} are allowed.")
    return plan


def measure(plan: BenchmarkPlan) -> Speed:
    """Train the population again and again, a large matrix product before each time."""
    task = plan.task()
    task = task if plan.group is None else dataclasses.replace(task, group=plan.group)
    trainer = Trainer(task, instructions=programs.room(plan.nodes - 1))
    different = losses(min(plan.population, 80), plan.nodes)
    population = list(itertools.islice(itertools.cycle(different), plan.population))
    candidates = trainer.candidates(population, [0] * plan.population)
    gemm, gflop = _gemm(), gflop_per_step(task)
    with _compile_seconds() as compiling:
        # Half of them are left out on the way, so that every program is there before the first round.
        trainer.train(candidates, [1, 2], keep=lambda scores: np.arange(plan.population) % 2 == 0)
    speeds, shares = [], []
    for _ in range(plan.rounds):
        rate = gemm()
        started = time.perf_counter()
        taken = trainer.train(candidates, [plan.steps]).steps
        speeds.append(float(taken.sum()) / (time.perf_counter() - started))
        shares.append(speeds[-1] * gflop / rate)
    return Speed(
        plan.network, plan.population, trainer.plan.sizes[-1], plan.nodes, plan.steps, plan.rounds, _spread(speeds),
        float(np.median(speeds)) / task.steps, _spread(shares), gflop, trainer.compilations, sum(compiling),
        _peak_memory(),
    )  # fmt: skip


def as_json(machine: dict[str, Any], speeds: Sequence[Speed]) -> dict[str, Any]:
    """The figures as JSON's types."""

    def plain(value: Any) -> Any:
        return {name: plain(part) for name, part in value._asdict().items()} if hasattr(value, "_asdict") else value

    return {"schema": 1, "machine": machine, "speeds": [plain(speed) for speed in speeds]}


def gflop_per_step(task: Task) -> float:
    """Products and convolutions of one network's step, forwards and backwards, in 10^9 nominal operations."""

    def step(params: Any, state: Any, x: jax.Array) -> Any:
        def logits(params: Any) -> jax.Array:
            return task.pure_model.apply(params, state, x, jax.random.key(0), True)[0]

        value, backward = jax.vjp(logits, params)
        return backward(value)

    traced = jax.make_jaxpr(step)(*models.shapes(task.pure_model), task.batch).jaxpr
    return _operations(partial_eval.dce_jaxpr(traced, [True] * len(traced.outvars))[0]) / 1e9


def _operations(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        inputs, output = [variable.aval.shape for variable in equation.invars], equation.outvars[0].aval
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            total += 2 * output.size * math.prod(inputs[0][axis] for axis in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            kernel = equation.params["dimension_numbers"].rhs_spec
            # The gradient by the input of a layer with strides is a convolution of a dilated input, mostly zeros.
            zeros = math.prod(equation.params["lhs_dilation"])
            total += 2 * output.size * math.prod(inputs[1]) // inputs[1][kernel[0]] // zeros
        else:
            total += equation.params.get("length", 1) * sum(map(_operations, grouping.inner_jaxprs(equation)))
    return total


def _gemm() -> Callable[[], float]:
    """A measurement of this machine's rate of one large matrix product, in 10^9 operations a second."""
    devices = all_devices()
    matrices = [jax.device_put(np.ones((_GEMM_SIZE, _GEMM_SIZE), np.float32), device) for device in devices]
    if devices[0].platform == "cpu":
        matrices = matrices[:1]  # which takes all cores
    product = jax.jit(jnp.matmul)

    def seconds() -> float:
        started = time.perf_counter()
        jax.block_until_ready([product(matrix, matrix) for matrix in matrices])
        return time.perf_counter() - started

    def rate() -> float:
        taken = [seconds() for _ in range(6)][1:]  # the first may compile
        return 2 * _GEMM_SIZE**3 * len(matrices) / float(np.median(taken)) / 1e9

    return rate


@contextmanager
def _compile_seconds() -> Iterator[list[float]]:
    """Seconds of every compilation, or of reading its result from the disk, that happens meanwhile."""
    found: list[float] = []

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def _spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.median(values)), min(values), max(values))


def _peak_memory() -> int:
    device = all_devices()[0]
    if device.platform != "cpu":
        return int((device.memory_stats() or {}).get("peak_bytes_in_use", 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    devices = all_devices()
    return {
        "devices": len(devices),
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "cores": os.cpu_count(),
        "jax": jax.__version__,
    }
