"""How fast this machine trains populations: what ``glojax bench`` measures, with which losses and networks.

Speed is that of training alone, from a network's first step to its score; compilation is reported apart. Arithmetic is
the nominal count of products and convolutions in one step of one network (a convolution's padding counts as pixels),
compared with what one large matrix product reaches on the same machine in the same run.
"""

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
from glojax.expressions import canonical, programs, trees
from glojax.expressions.trees import Tree
from glojax.seeds import named_random
from glojax.tasks.task import Task
from glojax.training import grouping
from glojax.training.trainer import Trainer

NODES = (5, 64)
"""Fewest and most nodes of a loss."""

_GEMM_SIZES = {"cpu": 2048}
_GEMM_SIZE = 8192  # of other platforms, where a smaller product takes no longer than to start it


class Work(NamedTuple):
    """A network to train, with the size of a measurement that its user does not set."""

    task: Callable[[], Task]
    population: int  # candidates
    steps: int  # of each candidate in a round


def _images(model: Any, shape: tuple[int, int, int], batch_size: int, ink: float, name: str) -> Task:
    """A task of random images of a data set's shape: speed does not depend on what they show."""
    random = named_random(0, "images")
    x = random.random((1200, *shape), np.float32)
    x *= random.random(x.shape) < ink
    labels = random.integers(0, 10, len(x))
    return Task(
        model,
        (x[:1000], labels[:1000]),
        (x[1000:], labels[1000:]),
        optimizer=optax.sgd(0.01),
        batch_size=batch_size,
        steps=2000,
        name=name,
    )


NETWORKS: dict[str, Work] = {
    "mlp": Work(tasks.digits, 80, 500),
    "cnn": Work(lambda: tasks.digits(network="cnn"), 80, 100),
    "paper": Work(lambda: _images(models.PaperCNN(), (28, 28, 1), 100, 0.2, "paper"), 4, 50),
    "cifar": Work(lambda: _images(models.CifarCNN(), (24, 24, 3), 128, 1.0, "cifar"), 4, 20),
    "allcnn": Work(lambda: _images(models.AllCNN(), (32, 32, 3), 128, 1.0, "allcnn"), 4, 2),
    "resnet": Work(lambda: _images(models.ResNet20(), (32, 32, 3), 128, 1.0, "resnet"), 4, 5),
}
"""What can be measured by name.

The digits networks have a batch of 32. The networks of arXiv 1905.11528 train on random images of MNIST's shape (batch
100) and of CIFAR-10's as the paper crops them; All-CNN-C and ResNet-20 on images of CIFAR-10's own shape (batch 128).
"""


@lru_cache
def losses(count: int, nodes: int) -> tuple[Tree, ...]:
    """Find different losses of one size that train the digits network to the end, as few random trees do.

    Args:
      count: losses wanted.
      nodes: nodes of each tree.

    Returns:
      Sums of small random trees that train to the end; fewer than ``count`` if no more are found.
    """
    random = named_random(0, "benchmark", nodes)
    trainer = Trainer(tasks.digits(), instructions=programs.room(nodes - 1))
    drawn = (trees.grow(random, int(random.integers(2, 5))) for _ in range(2000))
    pieces = _that_train(trainer, (tree for tree in drawn if tree.has_x_and_y and tree.size <= min(nodes, 9)))
    sums = (_sum(random, pieces, nodes) for _ in range(6 * count))
    return tuple(_that_train(trainer, (tree for tree in sums if tree.size == nodes))[:count])


def _sum(random: np.random.Generator, pieces: list[Tree], nodes: int) -> Tree:
    """A sum of random pieces with ``nodes`` nodes, or fewer where no piece fits."""
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
    """The result for one network and one size of the population."""

    network: str
    population: int
    group: int  # candidates trained together on a device, at most
    nodes: int  # of each loss
    steps: int  # of each candidate in a round
    rounds: int
    candidate_steps_per_second: Spread
    candidates_per_second: float  # at the task's own number of steps
    gemm_share: Spread  # arithmetic per second, divided by that of one large matrix product in the same round
    gflop_per_candidate_step: float
    compilations: int
    compile_seconds: float
    memory_bytes: int  # peak so far, of the device or, on CPU, of the process


class BenchmarkPlan(NamedTuple):
    """What to measure; ``planned`` makes one whose numbers are in range."""

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
    task: Task | None = None,
) -> BenchmarkPlan:
    """Plan a measurement of a population on a network.

    Args:
      network: a key of ``NETWORKS``, or ``path/to/file.py:function`` for a task of the user's own.
      population: number of candidates. Defaults to the network's own.
      nodes: nodes of each candidate's loss.
      steps: steps of each candidate in a round. Defaults to the network's own.
      rounds: how often the population is trained, without the first training, which compiles.
      group: candidates trained together on a device, at most. Defaults to as many as fit.
      task: the task, whatever the network's name. Defaults to that of the name.

    Raises:
      ValueError: the network is unknown, or a number is out of range.
    """
    if task is None and network not in NETWORKS and ":" in network:
        task = tasks.task_by_name(network)
    if task is not None:
        found = task
        work = Work(lambda: found, 80, min(found.steps, 100))
    elif network in NETWORKS:
        work = NETWORKS[network]
    else:
        raise ValueError(
            f"network {network!r} is not known; allowed are {', '.join(NETWORKS)} or path/to/file.py:function."
        )
    plan = BenchmarkPlan(
        network=network,
        task=work.task,
        population=work.population if population is None else population,
        nodes=nodes,
        steps=work.steps if steps is None else steps,
        rounds=rounds,
        group=group,
    )
    for field in ("population", "steps", "rounds", "group"):
        value = getattr(plan, field)
        if value is not None and value < 1:
            raise ValueError(f"{field} is {value}; it must be at least 1.")
    if not NODES[0] <= nodes <= NODES[1]:
        raise ValueError(f"nodes is {nodes}; {NODES[0]} to {NODES[1]} are allowed.")
    return plan


def measure(plan: BenchmarkPlan) -> Speed:
    """Train the population once to compile, then once in every round, after a large matrix product."""
    task = plan.task()
    trainer = Trainer(task, instructions=programs.room(plan.nodes - 1), group=plan.group)
    different = losses(min(plan.population, 80), plan.nodes)
    population = list(itertools.islice(itertools.cycle(different), plan.population))
    candidates = trainer.candidates(population, [0] * plan.population)
    gemm, gflop = matrix_product(), gflop_per_step(task)
    with _compile_seconds() as compiling:
        # Half of the candidates are dropped on the way, so that every program is compiled before the first round.
        trainer.train(candidates, [1, 2], keep=lambda scores: np.arange(plan.population) % 2 == 0)
    speeds, shares = [], []
    for _ in range(plan.rounds):
        rate = gemm()
        started = time.perf_counter()
        taken = trainer.train(candidates, [plan.steps]).steps
        speeds.append(float(taken.sum()) / (time.perf_counter() - started))
        shares.append(speeds[-1] * gflop / rate)
    return Speed(
        network=plan.network,
        population=plan.population,
        group=trainer.plan.sizes[-1],
        nodes=plan.nodes,
        steps=plan.steps,
        rounds=plan.rounds,
        candidate_steps_per_second=_spread(speeds),
        candidates_per_second=float(np.median(speeds)) / task.steps,
        gemm_share=_spread(shares),
        gflop_per_candidate_step=gflop,
        compilations=trainer.compilations,
        compile_seconds=sum(compiling),
        memory_bytes=_peak_memory(),
    )


def as_json(machine: dict[str, Any], speeds: Sequence[Speed]) -> dict[str, Any]:
    """The results, and the machine they hold for (``machine``), as JSON's types."""

    def plain(value: Any) -> Any:
        return {name: plain(part) for name, part in value._asdict().items()} if hasattr(value, "_asdict") else value

    return {"schema": 1, "machine": machine, "speeds": [plain(speed) for speed in speeds]}


def gflop_per_step(task: Task) -> float:
    """Products and convolutions in one step of one network, forward and backward, in 10^9 nominal operations."""

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


def matrix_product(size: int | None = None) -> Callable[[], float]:
    """A function that measures the rate of one large matrix product, in 10^9 operations per second.

    Args:
      size: rows and columns. Defaults to 2,048 on a CPU and 8,192 elsewhere.
    """
    devices = all_devices()
    size = size or _GEMM_SIZES.get(devices[0].platform, _GEMM_SIZE)
    matrices = [jax.device_put(np.ones((size, size), np.float32), device) for device in devices]
    if devices[0].platform == "cpu":
        matrices = matrices[:1]  # one product uses all cores
    product = jax.jit(jnp.matmul)

    def seconds() -> float:
        started = time.perf_counter()
        jax.block_until_ready([product(matrix, matrix) for matrix in matrices])
        return time.perf_counter() - started

    def rate() -> float:
        taken = [seconds() for _ in range(6)][1:]  # the first may compile
        return 2 * size**3 * len(matrices) / float(np.median(taken)) / 1e9

    return rate


@contextmanager
def _compile_seconds() -> Iterator[list[float]]:
    """Collect the seconds of every compilation in this context, or of reading its result from the disk."""
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
    """The machine that the results hold for, as JSON's types."""
    devices = all_devices()
    return {
        "devices": len(devices),
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "cores": os.cpu_count(),
        "jax": jax.__version__,
    }
