"""Finals: the fittest candidates are trained again over fresh seeds, and those trainings decide between them.

The best of thousands of noisy scores is mostly a lucky one. All finalists have a few trainings; then those that may
still be the best have more (``allocation``), until it is settled. ``statistics.winner`` picks the winner of what
``decide`` returns.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from glojax.discovery import allocation, scoring
from glojax.discovery.scoring import TrainedEach
from glojax.executors.protocol import Evaluator
from glojax.expressions.trees import Tree
from glojax.seeds import named_seed
from glojax.statistics import winner, with_handicaps

MOST = 16
"""Times as many trainings as every finalist has at first, which a finalist may have in the end."""

BUDGET = 4
"""Times as many trainings as all finalists have at first, which they may have together; the leader's come on top."""

_ROUND = 24  # trainings that are shared out at once


class Decided(NamedTuple):
    """The trainings of finalists."""

    scores: list[tuple[float, ...]]  # of each finalist, over the first seeds of ``seeds_of_finals``
    steps: list[int]  # optimizer steps of all trainings of each finalist


def decide(
    evaluator: Evaluator,
    finalists: Sequence[Tree],
    rates: Sequence[float],
    seed: int,
    seed_count: int,
    coefficients: Sequence[Sequence[float]] | None = None,
    *,
    always: Sequence[int] = (),
    handicaps: Sequence[float] = (),
) -> Decided:
    """Train finalists over fresh common seeds until it is settled which is the best, or those in question had enough.

    Args:
      evaluator: trains candidates on the finalists' task.
      finalists: the trees.
      rates: scale of the task's learning rate of each finalist.
      seed: of the search.
      seed_count: trainings of each finalist at first; at most ``MOST`` times as many in the end.
      coefficients: of each finalist. Defaults to all 1.
      always: places of finalists that get as many trainings as the winner.
      handicaps: what is taken off each finalist's scores where they are compared. Defaults to nothing.

    Returns:
      The scores and the cost of each finalist.
    """

    def train(seeds: Sequence[Sequence[int]]) -> TrainedEach:
        return scoring.train_each(evaluator, finalists, seeds, rates, coefficients)

    return decide_by(train, len(finalists), seed, seed_count, always=always, handicaps=handicaps)


def decide_by(
    train: Callable[[Sequence[Sequence[int]]], TrainedEach],
    count: int,
    seed: int,
    seed_count: int,
    *,
    always: Sequence[int] = (),
    handicaps: Sequence[float] = (),
) -> Decided:
    """The same for ``count`` finalists that ``train`` trains, each over seeds of its own; those may be none."""
    seeds = seeds_of_finals(seed, MOST * seed_count)
    scores: list[tuple[float, ...]] = [()] * count
    steps = [0] * count
    more = [seed_count] * count
    while any(more):
        found = train([seeds[len(row) : len(row) + some] for row, some in zip(scores, more, strict=True)])
        scores = [(*row, *new) for row, new in zip(scores, found.scores, strict=True)]
        steps = [spent + taken for spent, taken in zip(steps, found.steps, strict=True)]
        left = BUDGET * seed_count * count - sum(map(len, scores))
        judged = with_handicaps(scores, handicaps)
        more = allocation.allocate(judged, min(_ROUND, left), len(seeds)) if left > 0 else []
        if not any(more):
            best = winner(judged)
            more = [max(0, len(scores[best]) - len(row)) * (place in always) for place, row in enumerate(scores)]
    return Decided(scores, steps)


def seeds_of_finals(seed: int, count: int) -> list[int]:
    """The first ``count`` seeds of the trainings that decide between the best; no phase uses them elsewhere."""
    return [named_seed(seed, "finals", i) for i in range(count)]
