"""Whether a smoother score than accuracy ranks the candidates of a search better for the same steps.

Makes: for each score, at a ninth, a third and all of the steps, how its ranking agrees with the true one, how often the
best losses are among the third that is kept, and how much worse the one on top is than the best.
Command: python experiments/smoother_scores.py --task digits [--seeds 16] [--splits 6]
Time: about 20 minutes on 2 CPU cores.

The candidates are the losses of depth 2 that train, each at the search's three rates, on the task as it is and with 40%
wrong labels. Every training is scored in all ways at once. A loss's true value is its mean test accuracy at the end over
the seeds that were not drawn. The data is split anew several times, and validation and test examples change places in
turn; errors are standard errors over the splits, those of differences with accuracy of paired differences.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import study
from matplotlib.figure import Figure
from scipy import stats

from glojax import ExhaustiveConfig, exhaust, keep_programs, tasks
from glojax.discovery.fitness import FACTORS, Fitness
from glojax.executors import local
from glojax.expressions import programs
from glojax.expressions.trees import Tree
from glojax.seeds import named_random, named_seed
from glojax.tasks.task import Task
from glojax.training import learner
from glojax.training.trainer import Trainer

RUNGS = ("1/9", "1/3", "1")
DOZEN = 12
TEMPERATURES = 2.0 ** np.arange(-5, 5, 0.5)  # in units of the median margin

SCORES = (
    "accuracy", "log loss", "Brier", "margins", "sharp margins", "auc",
    "accuracy, log loss", "accuracy, margins", "accuracy + log loss",
)  # fmt: skip
"""Accuracy; the geometric mean of the label's probability, and Brier's score, each at its best temperature; a sigmoid of
margins over their median, or over an eighth of it; one class against the rest; accuracy with ties broken; the mean."""


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
    soft, sharp = (jnp.mean(jax.nn.sigmoid(scale * margins / unit)) for scale in (1, 8))
    area = tasks.metrics.auc(logits, labels)
    return jnp.stack([
        accuracy, log_loss, brier, soft, sharp, area, accuracy + 1e-4 * log_loss, accuracy + 1e-4 * soft,
        (accuracy + log_loss) / 2,
    ])  # fmt: skip


# TRAININGS


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
    sizes = np.array(fitness.screener.sizes(chosen)) ** fitness.growth
    return chosen, found.baseline.rate / sizes[:, None] * np.array(FACTORS)


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


def judged(values: np.ndarray, truth: np.ndarray, best: list[int]) -> dict[str, float]:
    """How values ``[candidates]`` rank what is worth ``truth``: ``best`` are the places of the best three."""
    ranked = np.argsort(-values, kind="stable")
    kept = ranked[: -(-len(ranked) // 3)]
    return {
        "rank correlation": float(stats.spearmanr(values, truth).statistic),
        "best is kept": float(best[0] in kept),
        "best 3 are kept": float(np.isin(best, kept).mean()),
        "regret": float(truth.max() - truth[ranked[0]]),
    }


def halved(values: np.ndarray, last: np.ndarray) -> int:
    """The candidate that successive halving ends with, by values ``[2, candidates]`` at rungs and others at the end."""
    left = np.arange(len(last))
    for rung in values:
        left = left[np.argsort(-rung[left], kind="stable")][: -(-len(left) // 3)]
    return int(left[last[left].argmax()])


def measured(scores: np.ndarray, count: int, rounds: int) -> dict[tuple[str, str, str], dict[str, float]]:
    """The mean over draws of ``count`` seeds, of scores as ``trained`` gives them on one split of the data."""
    found: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    random = np.random.default_rng(0)
    for place, (drawn, others) in enumerate(draws_of(scores.shape[3], count, rounds)):
        for role in (0, 1):
            truth = scores[-1][:, :, others, 1 - role, 0].mean(axis=2)
            values = scores[:, :, :, drawn, role].mean(axis=3)  # [rungs, losses, rates, SCORES]
            values = values + 1e-9 * np.random.default_rng(place).permutation(truth.size).reshape(truth.shape)[..., None]
            at_best = truth.argmax(axis=1)
            own = truth.max(axis=1)
            order = np.argsort(-own)
            flat = order[:3] * truth.shape[1] + at_best[order[:3]]
            dozen = order[:DOZEN]
            for number, name in enumerate(SCORES):
                for rung, values_there in zip(RUNGS, values[..., number], strict=True):
                    pairs = judged(values_there.ravel(), truth.ravel(), flat.tolist())
                    found.setdefault((rung, "all", name), []).append(pairs)
                    few = judged(values_there[dozen, at_best[dozen]], own[dozen], [0, 1, 2])
                    found.setdefault((rung, "best dozen", name), []).append(few)
                own_values, usual = (values[..., place].reshape(3, -1) for place in (number, 0))
                for where, rungs, last in (
                    ("rungs", own_values, usual), ("end", usual, own_values), ("both", own_values, own_values)
                ):  # fmt: skip
                    picked = halved(rungs[:2], last[2])
                    found.setdefault((f"halving, {where}", "all", name), []).append(
                        {"regret": float(truth.max() - truth.ravel()[picked])}
                    )
    return {key: {name: float(np.mean([one[name] for one in many])) for name in many[0]} for key, many in found.items()}
