"""Whether a smoother score than accuracy ranks the candidates of a search better for the same steps.

Makes: for each score, at a ninth, a third and all of the steps, how its ranking agrees with the true one, how often the
best losses are among the third that is kept, and how much worse the one on top is than the best.
Command: python experiments/smoother_scores.py [--task digits] [--seeds 16] [--splits 6]
With --task experiments/smoother_scores.py:small_mnist it is of MNIST instead, with :decaying_digits of digits with a
cosine decay of the rate and the last weights.
Time: about 10 minutes on 2 CPU cores.

The candidates are the losses of depth 2 that train, each at the three rates of a search, on the task as it is and with
40% wrong labels. Every training is scored in all ways at once. The true value of a loss is its mean test accuracy at
the end over the seeds that were not drawn. Every draw is of some seeds and of two thirds of the losses. The data is
split anew several times, and validation and test examples change places in turn; gains over accuracy are paired, and
their standard errors are over the splits.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import study
from matplotlib.figure import Figure
from scipy import stats

from glojax import ExhaustiveConfig, Task, data, exhaust, models, tasks
from glojax.discovery.fitness import FACTORS, Fitness
from glojax.executors import local
from glojax.expressions import programs
from glojax.expressions.trees import Tree
from glojax.seeds import named_random, named_seed
from glojax.tasks import metrics, optimizers
from glojax.training import learner
from glojax.training.trainer import Trainer

RUNGS = ("1/9", "1/3", "1")
DOZEN = 12
LABEL_NOISE = 0.4
DECAYING = "digits, cosine decay"
MOST_REGRET = 0.02
TEMPERATURES = 2.0 ** np.arange(-5, 5, 0.5)  # in units of the median margin

SCORES = (
    "accuracy", "log loss", "Brier", "margins", "margins x4", "margins x8", "margins x16", "auc",
    "accuracy, log loss", "accuracy, margins x8", "accuracy + log loss",
)  # fmt: skip
"""Accuracy; the geometric mean of the label's probability, and Brier's score, each at its best temperature; the mean
sigmoid of margins over their median, or of a multiple of that; the AUC of a class against the rest; accuracy with ties
broken; and the mean of two."""


def scores_of(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """All ``SCORES`` of a network, from 0 to 1, of logits ``[examples, classes]`` and labels ``[examples]``."""
    is_label = labels[:, None] == jnp.arange(logits.shape[1])
    logits = logits - logits.max(axis=1, keepdims=True)
    margins = jnp.sum(jnp.where(is_label, logits, 0), axis=1) - jnp.where(is_label, -jnp.inf, logits).max(axis=1)
    unit = jnp.maximum(jnp.median(jnp.abs(margins)), 1e-30)

    def proper(temperature: jax.Array) -> jax.Array:
        log_shares = jax.nn.log_softmax(logits / unit / temperature)
        squares = jnp.sum((jnp.exp(log_shares) - is_label) ** 2, axis=1)
        return jnp.stack([
            jnp.exp(jnp.mean(jnp.sum(jnp.where(is_label, log_shares, 0), axis=1))), 1 - squares.mean() / 2
        ])  # fmt: skip

    accuracy = jnp.mean(logits.argmax(axis=1) == labels)
    log_loss, brier = jax.lax.map(proper, jnp.asarray(TEMPERATURES, jnp.float32)).max(axis=0)
    by_margins = [jnp.mean(jax.nn.sigmoid(scale * margins / unit)) for scale in (1, 4, 8, 16)]
    area = metrics.auc(logits, labels)
    ties = [accuracy + 1e-4 * log_loss, accuracy + 1e-4 * by_margins[2]]
    return jnp.stack([accuracy, log_loss, brier, *by_margins, area, *ties, (accuracy + log_loss) / 2])


# TRAININGS


def small_mnist(data_dir: Path | None = None) -> Task:
    """2,000 training images of MNIST at 14x14 pixels and 500 each to validate and test, in a 196-64-10 network."""
    x, labels = data.mnist(data_dir).train
    x = study.half_size(x[:3000])
    parts = [(x[first:last], labels[first:last]) for first, last in ((0, 2000), (2000, 2500), (2500, 3000))]
    return Task(models.MLP((64, 10)), *parts, optimizer=optax.sgd(0.01), batch_size=32, name="mnist-2000")


def decaying_digits() -> Task:
    """The digits with a cosine decay to 0; a rung of halving is in the middle of it."""
    digits = tasks.digits()
    decayed = optimizers.adapted(digits.optimizer, digits.steps, schedule="cosine")
    return replace(digits, optimizer=decayed, name=DECAYING)


def resplit(task: Task, number: int) -> Task:
    """The task with its examples shared out anew; number 0 is the task as it is."""
    sizes = [len(task.splits[name].labels) for name in ("train", "validation", "test")]
    order = np.arange(sum(sizes))
    if number:
        order = named_random(0, "splits", number).permutation(order)
    x, labels = (
        np.concatenate([getattr(task.splits[name], part) for name in ("train", "validation", "test")])
        for part in ("x", "labels")
    )
    train, validation, test = ((x[part], labels[part]) for part in np.split(order, np.cumsum(sizes)[:2]))
    return replace(task, train=train, validation=validation, test=test)


def candidates_of(task: Task) -> tuple[list[Tree], np.ndarray]:
    """The losses of depth 2 that train, and their rates in a search, ``[losses, 3]``."""
    config = ExhaustiveConfig(depth=2, seeds=1, finalists=1)
    found = exhaust(task, config)
    assert found.baseline is not None
    chosen = sorted((known.tree for known in found.ranking), key=str)
    fitness = Fitness.of(task, config, 7, local.resolve(task, None, None))
    return chosen, fitness.fair_rates(found.baseline, chosen)[:, None] * np.array(FACTORS)


def trained(task: Task, chosen: list[Tree], rates: np.ndarray, seeds: list[int]) -> np.ndarray:
    """Scores ``[rungs, losses, rates, seeds, splits, SCORES]``; 0 for a training that met NaN or infinity."""
    places = [(tree, rate, seed) for tree, row in zip(chosen, rates, strict=True) for rate in row for seed in seeds]
    trainer = Trainer(task, instructions=max(programs.instructions_of(tree) for tree in chosen))
    state = trainer.begin(
        trainer.candidates([tree for tree, _, _ in places], [seed for _, _, seed in places],
                           rates=[float(rate) for _, rate, _ in places]),
        [max(1, task.steps // 9), max(2, task.steps // 3), task.steps], ("validation",),
    )  # fmt: skip
    parts = [jax.tree.map(jnp.asarray, tuple(task.splits[name])) for name in ("validation", "test")]

    @jax.jit
    def judge(networks: Any, seeds: jax.Array, parts: list[tuple[jax.Array, jax.Array]]) -> jax.Array:
        def one(network: Any, seed: jax.Array) -> jax.Array:
            keys = learner.keys_of(seed)
            outputs = [learner.predict(task, network, keys, x) for x, _ in parts]
            found = jnp.stack([scores_of(o, labels) for o, (_, labels) in zip(outputs, parts, strict=True)])
            return jnp.where(jnp.isfinite(jnp.stack(outputs)).all() & network.finite, found, 0)

        return jax.lax.map(lambda both: one(*both), (networks, seeds), batch_size=32)

    found = []
    while not state.is_complete:
        state = trainer.advance(state, hold=True)
        progress, networks = trainer.on_host(state)
        scores = np.array(judge(networks, state.request.candidates.seed, parts), float)
        scores[~progress.alive] = 0
        found.append(scores.reshape(*rates.shape, len(seeds), len(parts), len(SCORES)))
    return np.stack(found)


# RANKINGS


def draws_of(seeds: int, count: int, rounds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places of the ``count`` seeds that are drawn, and of the others: each seed once in every round."""
    random = np.random.default_rng(0)
    for _ in range(rounds):
        order = random.permutation(seeds)
        for first in range(0, seeds - count + 1, count):
            yield order[first : first + count], np.delete(order, slice(first, first + count))


def regret(truth: np.ndarray, picked: int) -> float:
    """What is lost to the best; a loss that fails in some trainings would outweigh all others without a limit."""
    return min(float(truth.max() - truth[picked]), MOST_REGRET)


def judged(values: np.ndarray, truth: np.ndarray, best: np.ndarray) -> dict[str, float]:
    """How values ``[candidates]`` rank what is worth ``truth``; ``best`` are the places of the best three losses."""
    ranked = np.argsort(-values, kind="stable")
    kept = ranked[: -(-len(ranked) // 3)]
    return {
        "rank correlation": float(np.corrcoef(stats.rankdata(values), stats.rankdata(truth))[0, 1]),
        "best is kept": float(best[0] in kept),
        "best 3 are kept": float(np.isin(best, kept).mean()),
        "regret": regret(truth, int(ranked[0])),
    }


def halved(rungs: np.ndarray, last: np.ndarray) -> int:
    """The candidate that halving ends with, by values ``[2, candidates]`` at its rungs and ``[candidates]`` after."""
    left = np.arange(len(last))
    for values in rungs:
        left = left[np.argsort(-values[left], kind="stable")][: -(-len(left) // 3)]
    return int(left[last[left].argmax()])


def judged_draw(values: np.ndarray, truth: np.ndarray) -> dict[tuple[str, str], dict[str, float]]:
    """For every score and rung, how values ``[rungs, losses, rates, SCORES]`` rank ``truth[losses, rates]``."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    losses, rates = np.arange(len(truth)), truth.argmax(axis=1)
    order = np.argsort(-truth.max(axis=1))
    best, dozen = (losses * truth.shape[1] + rates)[order[:3]], np.sort(order[:DOZEN])  # ties are in no order
    flat = values.reshape(len(RUNGS), truth.size, len(SCORES))
    for number, score in enumerate(SCORES):
        for place, rung in enumerate(RUNGS):
            of_dozen = values[place, dozen, rates[dozen], number]
            few = judged(of_dozen, truth.max(axis=1)[dozen], np.searchsorted(dozen, order[:3]))
            found[rung, score] = judged(flat[place, :, number], truth.ravel(), best)
            found[rung, score] |= {f"dozen: {name}": value for name, value in few.items()}
        for name, rungs, last in (("rungs", number, 0), ("end", 0, number), ("rungs and end", number, number)):
            picked = halved(flat[:2, :, rungs], flat[2, :, last])
            found[f"halving: {name}", score] = {"regret": regret(truth.ravel(), picked)}
    return found


def judged_split(scores: np.ndarray, count: int, rounds: int) -> dict[tuple[str, str], dict[str, float]]:
    """The means over draws of ``count`` seeds and two thirds of the losses, of what ``trained`` gave on one split."""
    random, found = np.random.default_rng(0), []
    for drawn, others in draws_of(scores.shape[3], count, rounds):
        some = random.permutation(scores.shape[1])[: -(-2 * scores.shape[1] // 3)]  # in an order of their own
        for part in (0, 1):
            truth = scores[-1, some][:, :, others, 1 - part, 0].mean(axis=2)
            found.append(judged_draw(scores[:, some][:, :, :, drawn, part].mean(axis=3), truth))
    return {
        key: {name: float(np.mean([one[key][name] for one in found])) for name in measures}
        for key, measures in found[0].items()
    }


def rows_of(task: Task, by_split: list[np.ndarray], count: int) -> list[dict[str, Any]]:
    """A row for each score and rung: means over the splits, and how far they are from those of accuracy."""
    found, rows = [judged_split(scores, count, rounds=count) for scores in by_split], []
    for rung, score in found[0]:
        row: dict[str, Any] = {"task": task.name, "seeds": count, "rung": rung, "score": score, "by split": {}}
        for name in found[0][rung, score]:
            values, usual = (np.array([one[rung, by][name] for one in found]) for by in (score, "accuracy"))
            row["by split"][name], row[name] = values.tolist(), float(values.mean())
            if score != "accuracy" and len(found) > 1:
                gain = values - usual
                row[f"{name}: gain"] = f"{gain.mean():+.4f} ± {stats.sem(gain):.4f}"
        rows.append(row)
    return rows


# FIGURE


def figure_of(rows: list[dict[str, Any]]) -> Figure:
    """What is lost to the best loss at the end of successive halving, with each score at the end, by seeds."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    names = list(dict.fromkeys(row["task"] for row in rows))
    for axes, task in zip(figure.subplots(1, len(names), sharey=True), names, strict=True):
        for score in ("accuracy", "log loss", "Brier", "margins x4", "accuracy, log loss"):
            chosen = [row for row in rows if (row["task"], row["rung"], row["score"]) == (task, "halving: end", score)]
            errors = [
                stats.sem(row["by split"]["regret"]) if len(row["by split"]["regret"]) > 1 else 0 for row in chosen
            ]
            seeds = [row["seeds"] for row in chosen]
            axes.errorbar(seeds, [row["regret"] for row in chosen], errors, marker="o", capsize=2, label=score)
        axes.set(title=task, xlabel="trainings of a candidate", xticks=seeds)
    figure.axes[0].set_ylim(bottom=0)  # of both
    figure.axes[0].set_ylabel("test accuracy lost to the best")
    figure.axes[0].legend()
    return figure


def main() -> None:
    """Train on every split of both tasks, and save the table and the figure."""
    options = study.options_of(
        __doc__, task="digits", seeds=(16, 16), steps=(500, 500), splits=(8, 6), losses=(1000, 1000)
    )
    if options.seeds < 3:
        raise SystemExit(f"--seeds is {options.seeds}; 3 are needed, to draw from and to know the truth by.")
    seeds = [named_seed(0, "smoother scores", number) for number in range(options.seeds)]
    usual, rows = study.task_of(options), []
    usual = replace(usual, averaging=0.0 if usual.name == DECAYING else 0.2)  # as in a search
    for label_noise in (0.0, LABEL_NOISE):
        task = tasks.harder(usual, label_noise=label_noise)
        chosen, rates = candidates_of(task)
        chosen, rates = chosen[: options.losses], rates[: options.losses]
        by_split = []
        for number in range(options.splits):
            split = tasks.harder(resplit(usual, number), label_noise=label_noise, seed=number)
            by_split.append(trained(split, chosen, rates, seeds))
            print(f"{task.name}: split {number + 1} of {options.splits}", flush=True)
        rows += [row for count in (1, 2, 4, 8) if 2 * count <= len(seeds) for row in rows_of(task, by_split, count)]
    study.keep(options, "smoother_scores", rows, figure_of(rows))


if __name__ == "__main__":
    main()
