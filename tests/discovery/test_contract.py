"""What every search has in common: its arguments, its events, and a result that its run directory agrees with."""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from glojax import exhaust, search, search_taylor, tune
from glojax.discovery.exhaustive import ExhaustiveConfig
from glojax.discovery.results import Event, Result, SearchOptions
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.tuning import TuneConfig, TuningResult
from glojax.executors import local
from glojax.executors.protocol import Evaluator
from glojax.records.candidates import Record
from glojax.records.run import BASELINE, FINALS, Run
from glojax.statistics import winner
from glojax.tasks.task import Task
from glojax.training.trainer import Trainer

SHARED: dict[str, Any] = {"seeds": 2, "finalists": 3, "final_seeds": 2, "seed": 4}
TUNING = TuneConfig(generations=3, population=4, **SHARED)


class Search(NamedTuple):
    """A search with its settings."""

    function: Callable[..., Result]
    phase: str
    config: Any
    given: tuple[Any, ...] = ()  # beside task and settings

    def run(self, task: Task, **options: Any) -> Result:
        return self.function(task, *self.given, self.config, **options)


SEARCHES = [
    Search(search, "search", SearchConfig(population=6, generations=3, elites=2, max_depth=2, **SHARED)),
    Search(exhaust, "exhaustive", ExhaustiveConfig(depth=2, batch=3, budget=3000, **SHARED)),
    Search(tune, "tune", TUNING, ("log(y) - x / y",)),
    Search(search_taylor, "taylor", TUNING),
]


@pytest.fixture(scope="module", params=SEARCHES, ids=lambda one: one.phase)
def one(request: pytest.FixtureRequest) -> Search:
    return request.param


class Counting:
    """This process's executor, which keeps with what settings it was asked for evaluators."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, task: Task, **settings: Any) -> Evaluator:
        self.asked.append(settings)
        return local.local_executor(task, **settings)


class Begun(NamedTuple):
    """What a search found and left; not to be changed."""

    found: Result
    events: list[Event]
    directory: Path
    executor: Counting


@pytest.fixture(scope="module")
def begun(one: Search, tiny_task: Task, tmp_path_factory: pytest.TempPathFactory) -> Begun:
    events: list[Event] = []
    directory, executor = tmp_path_factory.mktemp("runs") / one.phase, Counting()
    found = one.run(tiny_task, run_dir=directory, on_event=events.append, executor=executor)
    return Begun(found, events, directory, executor)


def timeless(rounds: Sequence[Sequence[Record]]) -> list[list[Record]]:
    return [[record._replace(seconds=0.0) for record in records] for records in rounds]


def test_every_search_has_the_same_keywords(one: Search) -> None:
    parameters = inspect.signature(one.function).parameters
    keywords = {name for name, given in parameters.items() if given.kind is inspect.Parameter.KEYWORD_ONLY}
    if one.function is search_taylor:  # passes them on
        assert parameters["options"].kind is inspect.Parameter.VAR_KEYWORD
    else:
        own = {exhaust: {"on_screening"}, search: {"proposals"}}.get(one.function, set())
        assert keywords == set(SearchOptions.__annotations__) | own
        assert parameters["resume"].default is False
        assert all(parameters[name].default is None for name in ("on_event", "executor", "group", *own))
    assert [name for name in parameters if name not in {*keywords, "options"}] == (
        ["task", "tree", "config", "run_dir"] if one.phase == "tune" else ["task", "config", "run_dir"]
    )
    with pytest.raises(TypeError, match="unexpected keyword argument 'resumee'"):
        one.function(None, *one.given, one.config, resumee=True)


def test_events_and_record_and_result_agree_and_are_read_back(
    one: Search, tiny_task: Task, begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, events, directory, _ = begun
    check_events(one, found, events)
    assert all(event.is_new for event in events)
    check_record(one, found, tiny_task, directory)

    monkeypatch.setattr(Trainer, "train", None)
    again: list[Event] = []
    recalled = one.run(tiny_task, run_dir=directory, resume=True, on_event=again.append)
    assert not any(event.is_new for event in again)
    for before, after in zip(events, again, strict=True):
        np.testing.assert_array_equal(after.fitness, before.fitness)
        same = {"fitness": None, "is_new": None, "records": timeless([before.records])[0]}
        assert after._replace(**same | {"records": timeless([after.records])[0]}) == before._replace(**same)
    assert (recalled.phase, recalled.loss, recalled.rate, recalled.funnel, recalled.baseline, recalled.steps) == (
        found.phase, found.loss, found.rate, found.funnel, found.baseline, found.steps,
    )  # fmt: skip
    np.testing.assert_array_equal(recalled.scores, found.scores)
    assert recalled.record == found.record


def check_events(one: Search, found: Result, events: Sequence[Event]) -> None:
    assert [event.number for event in events] == list(range(len(found.record)))
    assert [[*event.records] for event in events] == found.record
    assert {event.phase for event in events} == {found.phase} == {one.phase}
    assert len(events) > 1
    for event in events:
        new = [record for record in event.records if record.fate in ("trained", "dropped")]
        assert event.trained == len(new)
        assert event.planned in (None, len(events))
        if one.phase == "exhaustive":
            assert event.fitness.tolist() == [known.fitness for known in event.ranking]
            assert event.best == str(event.ranking[0].tree)
        else:
            assert event.ranking == ()
            assert event.fitness.tolist() == [record.fitness for record in event.records]
            if one.phase == "search":
                assert event.best == event.records[int(event.fitness.argmax())].expression


def check_record(one: Search, found: Result, task: Task, directory: Path) -> None:
    with Run(directory, one.phase, task, one.config, True) as run:
        rounds, finals = run.generations(), run.finals()
        baselines = run.once(BASELINE, list) if found.baseline else []
        assert run.once(FINALS, list) == finals
    assert rounds == found.record
    best = finals[winner([record.scores for record in finals])]
    if isinstance(found, TuningResult) and found.gain is not None and not found.gain.is_kept:
        (best,) = [record for record in finals if set(record.coefficients) == {1.0}]  # the start
    assert (best.expression, best.rate, best.scores) == (str(found.loss.tree), found.rate, tuple(found.scores))
    assert found.fitness == best.fitness == pytest.approx(np.mean(best.scores))
    assert found.best == found.loss.tree
    if best.coefficients:
        assert {record.coefficients for record in finals} > {best.coefficients}
    searched = sum(record.steps for records in rounds for record in records)
    assert found.steps == searched + (found.baseline.steps if found.baseline else 0)
    baseline = [] if found.baseline is None else [tuple(found.baseline)]
    assert [(record.rate, record.scores, record.steps) for record in baselines] == baseline


@pytest.mark.few(1)
def test_rounds_that_are_read_back_are_not_new_and_those_after_them_are(
    one: Search, tiny_task: Task, begun: Begun, tmp_path: Path
) -> None:
    shorter = {"budget": 1700} if one.phase == "exhaustive" else {"generations": 1}
    part = one._replace(config=dataclasses.replace(one.config, **shorter)).run(tiny_task, run_dir=tmp_path)
    events: list[Event] = []
    whole = one.run(tiny_task, run_dir=tmp_path, resume=True, on_event=events.append)
    assert 0 < len(part.record) < len(whole.record)
    assert [event.is_new for event in events] == [number >= len(part.record) for number in range(len(events))]
    assert (whole.loss, whole.steps) == (begun.found.loss, begun.found.steps)


@pytest.mark.few(1)
def test_without_a_directory_the_result_is_the_same(one: Search, tiny_task: Task, begun: Begun) -> None:
    kept, unkept = begun.found, one.run(tiny_task)
    assert (unkept.loss, unkept.rate, unkept.steps) == (kept.loss, kept.rate, kept.steps)
    np.testing.assert_array_equal(unkept.scores, kept.scores)
    assert timeless(unkept.record) == timeless(kept.record)


@pytest.mark.slow
def test_what_trains_is_asked_once_and_the_group_changes_no_result(one: Search, tiny_task: Task, begun: Begun) -> None:
    executor = Counting()
    found = one.run(tiny_task, executor=executor, group=3)
    # A tuning scores its gain on parts of the validation set, too, and has to look whether one class is answered.
    assert len(executor.asked) == 1 + (one.phase == "tune" and found.gain is not None)
    assert executor.asked[0]["group"] == 3
    assert executor.asked[0]["protected"] is False
    assert executor.asked[0]["instructions"] >= 31
    whole = begun.found
    assert {settings.get("group") for settings in begun.executor.asked} == {None}
    assert (found.loss, found.rate, found.steps) == (whole.loss, whole.rate, whole.steps)
    np.testing.assert_allclose(found.scores, whole.scores, atol=1e-6)


def test_a_directory_of_results_is_not_begun_again(one: Search, tiny_task: Task, tmp_path: Path) -> None:
    with Run(tmp_path, one.phase, tiny_task, one.config, False):
        pass
    with pytest.raises(ValueError, match=f"already holds results of '{one.phase}'; resume it"):
        one.run(tiny_task, run_dir=tmp_path)
    with pytest.raises(ValueError, match="group"):
        one.run(tiny_task, group=0)
