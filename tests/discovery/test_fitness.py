"""Fitness: the baseline's rate, trainings at fair rates, further trainings, recall, budgets and finals."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glojax import evaluate
from glojax.discovery import scoring, screening
from glojax.discovery.allocation import allocate
from glojax.discovery.evolution import SearchConfig
from glojax.discovery.fitness import BASELINE_SEEDS, EMPTY, FACTORS, Archive, Fitness
from glojax.discovery.results import Baseline, Known
from glojax.discovery.settings import FitnessConfig
from glojax.distributed import processes
from glojax.executors import local
from glojax.expressions.canonical import canonical
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree
from glojax.records.run import Run
from glojax.seeds import named_seed
from glojax.statistics import winner
from glojax.tasks.ranking import ranked
from glojax.tasks.task import Task

CONFIG = FitnessConfig(seeds=2, finalists=3, final_seeds=2, halving=1, seed=5)
TREES = [parse(text) for text in ("x * log(y)", "log(y) - x / y", "x * y", "y - x")]
BASELINE = Baseline(10.0, (0.8, 0.8), 420)


def fitness_of(task: Task, **changes: Any) -> Fitness:
    settings = CONFIG.__dict__ | changes
    return Fitness.of(task, FitnessConfig(**settings), 15, local.resolve(task, None, None))


@pytest.fixture(scope="module")
def fitness(tiny_task: Task) -> Fitness:
    return fitness_of(tiny_task)


@pytest.fixture(scope="module")
def halved(tiny_task: Task) -> Fitness:
    return fitness_of(tiny_task, halving=3)


def archive_of(*known: Known) -> Archive:
    return EMPTY.with_known(known)


def no_training(*_: object, **__: object) -> None:
    pytest.fail("something was trained")


# THE ARCHIVE


def test_an_archive_holds_one_entry_for_each_canonical_form_and_ranks_the_fittest_first() -> None:
    first, second = Known(parse("x * log(y)"), 1.0, (0.4, 0.6), True), Known(parse("y - x"), 3.0, (0.7,), True)
    archive = EMPTY.with_known([first, second], [b"a", b"b"])
    assert archive.known == {canonical(first.tree): first, canonical(second.tree): second}
    assert archive.keys == {b"a", b"b"}
    assert archive.ranking == [second, first]
    better = Known(parse("log(y) * x"), 1.0, (0.9,), True)
    following = archive.with_known([better], [b"a"])
    assert following.ranking == [better, second]
    assert archive.ranking == [second, first]
    assert Archive({}, frozenset()) == EMPTY


# THE BASELINE


def test_the_baseline_is_the_best_of_what_evaluate_gives_at_every_rate_and_is_read_back(
    tiny_task: Task, fitness: Fitness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = [named_seed(5, "control", i) for i in range(BASELINE_SEEDS)]
    by_rate = evaluate(ranked(tiny_task), ["x * log(y)"] * len(scoring.RATES), seeds, rates=scoring.RATES).mean(axis=1)
    with Run(tmp_path, "search", tiny_task, fitness.config, False) as run:
        found = fitness.find_baseline(run)
    assert found is not None
    assert found.rate == scoring.RATES[int(by_rate.argmax())]
    assert found.fitness == pytest.approx(by_rate.max(), abs=1e-6)
    assert found.scatter == pytest.approx(np.std(found.scores, ddof=1))
    assert len(found.scores) == BASELINE_SEEDS
    assert found.steps == BASELINE_SEEDS * 30 * len(scoring.RATES)
    monkeypatch.setattr(scoring, "measure", no_training)
    with Run(tmp_path, "search", tiny_task, fitness.config, True) as run:
        assert fitness.find_baseline(run) == found


def test_without_fair_rates_there_is_no_baseline(tiny_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    fitness = fitness_of(tiny_task, fair_rates=False)
    monkeypatch.setattr(scoring, "measure", no_training)
    with Run(None, "search", tiny_task, fitness.config, False) as run:
        assert fitness.find_baseline(run) is None


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.9, 0.9), 1), ((0.892, 0.908), 2),  # a standard deviation of 0.011, and 0.1 lacking
        ((0.95, 0.97), 4), ((1.0, 1.0), 2), ((1.5, 1.7), 2),
    ],
)  # fmt: skip
def test_a_tree_has_as_many_trainings_as_the_noise_needs(tiny_task: Task, scores: tuple, expected: int) -> None:
    fitness = fitness_of(tiny_task, seeds=None)
    assert fitness.seed_count(Baseline(1.0, scores, 60)) == expected
    assert fitness.seed_count(None) == 2
    assert fitness_of(tiny_task, seeds=3).seed_count(Baseline(1.0, scores, 60)) == 3


# TRAINING


def test_trees_train_at_three_fair_rates_and_keep_the_best(tiny_task: Task, fitness: Fitness) -> None:
    before = Archive({}, frozenset([b"other"]))
    copied, trees = copy.deepcopy(before), list(TREES[:3])
    archive, measured = fitness.train(before, BASELINE, trees)
    assert before == copied
    assert trees == TREES[:3]
    screened = screening.screen(trees, room=31)
    assert screened.size[0] == pytest.approx(1)  # cross-entropy is the baseline itself
    seeds = [named_seed(5, "search", i) for i in range(2)]
    assert fitness.training_seeds(0, 2) == seeds
    assert fitness.training_seeds(1, 3) == [named_seed(5, "search", i) for i in (1, 2, 3)]
    assert list(archive.known) == [canonical(tree) for tree in trees]
    for place, (tree, known) in enumerate(zip(trees, archive.known.values(), strict=True)):
        rates = [10 / screened.size[place] * factor for factor in FACTORS]
        scores = evaluate(ranked(tiny_task), [tree] * 3, seeds, rates=rates)
        best = int(scores.mean(axis=1).argmax())
        assert known.rate == pytest.approx(rates[best], rel=1e-4)
        np.testing.assert_allclose(known.scores, scores[best], atol=1e-6)
        assert known.scores == tuple(measured.scores[place])
        assert known.finished
    assert archive.keys == {b"other", *(row.tobytes() for row in screened.direction)}


def test_without_a_baseline_trees_train_at_the_task_s_own_rate(tiny_task: Task) -> None:
    fitness = fitness_of(tiny_task, fair_rates=False, screening=())
    archive, measured = fitness.train(EMPTY, None, TREES[:2])
    scores = evaluate(ranked(tiny_task), TREES[:2], fitness.training_seeds(0, 2))
    np.testing.assert_allclose([known.scores for known in archive.known.values()], scores, atol=1e-6)
    assert {known.rate for known in archive.known.values()} == {1.0}
    assert measured.steps.tolist() == [2 * 30] * 2
    assert archive.keys == frozenset()


def test_more_trainings_replace_the_scores_of_dropped_trees_and_add_to_those_of_finished_ones(
    tiny_task: Task, fitness: Fitness
) -> None:
    finished, dropped = Known(TREES[0], 3.0, (0.25, 0.5), True), Known(TREES[1], 1.0, (0.3, 0.4), False)
    rest = Known(TREES[2], 1.0, (0.3,), True)
    before = archive_of(finished, dropped, rest)
    copied = copy.deepcopy(before)
    more = allocate([finished.scores, dropped.scores], 6, 32)
    assert min(more) > 0
    after, found = fitness.train_again(before, TREES[:2], 6)
    assert before == copied
    expected = evaluate(ranked(tiny_task), TREES[:2], fitness.training_seeds(0, 20), rates=[3.0, 1.0])
    # The first goes on with the seeds after its two; the second begins anew.
    rows = expected[0, 2 : 2 + more[0]], expected[1, : 2 + more[1]]
    first, second = (after.known[canonical(tree)] for tree in TREES[:2])
    np.testing.assert_allclose(first.scores, (0.25, 0.5, *rows[0]), atol=1e-6)
    np.testing.assert_allclose(second.scores, rows[1], atol=1e-6)
    np.testing.assert_allclose([*found.scores[0], *found.scores[1]], np.concatenate(rows), atol=1e-6)
    assert (first.rate, second.rate, first.finished, second.finished) == (3.0, 1.0, True, True)
    assert after.known[canonical(TREES[2])] == rest
    assert after.keys == before.keys


def test_a_record_recalls_the_archive_that_training_gave_key_by_key(halved: Fitness) -> None:
    archive, measured = halved.train(EMPTY, BASELINE, TREES)
    assert {known.finished for known in archive.known.values()} == {True, False}
    first = [
        known.to_record("trained" if known.finished else "dropped", 0, int(steps), 0.1)
        for known, steps in zip(archive.known.values(), measured.steps, strict=True)
    ]
    recalled = halved.recall(EMPTY, first)
    assert recalled == archive
    assert Archive({}, frozenset()) == EMPTY
    more, again = halved.train_again(archive, TREES[:2], 6)
    second = [
        more.known[canonical(tree)].to_record("elite", 0, 60, 0.1)._replace(scores=tuple(scores))
        for tree, scores in zip(TREES, again.scores, strict=False)
    ]
    second.append(first[2]._replace(fate="cached", scores=()))
    second.append(first[0]._replace(expression="y + y", canonical="y", fate="invalid", scores=()))
    copied = copy.deepcopy(recalled)
    assert halved.recall(recalled, second) == more
    assert recalled == copied


def test_a_task_or_a_metric_that_cannot_be_searched_is_refused(tiny_task: Task) -> None:
    with pytest.raises(ValueError, match="Task"):
        Fitness.of("digits", CONFIG, 15, local.resolve(tiny_task, None, None))  # type: ignore[arg-type]


# BUDGETS


def test_a_budget_of_steps_is_spent_when_it_is_reached(tiny_task: Task) -> None:
    fitness = fitness_of(tiny_task, budget=100)
    assert [fitness.is_spent(steps, 1e9) for steps in (99, 100, 101)] == [False, True, True]


def test_minutes_are_spent_by_the_first_process_s_clock(tiny_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    fitness = fitness_of(tiny_task, minutes=1.0)
    assert [fitness.is_spent(10**9, seconds) for seconds in (59.9, 60, 61)] == [False, True, True]
    monkeypatch.setattr(processes, "first", lambda _: True)
    assert fitness.is_spent(0, 0)


def test_without_a_budget_nothing_is_ever_spent(fitness: Fitness) -> None:
    assert not fitness.is_spent(10**12, 1e12)


# FINALS


def finals_archive(trees: list[Tree]) -> Archive:
    fitness = (0.7, 0.9, 0.0, 0.8)
    return archive_of(
        *(Known(tree, 3.0, (score, score), True) for tree, score in zip(trees, fitness, strict=True)),
    )


def test_finals_choose_the_winner_and_are_recorded_once(
    tiny_task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitness, archive = fitness_of(tiny_task, finalists=8), finals_archive(TREES)
    copied = copy.deepcopy(archive)
    with Run(tmp_path, "search", tiny_task, fitness.config, False) as run:
        best = fitness.finals(archive, run)
        kept = run.finals()
    assert archive == copied
    order = [TREES[1], TREES[3], TREES[0]]  # what scored 0 is no finalist
    assert [record.expression for record in kept] == list(map(str, order))
    seeds = [named_seed(5, "finals", i) for i in range(32)]
    scores = evaluate(ranked(tiny_task), order, seeds, rates=[3.0] * 3)
    for record, expected in zip(kept, scores, strict=True):
        assert 2 <= len(record.scores) <= 32
        np.testing.assert_allclose(record.scores, expected[: len(record.scores)], atol=1e-6)
        assert record.steps == 30 * len(record.scores)
    place = winner([record.scores for record in kept])
    assert (best.tree, best.scores) == (order[place], kept[place].scores)
    monkeypatch.setattr(scoring, "train_each", no_training)
    with Run(tmp_path, "search", tiny_task, fitness.config, True) as run:
        assert fitness.finals(archive, run) == best


def test_finals_of_other_finalists_are_held_again(tiny_task: Task) -> None:
    fitness, archive = fitness_of(tiny_task, finalists=2), finals_archive(TREES)
    with Run(None, "search", tiny_task, fitness.config, False) as run:
        fitness.finals(archive, run)
        fitness.finals(archive.with_known([Known(TREES[2], 3.0, (1.0,), True)]), run)
        assert [record.expression for record in run.finals()] == [
            str(TREES[2]), str(TREES[1]), str(TREES[0]),  # the two fittest, and the best of 4 nodes
        ]  # fmt: skip


def test_with_one_finalist_or_nothing_above_0_the_fittest_wins_without_a_training(
    tiny_task: Task, fitness: Fitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "measure", no_training)
    alone = fitness_of(tiny_task, finalists=1)
    failed = archive_of(Known(TREES[0], 1.0, (0.0,), True))
    with Run(None, "search", tiny_task, SearchConfig(), False) as run:
        assert alone.finals(finals_archive(TREES), run).tree == TREES[1]
        assert fitness.finals(failed, run).tree == TREES[0]
        assert run.finals() == []
