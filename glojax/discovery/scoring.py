"""Scores: losses trained over seeds, at learning rates of their own, in as few compiled programs as possible.

``evaluate`` and ``learning_curves`` train losses of any kind on a task, for their scores. ``measure`` is what a search
does with its candidates: every tree at several learning rates, with successive halving.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glojax import losses, tasks
from glojax.executors import local
from glojax.executors.protocol import Evaluator, Executor
from glojax.expressions import programs
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss, LossFunction
from glojax.tasks.task import Task
from glojax.training import gradients

RATES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Scales of the task's learning rate among which the baseline's best one is chosen."""


# LOSSES OF ANY KIND


def evaluate(
    task: Task,
    candidates: Sequence[LossFunction | Tree | str],
    seeds: int | Sequence[int] = 8,
    *,
    split: str = "validation",
    rates: Sequence[float] | None = None,
    steps: int | None = None,
    executor: Executor | None = None,
    group: int | None = None,
) -> np.ndarray:
    """Train every loss with every seed, and score the networks.

    Losses that are trees train together in one program; any other function of optax's shape, such as
    ``optax.softmax_cross_entropy``, in a program of its own.

    Args:
      task: what they are trained on.
      candidates: ``Loss`` objects, trees, functions ``loss(logits, labels)``, or text that names one: an expression,
        a known loss or a saved file, as ``losses.loss_by_name`` takes it.
      seeds: how many (0, 1, ...), or the seeds themselves, from 0 to 2**32 - 1.
      split: the part of the data that is scored: ``"train"``, ``"validation"`` or ``"test"``.
      rates: scale of the task's learning rate of each loss, above 0. Defaults to 1.
      steps: optimizer steps of each training. Defaults to the task's own.
      executor: what trains. Defaults to this process.
      group: how many candidates are trained together on a device at most. Defaults to as many as fit its memory.

    Returns:
      Scores ``float32[losses, seeds]``.

    Raises:
      ValueError: no candidates or seeds, what is no loss or no seed, rates of another number or not above 0, a split
        that the task lacks, steps that are no whole number from 1, or what ``Loss`` raises.

    Example:
      glojax.evaluate(glojax.tasks.digits(), ["x * log(y)", "baikal"], seeds=4).mean(axis=1)
    """
    tasks.check(task)
    if isinstance(candidates, str | Tree) or callable(candidates):
        raise ValueError(f"evaluate: candidates is {candidates!r}; a list of losses is expected.")
    if np.ndim(seeds) == 0 and not isinstance(seeds, int):
        raise ValueError(f"evaluate: seeds is {seeds!r}; their number or a list of them is expected.")
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not candidates or not chosen:
        raise ValueError(
            f"evaluate: got {len(candidates)} losses and {len(chosen)} seeds; at least one of each is needed."
        )
    if wrong := [seed for seed in chosen if int(seed) != seed or not 0 <= seed < 2**32]:
        raise ValueError(f"evaluate: seeds holds {wrong[0]}; whole numbers from 0 to {2**32 - 1} are allowed.")
    scales = [1.0] * len(candidates) if rates is None else list(rates)
    if len(scales) != len(candidates):
        raise ValueError(f"evaluate: rates has {len(scales)} values for {len(candidates)} losses.")
    if wrong := [rate for rate in scales if not 0 < rate < float("inf")]:
        raise ValueError(f"evaluate: rates holds {wrong[0]}; numbers above 0 are allowed.")
    made = [_as_loss(task, given) for given in candidates]
    found = score_losses(task, made, chosen, scales, splits=(split,), steps=steps, executor=executor, group=group)
    return found[..., 0]


def _as_loss(task: Task, given: LossFunction | Tree | str) -> LossFunction:
    if isinstance(given, Tree):
        return task.loss(given)
    loss = losses.loss_by_name(given, task.problem.output) if isinstance(given, str) else given
    if not callable(loss):
        raise ValueError(f"evaluate: {loss!r} is no loss; a Loss, a tree, text or a function is.")
    return loss


def check_losses(task: Task, chosen: Iterable[LossFunction]) -> None:
    """Raise ``ValueError`` for a loss that is made for another output than the task's, or whose values do not fit."""
    for loss in chosen:
        if isinstance(loss, Loss):
            gradients.check_output(task, loss)
        else:
            for head in task.heads:
                gradients.check_loss(head, loss)


def score_losses(
    task: Task, chosen: Sequence[LossFunction], seeds: Sequence[int], rates: Sequence[float], **options: Any
) -> np.ndarray:
    """Train every loss at its rate with every seed: scores ``float32[losses, seeds, splits]`` at the end.

    The arguments are those of ``learning_curves``.
    """
    return learning_curves(task, chosen, seeds, rates, **options)[..., -1, :]


def learning_curves(
    task: Task,
    chosen: Sequence[LossFunction],
    seeds: Sequence[int],
    rates: Sequence[float],
    *,
    splits: Sequence[str] = ("validation",),
    steps: int | None = None,
    points: int = 1,
    directory: str | os.PathLike[str] | None = None,
    on_point: Callable[[np.ndarray], None] | None = None,
    executor: Executor | None = None,
    group: int | None = None,
) -> np.ndarray:
    """Train every loss at its rate with every seed, and score the networks in the course of training.

    Args:
      task: what they are trained on.
      chosen: the losses.
      seeds: of each loss's trainings.
      rates: scale of the task's learning rate of each loss.
      splits: the parts of the data that are scored.
      steps: optimizer steps of each training. Defaults to the task's own.
      points: how many times scores are taken, at ``points_of``.
      directory: where the trainings are kept at every point. They go on with what is there already.
      on_point: called with the scores so far whenever some are new; those to come are NaN.
      executor: what trains. Defaults to this process.
      group: how many candidates are trained together on a device at most. Defaults to as many as fit its memory.

    Returns:
      Scores ``float32[losses, seeds, points, splits]``.

    Raises:
      ValueError: more points than steps, or fewer than one; a directory of another training.
    """
    curves = np.full((len(chosen), len(seeds), points, len(splits)), np.nan, np.float32)
    stops = points_of(task.steps if steps is None else steps, points)
    for name, evaluator, places in _evaluators(task, chosen, local.resolve(task, executor, group)):
        trained = [chosen[place] for place in places for _ in seeds]
        candidates = evaluator.candidates(
            [loss.tree if isinstance(loss, Loss) else Tree("y") for loss in trained],
            list(seeds) * len(places),
            [loss.coefficients if isinstance(loss, Loss) else None for loss in trained],
            [rates[place] for place in places for _ in seeds],
        )

        def take(reached: int, scores: np.ndarray, places: list[int] = places) -> None:
            shape = (len(places), len(seeds), reached, len(splits))
            curves[places, :, :reached] = scores[:, :reached].reshape(shape)
            if on_point is not None:
                on_point(curves)

        kept = None if directory is None else Path(directory) / name
        evaluator.train(candidates, stops, splits=splits, directory=kept, on_stop=take)
    return curves


def points_of(steps: int, points: int) -> list[int]:
    """The steps at which ``points`` scores are taken: evenly spaced, the last at the end of training.

    Raises:
      ValueError: more points than steps, or fewer than one.
    """
    if not 1 <= points <= steps or int(steps) != steps:
        raise ValueError(f"steps is {steps} and points is {points}; 1 <= points <= steps is needed.")
    return [steps * (point + 1) // points for point in range(points)]


def _evaluators(
    task: Task, chosen: Sequence[LossFunction], executor: Executor
) -> Iterator[tuple[str, Evaluator, list[int]]]:
    """Name, evaluator, and places of the losses that it trains: all trees together, each other function alone."""
    check_losses(task, chosen)
    functions = {id(loss): loss for loss in chosen if not isinstance(loss, Loss)}
    for loss in functions.values():
        for head in task.heads:
            gradients.check_gradient(head, loss)
    for protected in (False, True):
        places = [place for place, loss in enumerate(chosen) if isinstance(loss, Loss) and loss.protected == protected]
        if places:
            longest = max(programs.instructions_of(chosen[place].tree) for place in places)  # type: ignore[attr-defined]
            evaluator = executor(task, instructions=programs.room(longest), protected=protected)
            yield "protected" if protected else "trees", evaluator, places
    for key, loss in functions.items():
        places = [place for place, one in enumerate(chosen) if id(one) == key]
        yield f"loss {places[0]}", executor(task, loss=loss), places


# CANDIDATES OF A SEARCH


class TrainedEach(NamedTuple):
    """Trees trained over seeds of their own."""

    scores: list[tuple[float, ...]]  # of each tree, on the validation set
    steps: list[int]  # of each tree, of all its trainings


def train_each(
    evaluator: Evaluator,
    population: Sequence[Tree],
    seeds: Sequence[Sequence[int]],
    rates: Sequence[float],
    coefficients: Sequence[Sequence[float]] | None = None,
) -> TrainedEach:
    """Train every tree with its own seeds, at its own rate, to the end.

    Args:
      evaluator: trains candidates on the trees' task.
      population: the trees.
      seeds: of each tree's trainings; none for a tree that is not trained.
      rates: scale of the task's learning rate of each tree.
      coefficients: of each tree. Defaults to all 1.
    """
    places = [place for place, own in enumerate(seeds) for _ in own]
    if not places:
        return TrainedEach([()] * len(population), [0] * len(population))
    candidates = evaluator.candidates(
        [population[place] for place in places],
        [seed for own in seeds for seed in own],
        None if coefficients is None else [coefficients[place] for place in places],
        [rates[place] for place in places],
    )
    trained = evaluator.train(candidates, [evaluator.task.steps])
    scores: list[tuple[float, ...]] = [()] * len(population)
    steps = [0] * len(population)
    for place, score, taken in zip(places, trained.scores[:, -1, 0].tolist(), trained.steps.tolist(), strict=True):
        scores[place] += (score,)
        steps[place] += taken
    return TrainedEach(scores, steps)


class Measured(NamedTuple):
    """Trees trained over seeds, each at the best of its learning rates."""

    scores: np.ndarray  # float64[trees, seeds], on the validation set
    rates: np.ndarray  # float64[trees], scale of the task's learning rate
    steps: np.ndarray  # int64[trees], of all trainings at all rates
    finished: np.ndarray  # bool[trees], whether halving let it train to the end
    rungs: np.ndarray  # float32[trees, rates, seeds, rungs], every score there was; of what was stopped, its last

    @property
    def means(self) -> np.ndarray:
        """Mean scores ``float64[trees]``."""
        return self.scores.mean(axis=1)


def measure(
    evaluator: Evaluator,
    population: Sequence[Tree],
    seeds: Sequence[int],
    coefficients: Sequence[Sequence[float]] | None = None,
    *,
    rates: np.ndarray | None = None,
    halving: int = 1,
) -> Measured:
    """Train every tree with every seed, at every one of its rates.

    Args:
      evaluator: trains candidates on the trees' task.
      population: the trees.
      seeds: of each tree's trainings.
      coefficients: of each tree. Defaults to all 1.
      rates: scales of the task's learning rate of each tree, ``[trees, rates]``. Defaults to 1.
      halving: one in ``halving`` pairs of tree and rate, the best by mean score, is trained on after each of two rungs
        at 1 / halving² and 1 / halving of the steps (successive halving, arXiv 1502.07943). The others keep the score
        of their rung. With 1 all are trained to the end.

    Returns:
      For each tree what it gave at its best rate, and what it cost.
    """
    rates = np.ones((len(population), 1)) if rates is None else rates
    pairs = [place for place in range(len(population)) for _ in range(rates.shape[1])]
    places = [place for place in pairs for _ in seeds]
    candidates = evaluator.candidates(
        [population[place] for place in places],
        [*seeds] * len(pairs),
        None if coefficients is None else [coefficients[place] for place in places],
        np.repeat(rates.ravel(), len(seeds)).tolist(),
    )
    kept = np.ones(len(pairs), bool)

    def by_pair(scores: np.ndarray) -> np.ndarray:
        return scores[:, 0].reshape(len(pairs), len(seeds)).astype(float)

    def keep(scores: np.ndarray) -> np.ndarray:
        ranked = np.argsort(-np.where(kept, by_pair(scores).mean(axis=1), -np.inf), kind="stable")
        kept[ranked[-(-int(kept.sum()) // halving) :]] = False
        return np.repeat(kept, len(seeds))

    rungs = {max(1, evaluator.task.steps // halving**power) for power in (2, 1, 0)}
    trained = evaluator.train(candidates, sorted(rungs), keep=keep if halving > 1 else None)
    scores = by_pair(trained.scores[:, -1])
    best = scores.mean(axis=1).reshape(rates.shape).argmax(axis=1) + np.arange(len(population)) * rates.shape[1]
    steps = trained.steps.reshape(len(population), -1).sum(axis=1)
    every = trained.scores[..., 0].reshape(*rates.shape, len(seeds), -1)
    return Measured(scores[best], rates.ravel()[best], steps, kept[best], every)
