"""The experiments, for a moment on the embedded digits, against what the library says of the same trainings."""

import dataclasses
import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from glojax import Task, evaluate, losses, statistics, tables, tasks

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
LOSSES = [losses.cross_entropy, losses.baikal, losses.baikal_cma]


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs an experiment as from the command line; the rows that it wrote."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))

    def run(name: str, *arguments: object) -> list[dict[str, Any]]:
        given = [name, "--task", "digits", "--output", str(tmp_path), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", given)
        runpy.run_path(str(EXPERIMENTS / f"{name}.py"), run_name="__main__")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        return json.loads((tmp_path / f"{name}.json").read_text())["rows"]

    return run


def last_weights(steps: int) -> Task:
    """Digits as the experiments of the paper score them."""
    return dataclasses.replace(tasks.digits(steps=steps), averaging=0)


@pytest.mark.slow
def test_accuracy_of_five_rows_is_that_of_the_same_trainings(rows: Any) -> None:
    found = rows("mnist_accuracy", "--steps", 40, "--seeds", 3)
    chosen, rates = LOSSES + [losses.cross_entropy] * 2, [1, 1, 1, 3, 10]
    for split in ("validation", "test"):
        scores = evaluate(last_weights(40), chosen, 3, split=split, rates=rates)
        written = [row["validation" if split == "validation" else "test mean"] for row in found]
        np.testing.assert_allclose(written, scores.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(
        [row["test p"] for row in found[1:]], [statistics.welch(scores[0], s) for s in scores[1:]]
    )
    assert np.array(found[0]["curves"]).shape == (3, 10, 2)


@pytest.mark.slow
def test_the_steps_to_a_level_are_the_first_at_which_the_mean_reaches_it(rows: Any) -> None:
    found = rows("training_speed", "--steps", 40, "--seeds", 2, "--points", 40)
    assert [row["loss"] for row in found] == ["cross-entropy", "Baikal", "BaikalCMA"] * 2
    reached = 0
    for row in found:
        means = np.mean(row["curves"], axis=0)
        for level in ("0.5", "0.8", "0.9"):
            expected = [step for step, mean in enumerate(means, start=1) if mean >= float(level)][:1] or [""]
            assert row[level] == expected[0]
            reached += row[level] != ""
    assert reached > 0
    assert {row["rate"] for row in found[:3]} == {"x1"}


@pytest.mark.slow
def test_a_search_that_goes_on_holds_on_to_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(EXPERIMENTS / "soak.py"), "--generations", "24", "--nodes", "7"]
    subprocess.run([*command, "--json", str(tmp_path / "soak.json")], check=True, capture_output=True)
    for found in json.loads((tmp_path / "soak.json").read_text()).values():
        assert found["programs a generation"] == pytest.approx(0, abs=1e-9)
        assert found["open files a generation"] == pytest.approx(0, abs=1e-9)
        # What is known of every candidate, and what is in use of bounded memories just then.
        assert found["KiB a generation"] < 250


@pytest.mark.slow
def test_shares_of_the_training_set_are_trained_on_at_the_rate_that_is_best_there(rows: Any) -> None:
    found = rows("data_utilization", "--steps", 20, "--seeds", 2, "--shares", 0.05, 1, "--rates", 1, 10)
    assert [row["images"] for row in found] == [54] * 3 + [1077] * 3
    assert {row["rate"] for row in found} <= {"x1", "x10"}
    task = last_weights(20)
    for row, loss in zip(found[3:], LOSSES, strict=True):
        scores = evaluate(task, [loss], 2, split="test", rates=[float(row["rate"].removeprefix("x"))])
        np.testing.assert_allclose(row["mean"], scores.mean(), rtol=1e-6)


@pytest.mark.slow
def test_discovery_compares_what_it_found_and_goes_on_where_it_stopped(rows: Any, tmp_path: Path) -> None:
    settings = ("--steps", 40, "--population", 30, "--generations", 2, "--tuning", 2, "--seeds", 2)
    found = rows("discovery", *settings)
    # So short a tuning may leave all coefficients as they are.
    names = [row["loss"] for row in found if row["rate"] == "x1" and row["loss"] != "found, tuned"]
    assert names == ["cross-entropy", "found", "random search", "best known loss"]
    record = tmp_path / "discovery" / "record.sqlite"
    before = record.stat().st_mtime_ns
    assert rows("discovery", *settings) == found
    assert record.stat().st_mtime_ns == before


def test_baikal_is_least_at_the_root_of_one_half_and_cross_entropy_at_the_end(rows: Any) -> None:
    found = {(row["loss"], row["label"]): row["least at"] for row in rows("loss_curves")}
    # d/dy (1/y - log y - log(1 - y)) = 0 where y^2 = 1/2.
    assert found["Baikal", 1] == pytest.approx(np.sqrt(0.5), abs=1e-3)
    assert found["Baikal", 0] == pytest.approx(1 - np.sqrt(0.5), abs=1e-3)
    assert found["cross-entropy", 1] == pytest.approx(0.999)


def test_a_number_below_1_is_refused(rows: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        rows("mnist_accuracy", "--seeds", 0)
    assert stopped.value.code == 2
    assert "--seeds is 0; it must be at least 1" in capsys.readouterr().err


def test_a_share_above_1_is_refused(rows: Any) -> None:
    with pytest.raises(SystemExit, match=r"--shares holds 1\.5; shares of the training set are at most 1"):
        rows("data_utilization", "--shares", 0.5, 1.5)


@pytest.fixture
def smoother_scores(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the script of smoother scores defines."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    return runpy.run_path(str(EXPERIMENTS / "smoother_scores.py"))


@pytest.mark.slow
def test_smoother_scores_but_auc_do_not_depend_on_the_scale_of_logits(smoother_scores: dict[str, Any]) -> None:
    def scores_of(logits: Any, labels: Any) -> dict[str, float]:
        found = smoother_scores["scores_of"](jnp.asarray(logits, jnp.float32), jnp.asarray(labels))
        return dict(zip(smoother_scores["SCORES"], found.tolist(), strict=True))

    labels = [0, 1, 2, 3]
    # All answers are right by the same margin, a median one.
    sure = scores_of(3 * np.eye(4), labels)
    assert sure["accuracy"] == 1
    assert sure["margins"] == pytest.approx(0.731059)  # 1 / (1 + exp(-1))
    assert sure["margins x4"] == pytest.approx(0.982014)  # 1 / (1 + exp(-4))
    assert sure["log loss"] == pytest.approx(1, abs=1e-5)
    # Three right and one wrong by the same margin, of four classes: at log(9) of a margin the shares are 3/4 and 1/12.
    mixed = scores_of(np.eye(4), [0, 1, 2, 0])
    assert mixed["accuracy"] == 0.75
    assert mixed["log loss"] == pytest.approx(0.75**0.75 * (1 / 12) ** 0.25, rel=0.01)
    assert mixed["accuracy, log loss"] == pytest.approx(0.75 + 1e-4 * mixed["log loss"])
    # What says nothing has the shares of chance at best.
    assert scores_of(np.zeros((4, 4)), labels)["log loss"] == pytest.approx(0.25)
    random = np.random.default_rng(0).normal(size=(50, 4))
    given = np.arange(50) % 4
    large, small = scores_of(1000 * random, given), scores_of(random, given)
    del large["auc"], small["auc"]  # orders examples by their softmax
    assert large == pytest.approx(small, rel=1e-5)


def test_a_ranking_is_judged_by_what_it_keeps_and_loses(smoother_scores: dict[str, Any]) -> None:
    truth, values = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), np.array([0.7, 0.8, 0.3, 0.9, 0.2, 0.1])
    found = smoother_scores["judged"](values, truth, np.array([0, 1, 2]))
    # The two that are kept are the fourth and the second; ranks differ by 2, 0, 1, 3, 0 and 0.
    assert found["rank correlation"] == pytest.approx(1 - 6 * (4 + 0 + 1 + 9) / (6 * 35))
    assert found["best is kept"] == 0
    assert found["best 3 are kept"] == pytest.approx(1 / 3)
    assert found["regret"] == 0.02  # 0.3, but not more than that counts
    assert smoother_scores["regret"](truth / 100, 3) == pytest.approx(0.003)
    # The second and the fourth pass the first rung and only one of them the next.
    assert smoother_scores["halved"](np.stack([values, truth]), truth) == 1


@pytest.mark.slow
def test_smoother_scores_are_of_the_same_trainings(smoother_scores: dict[str, Any]) -> None:
    task = tasks.digits(steps=18)
    chosen, rates = [losses.cross_entropy.tree, losses.baikal.tree], np.array([[1.0, 30.0], [0.3, 1.0]])
    found = smoother_scores["trained"](task, chosen, rates, [5, 6, 7])
    assert found.shape == (3, 2, 2, 3, 2, len(smoother_scores["SCORES"]))
    for place, steps in enumerate((2, 6, 18)):
        for part, split in enumerate(("validation", "test")):
            expected = evaluate(
                task,
                [chosen[0], chosen[0], chosen[1], chosen[1]],
                [5, 6, 7],
                split=split,
                rates=rates.ravel(),
                steps=steps,
            )
            np.testing.assert_allclose(found[place, :, :, :, part, 0], expected.reshape(2, 2, 3), atol=1e-6)


@pytest.mark.slow
def test_smoother_scores_are_compared_on_both_tasks(rows: Any) -> None:
    found = rows("smoother_scores", "--steps", 18, "--seeds", 4, "--splits", 1, "--losses", 6)
    assert {row["task"] for row in found} == {"digits-mlp", "digits-mlp, 40% label noise"}
    assert {row["seeds"] for row in found} == {1, 2}
    assert len(found) == 2 * 2 * 11 * 6
    for row in found:
        assert row["regret"] >= 0
        if "rank correlation" in row:
            assert -1 <= row["rank correlation"] <= 1
            assert 0 <= row["best 3 are kept"] <= 1
    by_accuracy = [row for row in found if row["score"] == "accuracy" and row["rung"].startswith("halving")]
    assert all(row["regret"] == by_accuracy[3 * (place // 3)]["regret"] for place, row in enumerate(by_accuracy))


def test_strategies_are_compared_with_drawing_over_search_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    strategies = runpy.run_path(str(EXPERIMENTS / "strategies.py"))
    random = np.random.default_rng(0)
    tests = {"drawing": random.normal(0.9, 0.01, 5), "default": random.normal(0.92, 0.01, 5)}
    ways = {"drawing": [[100, 0.5], [400, 0.8]], "default": [[100, 0.7], [200, 0.9]]}
    rows = [
        {"task": "t", "strategy": name, "seed": seed, "test": test, "steps": 500, "way": ways[name], "end": 0.85}
        for name, of_name in tests.items()
        for seed, test in enumerate(of_name.tolist())
    ]
    drawing, default = strategies["table"](rows)
    assert drawing["test"] == pytest.approx(tests["drawing"].mean())
    assert default["beyond drawing"] == pytest.approx((tests["default"] - tests["drawing"]).mean())
    assert default["p"] == pytest.approx(stats.ttest_rel(tests["default"], tests["drawing"]).pvalue)
    (axes,) = strategies["figure_of"](rows).axes
    shown = {line.get_marker(): line.get_xdata() for line in axes.lines[:2]}  # of the lowest strategy
    np.testing.assert_allclose(np.sort(shown["o"]), np.sort(tests["default"]))
    np.testing.assert_allclose(shown["D"], tests["default"].mean())
    assert [label.get_text() for label in axes.get_yticklabels()] == ["default", "drawing"]
    # Drawing ends with 0.85, which its fittest on the way never were; the default has 0.9 after 200 of 500 steps.
    assert (drawing["steps to what drawing ends with"], default["steps to what drawing ends with"]) == ("never", 0.4)


@pytest.mark.slow
def test_the_losses_of_a_table_are_judged_by_both_metrics_and_beside_what_was_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    options = ["--tables", "diabetes", "--seeds", "3", "--generations", "1", "--steps", "30", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["table_searches", *options])
    runpy.run_path(str(EXPERIMENTS / "table_searches.py"), run_name="__main__")
    (found,) = json.loads((tmp_path / "table_searches.json").read_text())
    rows = {row["loss"].partition(",")[0]: row for row in found["rows"]}
    assert set(rows) == {"found", "squared error", "absolute error", "Huber", "log-cosh", "quantile"}
    read: list[tables.TableData] = []
    task = tasks.table(tmp_path / "diabetes.csv", "target", steps=30, on_read=read.append)
    target = read[0].target_std * task.flat["test"].labels
    for row in rows.values():  # two trainings of each, as many metrics
        np.testing.assert_allclose(1 - np.square(row["rmse"]) / target.var(), row["r2"], rtol=1e-3)
    pairs = [(row["r2"], rows["found"]["r2"]) for name, row in rows.items() if name != "found"]
    raw = [stats.ttest_rel(*pair).pvalue if pair[0] != pair[1] else 1.0 for pair in pairs]
    expected = sorted(statistics.holm(raw))
    np.testing.assert_allclose(sorted(row["p"] for row in rows.values() if "p" in row), expected, rtol=1e-6)
    means = [np.mean(row["r2"]) for row in found["rows"]]
    assert means == sorted(means, reverse=True)
