"""The section on where a loss comes from."""

import contextlib
import dataclasses
import sqlite3
from pathlib import Path
from typing import Any

from glojax.records import summary
from glojax.records.candidates import Record
from glojax.reporting import page, sections
from glojax.reporting.blocks import Picture, Table, Text
from glojax.reporting.genealogy_section import genealogy_blocks


def test_the_main_line_and_all_ancestors_are_tables(made: Path) -> None:
    picture, line, everyone = genealogy_blocks(summary.read(made))
    assert isinstance(picture, Picture)
    assert "The loss and its 3 ancestors, each" in picture.caption
    assert isinstance(line, Table)
    assert [row[:4] for row in line.rows] == [
        ["2", "(x - 1) * log(y + x)", "mutation", ""],
        ["1", "x * log(y + x)", "crossover", "y - x"],
        ["0", "x * log(y)", "drawn by what they compute", ""],
    ]
    assert isinstance(everyone, Table)
    assert everyone.summary == "All 3 ancestors"
    assert [row[3] for row in everyone.rows] == ["1", "2 and 3", "", ""]


def test_a_loss_without_ancestors_says_where_it_came_from(made: Path) -> None:
    run = summary.read(made)
    phase = run.phases["search"]
    found = next(record for record in phase.generations[-1] if record.canonical == phase.finals[0].canonical)
    given = found._replace(parents=(), origin="start")
    phase = dataclasses.replace(phase, generations=[[given]])
    text, line = genealogy_blocks(dataclasses.replace(run, phases={**run.phases, "search": phase}))
    assert text == Text("It was given at the start, exactly as it is, and has no ancestors.")
    assert isinstance(line, Table)
    assert [row[2] for row in line.rows] == ["given at the start"]


def test_parents_that_cannot_be_leave_out_the_genealogy(copy: Path, no_images: None, parsed_page: Any) -> None:
    with contextlib.closing(sqlite3.connect(copy / "record.sqlite")) as database, database:
        database.execute("update candidates set parents = '[77]' where generation > 0")
    text = parsed_page(page.write_report(copy)).text
    assert "Not shown: the record is damaged: (x - 1) * log(y + x) has parents (77,) of 3 candidates." in text


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
