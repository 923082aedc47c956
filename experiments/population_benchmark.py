"""Population training against a Python loop of jitted steps: 80 different 16-node losses on the digits MLP.

Command: python experiments/population_benchmark.py [--batch-size 32] [--rounds 5]
Time: about 3 minutes on 2 CPU cores, most of it compiling the loop's 80 steps.

Both sides do the same work in the same run, in turns: every candidate takes SGD steps on the same minibatches,
data already on the device, compile time counted for neither. The loop calls, for each step and each candidate, one
jitted function: the gradient of the compiled loss through the network, and the update.

Predicted before measuring: a step of one candidate is 0.6 to 2 MFLOP, 5 to 20 us of arithmetic, so the loop pays
mostly for its calls (about 100 us each), and one program should win by 8 to 15 times at batch 32, by less at batch
100, where arithmetic weighs more. Found on the way: results of instructions in registers instead of a slot each
(2.3 times the interpreter's speed), reads and writes without bounds checks (2.6 times), activations as
[features, batch] (1.1 times the whole).
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from glojax import canonical, populations, tasks, trees
from glojax.losses import Loss
from glojax.seeds import named_random
from glojax.tasks import Task
from glojax.trees import Tree


def random_trees(count: int, size: int) -> list[Tree]:
    """Different trees of one size that hold x and y, drawn by the paper's rule."""
    random, found = named_random(0, "benchmark"), {}
    while len(found) < count:
        tree = trees.grow(random, int(random.integers(2, 7)))
        if tree.size == size and tree.has_x_and_y:
            found.setdefault(canonical.canonical(tree), tree)
    return list(found.values())


def python_loop(task: Task, population: list[Tree], steps: int) -> Callable[[], None]:
    """A run of one jitted step after another, for every minibatch and every candidate."""
    model, (x, labels) = task.pure_model, map(jnp.asarray, task.splits["train"])
    places = populations._minibatches(jax.random.key(0), len(x), task.batch_size, steps)
    minibatches = [(x[chosen], labels[chosen]) for chosen in places]
    params, state = jax.jit(model.init)(jax.random.key(0))
    key = jax.random.key(0)

    def jitted_step(loss: Loss) -> Callable[..., tuple[Any, Any]]:
        def mean_loss(params: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
            logits, _ = model.apply(params, state, x, key, True)
            return jnp.mean(loss.with_integer_labels(logits, labels))

        @jax.jit
        def step(params: Any, optimizer_state: Any, x: jax.Array, labels: jax.Array) -> tuple[Any, Any]:
            gradient = jax.grad(mean_loss)(params, x, labels)
            updates, optimizer_state = task.optimizer.update(gradient, optimizer_state, params)
            return optax.apply_updates(params, updates), optimizer_state

        return step

    jitted = [jitted_step(Loss(tree)) for tree in population]

    def run() -> None:
        networks = [(params, task.optimizer.init(params))] * len(jitted)
        for minibatch in minibatches:
            networks = [step(*network, *minibatch) for step, network in zip(jitted, networks, strict=True)]
        jax.block_until_ready(networks)

    return run


def main() -> None:
    """Run both sides in turns and print candidate-steps a second and their ratio."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--batch-size", type=int, default=32)
    arguments.add_argument("--population", type=int, default=80)
    arguments.add_argument("--nodes", type=int, default=16)
    arguments.add_argument("--steps", type=int, default=500, help="of the population; the loop takes a tenth")
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    populations.use_all_cores()

    task = dataclasses.replace(tasks.digits(options.steps), batch_size=options.batch_size)
    population = random_trees(options.population, options.nodes)
    trainer = populations.trainer(task, populations.room(options.nodes - 1))
    candidates = trainer.candidates(population, [0] * len(population))
    sides = {
        "one program": (lambda: trainer.scores(candidates), options.steps),
        "Python loop": (python_loop(task, population, options.steps // 10), options.steps // 10),
    }
    print(f"{len(population)} losses of {options.nodes} nodes, batch {task.batch_size}, {jax.devices()}", flush=True)
    for run, _ in sides.values():
        run()
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, (run, steps) in sides.items():
            started = time.perf_counter()
            run()
            speeds[name].append(steps * len(population) / (time.perf_counter() - started))
    for name, found in speeds.items():
        print(f"{name:12} {np.median(found):10,.0f} candidate-steps a second (median of {options.rounds})")
    ratios = np.array(speeds["one program"]) / np.array(speeds["Python loop"])
    print(f"ratio        {np.median(ratios):10.1f} (median of rounds; {ratios.min():.1f} to {ratios.max():.1f})")


if __name__ == "__main__":
    main()
