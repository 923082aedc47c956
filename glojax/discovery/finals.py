"""Finals: the fittest candidates are trained again over fresh seeds, and those trainings decide between them.

The best of thousands of noisy scores is mostly a lucky one. ``statistics.winner`` picks the winner of what ``decide``
returns.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from glojax.discovery import scoring
from glojax.discovery.scoring import Measured
from glojax.executors.protocol import Evaluator
from glojax.expressions.trees import Tree
from glojax.seeds import named_seed


class Decided(NamedTuple):
    """The trainings of finalists."""

    scores: list[tuple[float, ...]]  # of each finalist; four times as many for those of the second round
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
) -> Decided:
    """Train finalists over fresh seeds, and the best quarter of them over three times as many more.

    Args:
      evaluator: trains candidates on the finalists' task.
      finalists: the trees.
      rates: scale of the task's learning rate of each finalist.
      seed: of the search.
      seed_count: trainings of each finalist in the first round.
      coefficients: of each finalist. Defaults to all 1.
      always: places of finalists that reach the second round whatever their scores.

    Returns:
      The scores and the cost of each finalist.
    """
    seeds = seeds_of_finals(seed, 4 * seed_count)

    def train(places: Sequence[int], seeds: Sequence[int]) -> Measured:
        factors = None if coefficients is None else [coefficients[place] for place in places]
        scales = np.array([[rates[place]] for place in places])
        return scoring.measure(evaluator, [finalists[place] for place in places], seeds, factors, rates=scales)

    first = train(range(len(finalists)), seeds[:seed_count])
    quarter = np.argsort(-first.means, kind="stable")[: -(-len(finalists) // 4)].tolist()
    places = sorted({*quarter, *always})
    second = train(places, seeds[seed_count:])
    scores, steps = [tuple(row) for row in first.scores.tolist()], first.steps.tolist()
    for place, row, taken in zip(places, second.scores.tolist(), second.steps.tolist(), strict=True):
        scores[place] += tuple(row)
        steps[place] += taken
    return Decided(scores, steps)


def seeds_of_finals(seed: int, count: int) -> list[int]:
    """The first ``count`` seeds of the trainings that decide between the best; no phase uses them elsewhere."""
    return [named_seed(seed, "finals", i) for i in range(count)]
