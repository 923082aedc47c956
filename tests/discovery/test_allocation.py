"""Sequential allocation: who gets more trainings, and when it is settled."""

import numpy as np
import pytest

from glojax.discovery.allocation import CONFIDENCE, allocate
from glojax.statistics import standing


def scores(means: list[float], counts: list[int], noise: float = 0.01, seed: int = 0) -> list[tuple[float, ...]]:
    drawn = np.random.default_rng(seed).normal(np.array(means)[:, None], noise, (len(means), max(counts)))
    return [tuple(row[:count]) for row, count in zip(drawn.tolist(), counts, strict=True)]


def test_what_is_settled_gets_nothing() -> None:
    assert allocate(scores([0.9, 0.8, 0.7], [4, 4, 4]), 24, 32) == [0, 0, 0]
    assert allocate([(0.5, 0.6)], 24, 32) == [0]


def test_those_that_may_be_the_best_get_more_and_the_leader_as_many() -> None:
    rows = scores([0.9, 0.899, 0.7, 0.6], [4, 4, 4, 4])
    more = allocate(rows, 10, 32)
    leader = standing(rows).leader
    challenger = 1 - leader
    assert more == [10, 10, 0, 0]
    ahead = [rows[leader] * 3, rows[challenger], *rows[2:]]
    assert allocate(ahead, 10, 32) == [2, 10, 0, 0]


def test_nobody_gets_more_than_the_most() -> None:
    rows = scores([0.9, 0.9, 0.9], [30, 30, 31])
    more = allocate(rows, 50, 32)
    assert max(len(row) + extra for row, extra in zip(rows, more, strict=True)) <= 32
    assert allocate(scores([0.9, 0.9, 0.9], [32, 32, 32]), 50, 32) == [0, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_trainings_end_and_are_fewer_than_all(seed: int) -> None:
    means = np.linspace(0.9, 0.93, 12).tolist()
    everything = scores(means, [32] * 12, 0.008, seed)
    have, rounds = [2] * 12, 0
    while any(more := allocate(rows := [row[:count] for row, count in zip(everything, have, strict=True)], 24, 32)):
        have, rounds = [count + extra for count, extra in zip(have, more, strict=True)], rounds + 1
    found = standing(rows)
    assert sum(have) < 12 * 32 / 2
    assert rounds < 30
    undecided = [place for place in range(12) if have[place] < 32 and found.chances[place] > 1 - CONFIDENCE]
    assert not undecided


def test_one_training_is_never_enough_to_judge_by() -> None:
    assert allocate([(0.9,), (0.1, 0.2), (0.3,)], 24, 32) == [1, 0, 1]
    assert allocate([(0.9,), (0.1,)], 24, 1) == [0, 0]


def test_equal_candidates_are_trained_to_the_end_and_no_further() -> None:
    assert allocate([(0.5,) * 4] * 3, 24, 32) != [0, 0, 0] or standing([(0.5,) * 4] * 3).chance == 0
    assert allocate([(0.5,) * 32] * 3, 24, 32) == [0, 0, 0]
