"""Every loss trained with every seed, and scored."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from glojax import populations, programs, trees
from glojax.losses import Loss, LossFunction
from glojax.populations import Trainer
from glojax.tasks import Task
from glojax.trees import Tree


def evaluate(
    task: Task,
    candidates: Sequence[LossFunction | Tree | str],
    seeds: int | Sequence[int] = 8,
    *,
    split: str = "validation",
    rates: Sequence[float] | None = None,
    steps: int | None = None,
) -> np.ndarray:
    """Every loss trained with every seed: scores ``[losses, seeds]``.

    Losses that are trees train together in one program; any other function of optax's shape, such as
    ``optax.softmax_cross_entropy``, in one of its own.

    Args:
      task: what they are trained on.
      candidates: ``Loss`` objects, trees, expressions, or functions ``loss(logits, labels)``.
      seeds: their number (0, 1, ...), or the seeds themselves.
      split: the part of the data that is scored.
      rates: scale of the learning rate of each loss, 1 if left out.
      steps: of training; the task's own if left out.

    Raises:
      ValueError: no candidates or seeds, rates of another number, a split that the task lacks, or what ``Loss`` raises.
    """
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not candidates or not chosen:
        raise ValueError(
            f"evaluate: got {len(candidates)} losses and {len(chosen)} seeds; at least one of each is needed."
        )
    scales = [1.0] * len(candidates) if rates is None else list(rates)
    if len(scales) != len(candidates):
        raise ValueError(f"evaluate: rates has {len(scales)} values for {len(candidates)} losses.")
    made = [_as_loss(given) for given in candidates]
    return score_losses(task, made, chosen, scales, splits=(split,), steps=steps)[..., 0]


def _as_loss(given: LossFunction | Tree | str) -> LossFunction:
    if isinstance(given, str):
        return Loss(trees.parse(given))
    return Loss(given) if isinstance(given, Tree) else given


def score_losses(
    task: Task,
    chosen: Sequence[LossFunction],
    seeds: Sequence[int],
    rates: Sequence[float],
    *,
    splits: Sequence[str] = ("validation",),
    steps: int | None = None,
) -> np.ndarray:
    """Every loss at its rate with every seed: scores ``[losses, seeds, splits]``; arguments as ``evaluate``'s."""
    return learning_curves(task, chosen, seeds, rates, splits=splits, steps=steps)[..., -1, :]


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
) -> np.ndarray:
    """The same in the course of training: scores ``[losses, seeds, points, splits]``.

    Args:
      points: scores are taken so many times, at ``points_of``.
      directory: training is kept there at every point, and goes on with what is there already.
      on_point: called with the scores so far whenever some are new; those to come are NaN.

    Raises:
      ValueError: more points than steps, or fewer than one; a directory of another training.
    """
    curves = np.full((len(chosen), len(seeds), points, len(splits)), np.nan, np.float32)
    stops = points_of(task.steps if steps is None else steps, points)
    for name, trainer, places in _trainers(task, chosen):
        losses = [chosen[place] for place in places for _ in seeds]
        candidates = trainer.candidates(
            [loss.tree if isinstance(loss, Loss) else Tree("y") for loss in losses],
            list(seeds) * len(places),
            [loss.coefficients if isinstance(loss, Loss) else None for loss in losses],
            [rates[place] for place in places for _ in seeds],
        )

        def take(reached: int, scores: np.ndarray, places: list[int] = places) -> None:
            shape = (len(places), len(seeds), reached, len(splits))
            curves[places, :, :reached] = scores[:, :reached].reshape(shape)
            if on_point is not None:
                on_point(curves)

        kept = None if directory is None else Path(directory) / name
        trainer.train(candidates, stops, splits=splits, directory=kept, on_stop=take)
    return curves


def points_of(steps: int, points: int) -> list[int]:
    """The steps at which so many scores are taken: evenly, the last at the end of training.

    Raises:
      ValueError: more points than steps, or fewer than one.
    """
    if not 1 <= points <= steps:
        raise ValueError(f"steps is {steps} and points is {points}; 1 <= points <= steps is needed.")
    return [steps * (point + 1) // points for point in range(points)]


def _trainers(task: Task, chosen: Sequence[LossFunction]) -> Iterator[tuple[str, Trainer, list[int]]]:
    """What trains which of the losses, by place: all trees together, each other function alone."""
    for protected in (False, True):
        places = [place for place, loss in enumerate(chosen) if isinstance(loss, Loss) and loss.protected == protected]
        if places:
            longest = max(programs.instructions_of(chosen[place].tree) for place in places)  # type: ignore[attr-defined]
            trainer = populations.trainer(task, populations.room(longest), protected)
            yield "protected" if protected else "trees", trainer, places
    for place, loss in enumerate(chosen):
        if not isinstance(loss, Loss):
            yield f"loss {place}", Trainer(task, loss=loss), [place]


def over_seeds(
    trainer: Trainer,
    population: Sequence[Tree],
    seeds: Sequence[int],
    coefficients: Sequence[Sequence[float]] | None = None,
    *,
    rungs: Sequence[int] = (),
    keep: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Every tree trained with every seed: mean validation scores ``[trees]``, and the steps ``[trees]`` of all seeds.

    Args:
      trainer: for the trees' task.
      population: the trees.
      seeds: of each tree's trainings.
      coefficients: of each tree, all 1 if left out.
      rungs: numbers of steps, rising, at which ``keep`` decides who goes on.
      keep: of mean scores ``[trees]`` which trees go on, bool ``[trees]``; the mean of one that does not is final.
    """

    def means(scores: np.ndarray) -> np.ndarray:
        return scores[:, 0].reshape(len(population), len(seeds)).mean(axis=1, dtype=float)

    factors = None if coefficients is None else [values for values in coefficients for _ in seeds]
    candidates = trainer.candidates([tree for tree in population for _ in seeds], [*seeds] * len(population), factors)
    trained = trainer.train(
        candidates,
        sorted({*rungs, trainer.task.steps}),
        keep=None if keep is None else lambda scores: np.repeat(keep(means(scores)), len(seeds)),
    )
    return means(trained.scores[:, -1]), trained.steps.reshape(len(population), -1).sum(axis=1)
