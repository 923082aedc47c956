"""Selection: roulette in proportion, tournaments by rank."""

import numpy as np
import pytest
from test_genetics import assert_frequencies

from glojax.discovery.selection import SELECTIONS, roulette, tournament


@pytest.mark.parametrize("scale", [1, 1e308, 1e-300])
def test_roulette_selects_in_proportion_to_fitness_whatever_its_scale(scale):
    fitness = np.array([0.1, 0.0, 0.4, 0.9])
    places = roulette(np.random.default_rng(10), fitness * scale, 20_000)
    assert 1 not in places
    assert_frequencies(places.tolist(), {place: fitness[place] / fitness.sum() for place in (0, 2, 3)})


def test_roulette_is_uniform_where_all_fitness_is_zero():
    places = roulette(np.random.default_rng(11), np.zeros(5), 20_000)
    assert_frequencies(places.tolist(), dict.fromkeys(range(5), 0.2))


def test_a_tournament_selects_by_rank_alone():
    fitness = np.array([-3.0, 0.5, 0.501, 9.0])
    places = tournament(np.random.default_rng(12), fitness, 20_000)
    # The best of three draws is at most of rank r with probability (r / 4)^3.
    assert_frequencies(places.tolist(), {r: ((r + 1) ** 3 - r**3) / 64 for r in range(4)})


@pytest.mark.parametrize("name", SELECTIONS)
def test_selection_refuses_fitness_that_is_no_number(name):
    select = SELECTIONS[name]
    random = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"fitness\[1\] is nan; fitness must be finite"):
        select(random, np.array([0.5, np.nan]), 1)
    with pytest.raises(ValueError, match=r"fitness\[0\] is inf"):
        select(random, np.array([np.inf, 1.0]), 1)
    with pytest.raises(ValueError, match=r"shape \(0,\)"):
        select(random, np.array([]), 1)


def test_roulette_refuses_negative_fitness():
    with pytest.raises(ValueError, match=r"roulette: fitness holds -0\.5; it must be at least 0"):
        roulette(np.random.default_rng(0), np.array([0.5, -0.5]), 1)
