"""Generations: the state after each, the same from any point of the record on, and budgets that end them."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from glojax.discovery import scoring
from glojax.discovery.fitness import BASELINE_SEEDS, Fitness
from glojax.discovery.generations import Generation, State, states
from glojax.discovery.search_config import SearchConfig
from glojax.executors import local
from glojax.expressions.canonical import canonical
from glojax.records.run import Run
from glojax.tasks.task import Task

CONFIG = SearchConfig(population=8, generations=3, elites=2, seeds=1, finalists=1, final_seeds=2, seed=5)


def states_of(task: Task, directory: Path | None, config: SearchConfig, resume: bool = False) -> Iterator[State]:
    fitness = Fitness.of(task, config, config.max_nodes, local.resolve(task, None, None))
    with Run(directory, "search", task, config, resume) as run:
        yield from states(fitness, config, run)


@pytest.fixture(scope="module")
def whole(tiny_task: Task, tmp_path_factory: pytest.TempPathFactory) -> list[State]:
    return list(states_of(tiny_task, tmp_path_factory.mktemp("whole"), CONFIG))


def assert_same(found: State, expected: State) -> None:
    """All but the clock."""
    for field in ("number", "trees", "fates", "funnel"):
        assert getattr(found.generation, field) == getattr(expected.generation, field), field
    for field in ("fitness", "rates", "steps"):
        np.testing.assert_array_equal(getattr(found.generation, field), getattr(expected.generation, field))
    assert found.archive == expected.archive
    assert (found.baseline, found.steps) == (expected.baseline, expected.steps)
    assert [record._replace(seconds=0) for record in found.records] == [
        record._replace(seconds=0) for record in expected.records
    ]


def test_a_state_holds_all_that_was_trained_and_what_it_cost(whole: list[State]) -> None:
    assert [state.generation.number for state in whole] == [0, 1, 2]
    trained: set[object] = set()
    baseline = whole[0].baseline
    assert baseline is not None
    steps = baseline.steps
    for state in whole:
        generation = state.generation
        steps += int(generation.steps.sum())
        trained |= {canonical(tree) for tree in generation.trees}
        assert state.steps == steps
        assert set(state.archive.known) == trained
        assert generation.steps.tolist() == [record.steps for record in state.records]
        assert generation.fitness.tolist() == [record.fitness for record in state.records]
        for tree, fitness, rate in zip(generation.trees, generation.fitness, generation.rates, strict=True):
            known = state.archive.known[canonical(tree)]
            if state is whole[-1]:
                assert (known.fitness, known.rate) == (fitness, rate)
        assert generation.best == generation.trees[int(generation.fitness.argmax())]
    assert [state.seconds for state in whole] == pytest.approx(
        np.cumsum([state.generation.seconds for state in whole]).tolist()
    )


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_search_resumed_after_any_generation_has_the_same_states(
    tiny_task: Task, tmp_path: Path, whole: list[State], stop: int
) -> None:
    stopped = states_of(tiny_task, tmp_path, CONFIG)
    before = [next(stopped) for _ in range(stop)]
    stopped.close()
    after = list(states_of(tiny_task, tmp_path, CONFIG, resume=True))
    assert (len(before), len(after)) == (stop, 3)
    for found, expected in zip([*before, *after], [*whole[:stop], *whole], strict=True):
        assert_same(found, expected)
    assert [state.generation.seconds > 0 for state in after] == [False] * stop + [True] * (3 - stop)


def test_a_whole_record_is_read_back_without_a_training(
    tiny_task: Task, tmp_path: Path, whole: list[State], monkeypatch: pytest.MonkeyPatch
) -> None:
    list(states_of(tiny_task, tmp_path, CONFIG))
    monkeypatch.setattr(scoring, "measure", lambda *_, **__: pytest.fail("something was trained"))
    fewer = dataclasses.replace(CONFIG, generations=2)
    for found, expected in zip(states_of(tiny_task, tmp_path, fewer, resume=True), whole[:2], strict=True):
        assert_same(found, expected)
        assert found.generation.seconds == 0


def test_a_generation_is_recalled_as_the_record_has_it(whole: list[State]) -> None:
    generation, records = whole[1].generation, whole[1].records
    recalled = Generation.recalled(1, records, {"drawn": 3})
    assert recalled.trees == generation.trees
    np.testing.assert_array_equal(recalled.fitness, generation.fitness)
    np.testing.assert_array_equal(recalled.rates, generation.rates)
    assert (recalled.funnel, recalled.seconds) == ({"drawn": 3}, 0)


def test_a_budget_that_the_baseline_uses_up_is_an_error_with_the_name_of_the_settings(tiny_task: Task) -> None:
    cost = BASELINE_SEEDS * len(scoring.RATES) * 30
    config = dataclasses.replace(CONFIG, halving=1, budget=cost)
    with pytest.raises(
        ValueError, match=rf"^SearchConfig: the budget is used up before .* took {cost:,} candidate-steps"
    ):
        list(states_of(tiny_task, None, config))
    assert len(list(states_of(tiny_task, None, dataclasses.replace(config, budget=cost + 1)))) == 1


def test_what_is_rejected_is_recorded_in_a_directory(tiny_task: Task, tmp_path: Path) -> None:
    one = dataclasses.replace(CONFIG, generations=1)
    (state,) = states_of(tiny_task, tmp_path, one)
    with Run(tmp_path, "search", tiny_task, one, True) as run:
        assert run.generations() == [list(state.records)]
        assert run.funnels() == [state.generation.funnel]
