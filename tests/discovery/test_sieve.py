"""The sieve: its choices and counts are those of a loop over all trees, and what goes in stays as it was."""

import copy
import dataclasses
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from glojax.discovery import genetics, screening, sieve
from glojax.discovery.settings import FitnessConfig
from glojax.discovery.sieve import Screener, Sieve
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree, parse
from glojax.records.candidates import Rejected
from glojax.tasks.task import Task

ROOM = 31


@pytest.fixture(scope="module")
def screener(tiny_task: Task) -> Screener:
    return Screener(tiny_task, FitnessConfig(), ROOM)


def drawn(seed: int, size: int = 300) -> list[Tree]:
    """Random trees, half of them sums of known losses and random trees; some come twice, some lack x or y."""
    random = np.random.default_rng(seed)
    found = genetics.initial_population(random, size, max_depth=2, max_nodes=15)
    losses = [parse(text) for text in ("x * log(y)", "log(y) - x / y", "x * y", "-1 * square(x - y)")]
    for place in range(0, size, 2):
        pair = losses[random.integers(4)], [*losses, found[place]][random.integers(5)]
        found[place] = Tree(str(random.choice(["+", "-", "*"])), pair)
    return [found[place] for place in random.integers(0, size, size)]


class Expected(NamedTuple):
    chosen: list[int]
    funnel: dict[str, int]
    rejected: dict[Tree, Rejected]


def by_brute_force(
    trees: Sequence[Tree], stages: Collection[str], known: Collection[Tree], wanted: int, fair_rates: bool = True
) -> Expected:
    """All trees are screened at once; gradients are compared pair by pair."""
    found = screening.screen(trees, room=ROOM)
    described = found.direction if fair_rates else found.fingerprint
    met: list[np.ndarray | None] = []  # of all trees with x and y; None has no gradient to compare
    chosen: list[int] = []
    counts = Counter[str]()
    rejected: dict[Tree, Rejected] = {}
    for place, tree in enumerate(trees):
        if len(chosen) == wanted:
            break
        counts["drawn"] += 1
        symbols = {node.symbol for node in tree.nodes()}
        if not {"x", "y"} <= symbols:
            continue
        key = described[place] if found.guided[place] else None
        is_new = not any(
            other is key is None or (other is not None and key is not None and np.array_equal(other, key))
            for other in met
        )
        met.append(key)
        passes = {
            "finite": bool(found.finite[place]), "guided": bool(found.guided[place]), "distinct": is_new,
            "trainable": bool(found.trainable[place]),
        }  # fmt: skip
        failed = [stage for stage in ("finite", "guided", "distinct", "trainable") if not passes[stage]]
        passed = [*passes][: [*passes].index(failed[0])] if failed else [*passes]
        counts.update(["valid", *passed])
        form = canonical(tree)
        if form in known:
            continue
        if all(stage in passed for stage in stages):
            chosen.append(place)
        else:
            rejected.setdefault(form, Rejected(str(form), str(tree), failed[0]))
    return Expected(chosen, dict(counts), rejected)


@pytest.mark.parametrize("stages", [screening.STAGES, ("finite",), ("finite", "guided"), ("distinct",), ("trainable",)])
@pytest.mark.parametrize("wanted", [300, 9])
def test_choices_counts_and_rejected_trees_are_those_of_a_brute_force(
    screener: Screener, stages: tuple[str, ...], wanted: int
) -> None:
    for seed in range(3):
        trees = drawn(seed)
        expected = by_brute_force(trees, stages, (), wanted)
        sifted, places = sieve.choose(Sieve.fresh(keep_rejected=True), screener, stages, (), trees, wanted)
        assert places == expected.chosen
        assert sifted.funnel == expected.funnel
        assert sifted.rejected == expected.rejected
        assert 3 < len(places) <= wanted


def test_no_more_are_looked_at_than_are_wanted(screener: Screener) -> None:
    trees = drawn(0)
    whole, places = sieve.choose(Sieve.fresh(), screener, ("finite",), (), trees, 300)
    assert whole.funnel["drawn"] == 300
    for wanted in (1, 5, len(places)):
        sifted, some = sieve.choose(Sieve.fresh(), screener, ("finite",), (), trees, wanted)
        assert some == places[:wanted]
        assert sifted.funnel["drawn"] == places[wanted - 1] + 1
    assert sieve.choose(Sieve.fresh(), screener, ("finite",), (), trees, 0) == (Sieve.fresh(), [])


def test_drawn_in_parts_is_drawn_at_once(screener: Screener) -> None:
    trees = drawn(1)
    whole, places = sieve.choose(Sieve.fresh(keep_rejected=True), screener, screening.STAGES, (), trees, 300)
    first, some = sieve.choose(Sieve.fresh(keep_rejected=True), screener, screening.STAGES, (), trees[:170], 300)
    second, others = sieve.choose(first, screener, screening.STAGES, (), trees[170:], 300)
    assert second == whole
    assert some + [170 + place for place in others] == places


def test_one_sieve_gives_one_answer_and_is_not_changed(screener: Screener, tiny_task: Task) -> None:
    before, _ = sieve.choose(Sieve.fresh(keep_rejected=True), screener, screening.STAGES, (), drawn(2, 50), 50)
    kept, trees, known = copy.deepcopy(before), drawn(3), {canonical(tree) for tree in drawn(3, 10)}
    given = copy.deepcopy((trees, known))
    first = sieve.choose(before, screener, screening.STAGES, known, trees, 300)
    assert before == kept
    assert (trees, known) == given
    assert sieve.choose(before, screener, screening.STAGES, known, trees, 300) == first
    fresh = Screener(tiny_task, FitnessConfig(), ROOM)  # what a screener remembers changes no result
    assert sieve.choose(before, fresh, screening.STAGES, known, trees, 300) == first


def test_known_trees_are_counted_and_neither_chosen_nor_rejected(screener: Screener) -> None:
    trees = drawn(4)
    known = {canonical(tree) for tree in trees[::3]}
    expected = by_brute_force(trees, screening.STAGES, known, 300)
    sifted, places = sieve.choose(Sieve.fresh(keep_rejected=True), screener, screening.STAGES, known, trees, 300)
    assert (places, sifted.funnel, sifted.rejected) == expected
    assert sifted.rejected is not None
    assert not known & {*sifted.rejected}
    assert not known & {canonical(trees[place]) for place in places}
    assert sifted.funnel == by_brute_force(trees, screening.STAGES, (), 300).funnel


def test_gradients_of_trained_trees_are_not_distinct(screener: Screener) -> None:
    cross_entropy, alike, other = map(parse, ("x * log(y)", "x * log(y) - 1", "log(y) - x / y"))
    trained = screener.keys([cross_entropy])
    sifted, places = sieve.choose(
        Sieve.fresh(trained, keep_rejected=True), screener, screening.STAGES, (), [alike, other], 2
    )
    assert places == [1]
    assert sifted.rejected == {canonical(alike): Rejected(str(canonical(alike)), str(alike), "distinct")}
    assert sifted.met == {*trained, *screener.keys([other])}
    assert Sieve.fresh().met == frozenset()


def test_rejected_trees_are_kept_on_demand_alone(screener: Screener) -> None:
    trees = drawn(5, 40)
    assert Sieve.fresh().rejected is None
    without, places = sieve.choose(Sieve.fresh(keep_rejected=False), screener, screening.STAGES, (), trees, 40)
    kept, same = sieve.choose(Sieve.fresh(keep_rejected=True), screener, screening.STAGES, (), trees, 40)
    assert without.rejected is None
    assert kept.rejected
    assert (without._replace(rejected=kept.rejected), places) == (kept, same)


# SCREENERS


@pytest.mark.parametrize("fair_rates", [True, False])
def test_losses_that_differ_in_size_alone_are_alike_at_fair_rates(tiny_task: Task, fair_rates: bool) -> None:
    screener = Screener(tiny_task, FitnessConfig(fair_rates=fair_rates), ROOM)
    once, twice = parse("x * log(y)"), parse("x * log(y) + x * log(y)")
    keys = screener.keys([once, twice])
    assert (keys[0] == keys[1]) == fair_rates
    assert screener.sizes([once, twice]) == pytest.approx([1, 2], rel=1e-5)


def test_looks_are_those_of_screening_in_the_order_of_the_trees(
    tiny_task: Task, screener: Screener, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = drawn(6, 60)
    found = screening.screen(trees, room=ROOM)
    looks = screener.looks(trees)
    for place, (tree, look) in enumerate(zip(trees, looks, strict=True)):
        if not tree.has_x_and_y:
            assert look is None
            continue
        assert look is not None
        stages = {stage for stage in ("finite", "guided", "trainable") if getattr(found, stage)[place]}
        assert look.passed == stages
        assert look.key == (found.direction[place].tobytes() if found.guided[place] else b"")
        np.testing.assert_equal(look.size, float(found.size[place]))
    monkeypatch.setattr(sieve, "_MOST_LOOKS", 10)
    forgetful = Screener(tiny_task, FitnessConfig(), ROOM)
    parts = [look for first in range(0, 60, 7) for look in forgetful.looks(trees[first : first + 7])]
    np.testing.assert_equal(parts, looks)


def test_protected_operators_make_other_trees_finite(tiny_task: Task) -> None:
    tree = parse("x * log(y) - sqrt(x - y)")
    plain, protected = (
        Screener(tiny_task, dataclasses.replace(FitnessConfig(), protected=given), ROOM).looks([tree])[0]
        for given in (False, True)
    )
    assert plain is not None
    assert protected is not None
    assert "finite" not in plain.passed
    assert "finite" in protected.passed
