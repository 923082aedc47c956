"""Whether an accelerator computes what a CPU does: the interpreter's kernel, forms of a convolution, a small search.

``accelerator.py`` runs these. Each function gives what it found as JSON's types; ``passed`` says whether that is within
rounding. Products are those of ``"highest"`` precision, as the default of an accelerator rounds to fewer bits.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import glojax
from glojax.distributed.devices import all_devices
from glojax.executors.protocol import Executor
from glojax.expressions import grammar, interpreter_kernels, programs, trees
from glojax.expressions.programs import Program
from glojax.models import convolutions
from glojax.seeds import named_random
from glojax.training.trainer import Trainer

_EXTREMES = (1e-9, 1e-6, 1 - 1e-6, 1 - 1e-9)
_LEAST_AGREEING = 0.999  # share of the points; a difference of large numbers may lose all digits

Pair = tuple[jax.Array, jax.Array]


class Layer(NamedTuple):
    """A convolution of a network, with strides of 1 and as many outputs as inputs along height and width."""

    batch: int
    side: int  # height and width
    inputs: int
    outputs: int
    window: int
    shared: bool = False  # whether all networks have the same inputs

    @property
    def padding(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Before and after, of height and width."""
        half = self.window // 2
        return (half, half), (half, half)

    def forms(self, operation: str) -> dict[str, Callable[[jax.Array, jax.Array], jax.Array]]:
        """The forms of an operation for a population, by name."""
        return convolutions.accelerator_forms(operation, (self.window, self.window), self.padding, shared=self.shared)

    def shapes(self, operation: str, networks: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of inputs, and of kernels or gradients of the outputs."""
        x = (self.batch, self.side, self.side, self.inputs)
        kernel = (self.window, self.window, self.inputs, self.outputs)
        other = kernel if operation == "forward" else (*x[:3], self.outputs)
        return (x if self.shared else (networks, *x)), (networks, *other)


LAYERS = {
    "digits, second": Layer(32, 4, 16, 32, 3),
    "paper, first": Layer(100, 28, 1, 32, 5, shared=True),
    "paper, second": Layer(100, 14, 32, 64, 5),
}
OPERATIONS = ("forward", "kernel_gradient")


# THE INTERPRETER


def interpreter(count: int) -> dict[str, Any]:
    """Values and slopes of random trees of up to 64 nodes on the device, beside those of a CPU.

    On a CPU the kernel of a GPU is interpreted. 64 bits, which a TPU's kernel does not have, leave no doubt about what
    is rounding.
    """
    platform = all_devices()[0].platform
    kinds = {"cpu": ("float64",), "tpu": ("float32",)}.get(platform, ("float32", "float64"))
    found = {}
    for protected in (False, True):
        for kind in kinds:
            with jax.enable_x64(kind == "float64"):
                name = f"{kind}, protected" if protected else kind
                found[name] = _interpreted(_programs(count, kind), protected, kind, platform)
    return {**found, "trees": count, "passed": all(one["agree"] >= _LEAST_AGREEING for one in found.values())}


def _programs(count: int, kind: str) -> Program:
    random, population = named_random(0, "accelerator"), []
    while len(population) < count:
        tree = trees.grow(random, int(random.integers(2, 7)))
        if tree.size <= 64 and tree.depends_on("y"):
            population.append(tree)
    return programs.encode(population, instructions=63, dtype=np.dtype(kind))


def _interpreted(program: Program, protected: bool, kind: str, platform: str) -> dict[str, Any]:
    y = np.array([*_EXTREMES, *np.linspace(0.02, 0.98, 25)], kind)
    x, y = (part.ravel() for part in np.meshgrid(np.array([0, 1, 0.3], kind), y))
    run = jax.jit(jax.vmap(partial(programs.value_and_slope, protected=protected), in_axes=(0, None, None)))
    cpu = jax.devices("cpu")[0]
    expected = [np.asarray(part) for part in run(*jax.device_put((program, x, y), cpu))]
    if platform == "cpu":
        kernel = jax.jit(partial(interpreter_kernels.on_gpu, grammar.operators(protected), interpret=True))
        found: Any = kernel([*map(jnp.asarray, program)], x[None], y[None])[:2]
    else:
        found = run(*jax.device_put((program, x, y), all_devices()[0]))
    return agreement(found, expected, 1e-4 if kind == "float32" else 1e-9)


def agreement(found: Any, expected: list[np.ndarray], tolerance: float) -> dict[str, Any]:
    """How far values agree.

    Returns:
      ``agree``: the share of points where they do within a relative ``tolerance``, infinities and NaN included;
      ``largest``: the largest relative difference of finite ones.
    """
    one, other = (np.concatenate([np.asarray(part, float).ravel() for part in side]) for side in (found, expected))
    finite = np.isfinite(one) & np.isfinite(other)
    agree = np.isclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)
    apart = np.abs(one[finite] - other[finite]) / np.maximum(np.abs(other[finite]), 1)
    return {"agree": float(agree.mean()), "largest": float(apart.max(initial=0)), "points": int(one.size)}


# CONVOLUTIONS


def convolution_forms(layers: Sequence[str], networks: int, batch: int) -> dict[str, Any]:
    """The error of every form over the size of the result, in ``"highest"`` and in the default precision."""
    found: dict[str, Any] = {}
    for name in layers:
        for operation in OPERATIONS:
            given = LAYERS[name]._replace(batch=batch)
            random = named_random(0, "accelerator", name, operation)
            a, b = (random.normal(size=shape).astype(np.float32) for shape in given.shapes(operation, networks))
            expected = _reference(given, operation, a, b)
            for form, function in given.forms(operation).items():
                errors = {}
                for precision in ("highest", "default") if all_devices()[0].platform != "cpu" else ("highest",):
                    with jax.default_matmul_precision(precision):
                        result = np.asarray(jax.jit(lambda a, b, run=function: run(a, b))(a, b), float)
                    errors[precision] = float(np.linalg.norm(result - expected) / np.linalg.norm(expected))
                found[f"{name}, {operation}, {form}"] = errors
    return {**found, "passed": all(one["highest"] < 1e-5 and one.get("default", 0) < 1e-2 for one in found.values())}


def _reference(layer: Layer, operation: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The operation by JAX's own convolution in 64 bits on a CPU, one network after another."""
    layout = ("NHWC", "HWIO", "NHWC")

    def forward(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), layer.padding, dimension_numbers=layout)

    def one(x: jax.Array, other: jax.Array) -> jax.Array:
        if operation == "forward":
            return forward(x, other)
        kernel = jnp.zeros((layer.window, layer.window, layer.inputs, layer.outputs), x.dtype)
        return jax.vjp(partial(forward, x), kernel)[1](other)[0]

    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        run = jax.jit(one)
        pairs = zip([a] * len(b) if layer.shared else a, b, strict=True)
        return np.stack([np.asarray(run(x.astype(float), other.astype(float))) for x, other in pairs])


# A SEARCH


def search(config: glojax.SearchConfig, steps: int) -> dict[str, Any]:
    """A search on digits, beside the same on this machine's CPU.

    Rounding may order two candidates otherwise, and then the generations that follow differ. So the first one has to be
    nearly the same, and the found losses have to be worth the same.
    """

    @lru_cache
    def trainer(task: glojax.Task, instructions: int, protected: bool, loss: Any, group: int | None) -> Trainer:
        devices = jax.devices("cpu")[:1]
        return Trainer(task, instructions=instructions, protected=protected, loss=loss, group=group, devices=devices)

    def on_cpu(
        task: glojax.Task, *, instructions: int = 1, protected: bool = False, loss: Any = None, group: int | None = None
    ) -> Trainer:
        return trainer(task, instructions, protected, loss, group)

    def run(executor: Executor | None) -> Any:
        return glojax.search(glojax.tasks.digits(steps=steps), config, executor=executor)

    with jax.default_matmul_precision("highest"):
        found = run(None)
        with jax.default_device(jax.devices("cpu")[0]):
            expected = run(on_cpu)
    first, known = ({one.expression: one.fitness for one in result.record[0]} for result in (found, expected))
    both = first.keys() & known.keys()
    apart = [abs(first[expression] - known[expression]) for expression in both]
    shared, median = len(both) / len(known), float(np.median(apart)) if both else 1.0
    return {
        "shared": shared,  # of the first generation
        "median difference": median,  # of the fitness of what is shared
        "largest difference": max(apart, default=1.0),
        "found": [str(result.best) for result in (found, expected)],
        "fitness": [result.fitness for result in (found, expected)],
        "passed": shared >= 0.9 and median < 0.005 and abs(found.fitness - expected.fitness) < 0.02,
    }
