"""Finals: the fittest are trained again over fresh seeds, and the best of them by those trainings wins."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from glojax.discovery import scoring
from glojax.discovery.scoring import Measured
from glojax.executors.protocol import Evaluator
from glojax.expressions.trees import Tree
from glojax.seeds import named_seed


class Decided(NamedTuple):
    """The trainings of finalists, of which ``winner`` tells the best."""

    scores: list[tuple[float, ...]]  # of each; those of the second round have four times as many
    steps: list[int]  # optimizer steps of all trainings of each


def decide(
    evaluator: Evaluator,
    finalists: Sequence[Tree],
    rates: Sequence[float],
    seed: int,
    count: int,
    coefficients: Sequence[Sequence[float]] | None = None,
    *,
    always: Sequence[int] = (),
) -> Decided:
    """Train finalists over fresh seeds, the best quarter over more.

    Args:
      evaluator: for the finalists' task.
      finalists: the trees.
      rates: scale of the learning rate of each.
      seed: of the search.
      count: trainings of each in the first round; three times as many more in the second.
      coefficients: of each, all 1 if left out.
      always: places of those that come to the second round beside the best quarter.
    """
    seeds = seeds_of_finals(seed, 4 * count)

    def train(places: Sequence[int], seeds: Sequence[int]) -> Measured:
        factors = None if coefficients is None else [coefficients[place] for place in places]
        scales = np.array([[rates[place]] for place in places])
        return scoring.measure(evaluator, [finalists[place] for place in places], seeds, factors, rates=scales)

    first = train(range(len(finalists)), seeds[:count])
    quarter = np.argsort(-first.means, kind="stable")[: -(-len(finalists) // 4)].tolist()
    places = sorted({*quarter, *always})
    second = train(places, seeds[count:])
    scores, steps = [tuple(row) for row in first.scores.tolist()], first.steps.tolist()
    for place, row, taken in zip(places, second.scores.tolist(), second.steps.tolist(), strict=True):
        scores[place] += tuple(row)
        steps[place] += taken
    return Decided(scores, steps)


def seeds_of_finals(seed: int, count: int) -> list[int]:
    """Seeds of the trainings that decide between the best, which no phase uses elsewhere."""
    return [named_seed(seed, "finals", i) for i in range(count)]
