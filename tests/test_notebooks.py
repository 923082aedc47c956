"""Displays in a notebook."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import glojax
from glojax import losses, notebooks
from glojax.discovery.results import Event


@pytest.fixture
def shell() -> Iterator[Any]:
    """An IPython in this process."""
    interactiveshell = pytest.importorskip("IPython.core.interactiveshell")
    shell = interactiveshell.InteractiveShell.instance()
    yield shell
    interactiveshell.InteractiveShell.clear_instance()


def event(number: int, best: float) -> Event:
    return Event("search", number, 3, np.array([0.1, best]), "log(y) - x / y", 2, {}, True)


def test_a_loss_is_shown_as_its_formula_and_curve(shell: Any) -> None:
    notebooks.register()
    shown, _ = shell.display_formatter.format(losses.baikal)
    assert shown["text/latex"] == f"$\\displaystyle f(x, y) = {losses.baikal.latex()}$"
    assert "<code>log(y) - x / y</code>" in shown["text/html"]
    assert shown["text/html"].count("<svg") == 1
    assert shown["text/plain"].startswith("Loss(")


def test_an_output_that_is_a_function_has_no_curve() -> None:
    assert "<svg" not in notebooks.loss_html(losses.Loss("x * y", output=lambda outputs: outputs))


def test_an_opened_run_is_shown_with_its_table(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = glojax.open_run(make_run(tmp_path / "run"))
    shown = notebooks.run_html(run)
    assert all(f"<td>{name}</td>" in shown for name in run.table()["loss"])
    assert run.conclusions[0] in shown
    assert shown.count("<svg") == 2


def test_a_search_is_followed_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("IPython")
    from IPython import display

    shown: list[str] = []
    handle = SimpleNamespace(update=lambda table: shown.append("again " + table.data))
    monkeypatch.setattr(display, "display", lambda table, display_id: shown.append(table.data) or handle)
    monkeypatch.setattr(notebooks, "_shell", lambda: object())
    follow = notebooks.live()
    follow(event(0, 0.5))
    follow(event(1, 0.75))
    assert shown == [
        "<table><tr><th>search</th><td>round 1/3, best 0.5000, log(y) - x / y</td></tr></table>",
        "again <table><tr><th>search</th><td>round 2/3, best 0.7500, log(y) - x / y</td></tr></table>",
    ]


def test_without_a_notebook_lines_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "IPython.core.getipython", None)
    notebooks.register()
    notebooks.live()(event(2, 0.25))
    assert capsys.readouterr().out == "search: round 3/3, best 0.2500, log(y) - x / y\n"
