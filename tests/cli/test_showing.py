"""The commands ``glojax show`` and ``glojax export``."""

import dataclasses
from pathlib import Path

import pytest
from as_typed import run

from glojax import SearchConfig, losses, search
from glojax.tasks.task import Task


def test_show_prints_the_formula_and_draws_the_curve(tmp_path: Path) -> None:
    result = run("show", "baikal_cma", "--figure", tmp_path / "curve.png")
    assert "canonical    log(y) - x / y" in result.output
    assert "2 of 6 change training" in result.output
    assert (tmp_path / "curve.png").exists()


@pytest.mark.slow
def test_show_of_a_run_on_several_tasks_shows_the_joint_winner_and_the_best_of_every_size(
    tmp_path: Path, tiny_task: Task
) -> None:
    other = dataclasses.replace(tiny_task, name="other", batch_size=10)
    config = SearchConfig(population=4, generations=1, finalists=2, final_seeds=3, max_nodes=9)
    found = search([tiny_task, other], config, run_dir=tmp_path / "run")
    output = run("show", tmp_path / "run", "--figure", tmp_path / "curve.png").output
    assert f"f(x, y)      {found.best}" in output
    assert "The best loss of every size in the search" in output
    table = output.partition("The best loss of every size")[2]
    sizes = [int(cells[0]) for line in table.splitlines() if (cells := line.strip(" │").split()) and cells[0].isdigit()]
    assert sizes == sorted(set(sizes))
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("latex", "x \\, \\log\\left(y\\right)\n"),
        ("sympy", "x*log(y)\n"),
        ("json", losses.cross_entropy.to_json()),
        ("python", losses.cross_entropy.to_python()),
    ],
)
def test_export_writes_every_form(tmp_path: Path, form: str, expected: str) -> None:
    assert run("export", "cross_entropy", "--to", form).output == expected
    run("export", "cross_entropy", "--to", form, "--output", tmp_path / "out")
    assert (tmp_path / "out").read_text() == expected
