"""Candidates, and the progress of a population, which methods never change but replace."""

import dataclasses
from typing import Any

import chex
import jax
import numpy as np
import pytest

from glojax.expressions import programs
from glojax.expressions.parsing import parse
from glojax.tasks.task import Task
from glojax.training import candidates
from glojax.training.candidates import PopulationProgress

TREES = [parse("x * log(y)"), parse("y")]


@pytest.fixture
def progress() -> PopulationProgress:
    """Three candidates at the second of four stops, with two splits."""
    scores = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    return PopulationProgress(scores, np.array([True, True, False]), np.array([20, 20, 10]))


def test_a_population_starts_alive_without_scores_and_steps() -> None:
    found = PopulationProgress.start(3, 4, 2)
    expected = PopulationProgress(np.zeros((3, 4, 2), np.float32), np.ones(3, bool), np.zeros(3, np.int64))
    chex.assert_trees_all_equal(found, expected)
    chex.assert_trees_all_equal_dtypes(found, expected)


def test_steps_count_for_those_that_took_them_and_end_those_that_met_nan(progress: PopulationProgress) -> None:
    found = progress.after_steps(np.array([0, 1]), 7, np.array([True, False, True]))
    np.testing.assert_array_equal(found.steps, [27, 27, 10])
    np.testing.assert_array_equal(found.alive, [True, False, False])  # the third was dead, and took no part
    np.testing.assert_array_equal(found.scores, progress.scores)


def test_scores_are_those_of_the_members_at_one_stop(progress: PopulationProgress) -> None:
    scores = np.full((3, 2), 0.5, np.float32)
    found = progress.with_scores(np.array([1]), 2, scores)
    expected = progress.scores.copy()
    expected[1, 2] = 0.5
    np.testing.assert_array_equal(found.scores, expected)


def test_a_dropped_candidate_keeps_its_last_score_at_later_stops(progress: PopulationProgress) -> None:
    found = progress.drop(2, np.array([False, True, True]))
    np.testing.assert_array_equal(found.scores[0], [[0, 1], [2, 3], [2, 3], [2, 3]])
    np.testing.assert_array_equal(found.scores[1:], progress.scores[1:])
    np.testing.assert_array_equal(found.alive, [False, True, False])  # what is dead stays so
    np.testing.assert_array_equal(found.steps, progress.steps)


def test_a_part_replaces_the_progress_at_its_places(progress: PopulationProgress) -> None:
    part = PopulationProgress(np.full((2, 4, 2), 9, np.float32), np.array([False, True]), np.array([1, 2]))
    found = progress.with_part(np.array([2, 0]), part)
    np.testing.assert_array_equal(found.scores, [np.full((4, 2), 9), progress.scores[1], np.full((4, 2), 9)])
    np.testing.assert_array_equal(found.alive, [True, True, False])
    np.testing.assert_array_equal(found.steps, [2, 20, 1])


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("after_steps", (np.array([0]), 5, np.zeros(3, bool))),
        ("with_scores", (np.array([0]), 1, np.ones((3, 2)))),
        ("drop", (1, np.zeros(3, bool))),
        ("with_part", (np.arange(3), PopulationProgress.start(3, 4, 2))),
    ],
)
def test_no_method_changes_the_progress_that_it_is_called_on(
    progress: PopulationProgress, method: str, arguments: tuple[Any, ...]
) -> None:
    before = jax.tree.map(np.copy, progress)
    getattr(progress, method)(*arguments)
    chex.assert_trees_all_equal(progress, before)


def test_trees_are_encoded_with_rates_of_1_unless_others_are_given() -> None:
    found = candidates.encode_candidates(TREES, [3, 2**32 - 1], None, None, 31)
    chex.assert_trees_all_equal(found.program, programs.encode(TREES, None, 31))
    np.testing.assert_array_equal(found.rate, np.ones(2, np.float32))
    np.testing.assert_array_equal(found.seed, np.array([3, 2**32 - 1], np.uint32))
    chex.assert_type([found.rate, found.seed], [np.float32, np.uint32])
    given = candidates.encode_candidates(TREES, [3, 4], [[2, 3, 4, 5], None], [0.5, 2.0], 31)
    np.testing.assert_array_equal(given.rate, [0.5, 2.0])
    chex.assert_trees_all_equal(given.program, programs.encode(TREES, [[2, 3, 4, 5], None], 31))


@pytest.mark.parametrize("stops", [[], [0], [-1, 5], [10, 10], [20, 10]])
def test_stops_must_rise_from_1(tiny_task: Task, stops: list[int]) -> None:
    with pytest.raises(ValueError, match="numbers of steps that rise from 1 are needed"):
        candidates.check_stops(tiny_task, stops, ["validation"])


def test_an_unknown_split_is_refused_with_those_that_there_are(tiny_task: Task) -> None:
    candidates.check_stops(tiny_task, [1, 2], ["train", "validation", "test"])
    with pytest.raises(ValueError, match="splits holds 'dev'; the task has train, validation, test"):
        candidates.check_stops(tiny_task, [1], ["test", "dev"])


def test_the_identity_tells_apart_whatever_scores_depend_on(tiny_task: Task) -> None:
    def identity(task: Task = tiny_task, stops: Any = (5, 9), splits: Any = ("validation",), **changes: Any) -> str:
        given: dict[str, Any] = {"population": TREES, "seeds": [1, 2], "coefficients": None, "rates": None} | changes
        return candidates.identity_of(task, candidates.encode_candidates(**given, instructions=31), stops, splits)

    assert identity() == identity(stops=[5, 9], splits=["validation"])
    others = [
        identity(stops=(5, 8)),
        identity(splits=("validation", "test")),
        identity(population=TREES[::-1]),
        identity(seeds=[1, 3]),
        identity(coefficients=[None, [2.0]]),
        identity(rates=[1.0, 2.0]),
        identity(task=dataclasses.replace(tiny_task, steps=31)),
    ]
    assert len({identity(), *others}) == 1 + len(others)
