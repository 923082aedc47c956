"""Full trainings: their curves, the baseline beside them, and what they go on from after an interruption."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest

from glojax import evaluate, losses
from glojax.discovery import full_training, scoring
from glojax.discovery.full_training import TrainConfig
from glojax.records import curves
from glojax.tasks.task import Task
from glojax.training import blocks

NAMED: dict[str, losses.LossFunction] = {"Baikal": losses.baikal, "optax": optax.softmax_cross_entropy}
CONFIG = TrainConfig(steps=30, seeds=2, points=3)


class Stop(Exception):
    """An interruption."""


def stop_at(call: int) -> Any:
    """A callback that interrupts at its so manieth call."""
    calls = []

    def callback(*_: Any) -> None:
        calls.append(None)
        if len(calls) == call:
            raise Stop

    return callback


def scores_of(found: curves.Curves) -> np.ndarray:
    return np.stack([row.scores for row in found.rows + found.baseline])


@pytest.fixture(scope="module")
def whole(tiny_task: Task) -> curves.Curves:
    return full_training.train(tiny_task, NAMED, CONFIG)


# CURVES


def test_curves_are_those_of_evaluate(tiny_task: Task, whole: curves.Curves) -> None:
    assert (whole.steps, whole.splits) == ([10, 20, 30], ("validation", "test"))
    for point, steps in enumerate(whole.steps):
        for place, split in enumerate(whole.splits):
            (expected,) = evaluate(tiny_task, [losses.baikal], 2, split=split, steps=steps)
            np.testing.assert_allclose(whole.rows[0].scores[:, point, place], expected, atol=1e-6)
    (expected,) = evaluate(tiny_task, [optax.softmax_cross_entropy], 2)
    np.testing.assert_allclose(whole.rows[1].scores[:, -1, 0], expected, atol=1e-6)


def test_the_baseline_is_cross_entropy_at_its_best_rate_by_validation(tiny_task: Task, whole: curves.Curves) -> None:
    scores = evaluate(tiny_task, [losses.cross_entropy] * len(scoring.RATES), 2, rates=scoring.RATES)
    assert [row.name for row in whole.shown] == ["Baikal", "optax", "cross-entropy"]
    assert whole.shown[-1].rate == scoring.RATES[scores.mean(axis=1).argmax()]
    np.testing.assert_allclose(whole.shown[-1].scores[:, -1, 0].mean(), scores.mean(axis=1).max(), atol=1e-6)


def test_without_the_baseline_there_is_none(tiny_task: Task) -> None:
    found = full_training.train(tiny_task, {"Baikal": losses.baikal}, dataclasses.replace(CONFIG, baseline=False))
    assert found.baseline == []
    assert [row.name for row in found.shown] == ["Baikal"]


@pytest.mark.slow
def test_schedule_and_weight_decay_are_those_of_a_task_with_that_optimizer(tiny_task: Task) -> None:
    config = TrainConfig(30, 2, 1, rate=3.0, schedule="linear", weight_decay=0.1, baseline=False)
    found = full_training.train(tiny_task, {"Baikal": losses.baikal}, config)
    decayed = optax.chain(optax.add_decayed_weights(0.1), optax.sgd(optax.linear_schedule(0.05 * 3, 0.0, 30)))
    expected = evaluate(dataclasses.replace(tiny_task, optimizer=decayed), [losses.baikal], 2)
    np.testing.assert_allclose(found.rows[0].scores[:, -1, 0], expected[0], atol=1e-6)
    plain = evaluate(tiny_task, [losses.baikal], 2, rates=[3.0])
    assert np.abs(plain - expected).max() > 0.005


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 0}, "seeds is 0; it must be at least 1"),
        ({"steps": 0}, "steps is 0"),
        ({"points": 31}, "steps is 30 and points is 31"),
        ({"rate": 0.0}, r"rate is 0\.0; a finite number above 0"),
        ({"schedule": "cos"}, "schedule is 'cos'; allowed are constant, linear, cosine, step"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(tiny_task: Task, settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        full_training.train(tiny_task, NAMED, dataclasses.replace(CONFIG, **settings))


def test_no_losses_are_refused(tiny_task: Task) -> None:
    with pytest.raises(ValueError, match="no losses were given"):
        full_training.train(tiny_task, {}, CONFIG)


# GOING ON


@pytest.mark.slow
@pytest.mark.parametrize("call", [2, 5])
def test_a_training_that_was_interrupted_goes_on_to_the_same_scores(
    tiny_task: Task, whole: curves.Curves, tmp_path: Path, call: int
) -> None:
    with pytest.raises(Stop):
        full_training.train(tiny_task, NAMED, CONFIG, tmp_path, on_point=stop_at(call))
    kept = json.loads((tmp_path / "curves.json").read_text())
    known = sum(score is not None for score in np.array(kept["rows"][0]["scores"], object).ravel())
    assert known == 2 * 2 * min(call, 3)
    found = full_training.train(tiny_task, NAMED, CONFIG, tmp_path, resume=True)
    np.testing.assert_array_equal(scores_of(found), scores_of(whole))
    written = json.loads((tmp_path / "curves.json").read_text())
    np.testing.assert_allclose([row["scores"] for row in written["rows"]], scores_of(whole), atol=1e-6)


@pytest.mark.slow
def test_what_is_complete_is_not_trained_again(
    tiny_task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {"Baikal": losses.baikal}
    whole = full_training.train(tiny_task, named, CONFIG, tmp_path)
    monkeypatch.setattr(blocks, "advance_block", stop_at(1))
    found = full_training.train(tiny_task, named, CONFIG, tmp_path, resume=True)
    np.testing.assert_array_equal(scores_of(found), scores_of(whole))


def test_a_directory_is_not_trained_into_twice_nor_with_other_settings(tiny_task: Task, tmp_path: Path) -> None:
    config = TrainConfig(steps=2, seeds=1, points=1, baseline=False)
    full_training.train(tiny_task, {"Baikal": losses.baikal}, config, tmp_path)
    with pytest.raises(ValueError, match="already holds results of 'train'; resume it or choose another"):
        full_training.train(tiny_task, {"Baikal": losses.baikal}, config, tmp_path)
    other = dataclasses.replace(config, schedule="cosine")
    with pytest.raises(ValueError, match="train setting schedule = 'constant', now it is 'cosine'"):
        full_training.train(tiny_task, {"Baikal": losses.baikal}, other, tmp_path, resume=True)
    with pytest.raises(ValueError, match="train setting losses"):
        full_training.train(tiny_task, {"Baikal": losses.baikal_cma}, config, tmp_path, resume=True)


@pytest.mark.slow
def test_a_function_under_the_name_of_another_is_refused(tiny_task: Task, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, baseline=False, seeds=1)
    full_training.train(tiny_task, {"mine": optax.softmax_cross_entropy}, config, tmp_path)

    def sharper(logits: jax.Array, labels: jax.Array) -> jax.Array:
        return optax.softmax_cross_entropy(2 * logits, labels)

    with pytest.raises(ValueError, match="train setting losses"):
        full_training.train(tiny_task, {"mine": sharper}, config, tmp_path, resume=True)
    again = full_training.train(
        tiny_task, {"mine": lambda *given: optax.softmax_cross_entropy(*given)}, config, tmp_path, resume=True
    )
    assert np.isfinite(again.rows[0].scores).all()


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    def command(run_dir: str, *more: str) -> list[str]:
        settings = ["--seeds", "2", "--steps", "3000", "--points", "30", "--no-baseline", "--run-dir"]
        return [sys.executable, "-m", "glojax", "train", "digits", "baikal", *settings, str(tmp_path / run_dir), *more]

    subprocess.run(command("whole"), check=True, capture_output=True)
    process = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "curves.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = json.loads((tmp_path / "killed" / "curves.json").read_text())
    assert None in np.array(kept["rows"][0]["scores"], object)
    subprocess.run(command("killed", "--resume"), check=True, capture_output=True)
    texts = [(tmp_path / run_dir / "curves.json").read_text() for run_dir in ("whole", "killed")]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(("steps", "points"), [(1, 1), (3, 3), (9, 9), (10, 10), (11, 10), (2000, 10)])
def test_points_that_nobody_gave_follow_the_steps(steps: int, points: int) -> None:
    assert TrainConfig(steps=steps).points == points
    assert dataclasses.replace(TrainConfig(steps=500), steps=steps).points == points
    assert dataclasses.replace(TrainConfig(steps=500, points=1), steps=steps).points == 1


def test_a_training_may_be_shorter_than_the_usual_points(tiny_task: Task) -> None:
    curves = full_training.train(tiny_task, {"a": losses.baikal}, TrainConfig(steps=3, seeds=1, baseline=False))
    assert curves.steps == [1, 2, 3]
