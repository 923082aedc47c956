"""Generations out of pools: what comes ahead, and where the trees come from."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from glojax.discovery import drawing, genetics
from glojax.discovery.evolution import search
from glojax.discovery.genetics import Offspring
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.sieve import Screener
from glojax.expressions.trees import Tree
from glojax.tasks.task import Task

CONFIG = SearchConfig(population=8, generations=2, elites=2, seeds=1, finalists=1, pool=64, seed=5)


def trainable_are(monkeypatch: pytest.MonkeyPatch, others: Callable[[str], bool]) -> None:
    """All trees that are bred, and not drawn too, may be trained, and those others of which their text says so."""
    bred, anew = set[Tree](), set[Tree]()
    breed_trees, draw_trees, draw_by_function = genetics.breed_trees, genetics.draw_trees, drawing.draw_by_function

    def breed(*args: Any, **options: Any) -> list[Offspring]:
        children = breed_trees(*args, **options)
        bred.update(child.tree for child in children)
        return children

    def draw(make: Callable[..., list[Tree]]) -> Callable[..., list[Tree]]:
        def made(*args: Any, **options: Any) -> list[Tree]:
            trees = make(*args, **options)
            anew.update(trees)
            return trees

        return made

    def trainable(_: object, trees: list[Tree]) -> list[bool]:
        return [(tree in bred and tree not in anew) or others(str(tree)) for tree in trees]

    monkeypatch.setattr(genetics, "breed_trees", breed)
    monkeypatch.setattr(genetics, "draw_trees", draw(draw_trees))
    monkeypatch.setattr(drawing, "draw_by_function", draw(draw_by_function))
    monkeypatch.setattr(Screener, "trainable", trainable)


@pytest.mark.slow
def test_given_trees_come_first_and_the_rest_is_drawn_and_bred(tiny_task: Task) -> None:
    found = search(tiny_task, dataclasses.replace(CONFIG, start=("log(y) - x / y", "x * log(y)")))
    first, second = found.record
    assert [(record.expression, record.origin) for record in first[:2]] == [
        ("log(y) - x / y", "start"),
        ("x * log(y)", "start"),
    ]
    assert {record.origin for record in first[2:]} <= {"grown", "drawn"}
    assert [record.origin for record in second[:2]] == ["kept", "kept"]
    assert {record.origin for record in second[2:]} <= {"grown", "drawn", "bred", "kept"}


def test_without_given_trees_nothing_has_their_origin(tiny_task: Task) -> None:
    origins = Counter(record.origin for row in search(tiny_task, CONFIG).record for record in row)
    assert origins["start"] == origins["proposed"] == 0
    assert sum(origins.values()) == 16


def test_half_of_the_places_are_for_trees_that_were_not_bred(tiny_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much more is promised by those that were, and however few of the others may be trained."""
    trainable_are(monkeypatch, lambda text: len(text) % 3 == 0)
    found = search(tiny_task, dataclasses.replace(CONFIG, population=20, elites=4, pool=400, generations=3))
    for generation in found.record[1:]:
        origins = [record.origin == "bred" for record in generation[4:]]
        assert origins == [False] * 8 + [True] * 8


def test_where_nothing_else_may_be_trained_all_places_are_for_bred_trees(
    tiny_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = search(tiny_task, dataclasses.replace(CONFIG, population=20, elites=4, pool=400, generations=1))
    trainable_are(monkeypatch, {record.expression for record in first.record[0]}.__contains__)
    found = search(tiny_task, dataclasses.replace(CONFIG, population=20, elites=4, pool=400, generations=2))
    assert [record.origin for record in found.record[1]] == ["kept"] * 4 + ["bred"] * 16


def test_parsimony_keeps_smaller_losses(tiny_task: Task) -> None:
    found = search(tiny_task, dataclasses.replace(CONFIG, parsimony=1.0, start=("x * y",)))
    # A node costs more than any fitness: all are worth nothing, and the first of equals stay.
    assert [record.expression for record in found.record[1][:2]] == [
        record.expression for record in found.record[0][:2]
    ]
