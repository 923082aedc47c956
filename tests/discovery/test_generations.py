"""The state of a search after each generation, and that the record gives the same states back."""

import copy
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from glojax.discovery import generations
from glojax.discovery.fitness import Fitness
from glojax.discovery.generations import Generation, State
from glojax.discovery.results import Known
from glojax.discovery.search_config import SearchConfig
from glojax.executors import local
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree, parse
from glojax.records.run import BASELINE, Run
from glojax.tasks.task import Task
from glojax.training.trainer import Trainer

CONFIG = SearchConfig(population=8, generations=4, elites=3, seeds=1, final_seeds=1, max_depth=2, seed=5)
PAPER = SearchConfig.paper(population=12, generations=4, elites=2, seed=1)


def fitness_of(task: Task, config: SearchConfig) -> Fitness:
    return Fitness.of(task, config, config.max_nodes, local.local_executor)


def states(task: Task, config: SearchConfig, before: Sequence[State] = ()) -> list[State]:
    """The states of a search whose record, kept in memory, already holds the states before."""
    with Run(None, "search", task, config, False) as run:
        if before and (baseline := before[0].baseline) is not None:
            kept = Known(task.problem.baseline.tree, baseline.rate, (baseline.fitness,), True)
            run.save(BASELINE, [kept.to_record("trained", 0, baseline.steps, 1.0)])
        for state in before:
            run.save_generation(state.generation.number, state.records, state.generation.funnel)
        found = list(generations.states(fitness_of(task, config), config, run))
        recorded = max(len(found), len(before))
        assert [len(records) for records in run.generations()] == [config.population] * recorded
        assert run.funnels()[: len(found)] == [state.generation.funnel for state in found]
    return found


@pytest.fixture(scope="module", params=[CONFIG, PAPER], ids=["config", "paper"])
def search(request: pytest.FixtureRequest, tiny_task: Task) -> tuple[SearchConfig, list[State]]:
    return request.param, states(tiny_task, request.param)


def content(state: State) -> dict[str, Any]:
    """A state without its times."""
    fields = state._asdict() | {"generation": None, "seconds": None}
    generation = state.generation._asdict() | {"seconds": None}
    lists = {name: value.tolist() for name, value in generation.items() if isinstance(value, np.ndarray)}
    return fields | generation | lists | {"records": [record._replace(seconds=0.0) for record in state.records]}


def test_a_state_holds_all_trainings_so_far(search: tuple[SearchConfig, list[State]]) -> None:
    config, found = search
    steps = found[0].baseline.steps if found[0].baseline else 0
    assert (found[0].baseline is not None) == config.fair_rates
    scores: dict[Tree, tuple[float, ...]] = {}  # of every tree, by canonical form
    stopped: set[Tree] = set()  # by halving
    for number, state in enumerate(found):
        generation = state.generation
        assert generation.number == number
        assert len(generation.trees) == len(state.records) == config.population
        steps += sum(record.steps for record in state.records)
        assert state.steps == steps
        for record, tree in zip(state.records, generation.trees, strict=True):
            form = canonical(tree)
            if record.fate == "dropped":
                stopped.add(form)
            elif record.scores and form in stopped:  # trainings to the end replace those that were stopped
                stopped.remove(form)
                scores[form] = ()
            scores[form] = scores.get(form, ()) + record.scores
        expected = [np.mean(scores[canonical(tree)] or 0.0) for tree in generation.trees]
        np.testing.assert_allclose(generation.fitness, expected, rtol=1e-12)
        assert {form: known.scores for form, known in state.archive.known.items()} == {
            form: row for form, row in scores.items() if row
        }
        assert {form for form, known in state.archive.known.items() if not known.finished} == stopped
    assert all(before.seconds < after.seconds for before, after in itertools.pairwise(found))


def test_a_generation_and_its_records_say_the_same(search: tuple[SearchConfig, list[State]]) -> None:
    for state in search[1]:
        generation = state.generation
        recalled = Generation.recalled(generation.number, state.records, generation.funnel)
        assert content(state._replace(generation=recalled)) == content(state)
        assert recalled.seconds == 0 < generation.seconds
        assert generation.best == generation.trees[generation.fitness.tolist().index(max(generation.fitness))]
        assert sum(record.seconds for record in state.records) == pytest.approx(generation.seconds)
        assert [record.canonical for record in state.records] == [str(canonical(tree)) for tree in generation.trees]


def test_a_tree_without_x_or_y_is_not_trained_and_has_fitness_0(tiny_task: Task) -> None:
    found = states(tiny_task, PAPER)
    rows = [
        (record, rate)
        for state in found
        for record, rate in zip(state.records, state.generation.rates.tolist(), strict=True)
        if not parse(record.expression).has_x_and_y
    ]
    assert rows
    for record, rate in rows:
        assert (record.fate, record.fitness, record.scores, record.steps, rate) == ("invalid", 0, (), 0, 1)


def test_a_search_that_goes_on_after_any_generation_has_the_same_states(
    search: tuple[SearchConfig, list[State]], tiny_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, whole = search
    for count in range(1, config.generations):
        again = states(tiny_task, config, whole[:count])
        assert [content(state) for state in again] == [content(state) for state in whole]
        assert [state.generation.seconds > 0 for state in again] == [number >= count for number in range(len(whole))]
    monkeypatch.setattr(Trainer, "train", None)
    again = states(tiny_task, config, whole)
    assert [content(state) for state in again] == [content(state) for state in whole]


def test_a_state_does_not_change_after_it_was_given(tiny_task: Task) -> None:
    with Run(None, "search", tiny_task, CONFIG, False) as run:
        seen: list[tuple[State, dict[str, Any]]] = []
        for state in generations.states(fitness_of(tiny_task, CONFIG), CONFIG, run):
            seen.append((state, copy.deepcopy(content(state))))
    assert len(seen) == 4
    assert all(content(state) == before for state, before in seen)


def test_fewer_generations_read_back_fewer(search: tuple[SearchConfig, list[State]], tiny_task: Task) -> None:
    config, whole = search
    found = states(tiny_task, dataclasses.replace(config, generations=2), whole)
    assert [content(state) for state in found] == [content(state) for state in whole[:2]]


def test_a_budget_that_the_baseline_uses_up_is_refused_by_name(tiny_task: Task) -> None:
    config = dataclasses.replace(CONFIG, budget=100, halving=1)
    message = "SearchConfig: the budget is used up before the first generation; .* took 210 candidate-steps"
    with Run(None, "search", tiny_task, config, False) as run:
        with pytest.raises(ValueError, match=message):
            next(generations.states(fitness_of(tiny_task, config), config, run))
        assert run.generations() == []
