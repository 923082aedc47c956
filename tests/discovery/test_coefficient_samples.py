"""Coefficients in the loop: what is kept is better over the same seeds, is on record, and goes into the result."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glojax import search
from glojax.discovery import scoring
from glojax.discovery.search_config import SearchConfig
from glojax.losses.spaces import coefficient_space
from glojax.records import summary
from glojax.records.run import Run
from glojax.seeds import named_seed
from glojax.tasks.ranking import ranked
from glojax.tasks.task import Task

SAMPLED = SearchConfig(
    population=6, generations=3, elites=2, pool=60, seeds=1, finalists=3, max_depth=2, coefficient_samples=4, seed=4
)


@pytest.fixture(scope="module")
def whole(tiny_task: Task, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    directory = tmp_path_factory.mktemp("sampled")
    return search(tiny_task, SAMPLED, directory), directory


@pytest.fixture(scope="module")
def tried(tiny_task: Task, whole: tuple[Any, Path]) -> list[list[dict[str, Any]]]:
    """What was tried after each generation."""
    with Run(whole[1], "search", tiny_task, SAMPLED, True) as run:
        return [run.once(f"coefficients {number}", lambda: {"tried": []})["tried"] for number in range(3)]


@pytest.mark.slow
def test_samples_are_positive_multiples_of_what_the_elite_has(tried: list[list[dict[str, Any]]]) -> None:
    assert all(0 < len(elites) <= 2 for elites in tried)
    assert all(len(one["vectors"]) == 4 for elites in tried for one in elites)
    first = np.concatenate([np.ravel(one["vectors"]) for one in tried[0]])
    assert (first > 0).all()
    assert 0.2 < np.log(first).std() < 0.9


def test_what_is_kept_scores_as_recorded_and_is_better_over_the_same_seeds(
    tiny_task: Task, whole: tuple[Any, Path], tried: list[list[dict[str, Any]]]
) -> None:
    kept = [one for elites in tried for one in elites if one["chosen"] is not None]
    assert kept
    for one in kept[:2]:
        vector, scores = one["vectors"][one["chosen"]], one["scores"][one["chosen"]]
        loss = tiny_task.loss(one["expression"])
        loss = tiny_task.loss(loss.tree, coefficient_space(loss.tree).coefficients(np.array(vector)))
        trained = [record for records in whole[0].record for record in records if record.expression == str(loss.tree)]
        seeds = [named_seed(4, "search", i) for i in range(len(scores))]
        again = scoring.evaluate(ranked(tiny_task), [loss], seeds, rates=[trained[0].rate])
        np.testing.assert_allclose(again[0], scores, atol=1e-5)
    first = [one for one in tried[0] if one["chosen"] is not None]
    before = {record.expression: record for record in whole[0].record[0]}
    for one in first:
        assert np.mean(one["scores"][one["chosen"]]) > before[one["expression"]].fitness


def test_elites_carry_their_coefficients_and_the_result_has_the_winner_s(
    tiny_task: Task, whole: tuple[Any, Path], tried: list[list[dict[str, Any]]]
) -> None:
    found, directory = whole
    better = {one["expression"]: tuple(one["vectors"][one["chosen"]]) for one in tried[0] if one["chosen"] is not None}
    carried = {record.expression: record.coefficients for record in found.record[1] if record.fate == "elite"}
    assert better
    assert better.items() <= carried.items()
    read = summary.read(directory)
    assert read.found is not None
    assert read.found.loss == found.loss
    assert found.simplified is not None
    assert found.simplified.tree.size <= found.best.size
    for famous in found.hall_of_fame:
        assert tiny_task.loss(famous.expression).tuned == bool(famous.record.coefficients)


@pytest.mark.slow
def test_a_search_that_goes_on_is_one_that_never_stopped(
    tiny_task: Task, whole: tuple[Any, Path], tmp_path: Path
) -> None:
    search(tiny_task, dataclasses.replace(SAMPLED, generations=2), tmp_path)
    parts = search(tiny_task, SAMPLED, tmp_path, resume=True)
    assert (parts.loss, parts.fitness, parts.steps) == (whole[0].loss, whole[0].fitness, whole[0].steps)
    assert [one.trees for one in parts.generations] == [one.trees for one in whole[0].generations]


def test_several_tasks_share_no_coefficients(tiny_task: Task) -> None:
    with pytest.raises(ValueError, match="coefficient_samples is 4; of several tasks 0 is allowed"):
        search([tiny_task, dataclasses.replace(tiny_task, name="other")], SAMPLED)
