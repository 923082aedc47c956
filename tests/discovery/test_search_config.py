"""The settings of a search: the paper's, and what is refused."""

import dataclasses
import math
from typing import Any

import pytest

from glojax.defaults import Derived
from glojax.discovery.exhaustive import ExhaustiveConfig
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.settings import SharedSettings
from glojax.discovery.tuning import TaylorConfig, TuneConfig

SMALL = SearchConfig(population=12, elites=2)


def test_the_papers_settings() -> None:
    paper = SearchConfig.paper(seed=3)
    variation = paper.variation
    assert (paper.population, paper.elites, paper.selection, paper.max_depth) == (80, 6, "roulette", 2)
    assert dataclasses.astuple(variation) == (0.8, 0.05, 0.05, 0.025, 0.025)
    assert (paper.halving, paper.fair_rates, paper.screening, paper.elite_seeds) == (1, False, (), 0)
    assert (paper.averaging, paper.pool) == (0, 0)
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
        ("budget", 1.5, "budget is 1.5; an integer from 1"),
        ("minutes", 0, "minutes is 0; a number above 0"),
        ("minutes", math.nan, "minutes is nan"),
        ("minutes", "5", "minutes is '5'; a number above 0"),
        ("screening", ("finite", "fast"), "screening holds 'fast'; allowed are finite, guided, distinct, trainable"),
        ("operators", ("sin",), "operators holds 'sin'; allowed are paper, all, log"),
        ("operators", ("log", "exp"), r"operators is log, exp; one of two operands is needed, such as \+"),
        ("elite_seeds", -1, "elite_seeds is -1"),
        ("pool", -1, "pool is -1"),
        ("pool", 2.5, "pool is 2.5; an integer from 0"),
    ],
)
def test_bad_settings_are_refused_by_name(field: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"SearchConfig.{message}"):
        dataclasses.replace(SMALL, **{field: value})


@pytest.mark.parametrize(("population", "elites"), [(2, 1), (3, 2), (4, 3), (6, 5), (7, 6), (12, 6), (80, 6)])
def test_elites_that_nobody_gave_follow_the_population(population: int, elites: int) -> None:
    assert SearchConfig(population=population).elites == elites
    assert SearchConfig.paper(population=population).elites == elites
    assert SearchConfig(population=population, elites=0).elites == 0
    assert dataclasses.replace(SearchConfig(), population=population).elites == elites


@pytest.mark.parametrize("population", [2, 12, 80])
def test_a_pool_that_nobody_gave_follows_the_population(population: int) -> None:
    assert SearchConfig(population=population).pool == 50 * population
    assert dataclasses.replace(SearchConfig(), population=population).pool == 50 * population
    assert SearchConfig(population=population, pool=0).pool == 0
    assert SearchConfig.paper(population=population).pool == 0


@pytest.mark.parametrize("value", [1, 2, 3])
@pytest.mark.parametrize("config", [SearchConfig, TuneConfig, TaylorConfig, ExhaustiveConfig])
def test_a_small_number_alone_is_taken_or_refused_by_its_own_name(config: type, value: int) -> None:
    for field in dataclasses.fields(config):
        given = getattr(config(), field.name)
        if isinstance(given, int) and not isinstance(given, bool):
            try:
                config(**{field.name: value})
            except ValueError as refused:
                assert f"{config.__name__}.{field.name} is {value}" in str(refused)  # noqa: PT017


@pytest.mark.parametrize(
    "config", [SearchConfig(), SearchConfig.paper(), ExhaustiveConfig(), TuneConfig(), TaylorConfig()]
)
def test_no_field_is_refused_for_the_default_of_another(config: SharedSettings) -> None:
    """Every whole number of each field alone is taken, or refused by that field's own name."""
    for field in dataclasses.fields(config):
        if type(getattr(type(config)(), field.name)) not in (int, Derived, type(None)):
            continue
        for value in (0, 1, 2, 3, 4, 5, 6, 7, 10, 24, 100):
            try:
                dataclasses.replace(config, **{field.name: value})  # type: ignore[arg-type]
            except ValueError as error:
                assert str(error).startswith(f"{type(config).__name__}.{field.name} is {value}")  # noqa: PT017
