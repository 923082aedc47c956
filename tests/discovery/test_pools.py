"""Generations out of pools: what comes ahead, and where the trees come from."""

import dataclasses
from collections import Counter

import pytest

from glojax.discovery.evolution import search
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.sieve import Screener
from glojax.tasks.task import Task

CONFIG = SearchConfig(population=8, generations=2, elites=2, seeds=1, finalists=1, pool=64, seed=5)


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
    """However much more is promised by those that were."""
    monkeypatch.setattr(Screener, "trainable", lambda _, trees: [True] * len(trees))
    found = search(tiny_task, dataclasses.replace(CONFIG, population=20, elites=4, pool=400, generations=3))
    for generation in found.record[1:]:
        origins = [record.origin for record in generation[4:]]
        # In turns, one that was bred first.
        assert [origin == "bred" for origin in origins] == [place % 2 == 0 for place in range(16)]


def test_parsimony_keeps_smaller_losses(tiny_task: Task) -> None:
    found = search(tiny_task, dataclasses.replace(CONFIG, parsimony=1.0, start=("x * y",)))
    # A node costs more than any fitness: all are worth nothing, and the first of equals stay.
    assert [record.expression for record in found.record[1][:2]] == [
        record.expression for record in found.record[0][:2]
    ]
