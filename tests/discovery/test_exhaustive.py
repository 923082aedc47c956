"""The exhaustive search: the count is exact, the funnel is that of a brute force, and nothing is trained twice."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from test_screening import LEAVES, grown

from glojax import evaluate, exhaust, losses, tasks
from glojax.discovery import distinct, screening
from glojax.discovery.exhaustive import ExhaustiveConfig
from glojax.expressions import trees
from glojax.expressions.canonical import canonical
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree, count_trees, enumerate_trees
from glojax.records import summary
from glojax.seeds import named_seed
from glojax.tasks.ranking import ranked
from glojax.tasks.task import Task

DEPTH_1 = ExhaustiveConfig(depth=1, seeds=2, finalists=3, final_seeds=2, batch=4, seed=1)


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_ranking_is_of_means_over_the_seeds_and_the_winner_of_its_finals(tiny_task: Task) -> None:
    found = exhaust(tiny_task, dataclasses.replace(DEPTH_1, fair_rates=False))
    seeds = [named_seed(1, "search", i) for i in range(2)]
    scores = evaluate(ranked(tiny_task), [known.tree for known in found.ranking], seeds)
    np.testing.assert_allclose([known.scores for known in found.ranking], scores, atol=1e-6)
    assert all(before.fitness >= after.fitness for before, after in itertools.pairwise(found.ranking))
    assert found.steps == 2 * 30 * len(found.ranking)
    assert found.best in [known.tree for known in found.ranking[:3]]


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_is_read_back_is_not_trained_again(tiny_task: Task, tmp_path: Path) -> None:
    depth_2 = dataclasses.replace(DEPTH_1, depth=2, seeds=1, budget=4000)
    stopped = exhaust(tiny_task, depth_2, tmp_path / "run")
    assert stopped.funnel["trained"] % 4 == 0
    assert 4000 <= stopped.steps < 4000 + 4 * 3 * 30
    assert stopped.funnel["drawn"] == stopped.tree_count == 25_844
    assert stopped.funnel["trained"] < stopped.funnel["trainable"] == stopped.coverage["losses"] == 46
    before = (tmp_path / "run" / "record.sqlite").read_bytes()
    again = exhaust(tiny_task, depth_2, tmp_path / "run", resume=True)
    for name in ("loss", "rate", "record", "funnel", "baseline", "steps", "ranking", "places_of_known", "coverage"):
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
    for depth in (0, 4):
        with pytest.raises(ValueError, match=rf"ExhaustiveConfig\.depth is {depth}; an integer from 1 to 3"):
            ExhaustiveConfig(depth=depth)
    with pytest.raises(ValueError, match=r"ExhaustiveConfig\.batch is 0"):
        ExhaustiveConfig(batch=0)


@pytest.mark.slow
def test_all_of_depth_3_is_covered_and_a_budget_ends_the_training(tiny_task: Task) -> None:
    stages = ("finite", "guided", "distinct")  # what trains free outputs takes minutes more
    config = dataclasses.replace(DEPTH_1, depth=3, seeds=1, budget=4000, finalists=1, screening=stages)
    found = exhaust(tiny_task, config)
    assert found.tree_count == found.funnel["drawn"] == count_trees(3) == 2_671_726_880
    assert (found.funnel["valid"], found.funnel["finite"]) == (1_992_971_216, 1_065_793_398)
    losses = found.coverage.pop("losses")
    assert found.coverage == {"functions": 485_746, "gradients": 229_704, "directions": 189_238}
    assert losses == found.funnel["distinct"] == pytest.approx(115_693, rel=1e-3)  # digits in float32 decide on some
    assert found.baseline is not None
    batches = math.ceil((4000 - found.baseline.steps) / (4 * 3 * 30))
    assert len(found.ranking) == found.funnel["trained"] == 4 * batches
    # The smallest come first.
    assert max(known.tree.size for known in found.ranking) <= 5


def test_other_operators_are_covered(tiny_task: Task) -> None:
    config = dataclasses.replace(DEPTH_1, operators=("-", "exp", "abs"), seeds=1, finalists=1, screening=("finite",))
    found = exhaust(tiny_task, config)
    assert found.tree_count == found.funnel["drawn"] == 4 + 2 * 4 + 4**2
    assert {str(known.tree) for known in found.ranking} <= {"x - y", "y - x"}
    with pytest.raises(ValueError, match=r"depth is 3 with the operator 'exp'; depth 3 is for log, square, .* alone"):
        ExhaustiveConfig(depth=3, operators=("paper", "exp"))


def test_losses_are_trained_in_the_order_of_their_sizes(tiny_task: Task) -> None:
    found = exhaust(tiny_task, dataclasses.replace(DEPTH_1, depth=2, seeds=1, budget=4000, finalists=1))
    trained = [parse(record.expression) for records in found.record for record in records]
    assert [tree.size for tree in trained] == sorted(tree.size for tree in trained)
    assert [str(tree) for tree in trained[:2]] == ["x * y", "square(x + y)"]


def test_what_is_on_record_is_not_screened_again(
    tiny_task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(DEPTH_1, depth=2, seeds=1, budget=4000, finalists=1)
    stopped = exhaust(tiny_task, config, tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trees are screened again")

    monkeypatch.setattr(distinct, "distinct", refuse)
    further = exhaust(tiny_task, dataclasses.replace(config, budget=4800), tmp_path, resume=True)
    assert further.coverage == stopped.coverage
    assert further.record[: len(stopped.record)] == stopped.record
    assert stopped.funnel["trained"] < further.funnel["trained"] < 46
    assert {**further.funnel, "trained": 0, "finished": 0} == {**stopped.funnel, "trained": 0, "finished": 0}
    with pytest.raises(AssertionError, match="screened again"):
        exhaust(tiny_task, config)


def test_coverage_is_in_the_result_and_in_the_record(tiny_task: Task, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    config = dataclasses.replace(DEPTH_1, fair_rates=False)
    found = exhaust(tiny_task, config, tmp_path, on_screening=lambda *given: seen.append(given))
    assert found.coverage == {"functions": 5, "gradients": 2, "directions": 2, "losses": 1}
    assert seen == [("screening", 0, 3), ("screening", 3, 3), ("descending", 2, 2)]
    phase = summary.read(tmp_path).phases["exhaustive"]
    assert (phase.coverage, phase.funnel) == (found.coverage, found.funnel)
    again = exhaust(tiny_task, config, tmp_path, resume=True, on_screening=lambda *given: seen.append(given))
    assert (again.coverage, len(seen)) == (found.coverage, 3)


# SOFT LABELS


@pytest.mark.slow
def test_soft_labels_find_more_losses(tiny_task: Task) -> None:
    config = dataclasses.replace(DEPTH_1, depth=2, seeds=1, fair_rates=False, budget=1, finalists=1)
    hard, soft = (exhaust(tiny_task, dataclasses.replace(config, soft_labels=value)) for value in (False, True))
    assert (hard.coverage["functions"], soft.coverage["functions"]) == (528, 722)
    assert soft.funnel["trainable"] > hard.funnel["trainable"] == 60
    assert soft.funnel["drawn"] == hard.funnel["drawn"]


def test_soft_labels_are_refused_where_labels_are_no_classes(tmp_path: Path) -> None:
    task = tasks.diabetes(steps=5)
    with pytest.raises(ValueError, match=r"ExhaustiveConfig\.soft_labels is True; it is for labels of classes alone"):
        exhaust(task, ExhaustiveConfig(depth=1, soft_labels=True), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_depth_without_losses_is_an_error() -> None:
    with pytest.raises(ValueError, match="exhaust: no tree of depth 1 may be trained"):
        exhaust(tasks.diabetes(steps=5), dataclasses.replace(DEPTH_1, fair_rates=False))


@pytest.mark.parametrize("batch", [2, 64])
def test_without_the_stage_distinct_equal_trees_are_trained_once(tiny_task: Task, batch: int) -> None:
    config = dataclasses.replace(DEPTH_1, batch=batch, fair_rates=False, screening=("finite", "guided"))
    found = exhaust(tiny_task, config)
    screened = screening.screen(population := LEAVES + grown(LEAVES), room=31)
    forms = {canonical(tree) for tree, guided in zip(population, screened.guided, strict=True) if guided}
    assert found.funnel["trained"] == len(found.ranking) == len(forms) < screened.guided.sum()
    assert {canonical(known.tree) for known in found.ranking} == forms
    assert found.steps == 2 * 30 * len(forms)
