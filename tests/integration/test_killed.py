"""A run that is killed at any moment and gone on with ends like one that was left alone, bit for bit."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from glojax.records.candidates import Record

pytestmark = pytest.mark.slow

ARGUMENTS = (
    "search", "digits", "--steps", "10", "--population", "8", "--generations", "6", "--tune-generations", "5",
    "--seeds", "2", "--candidate-seeds", "1",
)  # fmt: skip
DRIVER = Path(__file__).with_name("kill_often.py")
KILLS = 20


def without_seconds(record: list[object]) -> list[object]:
    return [value for name, value in zip(Record._fields, record, strict=True) if name != "seconds"]


def left(directory: Path) -> dict[str, object]:
    """All that a run leaves, without what tells the time."""
    with closing(sqlite3.connect(directory / "record.sqlite")) as database:
        columns = [row[1] for row in database.execute("pragma table_info(candidates)") if row[1] != "seconds"]
        tables = {
            "candidates": database.execute(f"select {', '.join(columns)} from candidates").fetchall(),
            **{
                name: database.execute(f"select * from {name} order by 1, 2").fetchall()
                for name in ("generations", "rejected", "results")
            },
        }
    log = []
    for line in (directory / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        del event["time"]
        event["candidates"] = [without_seconds(record) for record in event.get("candidates", [])]
        if event["event"] not in ("begun", "ended"):
            log.append(event)
    files = {path.name: path.read_bytes() for path in [*directory.glob("*.json"), *directory.glob("report/*.png")]}
    page = (directory / "report.html").read_text().replace(directory.name, "RUN")
    before, _, rest = page.partition('<section aria-labelledby="time">')
    return tables | files | {"log": log, "page": (before, rest.partition("</section>")[2])}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    directory = tmp_path_factory.mktemp("runs") / "undisturbed-run"
    command = [sys.executable, "-m", "glojax", *ARGUMENTS, "--run-dir", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    directory.with_suffix(".txt").write_text(done.stdout)
    return directory


def test_twenty_kills_change_nothing(whole: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(DRIVER), "1", str(KILLS), str(tmp_path), *ARGUMENTS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    killed, ended = ([line for line in lines if line[0] == word] for word in ("killed", "ended"))
    assert len(killed) == sum(int(kills) for *_, kills in ended) == KILLS
    assert {"search", "tune"} <= {phase for _, phase, _ in killed}
    assert len({moment for *_, moment in killed}) >= 4
    expected = left(whole)
    assert len(expected["candidates"]) > 100  # type: ignore[arg-type]
    table = whole.with_suffix(".txt").read_text().partition("Comparing with")[2].replace(str(whole), "")
    for _, directory, _ in ended:
        found = left(Path(directory))
        assert found.keys() == expected.keys()
        for name, content in expected.items():
            assert found[name] == content, f"{name} of {directory}"
        output = Path(directory).with_suffix(".txt").read_text().partition("Comparing with")[2]
        assert output.replace(directory, "") == table


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_go_on_and_does(
    whole: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    directory = tmp_path / "interrupted-run"  # no word of a report: ``left`` replaces it
    log = directory / "events.jsonl"
    command = [sys.executable, "-m", "glojax", *ARGUMENTS, "--run-dir", directory.name]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while not log.exists() or "generation" not in log.read_text():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, message = process.communicate(timeout=60)
    assert process.returncode == status
    said, command_line = message.strip().splitlines()[-2:]
    assert said == "glojax: stopped; all that was done is in interrupted-run; go on with"
    assert command_line.split() == ["glojax", *ARGUMENTS, "--run-dir", "interrupted-run", "--resume"]
    if number == signal.SIGTERM:  # once is enough
        subprocess.run([*command, "--resume"], cwd=tmp_path, check=True, capture_output=True)
        assert left(directory) == left(whole)
