"""The line that shows how a search goes."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from glojax import progress


def test_a_line_counts_all_that_was_trained_and_tells_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    written = io.StringIO()
    fates = ("trained", "dropped", "elite", "invalid")
    generation = SimpleNamespace(fates=fates, fitness=np.array([0.9, 0.5, 0.8, 0.0]), seconds=1.0, best="log(y)[x]")
    with progress.Progress(Console(file=written, width=200), 3, "search") as shown:
        shown.generation(generation)
    line = written.getvalue()
    for text in (
        "search 1/3", "best 0.9000", "mean 0.5500", "  1.0 candidates/s", "left   4 s", "cached  25%", "failed  25%",
        "best: log(y)[x]",
    ):  # fmt: skip
        assert text in line
