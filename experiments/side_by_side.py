"""A population of losses trained by glojax, by a loop of jitted JAX steps, by PyTorch and by torch.func, in turns.

Makes: candidate-steps per second of every side, and glojax's ratio over each of the others.
Command: python experiments/side_by_side.py [--network mlp|cnn|paper] [--loss trees|cross_entropy] [--json FILE]
Time: about 1 minute on 2 CPU cores with mlp, 3 with cnn, 10 with paper.
All sides share one device: PyTorch takes a GPU where JAX does. Both must have it, or neither (JAX_PLATFORMS=cpu).

Every candidate has its own loss and network and takes plain SGD steps in float32, on minibatches of one size from one
data set. Compilation counts for no side. The sides:

  glojax      one program for the whole population. Here, and in fixed, the time includes initialization, drawing the
              minibatches and scoring on the validation set.
  fixed       the same with one loss for all, optax's cross-entropy: it shows what different losses cost.
  loop        one jitted JAX step for every candidate and minibatch, with Flax's own layers (pooling is glojax's, which
              is faster).
  torch       one eager step of PyTorch for every candidate and minibatch; convolutions are channels last, which is
              faster.
  torch.func  torch.func.vmap of the network over a chunk of candidates; softmax once, then each candidate's own loss
              on its slice; one backward pass of their sum and one update of the stacked parameters. With --loss
              cross_entropy the loss is inside vmap too.

All losses train to the end, so that no side saves work on candidates that died. Before timing, loop, torch and
torch.func must change the parameters alike in five steps without dropout, in float64 so that rounding does not grow;
the tests compare glojax with a loop.
"""

import argparse
import collections
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from torch_sides import torch, torch_device, torch_loop, torch_network, torch_state, torch_vmap

from glojax import benchmark, files, models
from glojax.distributed.devices import all_devices
from glojax.expressions import parsing, programs
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.seeds import named_random
from glojax.tasks.task import Task
from glojax.training.trainer import Trainer

SIDES = ("glojax", "fixed", "loop", "torch", "torch.func")
CHUNKS = {"mlp": 80, "cnn": 40, "paper": 1}  # candidates; the fastest for torch.func on 2 CPU cores
CHECKED_LOSSES, CHECKED_STEPS, TOLERANCE = ("x * log(y)", "log(y) - x / y", "x * sqrt(y)"), 5, 1e-6


# WORK


class Network(nn.Module):
    """SAME convolutions, each with 2x2 max pooling and ReLU, then a hidden layer, dropout and 10 classes."""

    channels: tuple[int, ...]
    window: int
    hidden: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for width in self.channels:
            x = nn.relu(models.max_pool(nn.Conv(width, (self.window, self.window))(x)))
        x = nn.relu(nn.Dense(self.hidden)(x.reshape(len(x), -1)))
        return nn.Dense(10)(nn.Dropout(self.dropout, deterministic=not train)(x))


NETWORKS = {"mlp": Network((), 0, 64), "cnn": Network((16, 32), 3, 64), "paper": Network((32, 64), 5, 1024, 0.4)}


class Work(NamedTuple):
    """The work of loop, torch and torch.func."""

    task: Task  # its model is a Network
    params: Any  # where every candidate starts
    minibatches: list[tuple[np.ndarray, np.ndarray]]  # float32[batch, height, width, channels], int32[batch]
    population: list[Tree | None]  # None is the library's own cross-entropy
    chunk: int  # candidates that torch.func stacks
    train: bool = True  # with dropout


def work_of(task: Task, population: list[Tree | None], steps: int, chunk: int) -> Work:
    """The work of the three sides, with weights and minibatches drawn once."""
    (x, labels), random = task.splits["train"], named_random(0, "minibatches")
    places = [random.choice(len(x), task.batch_size, replace=False) for _ in range(steps)]
    params, _ = jax.jit(task.pure_model.init)(jax.random.key(0))
    return Work(task, params, [(x[chosen], labels[chosen]) for chosen in places], population, chunk)


# JAX


def jax_loop(work: Work) -> Callable[[int], Iterator[Any]]:
    """A run of a number of steps that yields each candidate's parameters; its data is on the device beforehand."""
    jitted = {tree: jitted_step(work, tree) for tree in set(work.population)}
    minibatches = [(jnp.asarray(x), jnp.asarray(labels)) for x, labels in work.minibatches]
    keys = list(jax.random.split(jax.random.key(0), len(minibatches)))

    def run(steps: int) -> Iterator[Any]:
        for tree in work.population:
            params, optimizer_state = work.params, work.task.optimizer.init(work.params)
            for minibatch, key in zip(minibatches[:steps], keys, strict=False):
                params, optimizer_state = jitted[tree](params, optimizer_state, *minibatch, key)
            yield jax.block_until_ready(params)

    return run


def jitted_step(work: Work, tree: Tree | None) -> Callable[..., tuple[Any, Any]]:
    loss = Loss(tree).with_integer_labels if tree else optax.softmax_cross_entropy_with_integer_labels

    def mean_loss(params: Any, x: jax.Array, labels: jax.Array, key: jax.Array) -> jax.Array:
        logits, _ = work.task.pure_model.apply(params, {}, x, key, work.train)
        return jnp.mean(loss(logits, labels))

    @jax.jit
    def step(params: Any, optimizer_state: Any, *minibatch: jax.Array) -> tuple[Any, Any]:
        gradient = jax.grad(mean_loss)(params, *minibatch)
        updates, optimizer_state = work.task.optimizer.update(gradient, optimizer_state, params)
        return optax.apply_updates(params, updates), optimizer_state

    return step


OTHERS = {"loop": jax_loop, "torch": torch_loop, "torch.func": torch_vmap}


def check_equal_work(work: Work, chosen: Iterable[str]) -> None:
    """Raise RuntimeError unless the sides change each array of parameters alike, from one start, without dropout."""
    cross_entropy = work.population[0] is None
    work = work._replace(
        params=jax.tree.map(np.float64, work.params),
        minibatches=[(x.astype(np.float64), labels) for x, labels in work.minibatches[:CHECKED_STEPS]],
        population=[None if cross_entropy else parsing.parse(text) for text in CHECKED_LOSSES],
        train=False,
    )
    module = torch_network(work)
    start = torch_state(work.params, module)
    with jax.enable_x64(True):
        expected = [torch_state(params, module) for params in jax_loop(work)(CHECKED_STEPS)]
    for side in chosen:
        for params, state in zip(expected, OTHERS[side](work)(CHECKED_STEPS), strict=True):
            for name, value in params.items():
                difference = np.linalg.norm(state[name].cpu().numpy() - value) / np.linalg.norm(value - start[name])
                if not difference <= TOLERANCE:
                    raise RuntimeError(f"{side}: {name} differs from the loop's by {difference:.1e} of its change.")


# TIMING


Side = tuple[Callable[[int], Iterable[Any]], int]
"""A run to time, called with a number of steps, and that number; glojax always takes all of its own."""


def sides_of(options: argparse.Namespace) -> dict[str, Side]:
    """The chosen sides, checked to do equal work."""
    task = benchmark.NETWORKS[options.network].task()
    task = replace(task, steps=options.steps, batch_size=options.batch_size)
    plain = replace(task, model=NETWORKS[options.network])
    shapes = [jax.eval_shape(side.pure_model.init, jax.random.key(0)) for side in (task, plain)]
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(shape)) for shape in shapes]
    if sizes[0] != sizes[1]:
        raise RuntimeError(f"glojax's network has {sizes[0]} weights, the others' {sizes[1]}.")
    different = options.loss == "trees"
    count = options.population
    population = benchmark.losses(count, options.nodes) if different else [parsing.parse("x * log(y)")] * count
    if len(population) < count:
        raise SystemExit(f"only {len(population)} losses of {options.nodes} nodes were found that train.")
    sides: dict[str, Side] = {}
    if "glojax" in options.sides:
        trainer = Trainer(task, instructions=programs.room(options.nodes - 1))
        candidates = trainer.candidates(population, [0] * count)
        sides["glojax"] = (lambda _: trainer.scores(candidates), options.steps)
    if "fixed" in options.sides:
        fixed = Trainer(task, loss=optax.softmax_cross_entropy)
        unused = fixed.candidates([Tree("y")] * count, [0] * count)
        sides["fixed"] = (lambda _: fixed.scores(unused), options.steps)
    steps = max(CHECKED_STEPS, options.steps // 10)
    work = work_of(plain, list(population) if different else [None] * count, steps, options.chunk)
    if options.with_torch:
        check_equal_work(work, [side for side in options.sides if "torch" in side])
    return sides | {name: (OTHERS[name](work), steps) for name in OTHERS if name in options.sides}


def measure(sides: dict[str, Side], rounds: int, candidates: int) -> dict[str, list[float]]:
    """Candidate-steps per second of every side in every round; the sides alternate."""

    def seconds(run: Callable[[int], Iterable[Any]], steps: int) -> float:
        started = time.perf_counter()
        collections.deque(run(steps), maxlen=0)  # loop and torch yield each candidate when it is done
        if torch_device() == "cuda" and torch is not None:
            torch.cuda.synchronize()
        return time.perf_counter() - started

    for run, _ in sides.values():
        seconds(run, 1)
    found = [{name: seconds(*side) for name, side in sides.items()} for _ in range(rounds)]
    return {name: [steps * candidates / taken[name] for taken in found] for name, (_, steps) in sides.items()}


def spread(values: Any) -> dict[str, float]:
    return {"median": float(np.median(values)), "min": float(np.min(values)), "max": float(np.max(values))}


def parser_of_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", nargs="+", choices=SIDES, help="all by default")
    parser.add_argument("--network", choices=tuple(NETWORKS), default="mlp")
    parser.add_argument("--loss", choices=("trees", "cross_entropy"), default="trees")
    parser.add_argument("--batch-size", type=int, help="default: the network's own, 32 or, of paper, 100")
    parser.add_argument("--population", type=int, help="default: 80, of paper 4")
    parser.add_argument("--nodes", type=int, default=16, help="nodes of each tree")
    parser.add_argument("--steps", type=int, help="steps of glojax and fixed; the other sides take a tenth")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunk", type=int, help=f"candidates that torch.func stacks, by default {CHUNKS}")
    parser.add_argument("--torch-threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--json", metavar="FILE", help="file for the result")
    return parser


def completed(options: argparse.Namespace) -> argparse.Namespace:
    """The options with the defaults that depend on others."""
    default = benchmark.NETWORKS[options.network]
    options.sides = options.sides or list(SIDES)
    options.population = options.population or default.population
    options.steps = options.steps or default.steps
    options.batch_size = options.batch_size or default.task().batch_size
    options.chunk = options.chunk or CHUNKS[options.network]
    options.with_torch = any("torch" in side for side in options.sides)
    if options.with_torch and torch is None:
        raise SystemExit("side_by_side needs PyTorch: pip install -e '.[torch]'")
    return options


def compared(options: argparse.Namespace) -> dict[str, Any]:
    """Candidate-steps a second of every side in all rounds, their spreads, and glojax's ratios over the others."""
    return compared_speeds(measure(sides_of(options), options.rounds, options.population))


def compared_speeds(speeds: dict[str, list[float]]) -> dict[str, Any]:
    """What ``measure`` found, with its spreads, and glojax's ratios over the other sides."""
    others = [name for name in speeds if name != "glojax" and "glojax" in speeds]
    return {
        "rounds": speeds,
        "candidate_steps_a_second": {name: spread(found) for name, found in speeds.items()},
        "ratio_of_glojax": {name: spread(np.divide(speeds["glojax"], speeds[name])) for name in others},
    }


def print_compared(result: dict[str, Any], rounds: int) -> None:
    """Print what ``compared_speeds`` found."""
    for name, found in result["candidate_steps_a_second"].items():
        print(f"{name:10} {found['median']:10,.0f} candidate-steps a second (median of {rounds})")
    for name, found in result["ratio_of_glojax"].items():
        of_rounds = f"(median of rounds; {found['min']:.2f} to {found['max']:.2f})"
        print(f"ratio over {name:10} {found['median']:.2f} {of_rounds}")


def main() -> None:
    """Run the sides in turns and print their speeds and glojax's ratios."""
    options = completed(parser_of_options().parse_args())
    machine = {"devices": str(all_devices()), "cores": len(os.sched_getaffinity(0)), "jax": jax.__version__}
    if options.with_torch:
        torch.set_num_threads(options.torch_threads)
        machine |= {"torch": torch.__version__, "torch threads": torch.get_num_threads()}
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    loss = f"losses of {options.nodes} nodes" if options.loss == "trees" else "times cross-entropy"
    print(f"{options.population} {loss}, {options.network}, batch {options.batch_size}", flush=True)
    result = compared(options)
    print_compared(result, options.rounds)
    if options.json:
        written = {"machine": machine, "options": vars(options), **result}
        files.write_atomically(options.json, json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
