"""Fitness: what trainings add to an archive, and that the record gives it back.

Scores are those of ``evaluate``, sizes of gradients those of finite differences.
"""

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from test_exhaustive import gradient_of
from test_finals import Scripted

from glojax import evaluate
from glojax.discovery import scoring
from glojax.discovery.fitness import EMPTY, Archive, Fitness
from glojax.discovery.results import Baseline, Known
from glojax.discovery.settings import FitnessConfig
from glojax.executors import local
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import parse
from glojax.records import candidates
from glojax.records.candidates import Record
from glojax.records.run import Run
from glojax.seeds import named_seed
from glojax.tasks.task import Task
from glojax.training.trainer import Trainer

CONFIG = FitnessConfig(seeds=2, halving=1, finalists=4, final_seeds=2, seed=5)
SEEDS = [named_seed(5, "search", i) for i in range(2)]
FRESH = [named_seed(5, "elites", 1, i) for i in range(3)]
TREES = [parse(text) for text in ("x * log(y)", "log(y) - x / y", "x * y", "log(y) * x + x * y", "y * log(x - 1)")]
HOPELESS = TREES[-1]  # nowhere finite


@pytest.fixture(scope="module")
def fitness(tiny_task: Task) -> Fitness:
    return Fitness.of(tiny_task, CONFIG, 15, local.local_executor)


def with_settings(fitness: Fitness, **changes: Any) -> Fitness:
    """The same with other settings, and with the trainer and screener that are there."""
    return dataclasses.replace(fitness, config=dataclasses.replace(fitness.config, **changes))


@pytest.fixture
def untrained(fitness: Fitness, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something is trained")

    monkeypatch.setattr(Trainer, "train", refuse)


def known(expression: str, *scores: float, rate: float = 1.0, finished: bool = True) -> Known:
    return Known(parse(expression), rate, scores, finished)


def as_recorded(records: Sequence[Record]) -> list[Record]:
    """What a record gives back."""
    return [candidates.from_row(candidates.to_row(record)) for record in records]


# THE ARCHIVE


def test_an_archive_has_each_canonical_form_once_with_what_came_last() -> None:
    first, other, again = known("x * log(y)", 0.5), known("x * y", 0.25), known("log(y) * x", 0.75, rate=3.0)
    archive = EMPTY.with_known([first, other], [b"a", b"b"]).with_known([again], [b"b"])
    assert archive == Archive({canonical(first.tree): again, canonical(other.tree): other}, frozenset({b"a", b"b"}))
    assert Archive({}, frozenset()) == EMPTY


def test_a_ranking_has_the_fittest_first_and_equals_in_the_order_they_came() -> None:
    names = ["x * y", "x + y", "x - y", "x / y"]
    archive = EMPTY.with_known(
        [known(name, *row) for name, row in zip(names, [(0.5,), (0, 1), (0.9,), (0.1, 0.1)], strict=True)]
    )
    assert [str(one.tree) for one in archive.ranking] == ["x - y", "x * y", "x + y", "x / y"]


# THE BASELINE


def test_the_baseline_is_at_the_best_of_all_rates_and_is_read_back_from_the_record(
    fitness: Fitness, tiny_task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = [named_seed(5, "control", i) for i in range(2)]
    count = len(scoring.RATES)
    means = evaluate(tiny_task, ["x * log(y)"] * count, seeds, rates=scoring.RATES).mean(axis=1)
    with Run(tmp_path, "search", tiny_task, {}, False) as run:
        found = fitness.find_baseline(run)
    assert found is not None
    assert found.rate == scoring.RATES[int(means.argmax())]
    assert found.fitness == pytest.approx(means.max(), abs=1e-6)
    assert found.steps == count * 2 * 30

    monkeypatch.setattr(Trainer, "train", None)
    with Run(tmp_path, "search", tiny_task, {}, True) as run:
        assert fitness.find_baseline(run) == found


@pytest.mark.usefixtures("untrained")
def test_at_the_tasks_own_rate_there_is_no_baseline(fitness: Fitness, tiny_task: Task) -> None:
    with Run(None, "search", tiny_task, {}, False) as run:
        assert with_settings(fitness, fair_rates=False).find_baseline(run) is None


# TRAINING


def test_fair_rates_are_where_the_gradient_is_as_large_as_the_baselines(fitness: Fitness, tiny_task: Task) -> None:
    archive, measured = fitness.train(EMPTY, Baseline(3.0, 0.5, 0), TREES)
    norm = np.linalg.norm(gradient_of(TREES[0]))
    for place, tree in enumerate(TREES):
        size = 1.0 if tree == HOPELESS else float(np.linalg.norm(gradient_of(tree)) / norm)
        rates = [3.0 * factor / size for factor in (1 / 3, 1, 3)]
        scores = evaluate(tiny_task, [tree] * 3, SEEDS, rates=rates)
        best = int(scores.mean(axis=1).argmax())
        assert measured.rates[place] == pytest.approx(rates[best], rel=1e-4)
        np.testing.assert_allclose(measured.scores[place], scores[best], atol=1e-6)
        assert archive.known[canonical(tree)] == Known(
            tree, measured.rates[place], tuple(measured.scores[place].tolist()), True
        )
    assert measured.steps[:4].tolist() == [3 * 2 * 30] * 4
    assert archive.known[canonical(HOPELESS)].fitness == 0
    assert len(archive.known) == len(TREES)
    assert archive.keys == frozenset(fitness.screener.keys(TREES))


def test_an_optimizer_that_makes_up_for_the_size_of_gradients_has_the_rates_of_the_baseline(fitness: Fitness) -> None:
    _, measured = dataclasses.replace(fitness, growth=0.0).train(EMPTY, Baseline(3.0, 0.5, 0), TREES)
    assert {*measured.rates.tolist()} <= {1.0, 3.0, 9.0}


def test_without_a_baseline_all_train_at_the_tasks_rate_and_without_screening_there_are_no_keys(
    fitness: Fitness, tiny_task: Task
) -> None:
    before = EMPTY.with_known([known("x / y", 0.5)])
    archive, measured = with_settings(fitness, screening=()).train(before, None, TREES[:3])
    np.testing.assert_allclose(measured.scores, evaluate(tiny_task, TREES[:3], SEEDS), atol=1e-6)
    assert measured.rates.tolist() == [1, 1, 1]
    assert archive.keys == frozenset()
    assert {*archive.known} == {canonical(tree) for tree in [*TREES[:3], parse("x / y")]}


def test_more_trainings_add_to_finished_ones_and_replace_those_that_halving_stopped(
    fitness: Fitness, tiny_task: Task
) -> None:
    stopped, finished, other = (
        known("x * log(y)", 0.1, rate=2.0, finished=False),
        known("x * y", 0.4, 0.6),
        known("x / y", 0.5),
    )
    before = Archive(EMPTY.with_known([stopped, finished, other]).known, frozenset({b"key"}))
    archive, measured = fitness.train_again(before, [stopped.tree, parse("y * x")], FRESH)
    expected = evaluate(tiny_task, [stopped.tree, finished.tree], FRESH, rates=[2.0, 1.0])
    np.testing.assert_allclose(measured.scores, expected, atol=1e-6)
    assert measured.steps.tolist() == [3 * 30] * 2
    rows = [tuple(row) for row in measured.scores.tolist()]
    assert archive.known[canonical(stopped.tree)] == Known(stopped.tree, 2.0, rows[0], True)
    assert archive.known[canonical(finished.tree)] == Known(finished.tree, 1.0, (0.4, 0.6, *rows[1]), True)
    assert archive.known[canonical(other.tree)] == other
    assert archive.keys == before.keys


def test_nothing_that_is_given_changes(fitness: Fitness) -> None:
    archive = EMPTY.with_known([known("x / y", 0.5)], [b"key"])
    given = [archive, Baseline(3.0, 0.5, 0), TREES[:2], FRESH]
    before = copy.deepcopy(given)
    following, _ = fitness.train(archive, given[1], given[2])  # type: ignore[arg-type]
    again, _ = fitness.train_again(following, TREES[:2], FRESH)
    fitness.recall(archive, [known("x * y", 0.5).to_record("trained", 0, 30, 1.0)])
    assert given == before
    assert Archive({}, frozenset()) == EMPTY
    assert all(again.known[canonical(tree)] != following.known[canonical(tree)] for tree in TREES[:2])
    assert [len(one.scores) for one in following.known.values()] == [1, 2, 2]


# THE RECORD


@pytest.mark.parametrize("stages", [(), ("finite", "distinct")])
def test_the_record_of_a_round_gives_the_archive_that_training_gave(fitness: Fitness, stages: tuple[str, ...]) -> None:
    halved = with_settings(fitness, halving=3, screening=stages)
    trained, measured = halved.train(EMPTY, Baseline(3.0, 0.5, 0), TREES)
    first = [
        one.to_record("trained" if one.finished else "dropped", SEEDS[0], int(steps), 1.0)
        for one, steps in zip(trained.known.values(), measured.steps, strict=True)
    ]
    assert {record.fate for record in first} == {"trained", "dropped"}
    recalled = halved.recall(EMPTY, as_recorded(first))
    assert_same(recalled, trained)

    places = [0, 1, 2, 3]
    whole, more = halved.train_again(trained, [TREES[place] for place in places], FRESH)
    second = [
        whole.known[canonical(TREES[place])].to_record("elite", SEEDS[0], 90, 1.0)._replace(scores=tuple(scores))
        for place, scores in zip(places, more.scores.tolist(), strict=True)
    ]
    neither = [
        known("x * y", 0.5).to_record("cached", 0, 0, 0.0)._replace(scores=()),
        known("x + x", 0.0).to_record("invalid", 0, 0, 0.0)._replace(scores=()),
        known("log(y) - x / y", 0.5).to_record("elite", 0, 0, 0.0)._replace(scores=()),
    ]
    assert_same(halved.recall(recalled, as_recorded([*second, *neither])), whole)
    assert_same(recalled, trained)


def assert_same(found: Archive, expected: Archive) -> None:
    assert [*found.known] == [*expected.known]
    for form, one in expected.known.items():
        assert found.known[form] == one
    assert found.keys == expected.keys


# BUDGETS


@pytest.mark.parametrize(
    ("settings", "steps", "seconds", "expected"),
    [
        ({}, 10**12, 1e9, False),
        ({"budget": 100}, 99, 1e9, False),
        ({"budget": 100}, 100, 0.0, True),
        ({"minutes": 0.5}, 10**12, 29.9, False),
        ({"minutes": 0.5}, 0, 30.0, True),
        ({"budget": 100, "minutes": 0.5}, 99, 29.9, False),
        ({"budget": 100, "minutes": 0.5}, 99, 30.0, True),
    ],
)
def test_a_budget_is_of_steps_or_of_minutes(
    fitness: Fitness, settings: dict[str, Any], steps: int, seconds: float, expected: bool
) -> None:
    assert with_settings(fitness, **settings).is_spent(steps, seconds) is expected


# FINALS


def scripted(fitness: Fitness, rows: dict[str, tuple[float, ...]]) -> tuple[Fitness, Scripted]:
    """The fitness with an evaluator that gives trees these scores over the seeds of the finals."""
    seeds = [named_seed(5, "finals", i) for i in range(8)]
    evaluator = Scripted(fitness.task, lambda training: rows[str(training.tree)][seeds.index(training.seed)])
    return dataclasses.replace(fitness, evaluator=evaluator), evaluator


ARCHIVE = EMPTY.with_known(
    [
        known("x * y", 0.5, rate=3.0), known("x + y", 0.75), known("x - y", 0.625, finished=False), known("x / y", 0.0),
        known("y * y * x", 0.25), known("y / x", 0.125),
    ]
)  # fmt: skip
STEADY, LUCKY = (0.75, 0.5) * 4, (0.875, 0.75, 0.875, 0.25, 1.0, 0.0, 1.0, 0.5)
ROWS = {"x * y": STEADY, "x + y": LUCKY, "x - y": (0.25,) * 8, "y * y * x": (0.125,) * 8}


def test_finals_are_won_by_the_highest_lower_bound_and_not_by_the_highest_mean(
    fitness: Fitness, tiny_task: Task, tmp_path: Path
) -> None:
    five = EMPTY.with_known([*ARCHIVE.known.values(), known("y + y + x", 0.2)])
    rows = ROWS | {"y + y + x": (0.0625,) * 8}
    changed, evaluator = scripted(with_settings(fitness, finalists=5), rows)
    with Run(tmp_path, "search", tiny_task, {}, False) as run:
        won = changed.finals(five, run)
        kept = run.finals()
    assert np.mean(LUCKY) > np.mean(STEADY)
    bounds = [stats.t.interval(0.9, 7, np.mean(row), stats.sem(row))[0] for row in (STEADY, LUCKY)]
    assert bounds[0] > bounds[1]
    assert won == Known(parse("x * y"), 3.0, STEADY, True)
    assert [(one.expression, one.rate, one.scores, one.fate, one.steps) for one in kept] == [
        ("x + y", 1.0, LUCKY, "trained", 240), ("x - y", 1.0, (0.25,) * 2, "trained", 60),
        ("x * y", 3.0, STEADY, "trained", 240), ("y * y * x", 1.0, (0.125,) * 2, "trained", 60),
        ("y + y + x", 1.0, rows["y + y + x"][:2], "trained", 60),
    ]  # fmt: skip
    assert [record.seed for record in kept] == [named_seed(5, "finals", 0)] * 5
    assert len(evaluator.calls) == 2


def test_finals_are_recorded_once_and_held_again_for_other_finalists(
    fitness: Fitness, tiny_task: Task, tmp_path: Path
) -> None:
    changed, evaluator = scripted(fitness, ROWS | {"y + y": (1.0,) * 8})
    with Run(tmp_path, "search", tiny_task, {}, False) as run:
        won = changed.finals(ARCHIVE, run)
    assert len(evaluator.calls) == 2
    assert won == Known(parse("x + y"), 1.0, LUCKY, True)  # the only one of four that was trained eight times
    with Run(tmp_path, "search", tiny_task, {}, True) as run:
        assert changed.finals(ARCHIVE, run) == won
        assert len(evaluator.calls) == 2
        more = ARCHIVE.with_known([known("y + y", 0.9, rate=2.0)])
        assert changed.finals(more, run) == Known(parse("y + y"), 2.0, (1.0,) * 8, True)
        assert len(evaluator.calls) == 4
        assert [record.expression for record in run.finals()] == ["y + y", "x + y", "x - y", "x * y"]


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("finalists", "archive", "best"),
    [(1, ARCHIVE, "x + y"), (4, EMPTY.with_known([known("x / y", 0.0), known("x - y", 0.0)]), "x / y")],
)
def test_without_finals_the_fittest_is_the_result(
    fitness: Fitness, tiny_task: Task, finalists: int, archive: Archive, best: str
) -> None:
    with Run(None, "search", tiny_task, {}, False) as run:
        assert with_settings(fitness, finalists=finalists).finals(archive, run) == archive.known[canonical(parse(best))]
        assert run.finals() == []


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(ValueError, match="'digits'"):
        Fitness.of("digits", CONFIG, 15, local.local_executor)  # type: ignore[arg-type]


def test_a_metric_that_may_be_below_0_is_refused(tiny_task: Task) -> None:
    task = dataclasses.replace(tiny_task, metric=lambda outputs, _: -jnp.square(outputs).mean())
    with pytest.raises(ValueError, match=r"Task\.metric"):
        Fitness.of(task, CONFIG, 15, local.local_executor)
