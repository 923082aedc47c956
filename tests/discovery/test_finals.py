"""Finals: who is trained over which fresh seeds, with an evaluator whose scores are known."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from glojax.discovery import finals
from glojax.expressions.trees import Tree, parse
from glojax.seeds import named_seed
from glojax.tasks.task import Task
from glojax.training.candidates import Trained


class Training(NamedTuple):
    """One training that was asked for."""

    tree: Tree
    seed: int
    coefficients: tuple[float, ...] | None
    rate: float


class Scripted:
    """An evaluator that trains nothing: its scores are ``score(training)``. It keeps every call."""

    def __init__(self, task: Task, score: Callable[[Training], float]):
        self.task, self.score = task, score
        self.calls: list[list[Training]] = []

    def candidates(
        self,
        population: Sequence[Tree],
        seeds: Sequence[int],
        coefficients: Sequence[Sequence[float] | None] | None = None,
        rates: Sequence[float] | None = None,
    ) -> Any:
        given = [None] * len(seeds) if coefficients is None else coefficients
        factors = [None if row is None else tuple(row) for row in given]
        scales = [1.0] * len(seeds) if rates is None else rates
        return [Training(*fields) for fields in zip(population, seeds, factors, scales, strict=True)]

    def train(self, candidates: Any, stops: Sequence[int], **options: Any) -> Trained:
        assert set(options) <= {"keep"}
        assert options.get("keep") is None
        assert [*stops][-1] == self.task.steps
        self.calls.append(candidates)
        scores = np.array([self.score(training) for training in candidates], np.float32)
        shape = (len(candidates), len(stops), 1)
        return Trained(np.broadcast_to(scores[:, None, None], shape), np.full(len(candidates), self.task.steps))


TREES = [parse(f"x * log(y){' + x * y' * count}") for count in range(6)]
SEEDS = [named_seed(3, "finals", i) for i in range(8)]
MEANS = dict(zip(TREES, (0.25, 0.75, 0.5, 0.875, 0.375, 0.125), strict=True))


def test_the_best_quarter_rounded_up_is_trained_over_three_times_as_many_more_seeds(tiny_task: Task) -> None:
    evaluator = Scripted(tiny_task, lambda training: MEANS[training.tree] + SEEDS.index(training.seed) / 1024)
    rates = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    decided = finals.decide(evaluator, TREES, rates, 3, 2)
    first, second = evaluator.calls
    assert first == [
        Training(tree, seed, None, rate) for tree, rate in zip(TREES, rates, strict=True) for seed in SEEDS[:2]
    ]
    assert second == [Training(TREES[place], seed, None, rates[place]) for place in (1, 3) for seed in SEEDS[2:]]
    for place, tree in enumerate(TREES):
        count = 8 if place in (1, 3) else 2
        assert decided.scores[place] == tuple(MEANS[tree] + number / 1024 for number in range(count))
        assert decided.steps[place] == count * 30


def test_some_reach_the_second_round_whatever_their_scores(tiny_task: Task) -> None:
    evaluator = Scripted(tiny_task, lambda training: MEANS[training.tree])
    factors = [[float(place)] * 3 for place in range(6)]
    decided = finals.decide(evaluator, TREES, [1.0] * 6, 3, 2, factors, always=(0, 3))
    assert list(map(len, decided.scores)) == [8, 8, 2, 8, 2, 2]
    assert [training.coefficients for training in evaluator.calls[0]] == [
        (place,) * 3 for place in range(6) for _ in range(2)
    ]
    assert {training.coefficients for training in evaluator.calls[1]} == {(0,) * 3, (1,) * 3, (3,) * 3}


@pytest.mark.parametrize(("finalists", "second_round"), [(1, [0]), (4, [0]), (5, [0, 1])])
def test_of_equals_the_first_go_on(tiny_task: Task, finalists: int, second_round: list[int]) -> None:
    evaluator = Scripted(tiny_task, lambda _: 0.5)
    decided = finals.decide(evaluator, TREES[:finalists], [1.0] * finalists, 3, 1)
    assert [place for place, scores in enumerate(decided.scores) if len(scores) == 4] == second_round


def test_the_seeds_of_finals_are_those_of_their_name() -> None:
    assert finals.seeds_of_finals(3, 8) == SEEDS
    assert finals.seeds_of_finals(3, 5) == SEEDS[:5]
    assert not set(SEEDS) & {named_seed(3, name, i) for name in ("search", "control") for i in range(1000)}
