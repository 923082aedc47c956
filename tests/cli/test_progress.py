"""The line that shows how a search goes."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from glojax.cli import progress


def test_a_line_counts_all_that_was_trained_and_tells_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    written = io.StringIO()
    fates = ("trained", "dropped", "elite", "invalid")
    funnel = {"drawn": 1234, "trained": 2}
    fitness = np.array([0.9, 0.5, 0.8, 0.0])
    generation = SimpleNamespace(fates=fates, fitness=fitness, seconds=1.0, best="log(y)[x]", funnel=funnel)
    with progress.Progress(Console(file=written, width=200), 3, "search") as shown:
        shown.generation(generation)
    line = written.getvalue()
    for text in (
        "search 1/3", "best 0.9000", "mean 0.5500", "  1.0 candidates/s", "left   4 s",
        "1,234 drawn > 2 trained", "failed  25%", "best: log(y)[x]",
    ):  # fmt: skip
        assert text in line


def test_a_batch_of_an_exhaustive_search_is_a_line_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    written = io.StringIO()
    ranking = [SimpleNamespace(tree="x * y", fitness=0.75), SimpleNamespace(tree="x + y", fitness=0.25)]
    with progress.Progress(Console(file=written, width=200), None, "all") as shown:
        shown.batch({"drawn": 80, "trained": 8}, ranking)
    line = written.getvalue()
    for text in ("all 1  best 0.7500  mean 0.5000    2.0 candidates/s  80 drawn > 8 trained", "best: x * y"):
        assert text in line
