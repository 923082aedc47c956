"""Results: what is known of a tree, rounds, and the one contract of all searches."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glojax import ExhaustiveConfig, SearchConfig, TaylorConfig, TuneConfig, exhaust, search, search_taylor, tune
from glojax.discovery.exhaustive import ExhaustiveResult
from glojax.discovery.results import Baseline, Event, Known, Result
from glojax.executors import local
from glojax.expressions.trees import parse
from glojax.records import summary
from glojax.records.candidates import Record
from glojax.records.run import Run
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
    baseline = Baseline(3.0, 0.5, 60)
    return kind(
        phase="search", loss=task.loss("x * log(y)"), rate=2.0, scores=np.array([0.25, 0.5, 0.75]), record=[],
        funnel={}, baseline=baseline, steps=90, **more,
    )  # fmt: skip


def test_a_result_gives_the_mean_score_and_the_tree_and_old_names_warn(tiny_task: Task) -> None:
    result = result_of(Result, tiny_task)
    assert (result.fitness, result.best) == (0.5, parse("x * log(y)"))
    with pytest.warns(DeprecationWarning, match=r"Result\.control is now baseline\."):
        assert result.control == result.baseline == Baseline(3.0, 0.5, 60)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.rate = 1.0


def test_old_names_of_an_exhaustive_result_warn(tiny_task: Task) -> None:
    result = result_of(ExhaustiveResult, tiny_task, ranking=[], places_of_known={"baikal": 3}, tree_count=80)
    with pytest.warns(DeprecationWarning, match=r"known is now places_of_known\."):
        assert result.known == {"baikal": 3}
    with pytest.warns(DeprecationWarning, match=r"trees is now tree_count\."):
        assert result.trees == 80


# THE CONTRACT OF ALL SEARCHES

SHARED: dict[str, Any] = {"seeds": 1, "finalists": 3, "final_seeds": 2, "seed": 3}
SEARCHES: dict[str, tuple[Callable[..., Result], tuple[Any, ...]]] = {
    "search": (search, (SearchConfig(population=8, generations=2, elites=2, **SHARED),)),
    "exhaustive": (exhaust, (ExhaustiveConfig(depth=1, batch=3, **SHARED),)),
    "tune": (tune, ("log(y) - x / y", TuneConfig(generations=2, population=4, **SHARED))),
    "taylor": (search_taylor, (TaylorConfig(generations=2, population=4, **SHARED),)),
}


@pytest.mark.parametrize("phase", SEARCHES)
def test_every_search_takes_the_same_keywords_and_agrees_with_its_record(
    phase: str, tiny_task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, given = SEARCHES[phase]
    events: list[Event] = []
    resolve, resolved = local.resolve, []
    trains = resolve(tiny_task, None, None)

    def executor(task: Task, **options: Any) -> Any:
        return trains(task, **options)

    def noted(*asked: Any) -> Any:
        resolved.append(asked)
        return resolve(*asked)

    monkeypatch.setattr(local, "resolve", noted)
    shared: dict[str, Any] = {"run_dir": tmp_path, "executor": executor, "group": 8}
    found = start(tiny_task, *given, resume=False, on_event=events.append, **shared)
    assert resolved == [(tiny_task, executor, 8)]
    assert (found.phase, {event.phase for event in events}) == (phase, {phase})
    assert [event.number for event in events] == list(range(len(found.record)))
    assert [list(event.records) for event in events] == found.record
    for event in events:
        if phase != "exhaustive":
            np.testing.assert_array_equal(event.fitness, [record.fitness for record in event.records])
    with Run(tmp_path, phase, tiny_task, given[-1], True) as run:
        assert run.generations() == found.record
        finals = run.finals()
    (winner,) = [record for record in finals if record.scores == tuple(found.scores)][:1]
    assert (winner.rate, winner.expression) == (found.rate, str(found.best))
    assert winner.fitness == pytest.approx(found.fitness)
    read = summary.read(tmp_path)
    assert read.found is not None
    assert read.found.loss == found.loss
    baseline = 0 if found.baseline is None else found.baseline.steps
    assert found.steps == baseline + sum(record.steps for records in found.record for record in records)
    again_events: list[Event] = []
    again = start(tiny_task, *given, resume=True, on_event=again_events.append, **shared)
    assert (again.loss, again.rate, again.record, again.steps) == (found.loss, found.rate, found.record, found.steps)
    np.testing.assert_array_equal(again.scores, found.scores)
    assert [list(event.records) for event in again_events] == found.record
