"""A whole discovery: its phases, what it leaves behind, what may be left out, and going on with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glojax import ExhaustiveConfig, SearchConfig, TaylorConfig, TuneConfig, losses, workflow
from glojax.discovery import best_known
from glojax.discovery.results import Result
from glojax.records import summary
from glojax.tasks.task import Task
from glojax.workflow import Discovery, DiscoveryConfig, discover

SHARED: dict[str, Any] = {"seeds": 1, "finalists": 2, "final_seeds": 2, "seed": 3}
SEARCH = SearchConfig(population=8, generations=2, elites=2, **SHARED)
TUNE = TuneConfig(generations=1, population=4, **SHARED)
CONFIG = DiscoveryConfig(search=SEARCH, tune=TUNE, seeds=2)
BASELINES = ["cross-entropy", "cross-entropy, best rate"]


def same_rows(first: Discovery, second: Discovery) -> None:
    assert [(row.name, row.rate) for row in first.comparison] == [(row.name, row.rate) for row in second.comparison]
    for one, other in zip(first.comparison, second.comparison, strict=True):
        np.testing.assert_array_equal(one.validation, other.validation)
        np.testing.assert_array_equal(one.test, other.test)
    for one, other in zip(first.full, second.full, strict=True):
        np.testing.assert_array_equal(one.test, other.test)


@pytest.mark.slow
def test_a_discovery_goes_through_its_phases_and_another_goes_on_without_a_training(
    tiny_task: Task, tmp_path: Path, trained: list[int]
) -> None:
    phases: list[str] = []
    events: list[str] = []
    results: list[Result] = []
    found = discover(
        tiny_task, CONFIG, tmp_path,
        on_phase=phases.append, on_event=lambda event: events.append(event.phase), on_result=results.append,
    )  # fmt: skip
    assert phases == [
        "search", "tune", "random search", "known losses", "comparison", "full training", "report",
    ]  # fmt: skip
    assert list(dict.fromkeys(events)) == phases[:3]
    assert results == [found.search, found.tuning, found.random_search]
    assert found.tuning is not None
    assert found.random_search is not None
    assert found.tuning.rate == found.rate == found.search.rate
    assert found.tuning.best == found.search.best
    assert found.random_search.steps >= found.search.steps
    assert found.best is (found.tuning if found.tuning.loss.tuned else found.search)
    assert losses.load(tmp_path / "loss.json") == found.loss == found.best.loss
    assert found.report == tmp_path / "report.html"
    assert str(found.loss.tree) in (tmp_path / "report.html").read_text().replace("&#x27;", "'")
    table = found.table()
    assert table["loss"].tolist() == [row.name for row in found.comparison]
    np.testing.assert_allclose(table["test"], [row.test.mean() for row in found.comparison])
    assert found.table(full=True)["loss"].tolist() == [row.name for row in found.full]
    assert [part.get_suptitle() for part in found.plot().subfigs] == [
        "Search", "Trees that passed each stage", "CMA-ES", "Loss",
    ]  # fmt: skip
    ours = "found, tuned" if found.tuning.loss.tuned else "found"
    named = ["cross-entropy", "found", ours, "random search", "best known loss"]
    assert {row.name.removesuffix(", best rate") for row in found.comparison} == set(named)
    assert all(len(row.validation) == len(row.test) == 2 for row in found.comparison)
    assert [row.name for row in found.full] == ["cross-entropy", ours, "best known loss"]
    assert found.full[0].steps[-1] == 10 * tiny_task.steps
    assert found.known.known in best_known.candidates(tiny_task)
    read = summary.read(tmp_path)
    assert list(read.phases) == phases[:3]
    assert read.best_known == found.known.known.label
    assert list(read.fully_trained) == [row.name for row in found.full]

    trained.clear()
    again = discover(tiny_task, CONFIG, tmp_path, resume=True)
    assert trained == []
    assert (again.loss, again.rate, again.report) == (found.loss, found.rate, found.report)
    assert again.search.record == found.search.record
    same_rows(again, found)


@pytest.mark.slow
def test_parts_are_left_out_and_nothing_is_written_without_a_directory(
    tiny_task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    phases: list[str] = []
    config = DiscoveryConfig(search=SEARCH, tune=None, random_search=False, seeds=2, full_steps=0)
    found = discover(tiny_task, config, on_phase=phases.append)
    assert phases == ["search", "known losses", "comparison", "report"]
    assert found.full == []
    assert (found.tuning, found.random_search, found.report) == (None, None, None)
    assert found.best is found.search
    assert {row.name.removesuffix(", best rate") for row in found.comparison} == {
        "cross-entropy", "found", "best known loss",
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("search", "phase"),
    [
        (ExhaustiveConfig(depth=1, **SHARED), "exhaustive"),
        (TaylorConfig(generations=1, population=4, **SHARED), "taylor"),
    ],
)
def test_other_searches_are_not_followed_by_a_tuning(tiny_task: Task, search: Any, phase: str) -> None:
    phases: list[str] = []
    config = DiscoveryConfig(search=search, tune=TUNE, random_search=False, seeds=2)
    found = discover(tiny_task, config, on_phase=phases.append)
    assert phases == [phase, "known losses", "comparison", "full training", "report"]
    assert found.search.phase == phase
    assert found.tuning is None
    assert found.loss == found.search.loss


def test_a_search_in_which_nothing_could_be_trained_is_an_error(
    tiny_task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Result(
        phase="search", loss=tiny_task.loss("x * log(y)"), rate=1.0, scores=np.zeros(2), record=[[], []], funnel={},
        baseline=None, steps=0,
    )  # fmt: skip
    monkeypatch.setitem(workflow._SEARCHES, SearchConfig, lambda *_, **__: failed)
    with pytest.raises(ValueError, match=r"no candidate could be trained in 2 generations; search longer\."):
        discover(tiny_task, CONFIG, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seeds", [0, -1, 1.5, True, "8"])
def test_seeds_that_are_no_number_from_1_are_refused_by_name(seeds: Any) -> None:
    with pytest.raises(ValueError, match=rf"^DiscoveryConfig\.seeds is {seeds!r}; an integer of at least 1"):
        DiscoveryConfig(seeds=seeds)


@pytest.mark.parametrize("search", ["taylor", TUNE, None])
def test_what_is_no_search_is_refused_by_name(search: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^DiscoveryConfig\.search is .*a SearchConfig, an ExhaustiveConfig or a Taylor"
    ):
        DiscoveryConfig(search=search)


def test_settings_are_given_by_name_alone() -> None:
    with pytest.raises(TypeError, match="positional"):
        DiscoveryConfig(SEARCH)  # type: ignore[misc]
