"""The run directory: what it holds, and what it refuses."""

import contextlib
import dataclasses
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from glojax import search
from glojax.discovery.search_config import SearchConfig
from glojax.records.candidates import Record, Rejected
from glojax.records.directory import read, read_settings
from glojax.records.run import BASELINE, FINALS, Run
from glojax.tasks.task import Task

CONFIG = SearchConfig(population=4, generations=2, elites=1, seeds=1, finalists=2, final_seeds=1)
RECORDS = [
    Record("x * log(y)", "x * log(y)", (), 0.5, (0.25, 0.75), 3.0, "trained", (), 3, 500, 0.25),
    Record("y - x", "y - x", (1.5, -2.0), 0.25, (), 1.0, "cached", (0, 1), 3, 0, 0.0),
]


def unasked() -> Any:
    """What must not be computed again."""
    raise AssertionError


def test_generations_are_read_back_as_they_were_saved(tiny_task: Task, tmp_path: Path) -> None:
    rejected = [Rejected("y", "y * 1", "guided")]
    with Run(tmp_path, "search", tiny_task, CONFIG, resume=False) as run:
        run.save_generation(0, RECORDS, {"drawn": 7}, rejected)
        run.save_generation(1, RECORDS[::-1], None, rejected)
        run.save(FINALS, RECORDS[:1])
        run.save("best", {"rate": 0.1})
    with Run(tmp_path, "search", tiny_task, CONFIG, resume=True) as run:
        assert run.generations() == [RECORDS, RECORDS[::-1]]
        assert run.finals() == RECORDS[:1]
        assert run.funnels() == [{"drawn": 7}, {}]
        assert run.once("best", unasked) == {"rate": 0.1}
        assert run.once(BASELINE, lambda: RECORDS[:1]) == RECORDS[:1]
        assert run.once(BASELINE, unasked) == RECORDS[:1]
    settings, record = read(tmp_path)
    with contextlib.closing(record):
        assert record.rejected("search") == rejected
        assert record.phases() == ["search", "search finals", "search baseline"]
    assert settings["about"]["examples"] == {"train": 200, "validation": 100, "test": 100}


def test_without_a_directory_the_record_is_in_memory(tiny_task: Task) -> None:
    with Run(None, "search", tiny_task, CONFIG, resume=False) as run:
        run.save_generation(0, RECORDS)
        assert run.generations() == [RECORDS]


def test_finals_replace_those_of_a_shorter_run(tiny_task: Task, tmp_path: Path) -> None:
    with Run(tmp_path, "search", tiny_task, CONFIG, resume=False) as run:
        run.save(FINALS, RECORDS)
        run.save(FINALS, RECORDS[:1])
    with contextlib.closing(sqlite3.connect(tmp_path / "record.sqlite")) as database:
        assert database.execute("select phase, expression from candidates").fetchall() == [
            ("search finals", "x * log(y)")
        ]


def test_settings_name_the_task_and_hold_both_phases(tiny_task: Task, tmp_path: Path) -> None:
    for phase in ("search", "tune"):
        Run(tmp_path, phase, tiny_task, CONFIG, resume=False).close()
    settings = read_settings(tmp_path)
    assert (settings["task"], settings["fingerprint"]) == ("tiny", tiny_task.fingerprint)
    assert (
        settings["phases"]["search"] == settings["phases"]["tune"] == json.loads(json.dumps(dataclasses.asdict(CONFIG)))
    )


@pytest.mark.parametrize(
    ("key", "content", "other"),
    [(0, RECORDS, RECORDS[::-1]), (FINALS, RECORDS, RECORDS[:1]), (BASELINE, RECORDS[:1], RECORDS[1:]),
     ("rates", {"x": [1.5]}, {"x": [2.5]})],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("on_disk", [True, False])
def test_what_is_on_record_is_not_computed_again_unless_it_does_not_match(
    tiny_task: Task, tmp_path: Path, key: Any, content: Any, other: Any, on_disk: bool
) -> None:
    with Run(tmp_path if on_disk else None, "search", tiny_task, CONFIG, resume=False) as run:
        assert run.once(key, lambda: content) == content
        assert run.once(key, unasked) == content
        assert run.once(key, unasked, lambda kept: kept == content) == content
        assert run.once(key, lambda: other, lambda kept: kept == other) == other
        assert run.once(key, unasked) == other
        with pytest.raises(RuntimeError, match="another run"):
            run.once(key, unasked, refuse)
        assert run.once(key, unasked) == other


def refuse(_: Any) -> bool:
    raise RuntimeError("another run")


def test_nothing_is_recorded_where_computing_fails(tiny_task: Task, tmp_path: Path) -> None:
    def fail() -> list[Record]:
        raise RuntimeError("no luck")

    with Run(tmp_path, "search", tiny_task, CONFIG, resume=False) as run:
        for key in (0, FINALS, BASELINE, "rates"):
            with pytest.raises(RuntimeError, match="no luck"):
                run.once(key, fail)
        assert run.generations() == []
        assert run.finals() == []
        assert run.once("rates", lambda: [1]) == [1]


# WHAT IS REFUSED


def test_the_directory_of_another_task_is_refused_before_anything_trains(tiny_task: Task, tmp_path: Path) -> None:
    Run(tmp_path, "search", tiny_task, CONFIG, resume=False).close()
    other = dataclasses.replace(tiny_task, steps=31, name="other")
    with pytest.raises(ValueError, match=r"begun with another number of steps \(task 'tiny'; this is 'other'\)"):
        search(other, CONFIG, tmp_path, resume=True)


def test_a_run_is_not_begun_twice(tiny_task: Task, tmp_path: Path) -> None:
    Run(tmp_path, "search", tiny_task, CONFIG, resume=False).close()
    with pytest.raises(ValueError, match="already holds results of 'search'; resume it or choose another"):
        Run(tmp_path, "search", tiny_task, CONFIG, resume=False)


def test_a_run_goes_on_with_the_same_settings_but_for_its_length(tiny_task: Task, tmp_path: Path) -> None:
    Run(tmp_path, "search", tiny_task, CONFIG, resume=False).close()
    longer = dataclasses.replace(CONFIG, generations=9, budget=10, minutes=2.5)
    Run(tmp_path, "search", tiny_task, longer, resume=True).close()
    assert read_settings(tmp_path)["phases"]["search"]["generations"] == 9
    with pytest.raises(ValueError, match="setting seed = 0, now it is 1"):
        Run(tmp_path, "search", tiny_task, dataclasses.replace(CONFIG, seed=1), resume=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "settings.json is not JSON that can be read"),
        ("[]", "settings.json is not a run's settings"),
        ('{"glojax_run": 99}', "settings.json has schema 99, .* schema 5: it is the run of a newer version"),
        ('{"glojax_run": 3}', "it is the run of an older version, with which it can go on"),
        ('{"glojax_run": 4}', "settings.json is damaged: task is missing"),
        (
            '{"glojax_run": 4, "task": "tiny", "fingerprint": "", "about": {}, "phases": {"search": 1}}',
            "damaged: phases is",
        ),
        ("[" * 100_000, "settings.json is not JSON that can be read: it is nested too deeply"),
    ],
    ids=range(7),
)
def test_damaged_or_foreign_settings_are_refused_by_name(
    tiny_task: Task, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        Run(tmp_path, "search", tiny_task, CONFIG, resume=True)


def test_settings_of_endless_length_are_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "settings.json", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match=r"settings.json has 1,099,511,627,776 bytes; at most 10,000,000 are allowed"):
        read_settings(tmp_path)


@pytest.mark.slow
def test_a_directory_that_another_process_uses_is_refused_until_that_is_killed(tiny_task: Task, tmp_path: Path) -> None:
    lines = [
        "from pathlib import Path",
        "from glojax.records.directory import locked",
        f"with locked(Path({str(tmp_path)!r})):",
    ]
    code = "\n".join([*lines, "    print(flush=True)", "    input()"])
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(OSError, match="is in use by another process; wait until it ends"):
            Run(tmp_path, "search", tiny_task, CONFIG, resume=False)
        assert not (tmp_path / "settings.json").exists()
        other.kill()
    Run(tmp_path, "search", tiny_task, CONFIG, resume=False).close()


def test_a_path_that_is_a_file_is_refused(tiny_task: Task, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Run(tmp_path / "file", "search", tiny_task, CONFIG, resume=False)


def test_a_directory_without_settings_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a run directory"):
        read_settings(tmp_path)
