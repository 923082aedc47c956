"""The command ``glojax transfer``."""

import json
from pathlib import Path

import pytest
from as_typed import run

from glojax.losses.loss import Loss


@pytest.mark.slow
def test_a_transfer_prints_and_keeps_the_comparison(tmp_path: Path) -> None:
    result = run(
        "transfer", "baikal", "--to", "digits", "--steps", 10, "--train-examples", 100, "--seeds", 2, "--output",
        tmp_path / "kept", "--json", tmp_path / "result.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for text in (
        "found, fair rate",
        "best known loss",
        "cross-entropy",
        "Too few seeds to say whether the loss is better: 2, of at least 5.",
    ):
        assert text in result.output
    (kept,) = json.loads((tmp_path / "result.json").read_text())["results"]
    assert (kept["loss"]["text"], kept["metric"]) == ("log(y) - x / y", "accuracy")
    assert all(f"{row['test']:.4f} ± {row['test_std']:.4f}" in result.output for row in kept["comparison"])
    (folder,) = (tmp_path / "kept").iterdir()
    assert (folder / "record.sqlite").exists()
    assert run("report", folder).exit_code == 0


def test_another_output_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    Loss("log(y) - x / y").save(tmp_path / "loss.json")  # of softmax
    result = run("transfer", tmp_path / "loss.json", "--to", "digits", "--to", "diabetes")
    assert isinstance(result.exception, ValueError)
    assert "of 'identity'" in str(result.exception)
    assert "Trying" not in result.output
