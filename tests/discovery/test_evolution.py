"""The search: the same seed, the same record; interrupted or not; and nothing trained twice."""

import contextlib
import dataclasses
import itertools
import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from glojax import evaluate, search
from glojax.discovery import genetics, scoring, screening, sieve, surrogate
from glojax.discovery.evolution import SearchResult, random_search
from glojax.discovery.fitness import BASELINE_SEEDS, FACTORS, Fitness
from glojax.discovery.generations import Generation
from glojax.discovery.search_config import SearchConfig
from glojax.executors import local
from glojax.expressions.canonical import canonical
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree
from glojax.records import summary
from glojax.records.funnel import FUNNEL
from glojax.seeds import named_random, named_seed
from glojax.statistics import winner
from glojax.tasks.ranking import ranked
from glojax.tasks.task import Task

SMALL = SearchConfig(population=12, generations=4, elites=2, seeds=1, finalists=3, final_seeds=2, seed=5)
PLAIN = dataclasses.replace(
    SMALL, screening=(), fair_rates=False, elite_seeds=0, max_depth=2, selection="roulette", rank_by="metric"
)
"""Every tree with x and y is trained, at the task's rate, once, and ranked by accuracy."""


def record(directory: Path) -> list[tuple[Any, ...]]:
    """Every row and column of a run's record but the times."""
    with contextlib.closing(sqlite3.connect(directory / "record.sqlite")) as database:
        columns = [row[1] for row in database.execute("pragma table_info(candidates)") if row[1] != "seconds"]
        rows = database.execute(f"select {', '.join(columns)} from candidates order by phase, generation, place")
        return rows.fetchall()


class Searched(NamedTuple):
    """A search and its run directory, which are not to be changed."""

    found: SearchResult
    directory: Path


@pytest.fixture(scope="module")
def small(tiny_task: Task, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    directory = tmp_path_factory.mktemp("runs") / "small"
    return Searched(search(tiny_task, SMALL, directory), directory)


@pytest.fixture(scope="module")
def plain(tiny_task: Task) -> SearchResult:
    return search(tiny_task, PLAIN)


def test_two_searches_with_one_seed_give_one_record(tiny_task: Task, small: Searched, tmp_path: Path) -> None:
    again = search(tiny_task, SMALL, tmp_path / "again")
    assert record(tmp_path / "again") == record(small.directory)
    phase = summary.read(small.directory).phases["search"]
    finished = [one for one in phase.candidates if one.fate == "trained" or (one.fate == "elite" and one.scores)]
    sizes = {parse(one.expression).size for one in finished if one.fitness > 0}
    assert sizes <= {parse(one.expression).size for one in phase.finals}
    assert 3 <= len(phase.finals) <= 3 + len(sizes)
    assert len(record(small.directory)) == 4 * 12 + len(phase.finals) + 1  # finals, baseline
    assert again.best == small.found.best
    search(tiny_task, dataclasses.replace(SMALL, seed=6), tmp_path / "other")
    assert record(tmp_path / "other") != record(small.directory)


@pytest.mark.slow
def test_a_search_that_goes_on_is_one_that_never_stopped(tiny_task: Task, small: Searched, tmp_path: Path) -> None:
    whole = small.found
    search(tiny_task, dataclasses.replace(SMALL, generations=2), tmp_path / "parts")
    seen: list[int] = []
    parts = search(
        tiny_task,
        SMALL,
        tmp_path / "parts",
        resume=True,
        on_event=lambda event: seen.append(event.number),
    )
    assert record(tmp_path / "parts") == record(small.directory)
    assert (parts.best, parts.fitness, parts.rate, parts.funnel) == (
        whole.best,
        whole.fitness,
        whole.rate,
        whole.funnel,
    )
    assert seen == [0, 1, 2, 3]


def test_later_generations_train_each_new_loss_once_to_the_end_at_a_fair_rate(tiny_task: Task, small: Searched) -> None:
    found = small.found
    fitness = Fitness.of(tiny_task, SMALL, SMALL.max_nodes, local.resolve(tiny_task))
    assert found.baseline is not None
    seen = set()
    for records in found.record[1:]:
        for record in records:
            if record.fate == "trained":
                (fair,) = fitness.fair_rates(found.baseline, [parse(record.expression)])
                factor = record.rate / fair
                assert min(abs(factor - one) for one in FACTORS) < 1e-6
                assert record.steps == tiny_task.steps
                seen.add(round(factor, 3))
            assert record.fate != "dropped"
    assert len(seen) > 1
    assert any(record.fate == "dropped" for record in found.record[0])


def test_what_is_trained_comes_first_in_the_order_of_promise(tiny_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def last_first(guess: object, features: np.ndarray) -> Iterator[int]:
        asked.append(len(features))
        return iter(range(len(features))[::-1])

    monkeypatch.setattr(surrogate, "order", last_first)
    found = search(tiny_task, dataclasses.replace(SMALL, generations=2))
    assert sum(asked) > 3 * 12
    new = [record for record in found.record[1] if record.fate == "trained"]
    fitness = Fitness.of(tiny_task, SMALL, SMALL.max_nodes, local.resolve(tiny_task))
    assert found.baseline is not None
    rates = fitness.fair_rates(found.baseline, [parse(record.expression) for record in new])
    np.testing.assert_allclose([record.rate for record in new] / rates, FACTORS[-1])  # the last of each loss


@pytest.mark.slow
def test_without_a_pool_trees_are_bred_as_in_the_paper(tiny_task: Task) -> None:
    config = dataclasses.replace(SMALL, pool=0)
    found = search(tiny_task, config)
    assert all(record.parents for records in found.record[1:] for record in records)
    assert any(record.fate == "dropped" for records in found.record[1:] for record in records)
    assert found.funnel["drawn"] < 50 * 12 * 4
    assert "promising" not in found.funnel


@pytest.mark.slow
@pytest.mark.parametrize("paper", [False, True])
def test_every_canonical_form_is_trained_once_and_no_tree_without_both_variables(
    tiny_task: Task, trained: list[int], paper: bool
) -> None:
    config = dataclasses.replace(PLAIN, both_variables=not paper, finalists=1, population=20)
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


def test_elites_are_carried_over_and_the_best_is_never_lost(plain: SearchResult) -> None:
    generations = plain.generations
    for before, after in itertools.pairwise(generations):
        order = np.argsort(-before.fitness, kind="stable")[:2]
        assert after.trees[:2] == tuple(before.trees[place] for place in order)
        assert after.fitness.max() >= before.fitness.max()
        assert set(after.fates[:2]) <= {"elite", "invalid"}


def test_fitness_is_the_mean_over_the_seeds_that_evaluate_gives(tiny_task: Task) -> None:
    config = dataclasses.replace(PLAIN, seeds=2, generations=1, halving=1)
    generation = search(tiny_task, config).generations[0]
    seeds = [named_seed(5, "search", i) for i in range(2)]
    expected = evaluate(tiny_task, list(generation.trees[:6]), seeds).mean(axis=1)
    np.testing.assert_allclose(generation.fitness[:6], expected, atol=1e-6)
    assert generation.fitness.max() > 0


@pytest.mark.parametrize("halving", [2, 3])
def test_halving_keeps_the_best_at_each_rung_and_trains_them_as_without(tiny_task: Task, halving: int) -> None:
    config = dataclasses.replace(PLAIN, population=20, generations=1, seeds=2, seed=3)
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


def test_the_winner_is_the_best_finalist_over_fresh_seeds(tiny_task: Task, tmp_path: Path) -> None:
    found = search(tiny_task, dataclasses.replace(PLAIN, finalists=5), tmp_path)
    fitness_of: dict[Any, tuple[float, Any]] = {}
    for generation in found.generations:
        for tree, fitness in zip(generation.trees, generation.fitness, strict=True):
            fitness_of.setdefault(canonical(tree), (fitness, tree))
    ranking = [tree for fitness, tree in sorted(fitness_of.values(), key=lambda item: -item[0]) if fitness > 0]
    finished = {record.expression for records in found.record for record in records if record.fate == "trained"}
    best_of_size = {tree.size: tree for tree in reversed(ranking) if str(tree) in finished}
    finalists = ranking[:5]
    finalists += [tree for size, tree in sorted(best_of_size.items()) if tree not in finalists]
    finals = summary.read(tmp_path).phases["search"].finals
    assert [record.expression for record in finals] == [str(tree) for tree in finalists]
    seeds = [named_seed(5, "finals", i) for i in range(16 * 2)]
    for tree, record in zip(finalists, finals, strict=True):
        assert len(record.scores) >= 2
        expected = evaluate(tiny_task, [tree], seeds[: len(record.scores)])[0]
        np.testing.assert_allclose(record.scores, expected, atol=1e-6)
    best = winner([record.scores for record in finals])
    assert found.best == finalists[best]
    assert found.fitness == pytest.approx(np.mean(finals[best].scores), abs=1e-6)
    assert not set(seeds) & {named_seed(5, "search", i) for i in range(1000)}


def test_without_breeding_every_generation_is_drawn_anew(tiny_task: Task) -> None:
    config = dataclasses.replace(PLAIN, breeding=False)
    found = search(tiny_task, config)
    for generation in found.generations:
        random = named_random(config.seed, "search", generation.number)
        drawn = genetics.initial_population(random, 12, max_depth=2, max_nodes=32, both_variables=True)
        assert list(generation.trees) == drawn
        assert "elite" not in generation.fates


def test_no_generation_is_begun_with_the_minutes_spent(tiny_task: Task) -> None:
    assert len(search(tiny_task, dataclasses.replace(PLAIN, minutes=1e-6)).generations) == 1
    assert len(search(tiny_task, dataclasses.replace(PLAIN, minutes=60)).generations) == 4


# BEYOND THE PAPER


@pytest.mark.slow
def test_a_screened_population_holds_trainable_trees_that_differ(tiny_task: Task) -> None:
    config = dataclasses.replace(SMALL, population=40, generations=3)
    found = search(tiny_task, config)
    trained: list[Any] = []
    for generation in found.generations:
        assert len({*generation.trees}) == 40
        assert generation.fates.count("elite") == (2 if generation.number else 0)
        new = [tree for tree, fate in zip(generation.trees, generation.fates, strict=True) if fate != "elite"]
        trained += new
        funnel = generation.funnel
        assert list(funnel) == list(FUNNEL)
        counts = list(funnel.values())
        assert counts == sorted(counts, reverse=True)
        assert funnel["trainable"] == funnel["trained"] == len(new)
        assert funnel["finished"] == generation.fates.count("trained")
        assert (funnel["finished"] < len(new)) == (generation.number == 0)
    screened = screening.screen(trained, room=31)
    assert screened.trainable.all()
    assert len(np.unique(screened.direction, axis=0)) == len(trained)
    assert found.funnel["trained"] == len(trained)


def test_random_search_ends_where_nothing_new_is_left_to_draw(tiny_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(genetics, "MAX_ROUNDS", 2)
    config = dataclasses.replace(
        SMALL, breeding=False, generations=40, max_depth=1, max_nodes=3, population=2, elites=0
    )
    found = search(tiny_task, config)
    assert 1 <= len(found.generations) < 40
    assert found.funnel["trained"] == len({tree for part in found.generations for tree in part.trees})
    hopeless = dataclasses.replace(config, max_depth=1, max_nodes=3, screening=screening.STAGES)
    monkeypatch.setattr(sieve, "choose", lambda sifted, *_: (sifted, []))
    with pytest.raises(genetics.NothingToTrain, match="none of 512 trees drawn may be trained"):
        search(tiny_task, hopeless)


def test_random_search_goes_on_with_trees_drawn_by_function_where_no_grown_one_is_left(
    tiny_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(SMALL, breeding=False, generations=3, population=4, elites=0)
    grow = genetics.initial_population

    def no_more(*given: Any, **options: Any) -> list[Tree]:
        grown.append(grow(*given, **options))
        if len(grown) > 1:
            raise genetics.NothingToTrain("none")
        return grown[0]

    grown: list[list[Tree]] = []
    monkeypatch.setattr(genetics, "initial_population", no_more)
    record = search(tiny_task, config).record
    assert [{one.origin for one in records} for records in record] == [{"grown"}, {"drawn"}, {"drawn"}]
    assert len({one.canonical for records in record for one in records}) == 12
    # Where thousands of draws find one, it is trained, and the search ends.
    monkeypatch.setattr(sieve, "choose", lambda sifted, *given: (sifted, [0] if given[-2] else []))
    monkeypatch.setattr(genetics, "MAX_ROUNDS", 1)
    grown.clear()
    record = search(tiny_task, dataclasses.replace(config, population=5)).record
    assert [{one.origin for one in records} for records in record] == [{"grown"}]
    assert [one.fate for one in record[0]] == ["trained"] + ["cached"] * 4


def test_a_generation_is_full_where_little_is_left_to_train(tiny_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    small = dataclasses.replace(SMALL, max_depth=1, max_nodes=3, population=20, elites=2, pool=50)
    found = search(tiny_task, small)
    assert [len(records) for records in found.record] == [20] * 4
    trained = {record.canonical for records in found.record for record in records}
    assert found.funnel["trained"] == len(trained) < 20
    assert found.record[3][0].fate == "elite"
    assert {record.fate for record in found.record[3][2:]} == {"cached"}
    monkeypatch.setattr(sieve, "settle", lambda sifted, *_: (sifted, []))
    with pytest.raises(genetics.NothingToTrain, match="none of 500 trees drawn may be trained"):
        search(tiny_task, small)


def test_stages_can_be_left_out(tiny_task: Task) -> None:
    config = dataclasses.replace(SMALL, generations=1, population=60, max_depth=2, screening=("finite",))
    screened = screening.screen(search(tiny_task, config).generations[0].trees, room=31)
    assert screened.finite.all()
    assert not screened.guided.all()


def test_fair_rates_give_every_loss_the_gradient_of_cross_entropy_at_its_best(tiny_task: Task) -> None:
    config = dataclasses.replace(SMALL, generations=1, seeds=2, halving=1)
    found = search(tiny_task, config)
    assert found.baseline is not None
    seeds = [named_seed(5, "control", i) for i in range(BASELINE_SEEDS)]
    by_rate = [evaluate(ranked(tiny_task), ["x * log(y)"], seeds, rates=[rate]).mean() for rate in scoring.RATES]
    assert found.baseline.rate == scoring.RATES[int(np.argmax(by_rate))]
    assert found.baseline.fitness == pytest.approx(max(by_rate), abs=1e-6)
    assert found.baseline.steps == BASELINE_SEEDS * 30 * len(scoring.RATES)
    generation = found.generations[0]
    sizes = screening.screen(generation.trees, room=31).size
    seeds = [named_seed(5, "search", i) for i in range(2)]
    for place in range(6):
        rates = [found.baseline.rate * factor / sizes[place] for factor in (1 / 3, 1, 3)]
        scores = evaluate(ranked(tiny_task), [generation.trees[place]] * 3, seeds, rates=rates).mean(axis=1)
        assert generation.fitness[place] == pytest.approx(scores.max(), abs=1e-6)
        assert generation.rates[place] == pytest.approx(rates[int(scores.argmax())], rel=1e-4)


def test_elites_are_trained_again_and_ranked_by_the_mean_of_all_their_trainings(tiny_task: Task) -> None:
    config = dataclasses.replace(PLAIN, elites=3, elite_seeds=2, halving=1, generations=3)
    first, second, third = search(tiny_task, config).generations
    assert second.fates[:3] == ("elite",) * 3

    def scores(tree: Any, trainings: int) -> float:
        seeds = [named_seed(5, "search", i) for i in range(trainings)]
        return float(evaluate(tiny_task, [tree], seeds).mean())

    def trainings(generation: Generation, tree: Any) -> int:
        """Those of an elite, of which there may be two."""
        equal = [place for place in range(3) if canonical(generation.trees[place]) == canonical(tree)]
        return int(generation.steps[equal].sum()) // 30

    had = {}
    for place, tree in enumerate(second.trees[:3]):
        assert tree in first.trees
        had[tree] = 1 + trainings(second, tree)
        assert second.fitness[place] == pytest.approx(scores(tree, had[tree]), abs=1e-6)
    assert sum(had.values()) > 3
    again = [tree for tree in third.trees[:3] if tree in second.trees[:3]]
    assert again
    for tree in again:
        place = third.trees.index(tree)
        mean = scores(tree, had[tree] + trainings(third, tree))
        assert third.fitness[place] == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize(("beyond", "expected"), [(0, 1), (1, 2)])
def test_no_generation_is_begun_with_the_budget_spent(
    tiny_task: Task, plain: SearchResult, beyond: int, expected: int, tmp_path: Path
) -> None:
    spent = np.cumsum([generation.steps.sum() for generation in plain.generations])
    assert spent[0] < spent[1]
    config = dataclasses.replace(PLAIN, budget=int(spent[0]) + beyond)
    found = search(tiny_task, config, tmp_path)
    assert len(found.generations) == expected
    assert found.steps == spent[expected - 1]
    assert len(search(tiny_task, config, tmp_path, resume=True).generations) == expected


@pytest.mark.few(1)
@pytest.mark.parametrize("pool", [None, 0])
def test_a_search_is_of_the_operators_that_it_is_given(tiny_task: Task, tmp_path: Path, pool: int | None) -> None:
    config = dataclasses.replace(SMALL, operators=("paper", "exp", "max"), generations=3, pool=pool)
    found = search(tiny_task, config, tmp_path)
    records = itertools.chain.from_iterable(found.record)
    drawn = {node.symbol for record in records for node in parse(record.expression).nodes()}
    assert {"exp", "max", "log"} <= drawn
    assert not {"tanh", "abs", "power"} & drawn
    again = search(tiny_task, config, tmp_path, resume=True)
    assert again.loss == found.loss
    with pytest.raises(ValueError, match=r"was run with search setting operators = log, .*, exp, max, now it is log"):
        search(tiny_task, dataclasses.replace(config, operators=("all",)), tmp_path, resume=True)


def test_tournament_selection_searches_too(tiny_task: Task) -> None:
    found = search(tiny_task, dataclasses.replace(PLAIN, population=40, selection="tournament"))
    means = [generation.fitness.mean() for generation in found.generations]
    assert means[-1] > means[0]


@pytest.mark.slow
def test_random_search_spends_the_same_budget_on_draws_of_its_own(tiny_task: Task, small: Searched) -> None:
    found = small.found
    random = random_search(tiny_task, SMALL, found.steps)
    assert random.steps >= found.steps
    assert random.steps - random.generations[-1].steps.sum() < found.steps
    assert random.generations[0].trees != found.generations[0].trees
    assert all("elite" not in generation.fates for generation in random.generations)
    assert 0 < random.fitness <= 1
