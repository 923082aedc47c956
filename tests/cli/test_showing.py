"""The commands ``glojax show`` and ``glojax export``."""

from pathlib import Path

import pytest
from as_typed import run

from glojax import losses


def test_show_prints_the_formula_and_draws_the_curve(tmp_path: Path) -> None:
    result = run("show", "baikal_cma", "--figure", tmp_path / "curve.png")
    assert "canonical    log(y) - x / y" in result.output
    assert "2 of 6 change training" in result.output
    assert (tmp_path / "curve.png").exists()


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
