"""The exhaustive search: the count is exact, the funnel is that of a brute force, and nothing is trained twice."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from test_screening import LEAVES, grown

from glojax import evaluate, exhaust, losses
from glojax.discovery import screening
from glojax.discovery.exhaustive import ExhaustiveConfig
from glojax.expressions import trees
from glojax.expressions.canonical import canonical
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree, count_trees, enumerate_trees
from glojax.seeds import named_seed
from glojax.tasks.ranking import ranked
from glojax.tasks.task import Task

DEPTH_1 = ExhaustiveConfig(depth=1, seeds=2, finalists=3, final_seeds=2, batch=4, seed=1)


@pytest.mark.parametrize("fair_rates", [True, False])
def test_the_funnel_of_depth_1_is_that_of_a_brute_force(tiny_task: Task, fair_rates: bool) -> None:
    found = exhaust(tiny_task, dataclasses.replace(DEPTH_1, fair_rates=fair_rates))
    population = LEAVES + grown(LEAVES)
    stages = screening.screen(population, room=31)  # whose stages have a brute force of their own
    both = [tree for tree in population if {"x", "y"} <= {node.symbol for node in tree.nodes()}]
    gradients: list[np.ndarray] = []
    trainable = 0
    for tree, guided, learns in zip(population, stages.guided, stages.trainable, strict=True):
        if guided:
            gradient = gradient_of(tree)
            gradient = gradient / np.linalg.norm(gradient) if fair_rates else gradient
            if not any(np.allclose(gradient, known, rtol=1e-3, atol=1e-7) for known in gradients):
                gradients.append(gradient)
                trainable += bool(learns)
    assert found.tree_count == found.funnel["drawn"] == len(population) == 80
    assert found.funnel == {
        "drawn": 80, "valid": len(both), "finite": stages.finite.sum(), "guided": stages.guided.sum(),
        "distinct": len(gradients), "trainable": trainable, "trained": trainable, "finished": trainable,
    }  # fmt: skip
    assert len(found.ranking) == trainable >= 1


def gradient_of(tree: Tree) -> np.ndarray:
    """By finite differences of the loss in float64, on the probe."""
    probe = screening.probe()
    one_hot = probe.targets.astype(np.float64)

    def total(logits: np.ndarray) -> np.ndarray:
        y = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        with np.errstate(all="ignore"):
            return -np.broadcast_to(trees.evaluate(tree, one_hot, y, np), y.shape).sum(axis=-1)

    logits, columns = probe.outputs.astype(np.float64), []
    for place in range(10):
        shift = np.zeros(10)
        shift[place] = 1e-6
        columns.append((total(logits + shift) - total(logits - shift)) / 2e-6)
    return np.stack(columns, axis=-1) / len(logits)


def test_the_ranking_is_of_means_over_the_seeds_and_the_winner_of_its_finals(tiny_task: Task) -> None:
    found = exhaust(tiny_task, dataclasses.replace(DEPTH_1, fair_rates=False))
    seeds = [named_seed(1, "search", i) for i in range(2)]
    scores = evaluate(ranked(tiny_task), [known.tree for known in found.ranking], seeds)
    np.testing.assert_allclose([known.scores for known in found.ranking], scores, atol=1e-6)
    assert all(before.fitness >= after.fitness for before, after in itertools.pairwise(found.ranking))
    assert found.steps == 2 * 30 * len(found.ranking)
    assert found.best in [known.tree for known in found.ranking[:3]]


def test_known_losses_are_placed_whatever_way_they_are_written(tiny_task: Task) -> None:
    config = ExhaustiveConfig(seeds=1, finalists=1, final_seeds=1, halving=3)
    found = exhaust(tiny_task, config)
    assert (found.tree_count, found.funnel["drawn"], found.funnel["valid"]) == (25_844, 25_844, 9_496)
    assert {"cross_entropy", "baikal", "brier", "mean_absolute_error"} == set(found.places_of_known)
    for name, place in found.places_of_known.items():
        known = losses.ZOO[name]
        assert isinstance(known, losses.Loss)
        ranked = found.ranking[place - 1].tree
        direction = screening.screen([known.tree, ranked], room=31).direction
        np.testing.assert_array_equal(*direction)
    assert found.ranking[found.places_of_known["baikal"] - 1].tree == parse("log(y) - x / y")


def test_what_is_read_back_is_not_trained_again(tiny_task: Task, tmp_path: Path) -> None:
    depth_2 = dataclasses.replace(DEPTH_1, depth=2, seeds=1, budget=4000)
    stopped = exhaust(tiny_task, depth_2, tmp_path / "run")
    assert stopped.funnel["trained"] % 4 == 0
    assert 4000 <= stopped.steps < 4000 + 4 * 3 * 30
    assert stopped.funnel["drawn"] < stopped.tree_count
    before = (tmp_path / "run" / "record.sqlite").read_bytes()
    again = exhaust(tiny_task, depth_2, tmp_path / "run", resume=True)
    for name in ("loss", "rate", "record", "funnel", "baseline", "steps", "ranking", "places_of_known"):
        assert getattr(again, name) == getattr(stopped, name)
    np.testing.assert_array_equal(again.scores, stopped.scores)
    with pytest.raises(ValueError, match="already holds results of 'exhaustive'"):
        exhaust(tiny_task, depth_2, tmp_path / "run")
    assert len(before) == len((tmp_path / "run" / "record.sqlite").read_bytes())


@pytest.mark.parametrize("depth", range(4))
def test_trees_are_counted_as_they_are_enumerated(depth: int) -> None:
    assert count_trees(depth) == (4, 80, 25_844, 2_671_726_880)[depth]
    if depth < 3:
        assert len(set(enumerate_trees(depth))) == count_trees(depth)


def test_bad_settings_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"ExhaustiveConfig\.depth is 5; an integer from 1 to 4"):
        ExhaustiveConfig(depth=5)
    with pytest.raises(ValueError, match=r"ExhaustiveConfig\.batch is 0"):
        ExhaustiveConfig(batch=0)


def test_depth_3_is_a_stream_that_a_budget_ends(tiny_task: Task) -> None:
    config = dataclasses.replace(DEPTH_1, depth=3, seeds=1, budget=3000, finalists=1)
    found = exhaust(tiny_task, config)
    assert found.tree_count == count_trees(3)
    assert found.funnel["drawn"] < 30_000
    assert 3000 <= found.steps < 3000 + 4 * 3 * 30
    assert max(known.tree.depth for known in found.ranking) <= 3


@pytest.mark.parametrize("batch", [2, 64])
def test_without_the_stage_distinct_equal_trees_are_trained_once(tiny_task: Task, batch: int) -> None:
    config = dataclasses.replace(DEPTH_1, batch=batch, fair_rates=False, screening=("finite", "guided"))
    found = exhaust(tiny_task, config)
    screened = screening.screen(population := LEAVES + grown(LEAVES), room=31)
    forms = {canonical(tree) for tree, guided in zip(population, screened.guided, strict=True) if guided}
    assert found.funnel["trained"] == len(found.ranking) == len(forms) < screened.guided.sum()
    assert {canonical(known.tree) for known in found.ranking} == forms
    assert found.steps == 2 * 30 * len(forms)
