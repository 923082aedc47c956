"""How comparisons are printed."""

import io

import numpy as np
from rich.console import Console

from glojax.cli.comparison_tables import say_rows
from glojax.records.comparisons import Comparison
from glojax.tasks.task import Task


def test_a_row_shows_means_and_how_many_trainings_failed(tiny_task: Task) -> None:
    console = Console(file=io.StringIO(), width=120)
    scores = np.array([[[0.5, 0.4]], [[0.0, 0.2]]])
    say_rows(console, tiny_task, [Comparison("found", 3.0, [30], scores)], "A title")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "A title" in shown
    for text in ("found", "x3", "0.2500 ± 0.3536", "0.3000 ± 0.1414", "1 of 2"):
        assert text in shown
