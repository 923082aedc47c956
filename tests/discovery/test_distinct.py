"""The losses that train differently, against screening every tree."""

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest

from glojax.discovery import distinct, screening
from glojax.discovery.distinct import Distinct
from glojax.discovery.drawing import points_of
from glojax.discovery.screening import STAGES, Probe, Settings
from glojax.expressions import functions
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree, enumerate_trees, evaluate
from glojax.tasks.problems import KINDS, Kind


def probe_of(labels: Callable[[np.random.Generator], Any], middle: float, spread: float, binary: bool = False) -> Probe:
    """100 labels of one output, and normal outputs that have nothing to do with them."""
    random = np.random.default_rng(0)
    drawn = np.asarray(labels(random), float).reshape(100, 1)
    others = 1 - drawn if binary else np.roll(drawn, 1, axis=0)
    parts = middle + spread * random.normal(size=(100, 1)), drawn, others, random.normal(size=(8, 100, 1))
    return Probe(*(part.astype(np.float32) for part in parts))


def settings_of(kind: Kind, given: Probe, protected: bool = False) -> Settings:
    return Settings(given=given, kind=kind, protected=protected, room=7)


CLASSES = settings_of(KINDS["classification"], screening.probe())
NUMBERS = probe_of(lambda random: random.normal(size=100), 0, 1)
ABOUT_150 = probe_of(lambda random: 152 + 77 * random.normal(size=100), 152, 77)  # of 100, a few are below 0
COUNTS = probe_of(lambda random: random.integers(0, 3, 100), 1.0, 0.8)
CASES = {
    "classes": CLASSES,
    "labels 0 and 1": settings_of(KINDS["binary"], probe_of(lambda random: random.integers(0, 2, 100), 0, 1, True)),
    "numbers": settings_of(KINDS["regression"], NUMBERS),
    "counts": settings_of(KINDS["regression"], COUNTS),
    "softplus": settings_of(
        Kind(jax.nn.softplus, "rmse"), probe_of(lambda random: random.uniform(0.2, 3, 100), 1.5, 0.8)
    ),
    # A quarter of the predictions are 0.
    "counts, ReLU": settings_of(Kind(jax.nn.relu, "rmse"), COUNTS._replace(outputs=COUNTS.outputs - 0.5)),
    "numbers about 150, protected": settings_of(KINDS["regression"], ABOUT_150, protected=True),
    "softplus, protected": settings_of(
        Kind(jax.nn.softplus, "rmse"), probe_of(lambda random: random.uniform(0.2, 3, 100), 1.5, 0.8), protected=True
    ),
}


def silent(*_: object) -> None:
    """No progress is shown."""


@cache
def found_in(case: str, depth: int, fair_rates: bool, stages: tuple[str, ...] = STAGES) -> Distinct:
    return distinct.distinct(depth, CASES[case], stages, fair_rates=fair_rates, soft_labels=False, progress=silent)


def without_gradient(population: list[Tree], settings: Settings) -> np.ndarray:
    """Whether y cancels, as in ``y / x / y``: what is left of the gradient in float32 is rounding alone."""
    x = settings.given.targets.astype(float)
    two = [np.full(x.shape, y) for y in (0.7, 0.2)]
    with np.errstate(all="ignore"):
        return np.array([
            np.allclose(*(evaluate(tree, x, part, np, settings.protected) for part in two), 1e-12, equal_nan=True)
            for tree in population
        ])  # fmt: skip


@cache
def screened(case: str, depth: int) -> tuple[list[Tree], screening.Screened]:
    """Every tree, through all stages."""
    population, settings = list(enumerate_trees(depth)), CASES[case]
    found = screening.screen(
        population, None, settings.given, kind=settings.kind, protected=settings.protected, room=settings.room
    )
    cancelled = without_gradient(population, settings)
    return population, found._replace(guided=found.guided & ~cancelled, trainable=found.trainable & ~cancelled)


def firsts(found: screening.Screened, keys: np.ndarray) -> list[int]:
    """The first tree of each gradient."""
    seen: dict[bytes, int] = {}
    for place in np.flatnonzero(found.guided).tolist():
        seen.setdefault(keys[place].tobytes(), place)
    return list(seen.values())


# AGAINST ALL TREES


@pytest.mark.slow
@pytest.mark.parametrize("fair_rates", [True, False])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (case not in ("classes", "counts"))) for case in CASES]
)
def test_the_losses_are_those_of_screening_every_tree(case: str, depth: int, fair_rates: bool) -> None:
    found = found_in(case, depth, fair_rates)
    population, stages = screened(case, depth)
    keys = stages.direction if fair_rates else stages.fingerprint
    places = firsts(stages, keys)
    learning = [place for place in places if stages.trainable[place]]
    counts = {
        "drawn": len(population), "valid": stages.both.sum(), "finite": stages.finite.sum(),
        "guided": stages.guided.sum(), "distinct": len(places), "trainable": len(learning),
    }  # fmt: skip
    # Tree by tree, equal gradients count as two where their digits in float32 are rounded up here and down there.
    assert 0 <= len(places) - found.funnel["distinct"] <= 0.005 * len(places)
    assert found.funnel | {"distinct": len(places)} == counts
    again = screening.examine(found.trees, CASES[case])
    mine = again.direction if fair_rates else again.fingerprint
    assert {key.tobytes() for key in mine} == {keys[place].tobytes() for place in learning}
    # A gradient comes with the smallest of its trees.
    for tree, key in zip(found.trees, mine, strict=True):
        (same,) = np.nonzero(stages.guided & (keys == key).all(axis=1))
        assert tree.size == min(population[place].size for place in same)


@pytest.mark.parametrize(("fair_rates", "count", "trainable"), [(True, 128, 46), (False, 165, 60)])
def test_the_funnel_of_depth_2_is_as_it_always_was(fair_rates: bool, count: int, trainable: int) -> None:
    found = found_in("classes", 2, fair_rates)
    assert found.funnel == {
        "drawn": 25_844, "valid": 9_496, "finite": 7_028, "guided": 3_409, "distinct": count, "trainable": trainable,
    }  # fmt: skip
    assert len(set(found.trees)) == len(found.trees) == found.coverage["losses"] == trainable
    assert [tree.size for tree in found.trees] == sorted(tree.size for tree in found.trees)
    assert {parse("x * log(y)"), parse("log(y) - x / y")} <= set(found.trees)


def gradients_of(population: list[Tree], labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """By finite differences in float64 of the loss of each sample by its logits, ``[trees, samples * classes]``."""

    def total(logits: np.ndarray, tree: Tree) -> np.ndarray:
        y = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        with np.errstate(all="ignore"):
            return np.broadcast_to(evaluate(tree, labels, y, np), y.shape).sum(axis=-1)

    shifts = 1e-5 * np.eye(logits.shape[1])
    with np.errstate(invalid="ignore"):  # of infinities
        columns = [
            [(total(logits + shift, tree) - total(logits - shift, tree)) / 2e-5 for shift in shifts]
            for tree in population
        ]
    return np.array(columns).transpose(0, 2, 1).reshape(len(population), -1)


@pytest.mark.slow
def test_gradients_and_directions_of_depth_2_are_counted_as_by_finite_differences() -> None:
    logits = np.random.default_rng(0).normal(size=(30, 3))
    labels = np.eye(3)[np.arange(30) % 3]
    every, stages = screened("classes", 2)
    population = [every[place] for place in np.flatnonzero(stages.finite)]
    gradients, others = (gradients_of(population, part, logits) for part in (labels, np.roll(labels, 1, axis=1)))
    largest = np.abs(gradients).max(axis=1, keepdims=True)
    guided = (largest[:, 0] > 1e-6) & (np.abs(gradients - others).max(axis=1) > 1e-4 * largest[:, 0])
    weights = np.random.default_rng(1).uniform(1, 2, gradients.shape[1])
    counts = [
        1 + int((np.diff(np.sort((rows @ weights)[guided])) > 1e-6).sum())
        for rows in (gradients, gradients / np.where(largest > 0, largest, 1))
    ]
    coverage = found_in("classes", 2, True).coverage
    assert coverage == {"functions": 528, "gradients": counts[0], "directions": counts[1], "losses": 46}
    assert counts == [178, 147]


@pytest.mark.slow
def test_gradients_of_depth_3_are_as_many_on_another_grid() -> None:
    y = np.sort(np.random.default_rng(2).uniform(0.05, 0.95, 20))
    for points in (functions.grid(), functions.crossed(np.array([0.0, 1.0]), y)):
        coverage = distinct._grouped(functions.enumerate_functions(3, points).functions, CLASSES).coverage
        assert coverage == {"functions": 485_746, "gradients": 229_704, "directions": 189_238}


def test_numbers_are_compared_at_distinct_points_from_the_smallest_to_the_largest() -> None:
    settings = CASES["counts, ReLU"]
    x, y = points_of(settings)
    assert sorted(set(x)) == [0, 1, 2]
    assert (y.min(), y.max()) == (0, settings.given.outputs.max())
    assert (settings.given.outputs <= 0).mean() > 0.2
    assert len(set(zip(x, y, strict=True))) == len(x) == 3 * len(set(y))


# SOFT LABELS


def with_soft_labels(depth: int, stages: tuple[str, ...] = STAGES) -> tuple[Distinct, Settings]:
    settings = dataclasses.replace(CLASSES, given=screening.softened(CLASSES.given))
    found = distinct.distinct(depth, settings, stages, fair_rates=True, soft_labels=True, progress=silent)
    return found, settings


@pytest.mark.slow
def test_soft_labels_tell_losses_apart_that_hard_ones_do_not() -> None:
    pair = [parse("x * log(y)"), parse("log(y) * square(x)")]
    found, settings = with_soft_labels(2)
    hard = found_in("classes", 2, True)
    of_hard, of_soft = (screening.examine(pair, one).direction for one in (CLASSES, settings))
    np.testing.assert_array_equal(*of_hard)
    assert not np.array_equal(*of_soft)
    assert [tree in hard.trees for tree in pair] == [True, False]
    assert [tree in found.trees for tree in pair] == [True, True]
    assert (found.coverage["functions"], hard.coverage["functions"]) == (722, 528)
    for name in ("gradients", "directions", "losses"):
        assert found.coverage[name] > hard.coverage[name]


@pytest.mark.slow
def test_soft_labels_leave_only_losses_that_hard_labels_can_have_too() -> None:
    found, settings = with_soft_labels(2)
    population, of_hard = screened("classes", 2)
    of_soft = screening.screen(population, None, settings.given, room=7)
    both = of_soft._replace(guided=of_soft.guided & of_hard.finite)
    places = firsts(both, both.direction)
    assert found.funnel == {
        "drawn": 25_844, "valid": 9_496, "finite": (of_soft.finite & of_hard.finite).sum(),
        "guided": both.guided.sum(), "distinct": len(places), "trainable": both.trainable[places].sum(),
    }  # fmt: skip
    lost = parse("x * log(x) - x * log(y)")
    assert [bool(screening.examine([lost], one).finite[0]) for one in (CLASSES, settings)] == [False, True]


# STAGES AND PROGRESS


def test_without_stages_every_gradient_is_left() -> None:
    assert [str(tree) for tree in found_in("classes", 1, True, ()).trees] == ["x + y", "x * y", "x / y"]
    guided = found_in("classes", 1, True, ("finite", "guided"))
    assert [str(tree) for tree in guided.trees] == ["x * y", "x / y"]
    assert guided.coverage == {"functions": 5, "gradients": 2, "directions": 2, "losses": 2}
    assert guided.funnel == {"drawn": 80, "valid": 8, "finite": 7, "guided": 3, "distinct": 2}
    assert [str(tree) for tree in found_in("classes", 1, True, ("trainable",)).trees] == ["x * y"]


def test_without_the_stage_distinct_gradients_of_one_direction_are_several() -> None:
    every, one = (
        found_in("classes", 2, True, stages) for stages in (("finite", "guided"), ("finite", "guided", "distinct"))
    )
    pair = {parse("x * log(y)"), parse("log(y) * (x + x)")}
    assert [len(pair & set(found.trees)) for found in (every, one)] == [2, 1]
    assert (len(every.trees), len(one.trees)) == (every.coverage["losses"], 128)
    assert len(every.trees) > 165 > 128
    assert every.funnel == one.funnel
    assert "trainable" not in one.funnel


@pytest.mark.slow
def test_progress_goes_from_nothing_to_all_of_each_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "_CHUNK", 50)
    seen: list[tuple[str, int, int]] = []
    found = distinct.distinct(
        2, CLASSES, STAGES, fair_rates=True, soft_labels=False, progress=lambda *given: seen.append(given)
    )
    screening_, descending = ([(done, count) for name, done, count in seen if name == stage] for stage in _NAMES)
    assert [name for name, *_ in seen] == [_NAMES[0]] * len(screening_) + [_NAMES[1]] * len(descending)
    count = len(found_in("classes", 2, True, ()).trees)
    assert screening_ == [(done, count) for done in (*range(0, count, 50), count)]
    assert descending == [(50, 128), (100, 128), (128, 128)]
    assert found == found_in("classes", 2, True)


_NAMES = ("screening", "descending")
