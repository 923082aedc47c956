"""Finals: fresh seeds decide, the best quarter gets three times as many more, and scores are those of evaluate."""

import numpy as np
import pytest

from glojax import evaluate
from glojax.discovery.finals import decide, seeds_of_finals
from glojax.executors import local
from glojax.executors.protocol import Evaluator
from glojax.expressions.parsing import parse
from glojax.seeds import named_seed
from glojax.tasks.task import Task

TREES = [parse(text) for text in ("x * log(y)", "log(y) - x / y", "x * y", "y - x", "x * sqrt(y)")]
RATES = [1.0, 3.0, 10.0, 1.0, 3.0]


@pytest.fixture(scope="module")
def evaluator(tiny_task: Task) -> Evaluator:
    return local.resolve(tiny_task, None, None)(tiny_task, instructions=15)


def test_seeds_are_a_stream_of_their_own() -> None:
    assert seeds_of_finals(3, 5) == [named_seed(3, "finals", i) for i in range(5)]
    assert seeds_of_finals(3, 5)[:2] == seeds_of_finals(3, 2)
    assert len({*seeds_of_finals(3, 100)}) == 100
    assert not {*seeds_of_finals(3, 5)} & {*seeds_of_finals(4, 5)}


@pytest.mark.parametrize("always", [(), (3,)])
def test_the_best_quarter_and_those_named_are_trained_over_four_times_as_many_seeds(
    tiny_task: Task, evaluator: Evaluator, always: tuple[int, ...]
) -> None:
    decided = decide(evaluator, TREES, RATES, 7, 2, always=always)
    scores = evaluate(tiny_task, TREES, seeds_of_finals(7, 8), rates=RATES)
    first = scores[:, :2].astype(float).mean(axis=1)
    quarter = sorted(range(5), key=lambda place: -first[place])[:2]  # of five, rounded up
    for place, (found, steps) in enumerate(zip(decided.scores, decided.steps, strict=True)):
        seeds = 8 if place in (*quarter, *always) else 2
        np.testing.assert_allclose(found, scores[place, :seeds], atol=1e-6)
        assert steps == (30 * seeds if found[0] > 0 else steps)


def test_coefficients_go_with_their_finalist(tiny_task: Task, evaluator: Evaluator) -> None:
    tree = TREES[0]
    factors = [[1.0] * tree.size, [1.0, *[0.5] * (tree.size - 1)]]
    decided = decide(evaluator, [tree, tree], [3.0, 3.0], 7, 2, factors, always=(0, 1))
    made = [tiny_task.loss(tree, tuple(row)) for row in factors]
    expected = evaluate(tiny_task, made, seeds_of_finals(7, 8), rates=[3.0, 3.0])
    np.testing.assert_allclose(decided.scores, expected, atol=1e-6)


def test_one_finalist_is_trained_over_all_seeds(evaluator: Evaluator) -> None:
    decided = decide(evaluator, TREES[:1], RATES[:1], 7, 1)
    assert (len(decided.scores[0]), decided.steps) == (4, [4 * 30])
