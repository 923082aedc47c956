"""A run directory of schema 4, written before the baseline had its name, is read like today's."""

import contextlib
import csv
import json
import shutil
from pathlib import Path

import pytest
import scipy.stats
from typer.testing import CliRunner

from glojax import cli, losses
from glojax.records import summary
from glojax.records.candidate_table import write_candidate_table
from glojax.records.directory import read_settings
from glojax.records.log import GenerationEntry, read_entries
from glojax.records.store import Store
from glojax.reporting.page import write_report

OLD = Path(__file__).parent / "old_run"
PHASES = {
    "search baseline": 1, "search": 14, "search finals": 8, "tune": 8, "tune finals": 8, "random search baseline": 1,
    "random search": 21, "random search finals": 21,
}  # fmt: skip


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy, as a look at a run may leave a lock."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def test_it_is_of_schema_4_and_has_the_old_names() -> None:
    settings = json.loads((OLD / "settings.json").read_text())
    assert settings["glojax_run"] == 4
    assert settings["about"]["control"] == "cross-entropy"
    assert '"phase": "search control"' in (OLD / "events.jsonl").read_text()


def test_its_settings_name_the_baseline(old: Path) -> None:
    about = read_settings(old)["about"]
    assert about["baseline"] == "cross-entropy"
    assert "control" not in about


def test_its_tables_have_todays_phases(old: Path) -> None:
    with contextlib.closing(Store(old, read_only=True)) as store:
        assert store.phases() == list(PHASES)
        counts = {phase: sum(map(len, store.generations(phase))) for phase in store.phases()}
        assert counts == PHASES
        baseline = store.baseline("search")
        assert baseline is not None
        assert (baseline.canonical, baseline.rate, baseline.steps) == ("log(y) * x", 100.0, 320)
        assert baseline.fitness == pytest.approx(0.5159722305834293)
        assert store.generation("search baseline", 0) == [baseline]


def test_its_log_has_todays_phases(old: Path) -> None:
    entries = [entry for entry in read_entries(old / "events.jsonl") if isinstance(entry, GenerationEntry)]
    assert list(dict.fromkeys(entry.phase for entry in entries)) == list(PHASES)


def test_its_tables_are_complete_and_can_be_rebuilt_from_the_log(old: Path) -> None:
    before = (old / "record.sqlite").read_bytes()
    Store(old).close()
    assert (old / "record.sqlite").read_bytes() == before
    (old / "record.sqlite").unlink()
    with contextlib.closing(Store(old)) as rebuilt, contextlib.closing(Store(OLD, read_only=True)) as store:
        assert rebuilt.phases() == store.phases()
        for phase in PHASES:
            assert rebuilt.generations(phase) == store.generations(phase)
            assert rebuilt.funnels(phase) == store.funnels(phase)
            assert rebuilt.rejected(phase) == store.rejected(phase)
        assert rebuilt.result("comparison", "scores") == store.result("comparison", "scores")


def test_its_trees_have_no_origin_until_new_ones_are_written(old: Path) -> None:
    with contextlib.closing(Store(old)) as store:
        before = store.generations("search")
        assert {record.origin for records in before for record in records} == {""}
        store.add_generation("search", len(before), [before[0][0]._replace(origin="bred")], {})
        *kept, (added,) = store.generations("search")
        assert kept == before
        assert added.origin == "bred"


def test_its_summary_has_what_the_old_version_printed(old: Path) -> None:
    run = summary.read(old)
    assert run.found is not None
    assert run.found.loss == losses.load(old / "loss.json")
    assert str(run.found.loss.tree) == "log(y * y) / (log(x) + y)"
    assert (round(run.found.rate, 3), round(run.found.fitness, 4)) == (0.723, 0.7938)
    assert {name: len(phase.generations) for name, phase in run.phases.items()} == {
        "search": 2, "tune": 2, "random search": 3,
    }  # fmt: skip
    baseline = run.phases["search"].baseline
    assert baseline is not None
    assert (baseline.rate, round(baseline.fitness, 4)) == (100.0, 0.5160)
    assert run.steps == 5632


@pytest.mark.slow
def test_its_report_has_the_numbers_of_the_old_one_and_the_interval_of_paired_differences(old: Path) -> None:
    """Its found loss validates better at the task's rate than at its best one, and stands there since."""
    text = write_report(old).read_text()
    run = summary.read(old)
    assert run.found_in_comparison is not None
    ours, base = run.found_in_comparison.best.test, run.compared[0].best.test
    interval = scipy.stats.ttest_rel(ours, base).confidence_interval()
    for number in (
        "0.8208 ± 0.0216", "0.7347 ± 0.0491", "+0.0861", "+1.30", "5,632", "0.5160", "×5,542",
        f"{interval.low:+.4f} to {interval.high:+.4f}".replace("-", "−"),
    ):  # fmt: skip
        assert number in text


def test_its_candidates_are_a_table(old: Path, tmp_path: Path) -> None:
    assert write_candidate_table(old, tmp_path / "all.csv") == 480
    with open(tmp_path / "all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["phase"], row["rate"]) for row in rows if row["phase"].endswith("baseline")] == [
        ("search baseline", "100.0"), ("random search baseline", "30.0"),
    ]  # fmt: skip
    assert (rows[1]["expression"], rows[1]["fitness"]) == ("square(x * y)", "0.1458333358168602")


def test_it_is_in_the_list_of_runs(old: Path) -> None:
    result = CliRunner().invoke(cli.app, ["runs", str(old)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    for cell in ("digits-mlp", "log(y * y) / (log(x) + y)", "0.7938", "0.8208", "0.7347", "5,632"):
        assert cell in result.output
