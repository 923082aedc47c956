"""The record as a table, and as the documentation queries it."""

import contextlib
import csv
import json
import re
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glojax.records import summary
from glojax.records.candidate_table import write_candidate_table
from glojax.records.candidates import Record
from glojax.records.run import Run
from glojax.records.store import Store
from glojax.tasks.task import Task


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run")


def expected(directory: Path) -> list[tuple[Any, ...]]:
    """Phase, generation and place of every candidate, and the candidate; of what was rejected its fate."""
    rows: list[tuple[Any, ...]] = []
    with contextlib.closing(Store(directory, read_only=True)) as store:
        for phase in store.phases():
            for number, records in enumerate(store.generations(phase)):
                rows += [(phase, number, place, record) for place, record in enumerate(records)]
            rows += [(phase, one.expression, f"not {one.stage}") for one in store.rejected(phase)]
    return rows


def test_csv_holds_every_candidate_as_the_record_has_it(run: Path, tmp_path: Path) -> None:
    count = write_candidate_table(run, tmp_path / "all.csv")
    with open(tmp_path / "all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == ("phase", "generation", "place", *Record._fields)
    read: list[tuple[Any, ...]] = []
    for row in rows:
        if row["place"] == "":
            read.append((row["phase"], row["expression"], row["fate"]))
            continue
        lists = {name: tuple(json.loads(row[name])) for name in ("coefficients", "scores", "parents")}
        numbers = {name: float(row[name]) for name in ("fitness", "rate", "seconds")}
        whole = {name: int(row[name]) for name in ("seed", "steps")}
        texts = {name: row[name] for name in ("expression", "canonical", "fate")}
        record = Record(**(lists | numbers | whole | texts))  # type: ignore[arg-type]
        read.append((row["phase"], int(row["generation"]), int(row["place"]), record))
    assert read == expected(run)
    assert count == len(read) > 20
    assert ("search", "y * y", "not guided") in read


def test_parquet_holds_the_same_with_numbers_and_lists(run: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    count = write_candidate_table(run, tmp_path / "all.parquet")
    read: list[tuple[Any, ...]] = []
    for row in parquet.read_table(tmp_path / "all.parquet").to_pylist():
        if row["place"] is None:
            assert row["scores"] is None
            read.append((row["phase"], row["expression"], row["fate"]))
            continue
        lists = {name: tuple(row[name]) for name in ("coefficients", "scores", "parents")}
        record = Record(**{name: row[name] for name in Record._fields} | lists)
        read.append((row["phase"], row["generation"], row["place"], record))
    assert read == expected(run)
    assert count == len(read)


def test_a_run_that_goes_on_is_written_as_far_as_it_came(tiny_task: Task, tmp_path: Path) -> None:
    record = Record("x * y", "x * y", (), 0.5, (0.5,), 1.0, "trained", (), 2**62, 500, 0.25)
    with Run(tmp_path / "run", "search", tiny_task, {}, False) as run:
        assert write_candidate_table(tmp_path / "run", tmp_path / "none.csv") == 0
        run.save_generation(0, [record])
        assert write_candidate_table(tmp_path / "run", tmp_path / "one.csv") == 1
        run.save_generation(1, [record, record])
        assert write_candidate_table(tmp_path / "run", tmp_path / "one.csv") == 3
    assert str(2**62) in (tmp_path / "one.csv").read_text()


def test_what_cannot_be_written_leaves_the_old_file(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"all.xlsx: its ending must be .csv or .parquet"):
        write_candidate_table(run, tmp_path / "all.xlsx")
    (tmp_path / "all.csv").write_text("old")
    with pytest.raises(ValueError, match="is not a run directory"):
        write_candidate_table(tmp_path, tmp_path / "all.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'glojax\[parquet\]'"):
        write_candidate_table(run, tmp_path / "all.parquet")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"all.csv": "old"}


def test_the_queries_of_the_documentation_find_what_they_say(run: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "report.md").read_text()
    fittest, stopped = re.findall(r"```sql\n(.*?)```", text, flags=re.DOTALL)
    with contextlib.closing(sqlite3.connect(run / "record.sqlite")) as database:
        (best, form), *others = database.execute(fittest).fetchall()
        assert database.execute(stopped).fetchall() == [("guided", 1)]
    phase = summary.read(run).phases["search"]
    known = {record.canonical: max(one.fitness for one in phase.candidates if one.canonical == record.canonical)
             for record in phase.candidates}  # fmt: skip
    assert {form: best} | {form: fitness for fitness, form in others} == known
    assert best == max(known.values())
