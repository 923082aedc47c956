"""The sections on settings and time."""

import dataclasses
from pathlib import Path

from glojax.records import summary
from glojax.records.log import Session
from glojax.reporting.blocks import Table
from glojax.reporting.settings_section import flattened, settings_blocks, time_blocks


def test_settings_become_text_with_those_of_a_group_under_its_name() -> None:
    config = {
        "seeds": 2, "rate": 197.4424477888977, "protected": False, "budget": None, "screening": ["finite", "guided"],
        "splits": [], "variation": {"crossover": 0.8, "deep": {"on": True}},
    }  # fmt: skip
    assert flattened(config) == {
        "seeds": "2", "rate": "197.442", "protected": "no", "budget": "none", "screening": "finite, guided",
        "splits": "none", "variation.crossover": "0.8", "variation.deep.on": "yes",
    }  # fmt: skip


def test_the_task_and_every_phase_have_their_settings(made: Path) -> None:
    run = summary.read(made)
    task, settings = settings_blocks(run)
    assert isinstance(task, Table)
    rows = dict(task.rows)
    assert rows["examples"] == "200 train, 100 validation, 100 test"
    assert (rows["baseline"], rows["metric"], rows["fingerprint"]) == (
        "cross-entropy",
        "accuracy",
        run.task.fingerprint,
    )
    assert isinstance(settings, Table)
    assert settings.head == ["setting", "search", "tune", "random search"]
    assert ["population", "3", "none", "3"] in [list(row) for row in settings.rows]


def test_time_is_that_of_what_was_trained(made: Path) -> None:
    run = dataclasses.replace(
        summary.read(made), sessions=[Session("search", "2026-01-01T10:00:00.123+00:00", "2026-01-01T10:05:00.9", "")]
    )
    _, speed, sessions = time_blocks(run)
    assert isinstance(speed, Table)
    trained = [one for one in [*run.phases["search"].candidates, *run.phases["search"].finals] if one.steps]
    steps, seconds = sum(one.steps for one in trained), sum(one.seconds for one in trained)
    assert speed.rows[0] == [
        "search", str(len(trained)), f"{steps:,}", f"{seconds:,.1f}", f"{steps / seconds:,.0f}",
    ]  # fmt: skip
    assert isinstance(sessions, Table)
    assert sessions.rows == [["search", "2026-01-01 10:00:00", "2026-01-01 10:05:00", "no end recorded"]]
