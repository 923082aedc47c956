"""The report: what it says is what the record holds."""

import contextlib
import dataclasses
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from glojax import losses, search, statistics, tune
from glojax.discovery import comparison, evolution
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.tuning import TuneConfig
from glojax.records import comparisons, summary
from glojax.records.store import Store
from glojax.reporting import page, sections
from glojax.tasks.task import Task

SEARCH = SearchConfig(population=12, generations=3, elites=2, pool=0, finalists=4, final_seeds=2)
"""Nothing is drawn anew, so that the found loss has ancestors."""
TUNING = TuneConfig(generations=2, finalists=3, final_seeds=2)


def do_all(task: Task, directory: Path, stop: Callable[..., None] | None = None, *, resume: bool = False) -> None:
    """A search as the command does it, with as little of all as makes a whole report."""
    found = search(task, SEARCH, directory, resume=resume, on_event=stop)
    config = dataclasses.replace(TUNING, rate=found.rate)
    tuned = tune(task, found.best, config, directory, resume=resume, on_event=stop)
    drawn = evolution.random_search(task, SEARCH, found.steps // 2, directory, resume=resume)
    tuned.loss.save(directory / "loss.json")
    named = {"found": task.loss(found.best), "found, tuned": tuned.loss, "random search": task.loss(drawn.best)}
    rates = {"found": found.rate, "found, tuned": tuned.rate, "random search": drawn.rate}
    comparison.compare(task, named, 3, rates=rates, run_dir=directory, resume=resume)


@pytest.fixture(scope="module")
def finished(tiny_task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run and its report; not to be changed."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    do_all(tiny_task, directory)
    page.write_report(directory)
    return directory


def without_time(path: Path) -> str:
    """The page before its last section."""
    text, found, _ = path.read_text().partition('<section aria-labelledby="time">')
    assert found
    return text


def test_the_page_has_all_sections_and_every_figure_as_an_image(finished: Path, parsed_page: Any) -> None:
    shown = parsed_page(finished / "report.html")
    assert shown.titles == [section.title for section in sections.sections_of(summary.read(finished))]
    assert [tag for tag, _ in shown.tags].count("h1") == 1
    names = {
        "formula", "scores", "learning", "curve", "slope", "fitness", "funnel", "random", "sizes", "genealogy",
        "tuning",
    }  # fmt: skip
    figures = {attributes["id"] for tag, attributes in shown.tags if tag == "figure"}
    assert figures == {f"figure-{name}" for name in names - {"formula"}}
    assert {path.stem for path in (finished / "report").iterdir()} == names | {"overview"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (finished / "report").iterdir())
    svgs = [attributes for tag, attributes in shown.tags if tag == "svg"]
    assert len(svgs) == len(names)
    assert all(attributes["aria-label"] and attributes["role"] == "img" for attributes in svgs)
    assert "Not shown" not in shown.text


def test_the_page_needs_nothing_else(finished: Path, parsed_page: Any) -> None:
    text = (finished / "report.html").read_text()
    shown = parsed_page(finished / "report.html")
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in shown.tags}
    assert "http" not in text
    assert "@import" not in text
    names = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in shown.tags:
        assert "src" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "xlink:href"):
            assert attributes.get(name, "#")[:1] == "#"  # type: ignore[index]
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    labels = {attributes["aria-labelledby"] for _, attributes in shown.tags if "aria-labelledby" in attributes}
    assert labels <= set(names)


def test_the_comparison_shows_the_numbers_of_the_record(finished: Path, parsed_page: Any) -> None:
    run = summary.read(finished)
    rows = {row.name: row for row in comparisons.rows_of(run.comparison)}
    best = comparisons.best_rows(rows.values())
    base, ours = best["cross-entropy"], best["found, tuned"]
    g = statistics.effect_size(base.test, ours.test)
    gaps = ours.test - base.test
    others = [loss.best.test for loss in run.compared if loss.name not in ("found, tuned", "cross-entropy")]
    p_values = [scipy.stats.ttest_rel(ours.test, other).pvalue for other in (base.test, *others)]
    p = statistics.holm(p_values)[0]
    interval, gap = statistics.summarize(ours.test), statistics.summarize(gaps)
    shown = parsed_page(finished / "report.html")
    row = next(row for row in shown.rows if row and row[0] == "found, tuned (this loss)")
    assert row[3] == f"{ours.test.mean():.4f} ± {ours.test.std(ddof=1):.4f}"
    assert row[4] == f"{interval.low:.4f} to {interval.high:.4f}"
    assert row[5:9] == [""] * 4
    row = next(row for row in shown.rows if row and row[0] == "cross-entropy")
    assert row[5].replace("−", "-") == f"{gap.mean:+.4f}"
    assert row[6].replace("−", "-") == f"{gap.low:+.4f} to {gap.high:+.4f}"
    assert row[7] == ("< 0.0001" if p < 1e-4 else f"{p:.2g}")
    assert row[8].replace("−", "-") == f"{g:+.2f}"
    least = statistics.detectable(gaps.std(ddof=1) / 2**0.5, 3)
    assert f"mean test accuracy is {ours.test.mean():.4f}; cross-entropy {base.test.mean():.4f}" in shown.text
    assert shown.text.count(f"This many seeds detect a difference of {least:.4f} in four cases out of five") == 1
    assert shown.text.count(f"random search {rows_of(run, 'random search').mean():.4f}") == 1
    assert "Too few seeds to say whether the loss is better: 3, of at least 5." in shown.text
    assert "too few seeds to say more" in shown.text


def rows_of(run: summary.RunSummary, name: str) -> np.ndarray:
    (entry,) = (entry for entry in run.compared if entry.name == name)
    return entry.best.test


def test_the_loss_that_the_record_tells_is_the_one_that_was_saved(finished: Path, parsed_page: Any) -> None:
    run = summary.read(finished)
    assert run.found is not None
    assert run.found.loss == losses.load(finished / "loss.json")
    assert (run.found_in_comparison and run.found_in_comparison.name) == "found, tuned"
    shown = parsed_page(finished / "report.html")
    assert str(run.found.loss) in shown.text
    assert 'glojax.load("loss.json")' in shown.text
    assert " ".join(run.found.loss.to_python().split()) in shown.text


def test_what_the_search_saw_is_told(finished: Path, parsed_page: Any) -> None:
    run, shown = summary.read(finished), parsed_page(finished / "report.html")
    phase = run.phases["search"]
    (funnel,) = (attributes["aria-label"] for tag, attributes in shown.tags
                 if tag == "svg" and "Trees by stage" in attributes["aria-label"])  # type: ignore[operator]  # fmt: skip
    assert funnel == "Trees by stage: " + ", ".join(f"{count} {name}" for name, count in phase.funnel.items())
    for record in phase.finals:
        (row,) = (row for row in shown.rows if row[:1] == [record.expression] and len(row) == 6 and row[1][0] == "×")
        assert row[2].split()[0] == f"{np.mean(record.scores):.4f}"
        assert int(row[5]) == len(record.scores)
    assert f"after {run.steps:,} candidate-steps" in shown.text
    with_rejected = Store(finished, read_only=True)
    assert with_rejected.rejected("search")
    with_rejected.close()


def test_the_same_record_is_the_same_page(finished: Path, tmp_path: Path) -> None:
    again = page.write_report(finished, tmp_path / "again.html")
    assert again.read_bytes() == (finished / "report.html").read_bytes()
    assert (tmp_path / "again" / "curve.png").read_bytes() == (finished / "report" / "curve.png").read_bytes()


@pytest.mark.slow
def test_a_run_that_was_stopped_and_resumed_has_the_same_page_but_for_its_times(
    finished: Path, tiny_task: Task, tmp_path: Path, no_images: None
) -> None:
    class Stopped(Exception):
        pass

    calls: list[Any] = []

    def stop(*_: Any) -> None:
        calls.append(1)
        if len(calls) in (2, 7):  # in the search, and, after all three generations of it, in the tuning
            raise Stopped

    for resume in (False, True):
        with pytest.raises(Stopped):
            do_all(tiny_task, tmp_path, stop, resume=resume)
    do_all(tiny_task, tmp_path, resume=True)
    assert without_time(page.write_report(tmp_path)) == without_time(finished / "report.html")
    run = summary.read(tmp_path)
    assert [(session.phase, session.outcome) for session in run.sessions[:4]] == [
        ("search", "stopped"), ("search", "finished"), ("tune", "stopped"), ("search", "finished"),
    ]  # fmt: skip
    assert (tmp_path / "report.html").read_text() != (finished / "report.html").read_text()


@pytest.mark.slow
def test_nothing_from_files_is_markup(copy: Path, no_images: None, parsed_page: Any) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=y> $\\frac{1$ & \"'"
    settings = json.loads((copy / "settings.json").read_text())
    settings["task"] = hostile
    settings["about"]["metric"] = settings["about"]["score"] = settings["about"]["baseline"] = hostile
    settings["phases"]["search"]["selection"] = hostile
    settings["phases"]["search"][hostile] = {hostile: [hostile]}
    (copy / "settings.json").write_text(json.dumps(settings))
    shown = parsed_page(page.write_report(copy))
    assert hostile in shown.text
    assert not {"script", "img"} & {tag for tag, _ in shown.tags}
    assert not any("onerror" in attributes for _, attributes in shown.tags)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("update candidates set expression = 'x +'", "record.sqlite or settings.json beside it is damaged"),
        ("update candidates set fitness = 'high'", "has a field of the wrong type"),
        ("update candidates set scores = '{'", "is damaged"),
        ("""update results set content = '{"asked": 1}'""", "is damaged"),
        ("drop table results", "no such table: results"),
        ("update candidates set coefficients = '[1.5]' where phase like 'tune%'", "has 1 coefficients, 3 are tuned"),
    ],
)  # fmt: skip
def test_a_damaged_record_is_named(copy: Path, no_images: None, change: str, message: str) -> None:
    with contextlib.closing(sqlite3.connect(copy / "record.sqlite")) as database, database:
        database.execute(change)
    with pytest.raises((ValueError, OSError), match=message) as raised:
        page.write_report(copy)
    assert str(copy) in str(raised.value)


def test_no_run_and_no_page_are_one_line(tmp_path: Path, made: Path) -> None:
    with pytest.raises(ValueError, match="is not a run directory"):
        page.write_report(tmp_path)
    with pytest.raises(ValueError, match="needs an ending such as"):
        page.write_report(made, tmp_path / "page")
