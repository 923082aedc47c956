"""The option ``--json``."""

import json
import math
from pathlib import Path

import pytest
from as_typed import failed, run

from glojax import losses
from glojax.cli import json_results
from glojax.losses.loss import Loss


def test_the_result_is_alone_on_standard_output(tmp_path: Path) -> None:
    result = run("show", "baikal", "--figure", tmp_path / "curve.png", "--json", "-")
    kept = json.loads(result.stdout)
    assert Loss(kept["loss"]["expression"], tuple(kept["loss"]["coefficients"])) == losses.baikal
    assert (kept["latex"], kept["identifiable_coefficients"]) == (losses.baikal.latex(), 2)
    assert "f(x, y)      log(y) - x / y" in result.stderr


def test_a_file_holds_the_same_and_the_output_stays(tmp_path: Path) -> None:
    plain = run("export", "baikal")
    result = run("export", "baikal", "--json", tmp_path / "made" / "result.json")
    assert result.output == plain.output
    kept = json.loads((tmp_path / "made" / "result.json").read_text())
    assert kept == {"form": "python", "text": losses.baikal.to_python(), "output": None}


def test_a_folder_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message = failed(monkeypatch, capsys, "search", "--run-dir", tmp_path / "run", "--json", tmp_path)
    assert message.endswith(f"--json is {str(tmp_path)!r}, a folder; a file or - is allowed.")
    assert not (tmp_path / "run").exists()


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    json_results.write(path, {"a": [1.5, math.nan], "b": (math.inf, {"c": -math.inf}), "d": "NaN"})
    assert json.loads(path.read_text()) == {"a": [1.5, None], "b": [None, {"c": None}], "d": "NaN"}


def test_an_output_that_is_a_function_is_named() -> None:
    def squashed(outputs):  # type: ignore[no-untyped-def]
        return outputs

    assert json_results.of_loss(Loss("x * y", output=squashed))["output"] == "squashed"
