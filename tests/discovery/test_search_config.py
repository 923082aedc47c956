"""The settings of a search: the paper's, and what is refused."""

import dataclasses
import math
from typing import Any

import pytest

from glojax.discovery.search_config import SearchConfig

SMALL = SearchConfig(population=12, elites=2)


def test_the_papers_settings() -> None:
    paper = SearchConfig.paper(seed=3)
    variation = paper.variation
    assert (paper.population, paper.elites, paper.selection, paper.max_depth) == (80, 6, "roulette", 2)
    assert dataclasses.astuple(variation) == (0.8, 0.05, 0.05, 0.025, 0.025)
    assert (paper.halving, paper.fair_rates, paper.screening, paper.elite_seeds) == (1, False, (), 0)
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
        ("elite_seeds", -1, "elite_seeds is -1"),
    ],
)
def test_bad_settings_are_refused_by_name(field: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"SearchConfig.{message}"):
        dataclasses.replace(SMALL, **{field: value})
