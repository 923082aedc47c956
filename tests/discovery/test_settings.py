"""Settings: the bounds of every shared field, and the old names of arguments."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from glojax import (
    ExhaustiveConfig,
    SearchConfig,
    TaylorConfig,
    TuneConfig,
    evaluate,
    exhaust,
    search,
    search_taylor,
    tune,
)
from glojax.discovery import screening
from glojax.discovery.settings import FitnessConfig, SharedSettings, check_bounds
from glojax.seeds import named_seed
from glojax.tasks.task import Task

BOUNDS = {
    "seeds": (1, 1000),
    "finalists": (1, 10_000),
    "final_seeds": (1, 1000),
    "seed": (0, 2**63 - 1),
    "halving": (1, 100),
    "budget": (1, 2**63 - 1),
}


@pytest.mark.parametrize("field", BOUNDS)
def test_integers_are_allowed_up_to_their_bounds_and_refused_beyond_by_name(field: str) -> None:
    kind: Any = FitnessConfig if field in ("halving", "budget") else SharedSettings
    low, high = BOUNDS[field]
    for value in (low, high):
        assert getattr(kind(**{field: value}), field) == value
    for value in (low - 1, high + 1, float(low), True, str(low)):
        with pytest.raises(
            ValueError, match=rf"^{kind.__name__}\.{field} is {value!r}; an integer from {low} to {high}"
        ):
            kind(**{field: value})


@pytest.mark.parametrize("minutes", [0, -1, math.inf, math.nan, True])
def test_minutes_are_a_finite_number_above_0(minutes: Any) -> None:
    with pytest.raises(ValueError, match=r"FitnessConfig\.minutes is .*; a number above 0 is allowed\."):
        FitnessConfig(minutes=minutes)
    assert FitnessConfig(minutes=0.5).minutes == 0.5


def test_an_unknown_stage_is_refused_beside_those_that_are_allowed() -> None:
    with pytest.raises(ValueError, match=r"screening holds 'fast'; allowed are finite, guided, distinct, trainable\."):
        FitnessConfig(screening=("finite", "fast"))
    for stages in ((), ("guided",), screening.STAGES):
        assert FitnessConfig(screening=stages).screening == stages


@pytest.mark.parametrize(
    "kind", [SharedSettings, FitnessConfig, SearchConfig, ExhaustiveConfig, TuneConfig, TaylorConfig]
)
def test_settings_are_given_by_name_alone_and_messages_hold_the_name_of_their_class(kind: Any) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        kind(3)
    with pytest.raises(ValueError, match=rf"^{kind.__name__}\.seeds is 0"):
        kind(seeds=0)


def test_bounds_are_checked_field_by_field() -> None:
    class Sizes:
        width, height = 3, 9

    check_bounds(Sizes(), width=(3, 3), height=(0, 9))
    with pytest.raises(ValueError, match=r"^Sizes\.height is 9; an integer from 0 to 8 is allowed\.$"):
        check_bounds(Sizes(), width=(3, 3), height=(0, 8))


# OLD NAMES


SMALL: dict[str, Any] = {"seeds": 1, "finalists": 1, "final_seeds": 1}


@pytest.mark.slow
def test_the_old_callbacks_of_searches_are_called_as_before(tiny_task: Task) -> None:
    seen: list[Any] = []
    one = SearchConfig(population=6, generations=1, elites=2, fair_rates=False, screening=(), **SMALL)
    with pytest.warns(DeprecationWarning, match=r"search: on_generation is now on_event\."):
        search(tiny_task, one, on_generation=seen.append)  # type: ignore[call-arg]
    assert [(event.number, len(event.fitness)) for event in seen] == [(0, 6)]

    def on_generation(number: int, fitness: Any) -> None:
        seen.append((number, len(fitness)))

    vectors: dict[str, Any] = {"generations": 1, "population": 4} | SMALL
    starts: list[Callable[..., Any]] = [
        partial(tune, tiny_task, "x * log(y)", TuneConfig(**vectors)),
        partial(search_taylor, tiny_task, TaylorConfig(**vectors)),
    ]
    for start in starts:
        seen.clear()
        with pytest.warns(DeprecationWarning, match="on_generation is now on_event"):
            start(on_generation=on_generation)
        assert seen == [(0, 1), (1, 4)]

    seen.clear()
    depth_1 = ExhaustiveConfig(depth=1, fair_rates=False, **SMALL)
    with pytest.warns(DeprecationWarning, match=r"exhaust: on_batch is now on_event\."):
        found = exhaust(tiny_task, depth_1, on_batch=lambda *given: seen.append(given))  # type: ignore[call-arg]
    ((funnel, ranking),) = seen
    assert ranking == found.ranking
    assert funnel["trained"] == len(ranking)


@pytest.mark.parametrize("value", [-0.1, 1.5, math.nan, True, "0.2"])
def test_averaging_is_a_share(tiny_task: Task, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^SearchConfig\.averaging is {value!r}; a number from 0 to 1 is allowed"):
        SearchConfig(averaging=value)
    with pytest.raises(ValueError, match=rf"^Task\.averaging is {value!r}; a number from 0 to 1 is allowed"):
        dataclasses.replace(tiny_task, averaging=value)


def test_settings_with_an_averaging_take_the_place_of_the_task_s(tiny_task: Task) -> None:
    assert tiny_task.averaging == 0.2
    assert SearchConfig().applied_to(tiny_task) is tiny_task
    assert SearchConfig(averaging=0.2).applied_to(tiny_task) is tiny_task
    assert SearchConfig.paper().applied_to(tiny_task).averaging == 0
    with pytest.raises(ValueError, match=r"a glojax\.Task is expected"):
        SearchConfig().applied_to("digits")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("averaging", [None, 0.0, 0.6])
def test_every_search_scores_the_weights_that_its_settings_name(tiny_task: Task, averaging: float | None) -> None:
    share = 0.2 if averaging is None else averaging
    expected = dataclasses.replace(tiny_task, averaging=share)
    small: dict[str, Any] = {"finalists": 1, "seeds": 2, "averaging": averaging, "rank_by": "metric"}
    found = [
        search(tiny_task, SearchConfig(population=4, generations=1, **small)),
        exhaust(tiny_task, ExhaustiveConfig(depth=1, **small)),
        tune(tiny_task, "x * log(y)", TuneConfig(generations=1, population=4, **small)),
    ]
    for result in found:
        seeds = [named_seed(0, "search", i) for i in range(2)]
        scores = evaluate(expected, [result.loss], seeds, rates=[result.rate])[0]
        np.testing.assert_allclose(result.scores, scores, atol=1e-6)
