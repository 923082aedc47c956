"""Lists and comparisons of runs, as a user asks for them."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from glojax import cli, statistics
from glojax.records import directory, summary
from glojax.records.candidates import Record
from glojax.records.run import Run
from glojax.tasks.task import Task


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def rows(output: str) -> list[list[str]]:
    """Of a table, without its head; a cell's lines are joined."""
    found: list[list[str]] = []
    for line in output.splitlines():
        if line.startswith("│"):
            parts = [part.strip() for part in line.strip("│").split("│")]
            if parts[0] or not found:
                found.append(parts)
            else:
                found[-1] = [f"{before} {part}".strip() for before, part in zip(found[-1], parts, strict=True)]
    return found


@pytest.fixture
def folder(make_run: Callable[..., Path], tmp_path: Path) -> Path:
    """Two runs, the second of other scores, and two folders that are none."""
    make_run(tmp_path / "runs" / "b first")
    second = Path(shutil.copytree(tmp_path / "runs" / "b first", tmp_path / "runs" / "a second"))
    # It began later, and ends with other scores.
    text = re.sub(r'"time": "20(\d\d)', r'"time": "21\1', (second / "events.jsonl").read_text())
    (second / "events.jsonl").write_text(text)
    settings = json.loads((second / "settings.json").read_text())
    settings["phases"]["search"]["seed"] = 5
    (second / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "runs" / "none").mkdir()
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / "settings.json").write_text("{")
    return tmp_path / "runs"


def test_runs_are_listed_with_what_they_found_the_newest_last(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    listed = rows(run("runs").output)
    assert [row[0] for row in listed] == ["damaged", "none", "b first", "a second"]
    assert listed[2:] == rows(run("runs", folder).output)[2:]
    first = summary.read(folder / "b first")
    assert first.found is not None
    compared = first.found_in_comparison
    assert compared is not None
    assert listed[2] == [
        "b first", "tiny", "search 3 tune 3 random search 2 comparison", "finished", str(first.found.loss),
        f"{first.found.fitness:.4f}", f"{compared.best.test.mean():.4f}", f"{first.compared[0].best.test.mean():.4f}",
        f"{first.steps:,}",
    ]  # fmt: skip
    assert listed[1][3:5] == ["unreadable", "runs/none is not a run directory: it has no settings.json."]
    assert listed[0][4].startswith("runs/damaged/settings.json is ")


def test_a_run_that_goes_on_says_so_and_one_that_died_is_stopped(tiny_task: Task, tmp_path: Path) -> None:
    record = Record("x * y", "x * y", (), 0.5, (0.5,), 1.0, "trained", (), 0, 500, 0.25)
    with Run(tmp_path / "run", "search", tiny_task, {"generations": 5}, False) as going:
        going.save_generation(0, [record])
        (row,) = rows(run("runs", tmp_path / "run").output)
        assert row[:8] == ["run", "tiny", "search 1", "running", "x * y", "0.5000", "", ""]
        begun = (tmp_path / "run" / "events.jsonl").read_text()
    assert rows(run("runs", tmp_path).output)[0][3] == "finished"
    (tmp_path / "run" / "events.jsonl").write_text(begun)
    assert rows(run("runs", tmp_path).output)[0][3] == "stopped"
    (tmp_path / "run" / "events.jsonl").unlink()
    assert rows(run("runs", tmp_path).output)[0][3] == "unknown"


def test_full_trainings_are_no_search(tiny_task: Task, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    directory.write_settings(tmp_path / "full", "train", tiny_task, {}, False)
    (row,) = rows(run("runs", tmp_path).output)
    assert row[3] == "unreadable"
    assert row[4].endswith("holds only full trainings; its curves.png shows them.")


def test_an_empty_folder_has_no_runs(tmp_path: Path) -> None:
    assert "There are no runs." in run("runs", tmp_path).output


def test_runs_that_are_named_are_compared(folder: Path, tiny_task: Task) -> None:
    second = summary.read(folder / "a second")
    scores = second.comparison
    for row in scores["rows"]:
        row["scores"] = (np.array(row["scores"]) * 0.9).tolist()
    with Run(folder / "a second", "comparison", tiny_task, {}, resume=True) as record:
        record.save("scores", scores)
    named = ("runs", folder / "b first", folder / "a second", folder / "none")
    result = run(*named, "--json", folder / "result.json")
    kept = json.loads((folder / "result.json").read_text())["runs"]
    shown = {row[0]: row[1:] for row in rows(result.output)}
    entries = [summary.read(folder / name).found_in_comparison for name in ("b first", "a second")]
    tests = [entry.best.test for entry in entries if entry is not None]
    assert shown["of the loss"] == [f"{test.mean():.4f}" for test in tests]
    assert [one.get("of_the_loss") for one in kept] == [*(pytest.approx(test.mean()) for test in tests), None]
    assert [one.get("state") for one in kept] == ["finished", "finished", None]
    assert "none" in kept[2]["error"]
    assert shown["difference"] == ["", f"−{tests[0].mean() - tests[1].mean():.4f}"]
    assert statistics.welch(*tests) > 1e-4
    assert shown["Welch's p"] == ["", f"{statistics.welch(*tests):.2g}"]
    assert shown["search: seed"] == ["0", "5"]
    assert not any(name.startswith("tune: ") for name in shown)
    assert f"{folder / 'none'} is left out: " in result.output.replace("\n", " ")
    assert "Difference, p and g are against the first run" in result.output


def test_runs_of_other_tasks_are_not_tested_against_each_other(
    make_run: Callable[..., Path], tiny_task: Task, tmp_path: Path
) -> None:
    other = dataclasses.replace(tiny_task, steps=29, name="other")
    directories = make_run(tmp_path / "a"), make_run(tmp_path / "b", other)
    result = run("runs", *directories)
    shown = {row[0]: row[1:] for row in rows(result.output)}
    assert shown["task"] == ["tiny", "other"]
    assert shown["Welch's p"] == ["", ""]
    assert f"Tasks differ, so that scores cannot be compared: tiny ({tiny_task.fingerprint}), other (" in result.output


@pytest.mark.slow
def test_a_report_goes_where_it_is_asked_for(make_run: Callable[..., Path], tmp_path: Path) -> None:
    directory = make_run(tmp_path / "run")
    assert f"Saved {tmp_path / 'out' / 'page.html'}" in run(
        "report", directory, "--output", tmp_path / "out" / "page.html"
    ).output.replace("\n", "")
    assert (tmp_path / "out" / "page" / "curve.png").exists()
    assert not (directory / "report.html").exists()


def test_the_record_is_saved_as_a_table(make_run: Callable[..., Path], tmp_path: Path) -> None:
    result = run("record", make_run(tmp_path / "run"), "--output", tmp_path / "all.csv")
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert f"Saved {len(lines) - 1} candidates to" in result.output
