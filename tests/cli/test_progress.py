"""The line that shows how a search goes."""

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from glojax.cli import progress
from glojax.discovery.results import Event


def event(phase: str = "search", number: int = 0, **changes: Any) -> Event:
    fitness, funnel = np.array([0.9, 0.5, 0.8, 0.0]), {"drawn": 1234, "trained": 2}
    return Event(phase, number, 3, fitness, "log(y)[x]", 2, funnel, True)._replace(**changes)


def shown(monkeypatch: pytest.MonkeyPatch, times: list[float], *events: Event, **options: Any) -> list[str]:
    """The lines of these events, at these times."""
    clock, written = iter(times), io.StringIO()
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    with progress.ProgressDisplay(Console(file=written, width=200), **options) as display:
        display.begin(events[0].phase)
        for one in events:
            display.show(one)
    return written.getvalue().splitlines()


def test_a_line_counts_all_that_was_trained_and_tells_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = shown(monkeypatch, [0.0, 0.0, 2.0], event())
    assert line == (
        "search 1/3  best 0.9000  mean 0.5500    1.0 candidates/s  left   4 s  1,234 drawn > 2 trained  failed  25%  "
        "best: log(y)[x]"
    )


def test_a_batch_of_an_exhaustive_search_is_a_line_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = event("exhaustive", planned=None, fitness=np.array([0.75, 0.25]), trained=8, best="x * y")
    (line,) = shown(monkeypatch, [0.0, 0.0, 4.0], batch, titles={"exhaustive": "all"})
    assert line.startswith("all 1  best 0.7500  mean 0.5000    2.0 candidates/s  1,234 drawn > 2 trained")
    assert line.endswith("best: x * y")


def test_what_is_read_back_counts_neither_as_trained_nor_for_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [event(is_new=False, trained=80), event(number=1)]
    lines = shown(monkeypatch, [0.0, 0.0, 0.5, 2.0], *events)
    assert "  0.0 candidates/s" in lines[0]
    assert "search 2/3" in lines[1]
    assert "  1.0 candidates/s  left   2 s" in lines[1]


def test_another_phase_begins_with_a_clock_and_a_best_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    tuning = event("tune", fitness=np.array([0.5, 0.5]), funnel={}, trained=2)
    lines = shown(monkeypatch, [0.0, 0.0, 2.0, 10.0, 11.0], event(), tuning)
    assert lines[1].strip() == "tune 1/3  best 0.5000  mean 0.5000    2.0 candidates/s  left   2 s"


def test_rounds_are_written_as_scalars_of_their_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float, dict[str, int]]] = []

    class Scalars:
        def phase(self, name: str) -> Any:
            return lambda fitness, funnel: written.append((name, float(fitness.max()), funnel))

    tuning = event("tune", funnel={})
    shown(monkeypatch, [0.0] * 9, event(), tuning, scalars=Scalars())
    assert written == [("search", 0.9, {"drawn": 1234, "trained": 2}), ("tune", 0.9, {})]
