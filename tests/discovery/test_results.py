"""Results: what is known of a tree, rounds, and what a search ends with."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from glojax.discovery.exhaustive import ExhaustiveResult
from glojax.discovery.results import Baseline, Event, Known, Result
from glojax.expressions.parsing import parse
from glojax.records.candidates import Record
from glojax.tasks.task import Task

TREE = parse("(y * 1) * x")


def test_more_scores_add_to_finished_trainings_and_replace_those_that_halving_stopped() -> None:
    finished, dropped = Known(TREE, 3.0, (0.25, 0.75), True), Known(TREE, 3.0, (0.25, 0.75), False)
    assert finished.fitness == 0.5
    assert finished.with_more([0.5]) == Known(TREE, 3.0, (0.25, 0.75, 0.5), True)
    assert dropped.with_more([0.5, 1.0]) == Known(TREE, 3.0, (0.5, 1.0), True)
    assert dropped == Known(TREE, 3.0, (0.25, 0.75), False)


def test_a_record_holds_what_is_known_and_the_canonical_form() -> None:
    record = Known(TREE, 3.0, (0.25, 0.75), False).to_record("dropped", 7, 60, 1.5)
    assert record == Record(
        expression=str(TREE), canonical="x * y", coefficients=(), fitness=0.5, scores=(0.25, 0.75), rate=3.0,
        fate="dropped", parents=(), seed=7, steps=60, seconds=1.5,
    )  # fmt: skip


def test_a_round_needs_neither_records_nor_a_ranking() -> None:
    event = Event("tune", 0, 3, np.array([0.5]), "x * y", 1, {}, True)
    assert (event.records, event.ranking) == ((), ())


def result_of(kind: type[Result], task: Task, **more: Any) -> Any:
    baseline = Baseline(3.0, (0.25, 0.75), 60)
    return kind(
        phase="search", loss=task.loss("x * log(y)"), rate=2.0, scores=np.array([0.25, 0.5, 0.75]), record=[],
        funnel={}, baseline=baseline, steps=90, **more,
    )  # fmt: skip


def test_a_result_gives_the_mean_score_and_the_tree_and_old_names_warn(tiny_task: Task) -> None:
    result = result_of(Result, tiny_task)
    assert (result.fitness, result.best) == (0.5, parse("x * log(y)"))
    with pytest.warns(DeprecationWarning, match=r"Result\.control is now baseline\."):
        assert result.control == result.baseline == Baseline(3.0, (0.25, 0.75), 60)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.rate = 1.0


def test_old_names_of_an_exhaustive_result_warn(tiny_task: Task) -> None:
    own: dict[str, Any] = {"ranking": [], "places_of_known": {"baikal": 3}, "tree_count": 80, "coverage": {}}
    result = result_of(ExhaustiveResult, tiny_task, **own)
    with pytest.warns(DeprecationWarning, match=r"known is now places_of_known\."):
        assert result.known == {"baikal": 3}
    with pytest.warns(DeprecationWarning, match=r"trees is now tree_count\."):
        assert result.trees == 80
