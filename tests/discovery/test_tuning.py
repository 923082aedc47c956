"""Tuning: the coefficients of a tree, and Taylor polynomials."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from glojax import evaluate, losses, parse, search_taylor, tune
from glojax.discovery.tune_config import TuneConfig
from glojax.executors import local
from glojax.expressions import trees
from glojax.expressions.coefficients import identifiable_coefficients
from glojax.losses.loss import Loss
from glojax.losses.spaces import taylor_space
from glojax.records import summary
from glojax.seeds import named_seed
from glojax.tasks.ranking import ranked
from glojax.tasks.task import Task

SMALL = TuneConfig(generations=4, seeds=1, finalists=3, final_seeds=2, seed=2)
BAIKAL = parse("log(y) - x / y")


def test_only_identifiable_coefficients_are_tuned_and_the_score_is_their_loss(tiny_task: Task) -> None:
    tuned = tune(tiny_task, BAIKAL, SMALL)
    assert identifiable_coefficients(BAIKAL) == (0, 1)
    assert tuned.loss.coefficients == (*map(float, tuned.vector), 1, 1, 1, 1)
    seeds = [named_seed(2, "finals", i) for i in range(len(tuned.scores))]
    assert len(seeds) >= 2
    scores = evaluate(ranked(tiny_task), [tuned.loss, BAIKAL], seeds).mean(axis=1)
    np.testing.assert_allclose([tuned.fitness, tuned.start_fitness], scores, atol=1e-6)
    assert [len(fitness) for fitness in tuned.history] == [1, 6, 6, 6, 6]


@pytest.mark.slow
def test_all_trainings_are_at_the_rate_that_is_given(tiny_task: Task) -> None:
    tuned = tune(tiny_task, BAIKAL, dataclasses.replace(SMALL, rate=2.5, generations=1))
    seeds = [named_seed(2, "search", i) for i in range(1)]
    assert tuned.rate == 2.5
    assert tuned.history[0] == pytest.approx(evaluate(ranked(tiny_task), [BAIKAL], seeds, rates=[2.5])[0], abs=1e-6)
    assert tuned.steps == (1 + 6) * 30


def test_the_taylor_space_is_the_polynomial_of_its_paper() -> None:
    space = taylor_space()
    assert (len(space.start), Loss(space.tree, space.coefficients(space.start))) == (8, losses.taylor((0, 0), [0] * 6))
    vector = np.array([-10.9408, 7.5216, 8.2896, 0.2415, 7.8726, 8.9666, 2.0184, 7.0513])
    found = Loss(space.tree, space.coefficients(vector))
    assert found == losses.taylor_mnist
    x, y = np.meshgrid([0.0, 1.0], [0.1, 0.5, 0.9])
    dx, dy = x + 10.9408, y - 7.5216
    expected = (
        8.2896 * dy + 0.2415 * dy**2 + 7.8726 * dy**3 + 8.9666 * dx * dy + 2.0184 * dx * dy**2 + 7.0513 * dx**2 * dy
    )
    np.testing.assert_allclose(trees.evaluate(found.tree, x, y, np, False, found.coefficients), expected, rtol=1e-9)


def test_taylor_polynomials_are_searched_from_zero_and_the_result_is_the_score_of_its_loss(
    tiny_task: Task, tmp_path: Path
) -> None:
    config = TuneConfig(generations=6, population=12, sigma=1.2, seeds=1, finalists=4, final_seeds=2, seed=3)
    found = search_taylor(tiny_task, config, tmp_path)
    assert found.fitness > found.start_fitness + 0.2
    seeds = [named_seed(3, "finals", i) for i in range(len(found.scores))]
    assert found.fitness == pytest.approx(evaluate(ranked(tiny_task), [found.loss], seeds).mean(), abs=1e-6)
    again = search_taylor(tiny_task, config, tmp_path, resume=True)
    assert again.loss == found.loss


@pytest.mark.parametrize("finalists", [1, 4])
def test_the_result_is_never_worse_than_the_start(tiny_task: Task, finalists: int) -> None:
    # A step size so large that no vector drawn is of use.
    tuned = tune(tiny_task, BAIKAL, dataclasses.replace(SMALL, sigma=1e4, finalists=finalists))
    assert tuned.start_fitness > 0
    if finalists > 1:
        assert tuned.loss == Loss(BAIKAL)
    if finalists == 1:
        assert tuned.fitness == max(fitness.max() for fitness in tuned.history)


@pytest.mark.slow
def test_a_gain_on_a_few_targets_that_mean_nothing_is_not_kept(tiny_task: Task, tmp_path: Path) -> None:
    x, labels = tiny_task.validation
    drawn = np.random.default_rng(0).permutation(np.asarray(labels)[:24])
    task = dataclasses.replace(tiny_task, validation=(np.asarray(x)[:24], drawn))
    tuned = tune(task, BAIKAL, SMALL, tmp_path)
    assert max(fitness.max() for fitness in tuned.history) > tuned.history[0][0]  # some vector looks better
    assert tuned.gain is not None
    assert tuned.gain.mean <= tuned.gain.needed
    assert (tuned.loss, tuned.fitness) == (Loss(BAIKAL), tuned.start_fitness)
    found = summary.read(tmp_path).found
    assert found is not None
    assert (found.loss, found.fitness) == (Loss(BAIKAL), tuned.start_fitness)


def test_a_tree_without_coefficients_to_tune_is_returned_as_it_is(tiny_task: Task) -> None:
    tree = parse("log(x - 1) * y")  # nowhere finite
    tuned = tune(tiny_task, tree, SMALL)
    assert (tuned.loss, tuned.fitness, len(tuned.vector)) == (Loss(tree), 0, 0)


def test_a_tuning_that_goes_on_is_one_that_never_stopped(tiny_task: Task, tmp_path: Path) -> None:
    whole = tune(tiny_task, BAIKAL, SMALL, tmp_path / "whole")
    tune(tiny_task, BAIKAL, dataclasses.replace(SMALL, generations=2), tmp_path / "parts")
    parts = tune(tiny_task, BAIKAL, SMALL, tmp_path / "parts", resume=True)
    assert parts.loss == whole.loss
    assert parts.fitness == whole.fitness
    for first, second in zip(parts.history, whole.history, strict=True):
        np.testing.assert_array_equal(first, second)


def test_another_tree_in_the_same_directory_is_refused(tiny_task: Task, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, generations=1)
    tune(tiny_task, BAIKAL, config, tmp_path)
    with pytest.raises(ValueError, match=r"holds the tuning of log\(y\) - x / y, not of x \* log\(y\)"):
        tune(tiny_task, parse("x * log(y)"), config, tmp_path, resume=True)


def test_a_tree_that_is_no_loss_is_refused(tiny_task: Task, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs both x"):
        tune(tiny_task, parse("log(y)"), SMALL, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ALONG DERIVATIVES

UPHILL = dataclasses.replace(SMALL, method="gradient", generations=3, population=4, sigma=0.3)


@pytest.mark.slow
def test_derivatives_lead_to_a_better_score_and_finals_are_of_all_steps(tiny_task: Task) -> None:
    tuned = tune(tiny_task, "x * log(y) + x * y", dataclasses.replace(UPHILL, horizon=15))
    assert [len(fitness) for fitness in tuned.history] == [4, 4, 4, 4]
    assert (tuned.history[-1] > tuned.history[0]).all()
    assert tuned.gain is not None
    assert tuned.gain.is_kept
    assert tuned.steps == 16 * 15 * (1 + len(tuned.vector))
    seeds = [named_seed(2, "finals", i) for i in range(len(tuned.scores))]
    assert tuned.fitness == pytest.approx(evaluate(ranked(tiny_task), [tuned.loss], seeds).mean(), abs=1e-6)
    first = evaluate(ranked(tiny_task), ["x * log(y) + x * y"], [named_seed(2, "search", 0)], steps=15)
    assert tuned.history[0][0] == pytest.approx(first.item(), abs=1e-5)


@pytest.mark.slow
def test_an_ascent_that_goes_on_is_one_that_never_stopped(tiny_task: Task, tmp_path: Path) -> None:
    config = dataclasses.replace(UPHILL, horizon=5, population=4, sigma=20.0)  # some starts fail
    whole = tune(tiny_task, BAIKAL, config, tmp_path / "whole")
    tune(tiny_task, BAIKAL, dataclasses.replace(config, generations=1), tmp_path / "parts")
    parts = tune(tiny_task, BAIKAL, config, tmp_path / "parts", resume=True)
    assert (parts.loss, parts.fitness) == (whole.loss, whole.fitness)
    np.testing.assert_array_equal(parts.history, whole.history)


def test_derivatives_go_with_trees_in_this_process(tiny_task: Task) -> None:
    with pytest.raises(ValueError, match="computed in this process; leave out executor"):
        tune(tiny_task, BAIKAL, UPHILL, executor=local.local_executor)
    with pytest.raises(ValueError, match="method is 'gradient'; for taylor 'cma-es' is allowed"):
        search_taylor(tiny_task, UPHILL)
    with pytest.raises(ValueError, match="of accuracy is 0; margins"):
        tune(tiny_task, BAIKAL, dataclasses.replace(UPHILL, rank_by="metric"))


def test_a_tree_without_coefficients_has_nothing_to_follow(tiny_task: Task) -> None:
    assert tune(tiny_task, "log(x - 1) * y", UPHILL).fitness == 0
