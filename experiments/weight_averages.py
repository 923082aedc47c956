"""How far the scores of one loss scatter over seeds, by the weights that are scored.

Makes: for each task, loss and way to average, the mean and standard deviation of the test score at the end of training
and at the two rungs before it, each at the rate that is best for that loss and that way.
Command: python experiments/weight_averages.py [--tasks digits noisy-digits noisy-mnist outliers] [--seeds 12]
With --cost 31 it measures what the default average costs instead.
Time: about 15 minutes on 2 CPU cores for the three tasks that need no download.

One training carries all averages at once, so that they are compared on the same weights. A decaying rate needs its own.
"""

import argparse
import dataclasses
import functools
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import study

from glojax import Task, benchmark, data, files, models, tasks
from glojax.discovery import scoring
from glojax.expressions import programs, trees
from glojax.losses.loss import Loss
from glojax.seeds import named_seed
from glojax.tasks import optimizers
from glojax.tasks.problems import KINDS
from glojax.training import gradients, learner
from glojax.training.trainer import Trainer

FOUND = ("sqrt(y) * (x - y)", "(x + square(y)) * log(square(y))", "(1 + (x + y)) * (y + sqrt(y))")
FOUND_REGRESSION = ("-1 * sqrt(1 + square(x - y))", "-1 * log(1 + square(x - y))", "-1 * sqrt(square(x - y) + 1) * 2")


def mnist_small(data_dir: Path | None) -> Task:
    """2,000 training images of MNIST at 14x14 pixels, 40% of their labels wrong, in a 196-64-10 network."""
    splits = data.mnist(data_dir)

    def halved(part: data.Split, count: int) -> tuple[np.ndarray, np.ndarray]:
        return study.half_size(part.x[:count]), part.labels[:count]

    task = Task(
        models.MLP((64, 10)), halved(splits.train, 2000), halved(splits.validation, 5000), halved(splits.test, 10_000),
        optimizer=optax.sgd(0.01), batch_size=32, steps=1000, name="mnist-2000",
    )  # fmt: skip
    return tasks.harder(task, label_noise=0.4)


def weights_of(steps: int) -> dict[str, Any]:
    """For each way to average, how far the average moves towards the weights after each step."""
    t = np.arange(1, steps + 1)
    ways: dict[str, Any] = {"last": np.ones(steps)}
    for decay in (0.9, 0.95, 0.98, 0.99, 0.995):
        ways[f"ema {decay}"] = (1 - decay) / (1 - decay**t)
    for share in (0.05, 0.1, 0.2, 0.3):
        ways[f"last {share:g} of t, polynomial"] = (1 / share) / (t + 1 / share - 1)
    for share in (0.1, 0.25):
        begin = steps - int(share * steps)
        ways[f"tail {share:g}"] = np.where(t <= begin, 1.0, 1 / np.maximum(1, t - begin))
    return ways


@functools.cache
def segment(task: Task, loss: Loss) -> Any:
    """A compiled function that takes trainings over some steps, and another that scores their averages."""
    gradient = gradients.fixed_gradient(loss)
    program = jax.tree.map(lambda leaf: leaf[0], programs.encode([trees.Tree("y")], None, 1))
    x, labels = task.splits["train"]

    def train(state: Any, seed: jax.Array, rate: jax.Array, places: jax.Array, moves: jax.Array, first: Any) -> Any:
        keys = learner.keys_of(seed)

        def one(number: Any, carried: Any) -> Any:
            network, averages = carried
            chosen = places[number - first]
            batch = learner.network_input(task, keys, number, jnp.asarray(x)[chosen])
            network = learner.step(
                task, gradient, network, program, rate, keys, number, batch, jnp.asarray(labels)[chosen]
            )
            move = moves[:, number]
            averages = jax.tree.map(
                lambda average, new: average + move.reshape(-1, *[1] * new.ndim) * (new[None] - average),
                averages, network.params,
            )  # fmt: skip
            return network, averages

        return jax.lax.fori_loop(first, first + len(places), one, state)

    def score(state: Any, seed: jax.Array) -> jax.Array:
        network, averages = state
        keys = learner.keys_of(seed)
        return jnp.stack([
            jax.vmap(lambda one, part=part: learner.score(task, network._replace(params=one), keys, *part))(averages)
            for part in (jax.tree.map(jnp.asarray, tuple(task.splits[name])) for name in ("validation", "test"))
        ])  # fmt: skip

    def start(seed: jax.Array, ways: int) -> Any:
        network = learner.start(task, learner.keys_of(seed))
        return network, jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (ways, *leaf.shape)), network.params)

    return (
        jax.jit(jax.vmap(start, in_axes=(0, None)), static_argnums=1),
        jax.jit(jax.vmap(train, in_axes=(0, 0, None, 0, None, None))),
        jax.jit(jax.vmap(score)),
    )


def trained(task: Task, loss: Loss, rate: float, seeds: list[int], moves: np.ndarray) -> np.ndarray:
    """Scores ``[stops, seeds, splits, ways]`` at a ninth, a third and the whole of the steps."""
    start, train, score = segment(task, loss)
    state, found, first = start(np.array(seeds, np.uint32), len(moves)), [], 0
    for last in (task.steps // 9, task.steps // 3, task.steps):
        places = np.stack([
            learner.minibatches(seed, len(task.splits["train"].labels), task.batch_size, first, last) for seed in seeds
        ])  # fmt: skip
        state = train(state, np.array(seeds, np.uint32), jnp.float32(rate), places, moves.astype(np.float32), first)
        found.append(np.asarray(score(state, np.array(seeds, np.uint32))))
        first = last
    return np.stack(found)


def at_best_rates(
    task: Task, loss: Loss, seeds: list[int], ways: dict[str, np.ndarray]
) -> dict[str, tuple[float, np.ndarray]]:
    """The rate with the best mean validation score for each way, and its test metric there, ``[stops, seeds]``."""
    tuning, moves = [named_seed(0, "rates", i) for i in range(6)], np.stack([*ways.values()])
    by_rate = np.stack([
        trained(task, loss, rate, tuning, moves)[-1, :, 0].mean(axis=0) for rate in scoring.RATES
    ])  # fmt: skip
    best = dict(zip(ways, by_rate.argmax(axis=0), strict=True))
    scores = {
        place: task.as_metric(trained(task, loss, scoring.RATES[place], seeds, moves)[:, :, 1])
        for place in {*best.values()}
    }
    return {
        way: (scoring.RATES[place], scores[place][:, :, number]) for number, (way, place) in enumerate(best.items())
    }


def cost(rounds: int) -> None:
    """Print how much longer a step of 80 digits networks takes with the default average, by turns."""
    different = benchmark.losses(80, 16)
    trainers = [Trainer(dataclasses.replace(tasks.digits(), averaging=share), instructions=15) for share in (0.0, 0.2)]
    seconds = np.zeros((rounds + 1, 2))
    for turn in range(rounds + 1):
        for place, trainer in enumerate(trainers):
            candidates = trainer.candidates(different, [0] * len(different))
            started = time.perf_counter()
            trainer.train(candidates, [500])
            seconds[turn, place] = time.perf_counter() - started
    ratios = seconds[1:, 1] / seconds[1:, 0]  # the first turn compiles
    low, high = ratios.min(), ratios.max()
    print(f"with averages a training takes {np.median(ratios):.3f} times as long ({low:.3f} to {high:.3f})")


def main() -> None:
    """Measure every task, and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = ("digits", "noisy-digits", "noisy-mnist", "outliers")
    parser.add_argument("--tasks", nargs="+", choices=known, default=[name for name in known if name != "noisy-mnist"])
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--data-dir", type=Path, help="folder of MNIST, as for glojax.data.mnist")
    parser.add_argument("--json", metavar="FILE", help="write all scores there too")
    parser.add_argument("--cost", type=int, metavar="ROUNDS", help="measure what averages cost instead, by turns")
    options = parser.parse_args()
    if options.cost:
        cost(options.cost)
        return
    made = {
        "digits": tasks.digits,
        "noisy-digits": lambda: tasks.harder(tasks.digits(), label_noise=0.4),
        "noisy-mnist": lambda: mnist_small(options.data_dir),
        "outliers": lambda: tasks.diabetes(outliers=0.2),
    }
    seeds, kept = [named_seed(0, "averages", i) for i in range(options.seeds)], []
    for name in options.tasks:
        task = dataclasses.replace(made[name](), averaging=0)  # the averages here are the script's own
        ways = weights_of(task.steps)
        expressions = FOUND_REGRESSION if task.problem is KINDS["regression"] else FOUND
        chosen = {task.problem.baseline_name: task.problem.baseline}
        chosen |= {text: task.loss(text) for text in expressions}
        for label, loss in chosen.items():
            decayed = optimizers.adapted(task.optimizer, task.steps, schedule="cosine")
            rows = at_best_rates(task, loss, seeds, ways)
            rows |= {
                "cosine": at_best_rates(
                    dataclasses.replace(task, optimizer=decayed), loss, seeds, {"last": ways["last"]}
                )["last"]
            }
            print(f"\n{task.name}, {label}")
            for way, (rate, scores) in rows.items():
                cells = [f"{stop.mean():.4f} ± {stop.std(ddof=1):.4f}" for stop in scores]
                print(f"  {way:28} x{rate:<5g}" + "   ".join(cells), flush=True)
                kept.append({"task": task.name, "loss": label, "rate": rate, "way": way, "scores": scores.tolist()})
    if options.json:
        files.write_atomically(options.json, json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
