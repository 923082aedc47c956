"""The sections of a report: what each shows, and what it says where it has nothing to show."""

import contextlib
import dataclasses
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glojax import losses
from glojax.discovery.exhaustive import ExhaustiveConfig
from glojax.discovery.fitness import Known, record_of
from glojax.discovery.tuning import TuneConfig
from glojax.expressions import export
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import parse
from glojax.losses.spaces import taylor_space
from glojax.records import summary
from glojax.records.candidates import Record
from glojax.records.run import Run
from glojax.records.store import Store
from glojax.reporting import page, sections
from glojax.reporting.blocks import Picture, Table, Text
from glojax.tasks.task import Task

TITLES = [
    "Summary", "Comparison over fresh seeds", "The loss", "Search", "Where it comes from", "Finals", "Tuning",
    "How to use it", "Task and settings", "Time and speed",
]  # fmt: skip
WHOLE_SEARCH = {"search baseline", "search", "search finals"}


def killed_after(directory: Path, phases: set[str]) -> None:
    """Take from a run all but these phases, as if it had been killed after them."""
    lines = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    kept = [line for line in lines if line["phase"] in phases]
    (directory / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    (directory / "record.sqlite").unlink()
    Store(directory).close()  # makes the record again from the log
    settings = json.loads((directory / "settings.json").read_text())
    settings["phases"] = {name: config for name, config in settings["phases"].items() if name in phases}
    (directory / "settings.json").write_text(json.dumps(settings))
    (directory / "loss.json").unlink()


@pytest.mark.parametrize(
    ("phases", "without", "says"),
    [
        (WHOLE_SEARCH, {"Comparison over fresh seeds", "Tuning"}, "has not been compared with anything"),
        ({"search"}, {"Comparison over fresh seeds", "Finals", "Tuning"}, "has not been compared with anything"),
        (
            {"tune", "tune finals"}, {"Comparison over fresh seeds", "Search", "Where it comes from"},
            "CMA-ES tunes 3 of 8 coefficients",
        ),
        ({"search baseline"}, set(TITLES[1:8]), "Nothing has been trained yet"),
        (WHOLE_SEARCH | {"comparison"}, {"Tuning"}, "Over 5 fresh seeds its mean test accuracy"),
    ],
)  # fmt: skip
def test_what_is_missing_is_left_out_with_a_reason(
    copy: Path, no_images: None, phases: set[str], without: set[str], says: str, parsed_page: Any
) -> None:
    killed_after(copy, phases)
    run = summary.read(copy)
    shown = {part.title: part.blocks for part in sections.sections_of(run)}
    assert list(shown) == TITLES
    for title, blocks in shown.items():
        texts = [block.text for block in blocks if isinstance(block, Text)]
        assert (title in without) == (len(blocks) == 1 and "Not shown: " in texts[0][:11] if texts else False), title
    text = parsed_page(page.write_report(copy)).text
    assert says in text
    if run.found is not None:
        assert f"loss = glojax.Loss('{run.found.loss.tree}'" in text


def test_a_search_that_was_killed_shows_how_far_it_came(copy: Path, no_images: None, parsed_page: Any) -> None:
    lines = (copy / "events.jsonl").read_text().splitlines(keepends=True)
    (copy / "events.jsonl").write_text("".join(lines[:3]))  # begun, baseline, first generation
    (copy / "record.sqlite").unlink()
    Store(copy).close()
    run = summary.read(copy)
    assert (run.state, run.found and str(run.found.loss.tree)) == ("stopped", "x * log(y)")
    text = parsed_page(page.write_report(copy)).text
    assert "The best loss so far" in text
    assert "Not finished yet: 1 of 3 generations are recorded." in text
    assert "The search has not finished: this is its fittest loss so far" in text


def test_an_exhaustive_search_is_a_ranking(tiny_task: Task, tmp_path: Path, no_images: None, parsed_page: Any) -> None:
    known = [Known(parse(text), 3.0, scores, True) for text, scores in (
        ("x * log(y)", (0.7, 0.8)), ("log(y) * (x - y)", (0.9, 0.8)), ("x - y", (0.5, 0.4)))]  # fmt: skip
    with Run(tmp_path, "exhaustive", tiny_task, ExhaustiveConfig(), False) as run:
        run.save_generation(0, [record_of(one, "trained", 0, 60, 0.1) for one in known])
        run.save_result("funnel", {"drawn": 25844, "trained": 3})
        run.save_finals([record_of(one, "trained", 0, 60, 0.1) for one in known[:2]])
    shown = {part.name: part.blocks for part in sections.sections_of(summary.read(tmp_path))}
    ranking, funnel, *_, text = shown["search"]
    assert isinstance(ranking, Picture)
    assert ranking.description.endswith("log(y) * (x - y), x * log(y) (cross_entropy), x - y")
    assert isinstance(funnel, Picture)
    assert isinstance(text, Text)
    assert text.text == "Of 25,844 trees of depth at most 2, 25,844 were drawn."
    assert len(parsed_page(page.write_report(tmp_path)).titles) == len(TITLES)


def test_a_taylor_polynomial_has_its_coefficients(
    tiny_task: Task, tmp_path: Path, no_images: None, parsed_page: Any
) -> None:
    space, vector = taylor_space(), (1.0, 0.5, 0.25, -1.0, 2.0, 3.0, -2.0, 0.125)
    tree = str(space.tree)
    record = Record(tree, str(canonical(space.tree)), vector, 0.6, (0.6, 0.6), 1.0, "trained", (), 0, 60, 0.1)
    with Run(tmp_path, "taylor", tiny_task, TuneConfig(generations=2), False) as run:
        run.save_generation(0, [record])
    found = summary.read(tmp_path).found
    assert found is not None
    assert found.loss == losses.taylor((1.0, 0.5), vector[2:])
    assert "the search itself is CMA-ES" in parsed_page(page.write_report(tmp_path)).text


def test_a_task_whose_predictions_are_a_function_of_its_own_has_no_curves_and_no_source(
    copy: Path, no_images: None, parsed_page: Any
) -> None:
    settings = json.loads((copy / "settings.json").read_text())
    settings["about"]["output"] = "function"
    (copy / "settings.json").write_text(json.dumps(settings))
    text = parsed_page(page.write_report(copy)).text
    assert "No curves: this task makes predictions by a function of its own" in text
    assert "only jax" not in text


def test_parents_that_cannot_be_leave_out_the_genealogy(copy: Path, no_images: None, parsed_page: Any) -> None:
    with contextlib.closing(sqlite3.connect(copy / "record.sqlite")) as database, database:
        database.execute("update candidates set parents = '[77]' where generation > 0")
    text = parsed_page(page.write_report(copy)).text
    assert "Not shown: the record is damaged: (x - 1) * log(y + x) has parents (77,) of 3 candidates." in text


def test_tables_have_as_many_cells_as_heads(made: Path) -> None:
    tables = [block for part in sections.sections_of(summary.read(made)) for block in part.blocks
              if isinstance(block, Table)]  # fmt: skip
    assert len(tables) > 8
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.head)}
        assert table.caption


def test_source_of_the_page_is_the_export(made: Path) -> None:
    found = summary.read(made).found
    assert found is not None
    source = export.to_python(found.loss.tree, found.loss.coefficients)
    names: dict[str, Any] = {}
    exec(source, names)
    logits, labels = np.array([[1.0, 2.0, 3.0]]), np.array([[0.0, 0.0, 1.0]])
    np.testing.assert_allclose(names["loss"](logits, labels), found.loss(logits, labels), rtol=1e-6)


def test_a_search_of_thousands_of_generations_is_no_endless_page(made: Path) -> None:
    def record(number: int) -> Record:
        expression = f"log(y + {number}) * x"  # canonical as it is, and the child of the one before
        parents = (0,) if number else ()
        return Record(expression, expression, (), number / 1500, (0.5,), 1.0, "trained", parents, 0, 30, 0.1)

    run = summary.read(made)
    phase = dataclasses.replace(run.phases["search"], generations=[[record(n)] for n in range(1, 1500)], finals=[])
    phase.generations.insert(0, [record(0)._replace(parents=())])
    run = dataclasses.replace(run, phases={"search": phase})
    blocks = {part.name: part.blocks for part in sections.sections_of(run)}
    picture, line = blocks["genealogy"]
    assert isinstance(picture, Picture)
    assert "1,499 ancestors (the latest 1,000 are drawn)" in picture.caption
    assert isinstance(line, Table)
    assert [line.rows[0][1], len(line.rows)] == ["log(y + 1499) * x", 300]
    assert "(the first 300 of 1,500; the record has all)" in line.caption
    size = sum(len(block.svg) for part in blocks.values() for block in part if isinstance(block, Picture))
    assert size < 1_500_000
