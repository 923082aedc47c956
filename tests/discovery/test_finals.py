"""Finals: fresh common seeds decide, as many as it takes, and scores are those of evaluate."""

import numpy as np
import pytest

from glojax import evaluate, statistics
from glojax.discovery.allocation import allocate
from glojax.discovery.finals import BUDGET, MOST, decide, seeds_of_finals
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


@pytest.mark.slow
@pytest.mark.parametrize("always", [(), (3,)])
def test_finalists_are_trained_over_common_seeds_as_they_are_allocated(
    tiny_task: Task, evaluator: Evaluator, always: tuple[int, ...]
) -> None:
    decided = decide(evaluator, TREES, RATES, 7, 2, always=always)
    scores = evaluate(tiny_task, TREES, seeds_of_finals(7, 2 * MOST), rates=RATES).astype(float)
    rows = [tuple(row[:2]) for row in scores.tolist()]
    while (left := BUDGET * 2 * 5 - sum(map(len, rows))) > 0 and any(more := allocate(rows, min(24, left), 2 * MOST)):
        rows = [tuple(scores[place, : len(row) + more[place]]) for place, row in enumerate(rows)]
    best = statistics.winner(rows)
    for place, (found, expected) in enumerate(zip(decided.scores, rows, strict=True)):
        count = max(len(expected), len(rows[best]) * (place in always))
        np.testing.assert_allclose(found, scores[place, :count], atol=1e-6)
    for found, steps in zip(decided.scores, decided.steps, strict=True):
        assert steps == (30 * len(found) if min(found) > 0 else steps)
    assert sum(map(len, decided.scores)) < 5 * 2 * MOST


@pytest.mark.slow
def test_coefficients_go_with_their_finalist(tiny_task: Task, evaluator: Evaluator) -> None:
    tree = TREES[0]
    factors = [[1.0] * tree.size, [1.0, *[0.5] * (tree.size - 1)]]
    decided = decide(evaluator, [tree, tree], [3.0, 3.0], 7, 2, factors, always=(0, 1))
    made = [tiny_task.loss(tree, tuple(row)) for row in factors]
    expected = evaluate(tiny_task, made, seeds_of_finals(7, 2 * MOST), rates=[3.0, 3.0])
    for found, row in zip(decided.scores, expected, strict=True):
        np.testing.assert_allclose(found, row[: len(found)], atol=1e-6)
    assert len(decided.scores[0]) == len(decided.scores[1])


def test_one_finalist_has_won(evaluator: Evaluator) -> None:
    decided = decide(evaluator, TREES[:1], RATES[:1], 7, 2)
    assert (len(decided.scores[0]), decided.steps) == (2, [2 * 30])
