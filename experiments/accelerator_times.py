"""How fast an accelerator trains populations, and what of it is whose time.

``accelerator.py`` runs these. Each function gives what it measured as JSON's types; times are in seconds, rates in
candidate-steps a second unless a name says otherwise.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import optax
from accelerator_values import LAYERS, OPERATIONS

import glojax
from glojax import benchmark
from glojax.discovery.results import Event
from glojax.expressions import programs
from glojax.expressions.programs import Program
from glojax.models import autotune
from glojax.seeds import named_random
from glojax.training import gradients
from glojax.training.gradients import Gradient

PRECISIONS = ("default", "highest", "tensorfloat32", "bfloat16")


def matrix_product(size: int | None) -> dict[str, Any]:
    """The rate of a large matrix product in every precision, in 10^12 operations a second."""
    found = {}
    for precision in PRECISIONS:
        with jax.default_matmul_precision(precision):
            found[precision] = benchmark.matrix_product(size)() / 1e3
    return {"teraflop a second": found}


def population(network: str, candidates: int, steps: int, rounds: int) -> dict[str, Any]:
    """Different losses on a network of ``benchmark.NETWORKS``."""
    plan = benchmark.planned(network, candidates, steps=steps, rounds=rounds)
    speed = benchmark.measure(plan)
    rate = speed.candidate_steps_per_second
    return {
        "candidates": candidates,
        "steps": steps,
        "group": speed.group,
        "candidate-steps a second": rate._asdict(),
        "seconds": candidates * steps / rate.median,
        "share of a matrix product": speed.gemm_share.median,
        "compiling": speed.compile_seconds,
        "programs": speed.compilations,
        "memory, bytes": speed.memory_bytes,
    }


def interpreter(candidates: int, nodes: Sequence[int], repeats: int) -> dict[str, Any]:
    """Microseconds of the gradient of every candidate's own loss, and of one fixed loss, on a batch of digits."""
    random = named_random(0, "accelerator")
    outputs = random.normal(size=(candidates, 32, 10)).astype(np.float32)
    labels = np.eye(10, dtype=np.float32)[np.arange(32) % 10]
    found: dict[str, Any] = {"candidates": candidates}

    def microseconds(gradient: Gradient, size: int) -> float:
        different = benchmark.losses(min(80, candidates), size)
        chosen = [different[place % len(different)] for place in range(candidates)]
        return 1e6 * _seconds_each(gradient, programs.encode(chosen, instructions=31), outputs, labels, repeats)

    for size in nodes:
        found[f"own losses of {size} nodes"] = microseconds(gradients.program_gradient(False), size)
    return found | {"one fixed loss": microseconds(gradients.fixed_gradient(optax.softmax_cross_entropy), nodes[0])}


def _seconds_each(gradient: Gradient, program: Program, outputs: np.ndarray, labels: np.ndarray, repeats: int) -> float:
    """Shortest time of one call, of several runs of a loop in which each needs the one before."""
    call = jax.vmap(gradient, in_axes=(0, 0, None, None))

    @jax.jit
    def run(program: Program, outputs: jax.Array, labels: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, repeats, lambda _, z: z - 1e-3 * call(program, z, labels, None)[0], outputs)

    return _shortest(lambda: run(program, outputs, labels)) / repeats


def _shortest(run: Callable[[], Any], times: int = 4) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        jax.block_until_ready(run())
        taken.append(time.perf_counter() - started)
    return min(taken[1:])


def convolution_forms(layers: Sequence[str], networks: int, batch: int | None) -> dict[str, Any]:
    """Milliseconds of every form of a population's convolutions; none where it does not fit the memory."""
    found: dict[str, Any] = {"networks": networks}
    for name in layers:
        for operation in OPERATIONS:
            given = LAYERS[name] if batch is None else LAYERS[name]._replace(batch=batch)
            shapes = [jax.ShapeDtypeStruct(shape, np.float32) for shape in given.shapes(operation, networks)]
            for form, function in given.forms(operation).items():
                taken = 1e3 * autotune.seconds_of(function, shapes)
                found[f"{name}, {operation}, {form}"] = taken if np.isfinite(taken) else None
    return found


def host_share(config: glojax.SearchConfig, steps: int) -> dict[str, Any]:
    """Seconds of every generation of a search on digits, and what of them is not training.

    A search before it compiles everything.
    """
    task = glojax.tasks.digits(steps=steps)
    glojax.search(task, config)
    ended, generations = [time.perf_counter()], []

    def on_event(event: Event) -> None:
        ended.append(time.perf_counter())
        training = sum(record.seconds for record in event.records)
        generations.append({"seconds": ended[-1] - ended[-2], "training": training, **event.funnel})

    # Another seed draws other trees; the first time is also that of the baseline.
    glojax.search(task, replace(config, seed=config.seed + 1), on_event=on_event)
    later = generations[1:] or generations
    whole = sum(one["seconds"] for one in later)
    share = 1 - sum(one["training"] for one in later) / whole
    return {"generations": generations, "host share, without the first": share}


def beside_pytorch(network: str, population: int, steps: int, rounds: int) -> dict[str, Any]:
    """``side_by_side.py`` on this device; ``{"left out": why}`` where there is no PyTorch for it."""
    import side_by_side

    if side_by_side.torch is None:
        return {"left out": "torch is not installed"}
    if side_by_side.torch_device() == "cuda" and not side_by_side.torch.cuda.is_available():
        return {"left out": "torch has no CUDA"}
    options = side_by_side.parser_of_options().parse_args([])
    options.network, options.population, options.steps, options.rounds = network, population, steps, rounds
    return side_by_side.compared(side_by_side.completed(options))
