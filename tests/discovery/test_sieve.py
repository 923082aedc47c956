"""The sieve: chosen trees, counts and rejections are those of a brute force, and a sieve never changes."""

import copy
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from glojax.discovery import screening, sieve
from glojax.discovery.genetics import grow, with_both_variables
from glojax.discovery.settings import FitnessConfig
from glojax.discovery.sieve import Screener, Sieve, choose, rejections, settle, sift
from glojax.expressions.canonical import canonical
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree
from glojax.records.candidates import Rejected
from glojax.seeds import named_random
from glojax.tasks.task import Task

ROOM = 15


@pytest.fixture(scope="module")
def trees() -> list[Tree]:
    """300 random trees; some are equal, and some lack x or y."""
    random = named_random(0, "trees")
    grown = [grow(random, 3) for _ in range(300)]
    return [with_both_variables(random, tree) if place % 4 else tree for place, tree in enumerate(grown)]


@pytest.fixture(scope="module")
def screener(tiny_task: Task) -> Screener:
    return Screener(tiny_task, FitnessConfig(), ROOM)


class Expected(NamedTuple):
    places: list[int]
    funnel: dict[str, int]
    rejected: dict[Tree, str]
    met: set[bytes]


def by_brute_force(
    trees: Sequence[Tree],
    wanted: int,
    stages: Collection[str] = screening.STAGES,
    known: Collection[Tree] = (),
    met: Collection[bytes] = (),
) -> Expected:
    """Tree by tree, over what screening says of each."""
    screened = screening.screen(trees, room=ROOM)
    expected = Expected([], Counter(), {}, set(met))
    for place, tree in enumerate(trees):
        if len(expected.places) == wanted:
            break
        expected.funnel["drawn"] += 1
        if not {"x", "y"} <= {node.symbol for node in tree.nodes()}:
            continue
        key = screened.direction[place].tobytes() if screened.guided[place] else b""
        says = {
            "finite": screened.finite[place], "guided": screened.guided[place], "distinct": key not in expected.met,
            "trainable": screened.trainable[place],
        }  # fmt: skip
        failed = [stage for stage in screening.STAGES if not says[stage]]
        reached = screening.STAGES[: screening.STAGES.index(failed[0])] if failed else screening.STAGES
        for stage in ("valid", *reached):
            expected.funnel[stage] += 1
        expected.met.add(key)
        if canonical(tree) in known:
            continue
        if set(stages) <= set(reached):
            expected.places.append(place)
        else:
            expected.rejected.setdefault(canonical(tree), failed[0])
    return expected


@pytest.mark.slow
@pytest.mark.parametrize("stages", [screening.STAGES, ("finite",), ("finite", "distinct"), ()])
@pytest.mark.parametrize("wanted", [5, 300])
def test_the_choice_is_that_of_a_brute_force(
    screener: Screener, trees: list[Tree], wanted: int, stages: tuple[str, ...]
) -> None:
    sifted, places = choose(Sieve.fresh(keep_rejected=True), screener, stages, (), trees, wanted)
    expected = by_brute_force(trees, wanted, stages)
    assert places == expected.places
    assert sifted.funnel == expected.funnel
    assert sifted.met == expected.met
    found = rejections(sifted, ())
    assert {form: rejected.stage for form, rejected in found.items()} == expected.rejected
    for form, rejected in found.items():
        assert isinstance(rejected, Rejected)
        assert canonical(parse(rejected.expression)) == form
        assert rejected.canonical == str(form)
    if wanted == 5:
        assert len(places) == 5
        assert sifted.funnel["drawn"] == places[-1] + 1 < 300  # what comes after the last is not looked at


def test_chosen_trees_have_gradients_that_differ(screener: Screener, trees: list[Tree]) -> None:
    sifted, places = choose(Sieve.fresh(), screener, screening.STAGES, (), trees, 300)
    directions = screening.screen([trees[place] for place in places], room=ROOM).direction
    assert len(np.unique(directions, axis=0)) == len(places) > 3
    assert sifted.funnel["trainable"] == len(places)


@pytest.mark.parametrize("stages", [screening.STAGES, ("finite", "distinct")])
def test_sifting_and_settling_choose_what_choosing_does(
    screener: Screener, trees: list[Tree], stages: tuple[str, ...]
) -> None:
    everything, expected = choose(Sieve.fresh(keep_rejected=True), screener, stages, (), trees, 300)
    sifted, places = sift(Sieve.fresh(keep_rejected=True), screener, stages, (), trees)
    assert "trainable" not in sifted.funnel
    left = [trees[place] for place in places]
    settled, chosen = settle(sifted, screener, stages, left, 300)
    assert [places[place] for place in chosen] == expected
    assert settled.met == everything.met
    counts = dict(settled.funnel)
    assert counts.pop("promising") == len(left)
    if stages == screening.STAGES:
        assert counts == everything.funnel
        assert rejections(settled, ()) == rejections(everything, ())


def test_settling_ends_with_as_many_as_are_wanted(screener: Screener, trees: list[Tree]) -> None:
    sifted, places = sift(Sieve.fresh(), screener, screening.STAGES, (), trees)
    left = [trees[place] for place in reversed(places)]
    learns = screening.screen(left, room=ROOM).trainable
    settled, chosen = settle(sifted, screener, screening.STAGES, left, 2)
    assert chosen == np.flatnonzero(learns)[:2].tolist()
    assert settled.funnel["promising"] == chosen[-1] + 1
    assert settled.funnel["trainable"] == 2


def test_known_trees_and_met_gradients_are_not_chosen_again(screener: Screener, trees: list[Tree]) -> None:
    everything = by_brute_force(trees, 300).places
    known = {canonical(trees[place]) for place in everything[:2]}
    met = screener.keys([trees[place] for place in everything[2:4]])
    sifted, places = choose(Sieve.fresh(met), screener, screening.STAGES, known, trees, 300)
    expected = by_brute_force(trees, 300, known=known, met=met)
    assert places == expected.places
    assert not {*everything[2:4]} & {*places}
    assert (sifted.funnel, sifted.met) == (expected.funnel, expected.met)


def test_a_sieve_in_gives_the_same_sieve_out_and_stays_as_it_was(screener: Screener, trees: list[Tree]) -> None:
    first, _ = choose(Sieve.fresh(keep_rejected=True), screener, screening.STAGES, (), trees[:100], 100)
    copied = copy.deepcopy(first)
    outcomes = [choose(first, screener, screening.STAGES, (), trees[100:], 200) for _ in range(2)]
    assert outcomes[0] == outcomes[1]
    assert first == copied


def test_trees_in_two_parts_are_sifted_as_in_one(screener: Screener, trees: list[Tree]) -> None:
    whole, places = choose(Sieve.fresh(keep_rejected=True), screener, screening.STAGES, (), trees, 300)
    first, before = choose(Sieve.fresh(keep_rejected=True), screener, screening.STAGES, (), trees[:130], 130)
    second, after = choose(first, screener, screening.STAGES, (), trees[130:], 170)
    assert second == whole
    assert [*before, *(130 + place for place in after)] == places


def test_rejected_trees_are_kept_only_where_they_are_asked_for(screener: Screener, trees: list[Tree]) -> None:
    without, _ = choose(Sieve.fresh(), screener, screening.STAGES, (), trees, 20)
    kept, _ = choose(Sieve.fresh(keep_rejected=True), screener, screening.STAGES, (), trees, 20)
    assert without.rejected is None
    assert rejections(without, ()) == {}
    assert [*rejections(kept, ())]
    assert without == kept._replace(rejected=None)


def test_what_is_remembered_changes_no_look(
    tiny_task: Task, trees: list[Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sieve, "MOST_REMEMBERED", 10)
    forgetful = Screener(tiny_task, FitnessConfig(), ROOM)
    parts = [look for first in range(0, 60, 15) for look in forgetful.looks(trees[first : first + 15])]
    whole = Screener(tiny_task, FitnessConfig(), ROOM).looks(trees[:60])
    assert list(map(repr, parts)) == list(map(repr, whole))  # a size may be NaN
    assert [look is None for look in parts] == [not tree.has_x_and_y for tree in trees[:60]]


def test_gradients_are_told_apart_by_direction_at_fair_rates_and_by_size_too_at_one_rate(tiny_task: Task) -> None:
    twice = [parse("x * log(y)"), parse("x * log(y) + x * log(y)")]
    fair = Screener(tiny_task, FitnessConfig(), ROOM)
    plain = Screener(tiny_task, FitnessConfig(fair_rates=False), ROOM)
    assert len({*fair.keys(twice)}) == 1
    assert len({*plain.keys(twice)}) == 2
    np.testing.assert_allclose(fair.sizes(twice), [1, 2], rtol=1e-5)
