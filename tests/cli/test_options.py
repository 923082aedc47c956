"""Options that several commands share, and how they name a task or a loss."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glojax import losses
from glojax.cli import options, table_options
from glojax.statistics import summarize

HARDER = {
    "label_noise": 0.0, "noise": options.Noise.symmetric, "train_examples": None, "outliers": 0.0, "imbalance": 1.0,
    "noisy_validation": False,
}  # fmt: skip
PLACE = ["devices", "data_dir", "metric", "class_weight", "precision", *HARDER]
TRAINING = ["steps", "schedule"]
COLUMNS = ["numeric", "categorical", "ordinal", "drop", "missing"]
FILE = [
    "csv", "target", "test_csv", "kind", "delimiter", "encoding", "header", "target_gaps",
    "target_transform", "network", "optimizer", "learning_rate",
]  # fmt: skip


@pytest.mark.parametrize(
    ("decorate", "added"),
    [
        (options.with_task_of_own_length, PLACE),
        (options.with_task, [*TRAINING, *PLACE]),
        (table_options.with_task_or_table, [*FILE, *COLUMNS, *TRAINING, *PLACE]),
    ],
)
def test_the_options_of_a_task_make_the_task(decorate: Any, added: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[Any] = []

    def command(name: str, *, make_task: options.MakeTask) -> None:
        tasks.append(make_task(name))

    monkeypatch.setattr(options, "prepare", lambda devices: None)
    command_with = decorate(command)
    assert list(inspect.signature(command_with).parameters) == ["name", *added]
    given = dict.fromkeys(added) | HARDER | {"label_noise": 0.25}
    if "steps" in added:
        given |= {"steps": 7, "schedule": options.Schedule.constant}
    command_with(name="digits", **given)
    (task,) = tasks
    assert task.name == "digits-mlp, 25% label noise"
    assert (task.steps == 7) == ("steps" in added)


def made(monkeypatch: pytest.MonkeyPatch, name: str = "digits", **given: Any) -> Any:
    monkeypatch.setattr(options, "prepare", lambda devices: None)
    changes = {field: given.pop(field) for field in ("metric", "class_weight") if field in given}
    more = {"harder": given.pop("harder", {}), "changes": changes}
    return options._task_of(name, devices=None, data_dir=None, **more, **given)


def test_a_schedule_ends_with_the_steps_that_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    task = made(monkeypatch, steps=40, schedule="cosine")
    state = task.optimizer.init(np.zeros(1, np.float32))
    moves = []
    for _ in range(40):
        update, state = task.optimizer.update(np.ones(1, np.float32), state, np.zeros(1, np.float32))
        moves.append(-float(update[0]))
    np.testing.assert_allclose(moves, 0.01 * (1 + np.cos(np.pi * np.arange(40) / 40)) / 2, rtol=1e-4, atol=1e-8)


def test_averaging_and_harder_data_are_the_task_s(monkeypatch: pytest.MonkeyPatch) -> None:
    assert made(monkeypatch, averaging=0.0).averaging == 0
    assert made(monkeypatch).averaging == 0.2
    assert made(monkeypatch, metric="balanced_accuracy").metric_name == "balanced accuracy"
    assert made(monkeypatch, class_weight="balanced").loss_weights.mean() == pytest.approx(1, abs=0.01)
    with pytest.raises(ValueError, match=r"Task\.metric is 'r2'"):
        made(monkeypatch, metric="r2")
    task = made(monkeypatch, "diabetes", harder={"outliers": 0.1})
    assert task.name == "diabetes, 10% outliers"
    with pytest.raises(ValueError, match=r"label_noise is 0\.1; the labels of diabetes are not classes"):
        made(monkeypatch, "diabetes", harder={"label_noise": 0.1})


def test_a_loss_is_found_by_name_and_must_be_a_tree() -> None:
    assert options.tree_loss("baikal") == losses.baikal
    with pytest.raises(ValueError, match="next_generation is not an expression tree"):
        options.tree_loss("next_generation")


def test_going_on_needs_a_run_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--resume needs the --run-dir"):
        options.check_resume(True, None)
    options.check_resume(True, tmp_path)
    options.check_resume(False, None)


def test_an_interval_is_shown_where_there_is_one() -> None:
    assert options.interval(summarize(np.array([0.5]))) == ""
    assert options.interval(summarize(np.array([0.5, 0.5]))) == "0.5000 to 0.5000"


def test_text_is_shown_without_markup(capsys: pytest.CaptureFixture[str]) -> None:
    options.console_of().print(options.plain("log(y)[bold]"))
    assert capsys.readouterr().out == "log(y)[bold]\n"
