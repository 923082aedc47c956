"""Scalars for MLflow, read back by its client."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest

from glojax.reporting.mlflow import MlflowWriter

pytest.importorskip("mlflow")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def read(place: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Step and value of every scalar, by run and name."""
    import mlflow

    client = mlflow.MlflowClient(place.as_uri())
    experiment = client.get_experiment_by_name("glojax")
    assert experiment is not None

    def history(run: Any, name: str) -> list[tuple[int, float]]:
        return sorted((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name))

    runs = client.search_runs([experiment.experiment_id])
    assert all(run.info.status == "FINISHED" for run in runs)
    return {str(run.info.run_name): {name: history(run, name) for name in run.data.metrics} for run in runs}


def test_scalars_are_in_the_run_directory(tmp_path: Path) -> None:
    run_dir = tmp_path / "digits"
    run_dir.mkdir()
    with contextlib.closing(MlflowWriter(run_dir)) as writer:
        assert not list(run_dir.iterdir())
        writer.write("search", 0, {"fitness/best": 0.75, "funnel/drawn": 9})
        writer.write("search", 1, {"fitness/best": 1.0})
        writer.write("comparison found, tuned", 30, {"comparison/test": 0.5})
    assert read(run_dir / "mlflow") == {
        "digits: search": {"fitness/best": [(0, 0.75), (1, 1.0)], "funnel/drawn": [(0, 9)]},
        "digits: comparison found, tuned": {"comparison/test": [(30, 0.5)]},
    }


def test_a_place_that_is_named_is_used_and_a_run_written_again_replaces_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "server").as_uri())
    for name, length in (("one", 2), ("one", 3), ("other", 1)):
        with contextlib.closing(MlflowWriter(tmp_path / name)) as writer:
            for step in range(length):
                writer.write("search", step, {"fitness/best": 0.25 * step})
    found = read(tmp_path / "server")
    assert found["one: search"] == {"fitness/best": [(0, 0.0), (1, 0.25), (2, 0.5)]}
    assert found["other: search"] == {"fitness/best": [(0, 0.0)]}


def test_a_server_that_fails_does_not_end_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    def fail(*_: object) -> None:
        raise mlflow.MlflowException("the disk is full")

    writer = MlflowWriter(tmp_path)
    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", fail)
    with pytest.warns(RuntimeWarning, match="nothing more is written there: the disk is full"):
        writer.write("search", 0, {"fitness/best": 0.5})
    writer.write("search", 1, {"fitness/best": 0.5})
    writer.close()


def test_a_server_that_cannot_be_used_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://a")
    with pytest.raises(ValueError, match="MLflow at nowhere://a: "):
        MlflowWriter(tmp_path)


def test_without_mlflow_it_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match=r"pip install 'glojax\[mlflow\]'"):
        MlflowWriter(tmp_path)
