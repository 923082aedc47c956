"""Ideas from outside: what is shown, what is answered, and what becomes of it."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from glojax.discovery import proposals
from glojax.discovery.evolution import search
from glojax.discovery.proposals import Command, ProposalsFailed
from glojax.discovery.search_config import SearchConfig
from glojax.tasks.task import Task

CONFIG = SearchConfig(population=8, generations=2, elites=2, seeds=1, finalists=1, pool=64, seed=5)


def program(code: str, seconds: float = 30.0) -> Command:
    return Command(shlex.join([sys.executable, "-c", code]), seconds)


@pytest.mark.slow
def test_answers_are_trained_and_recorded_with_their_origin(tiny_task: Task, tmp_path: Path) -> None:
    shown: list[Mapping[str, Any]] = []

    def ideas(outlook: Mapping[str, Any]) -> list[str]:
        shown.append(json.loads(json.dumps(outlook)))
        return ["x * log(y) - square(y)", "log(", "x * x", "log(y) - x / y"]

    found = search(tiny_task, CONFIG, tmp_path, proposals=ideas)
    proposed = [record.expression for record in found.record[0] if record.origin == "proposed"]
    assert "log(y) - x / y" in proposed
    assert [outlook["generation"] for outlook in shown] == [0, 1]
    assert shown[0]["hall_of_fame"] == []
    assert shown[1]["best"][0]["fitness"] == max(
        record.fitness for record in found.record[0] if record.fate == "trained"
    )
    assert {"log", "/"} <= {*shown[1]["rules"]["operators"]}
    # What it answered is on record: a run that goes on does not ask again.
    again = search(tiny_task, CONFIG, tmp_path, resume=True, proposals=ideas)
    assert len(shown) == 2
    assert [[one._replace(seconds=0) for one in row] for row in again.record] == [
        [one._replace(seconds=0) for one in row] for row in found.record
    ]


@pytest.mark.slow
def test_an_answer_that_fails_ends_a_search_at_its_beginning(tiny_task: Task) -> None:
    with pytest.raises(ValueError, match="proposals"):
        search(tiny_task, CONFIG, proposals=lambda outlook: 1 / 0)  # type: ignore[arg-type]


def test_a_program_reads_json_and_writes_expressions() -> None:
    code = "import json, sys; print(json.dumps([json.load(sys.stdin)['task'], 'x - y']))"
    assert program(code)({"task": "x * y"}) == ["x * y", "x - y"]
    assert program("print('# mine'); print(); print(' x * y '); print('x - y')")({}) == ["x * y", "x - y"]


@pytest.mark.parametrize(
    ("code", "seconds", "message"),
    [
        ("import sys; sys.exit(3)", 30.0, "ended with status 3"),
        ("import time; time.sleep(60)", 0.5, "took more than 0.5 seconds"),
        ("print('x' * 2_000_000)", 30.0, "wrote more than 1,000,000 bytes"),
        ("print('[1, 2]')", 30.0, "a JSON list of expressions is expected"),
        ("print('[\"x')", 30.0, "a JSON list of expressions is expected"),
    ],
)
def test_a_program_that_gives_no_answer_is_named(code: str, seconds: float, message: str) -> None:
    with pytest.raises(ProposalsFailed, match=message):
        program(code, seconds)({})


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ProposalsFailed, match="'no-such-program' cannot be run"):
        Command("no-such-program")({})


@pytest.mark.parametrize(("command", "seconds"), [("", 1.0), ("  ", 1.0), ("true", 0.0), ("true", float("nan"))])
def test_bad_settings_are_refused(command: str, seconds: float) -> None:
    with pytest.raises(ValueError, match="proposals: the"):
        Command(command, seconds)


@pytest.mark.slow
def test_no_more_is_read_than_the_bound(tiny_task: Task, tmp_path: Path) -> None:
    asked: list[int] = []

    def endless(outlook: Mapping[str, Any]) -> Any:
        while True:
            asked.append(1)
            yield "x * y"

    search(tiny_task, SearchConfig(population=8, generations=1, seeds=1, finalists=1, pool=64), proposals=endless)
    assert len(asked) == proposals.MOST
