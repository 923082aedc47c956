"""The search: the same seed, the same record; interrupted or not; and nothing trained twice."""

import contextlib
import dataclasses
import itertools
import math
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glojax import evaluate, genetics, search
from glojax.canonical import canonical
from glojax.evolution import SearchConfig
from glojax.populations import Candidates, Trainer
from glojax.seeds import named_random, named_seed
from glojax.tasks import Task

SMALL = SearchConfig(population=12, generations=4, elites=2, seeds=1, finalists=3, final_seeds=2, seed=5)


def record(directory: Path) -> list[tuple[Any, ...]]:
    """Every row and column of a run's record but the times."""
    with contextlib.closing(sqlite3.connect(directory / "record.sqlite")) as database:
        columns = [row[1] for row in database.execute("pragma table_info(candidates)") if row[1] != "seconds"]
        rows = database.execute(f"select {', '.join(columns)} from candidates order by phase, generation, place")
        return rows.fetchall()


def test_two_searches_with_one_seed_give_one_record(tiny_task: Task, tmp_path: Path) -> None:
    found = [search(tiny_task, SMALL, tmp_path / name) for name in "ab"]
    assert record(tmp_path / "a") == record(tmp_path / "b")
    assert len(record(tmp_path / "a")) == 4 * 12 + 3
    assert found[0].best == found[1].best
    search(tiny_task, dataclasses.replace(SMALL, seed=6), tmp_path / "c")
    assert record(tmp_path / "a") != record(tmp_path / "c")


def test_a_search_that_goes_on_is_one_that_never_stopped(tiny_task: Task, tmp_path: Path) -> None:
    whole = search(tiny_task, SMALL, tmp_path / "whole")
    search(tiny_task, dataclasses.replace(SMALL, generations=2), tmp_path / "parts")
    seen: list[int] = []
    parts = search(
        tiny_task,
        SMALL,
        tmp_path / "parts",
        resume=True,
        on_generation=lambda generation: seen.append(generation.number),
    )
    assert record(tmp_path / "parts") == record(tmp_path / "whole")
    assert (parts.best, parts.fitness) == (whole.best, whole.fitness)
    assert seen == [0, 1, 2, 3]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many candidates each call of the trainer got."""
    sizes: list[int] = []
    train = Trainer.train

    def counted(self: Trainer, candidates: Candidates, *given: Any, **options: Any) -> Any:
        sizes.append(len(candidates.seed))
        return train(self, candidates, *given, **options)

    monkeypatch.setattr(Trainer, "train", counted)
    return sizes


@pytest.mark.parametrize("paper", [False, True])
def test_every_canonical_form_is_trained_once_and_no_tree_without_both_variables(
    tiny_task: Task, trained: list[int], paper: bool
) -> None:
    config = dataclasses.replace(SMALL, both_variables=not paper, finalists=1, population=20)
    found = search(tiny_task, config)
    forms: dict[Any, float] = {}
    invalid = 0
    for generation in found.generations:
        for tree, fitness, fate in zip(generation.trees, generation.fitness, generation.fates, strict=True):
            if not tree.has_x_and_y:
                invalid += 1
                assert (fitness, fate) == (0, "invalid")
                continue
            assert forms.setdefault(canonical(tree), fitness) == fitness
            assert fate in ("trained", "dropped", "cached", "elite")
    assert sum(trained) == len(forms)
    assert len(forms) == sum(
        generation.fates.count("trained") + generation.fates.count("dropped") for generation in found.generations
    )
    assert (invalid > 0) == paper


def test_elites_are_carried_over_and_the_best_is_never_lost(tiny_task: Task) -> None:
    generations = search(tiny_task, SMALL).generations
    for before, after in itertools.pairwise(generations):
        order = np.argsort(-before.fitness, kind="stable")[:2]
        assert after.trees[:2] == tuple(before.trees[place] for place in order)
        assert after.fitness.max() >= before.fitness.max()
        assert set(after.fates[:2]) <= {"elite", "invalid"}


def test_fitness_is_the_mean_over_the_seeds_that_evaluate_gives(tiny_task: Task) -> None:
    config = dataclasses.replace(SMALL, seeds=2, generations=1, halving=1)
    generation = search(tiny_task, config).generations[0]
    seeds = [named_seed(5, "search", i) for i in range(2)]
    expected = evaluate(tiny_task, list(generation.trees[:6]), seeds).mean(axis=1)
    np.testing.assert_allclose(generation.fitness[:6], expected, atol=1e-6)
    assert generation.fitness.max() > 0


@pytest.mark.parametrize("halving", [2, 3])
def test_halving_keeps_the_best_at_each_rung_and_trains_them_as_without(tiny_task: Task, halving: int) -> None:
    config = dataclasses.replace(SMALL, population=20, generations=1, seeds=2, seed=3)
    part = search(tiny_task, dataclasses.replace(config, halving=halving)).generations[0]
    whole = search(tiny_task, dataclasses.replace(config, halving=1)).generations[0]
    assert part.trees == whole.trees
    seeds = [named_seed(3, "search", i) for i in range(2)]
    at_rung = [
        evaluate(tiny_task, list(part.trees), seeds, steps=steps).mean(axis=1, dtype=float)
        for steps in (30 // halving**2, 30 // halving)
    ]
    new = [place for place, fate in enumerate(part.fates) if fate in ("trained", "dropped")]
    places = {"first rung": new, "second rung": [], "end": []}
    for rung, following, scores in zip(("first rung", "second rung"), ("second rung", "end"), at_rung, strict=True):
        ranked = sorted(places[rung], key=lambda place, scores=scores: (-scores[place], place))
        places[following] = sorted(ranked[: math.ceil(len(ranked) / halving)])
    for place in new:
        reached = sum(place in at for at in places.values()) - 1
        assert part.fates[place] == ("dropped", "dropped", "trained")[reached]
        expected = (at_rung[0], at_rung[1], whole.fitness)[reached][place]
        assert part.fitness[place] == pytest.approx(expected, abs=1e-6)
        if expected > 0:
            assert part.steps[place] == 2 * (30 // halving**2, 30 // halving, 30)[reached]
    assert {"trained", "dropped"} <= set(part.fates)
    assert part.steps.sum() < whole.steps.sum() / 2


def test_the_winner_is_the_best_finalist_over_fresh_seeds(tiny_task: Task) -> None:
    found = search(tiny_task, dataclasses.replace(SMALL, finalists=5))
    fitness_of: dict[Any, tuple[float, Any]] = {}
    for generation in found.generations:
        for tree, fitness in zip(generation.trees, generation.fitness, strict=True):
            fitness_of.setdefault(canonical(tree), (fitness, tree))
    finalists = sorted(fitness_of.values(), key=lambda item: -item[0])[:5]
    seeds = [named_seed(5, "finals", i) for i in range(2)]
    scores = evaluate(tiny_task, [tree for _, tree in finalists], seeds).mean(axis=1)
    assert found.best == finalists[int(scores.argmax())][1]
    assert found.fitness == pytest.approx(scores.max(), abs=1e-6)
    assert not set(seeds) & {named_seed(5, "search", i) for i in range(1000)}


def test_without_breeding_every_generation_is_drawn_anew(tiny_task: Task) -> None:
    config = dataclasses.replace(SMALL, breeding=False)
    found = search(tiny_task, config)
    for generation in found.generations:
        random = named_random(config.seed, "search", generation.number)
        drawn = genetics.initial_population(random, 12, max_depth=2, max_nodes=32, both_variables=True)
        assert list(generation.trees) == drawn
        assert "elite" not in generation.fates


@pytest.mark.parametrize(("beyond", "expected"), [(0, 1), (1, 2)])
def test_no_generation_is_begun_with_the_budget_spent(
    tiny_task: Task, beyond: int, expected: int, tmp_path: Path
) -> None:
    spent = np.cumsum([generation.steps.sum() for generation in search(tiny_task, SMALL).generations])
    assert spent[0] < spent[1]
    config = dataclasses.replace(SMALL, budget=int(spent[0]) + beyond)
    found = search(tiny_task, config, tmp_path)
    assert len(found.generations) == expected
    assert found.steps == spent[expected - 1]
    assert len(search(tiny_task, config, tmp_path, resume=True).generations) == expected


def test_tournament_selection_searches_too(tiny_task: Task) -> None:
    found = search(tiny_task, dataclasses.replace(SMALL, population=40, selection="tournament"))
    means = [generation.fitness.mean() for generation in found.generations]
    assert means[-1] > means[0]


def test_the_papers_settings() -> None:
    paper = SearchConfig.paper(seed=3)
    rates = paper.rates
    assert (paper.population, paper.elites, paper.selection, paper.max_depth) == (80, 6, "roulette", 2)
    assert (rates.crossover, rates.integer_shift, rates.replace, rates.collapse, rates.extend) == (
        0.8, 0.05, 0.05, 0.025, 0.025,
    )  # fmt: skip
    assert paper.halving == 1
    assert (paper.seeds, paper.finalists, paper.both_variables, paper.protected, paper.seed) == (1, 1, False, False, 3)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("elites", 12, "elites is 12, population is 12; elites must be smaller than the population"),
        ("population", 1, "population is 1; an integer from 2 to 100000"),
        ("population", 8.0, "population is 8.0; an integer"),
        ("generations", 0, "generations is 0; an integer from 1"),
        ("generations", True, "generations is True; an integer"),
        ("selection", "random", "selection is 'random'; allowed are roulette, tournament"),
        ("max_nodes", 1000, "max_nodes is 1000; an integer from 3 to 128"),
        ("seeds", 0, "seeds is 0"),
        ("halving", 0, "halving is 0; an integer from 1"),
        ("finalists", 0, "finalists is 0"),
        ("seed", -1, "seed is -1"),
    ],
)
def test_bad_settings_are_refused_by_name(field: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"SearchConfig.{message}"):
        dataclasses.replace(SMALL, **{field: value})
