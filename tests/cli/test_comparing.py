"""The commands ``glojax evaluate`` and ``glojax train``."""

import json
from pathlib import Path

import numpy as np
import pytest
from as_typed import cells, failed, run

from glojax import evaluate, losses, statistics, tasks
from glojax.cli.comparing import noise_in_words
from glojax.discovery import scoring


def test_evaluate_compares_each_loss_with_cross_entropy_at_its_best_rate() -> None:
    result = run("evaluate", "digits", "cross_entropy", "log(y) - x / y", "--seeds", 2, "--steps", 20)
    assert result.exit_code == 0, result.output
    first, second, baseline, constant = (cells(line) for line in result.output.splitlines() if line.startswith("│"))
    labels = np.asarray(tasks.digits().validation[1])
    assert constant[:3] == ["largest class", "", f"{np.bincount(labels).max() / len(labels):.4f}"]
    given = [losses.cross_entropy, losses.baikal] + [losses.cross_entropy] * len(scoring.RATES)
    scores = evaluate(tasks.digits(steps=20), given, 2, rates=[1, 1, *scoring.RATES])
    best = scores[2:].mean(axis=1).argmax()
    assert first[:3] == ["cross_entropy", "x1", f"{scores[0].mean():.4f} ± {scores[0].std(ddof=1):.4f}"]
    assert second[4] == f"{statistics.welch(scores[2 + best], scores[1]):.2g}"
    assert baseline[:2] == ["cross-entropy", f"x{scoring.RATES[best]:g}"]
    assert baseline[4:] == ["", ""]
    assert "Too few seeds to say what is better: 2, of at least 5." in result.output


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ([0.5, 0.6, 0.7, 0.6], "Too few seeds to say what is better: 4, of at least 5."),
        ([0.5] * 6, "All 6 trainings ended alike, so nothing is known of chance."),
        ([0.5, 0.6] * 4, "Noise: with 8 seeds, differences below 0.0749 cannot be told from chance."),
        ([0.5, 0.500001] * 4, "Noise: with 8 seeds, differences below 7.5e-07 cannot be told from chance."),
    ],
)
def test_what_chance_hides_is_never_nothing(metric: list[float], said: str) -> None:
    assert noise_in_words(np.array(metric)) == said


@pytest.mark.slow
def test_train_keeps_its_curves_and_goes_on(tmp_path: Path) -> None:
    arguments = ("train", "digits", "baikal", "--seeds", 2, "--steps", 60, "--points", 3, "--schedule", "cosine")
    result = run(*arguments, "--run-dir", tmp_path, "--json", tmp_path / "result.json")
    assert result.exit_code == 0, result.output
    steps = [line.split()[1] for line in result.output.splitlines() if line.startswith("step ")]
    assert steps == ["20/60", "40/60", "60/60"]
    (baikal, *_) = json.loads((tmp_path / "curves.json").read_text())["rows"]
    ends = np.array(baikal["scores"])[:, -1]
    rows = [cells(line) for line in result.output.splitlines() if line.startswith("│ baikal")]
    assert [row[2] for row in rows] == [f"{end.mean():.4f} ± {end.std(ddof=1):.4f}" for end in ends.T]
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    kept = json.loads((tmp_path / "result.json").read_text())
    assert (kept["metric"], [row["loss"] for row in kept["rows"]]) == ("accuracy", ["baikal", "cross-entropy"])
    for place, split in enumerate(("validation", "test")):
        np.testing.assert_allclose(kept["rows"][0][split], np.array(baikal["scores"])[..., place], atol=1e-6)
    again = run(*arguments, "--run-dir", tmp_path, "--resume")
    assert again.output.splitlines()[2:] == result.output.splitlines()[4:]


@pytest.mark.parametrize("command", ["evaluate", "train", "tune"])
def test_a_loss_of_another_output_is_refused_in_one_line(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    task, loss = tmp_path / "mine.py", tmp_path / "loss.json"
    task.write_text(
        "import glojax, numpy as np\n"
        "x = np.random.default_rng(0).normal(size=(60, 3))\n"
        "parts = (x, x[:, 0] > 0), (x, x[:, 0] > 0)\n"
        "task = glojax.Task(glojax.models.MLP((4, 1)), *parts, kind='binary', batch_size=20, steps=5)\n"
    )
    losses.baikal.save(loss)
    for name in [loss, "label_smoothed_cross_entropy"][: 1 if command == "tune" else 2]:
        message = failed(monkeypatch, capsys, command, f"{task}:task", name)
        assert "softmax" in message
        assert "sigmoid" in message


@pytest.mark.slow
def test_a_short_training_needs_no_number_of_points(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run("train", "digits", "baikal", "--seeds", 1, "--steps", 2, "--no-baseline")
    assert result.exit_code == 0, result.output
    assert [line.split()[1] for line in result.output.splitlines() if line.startswith("step ")] == ["1/2", "2/2"]
    assert "steps is 2 and points is 3" in failed(
        monkeypatch, capsys, "train", "digits", "baikal", "--steps", 2, "--points", 3
    )
