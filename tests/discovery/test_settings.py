"""Settings that searches share: bounds of every field, and old names of arguments that warn."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from glojax import exhaust, search, search_taylor, tune
from glojax.discovery import settings
from glojax.discovery.exhaustive import ExhaustiveConfig
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.settings import FitnessConfig, SharedSettings, renamed_argument, renamed_attribute
from glojax.discovery.tuning import TaylorConfig, TuneConfig
from glojax.tasks.task import Task

CONFIGS = (SharedSettings, FitnessConfig, SearchConfig, ExhaustiveConfig, TuneConfig, TaylorConfig)
FITNESS_CONFIGS = (FitnessConfig, SearchConfig, ExhaustiveConfig)

# BOUNDS


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(
    ("field", "low", "high"),
    [("seeds", 1, 1000), ("finalists", 1, 10_000), ("final_seeds", 1, 1000), ("seed", 0, 2**63 - 1)],
)
def test_shared_integers_have_bounds_that_are_allowed_themselves(config: Any, field: str, low: int, high: int) -> None:
    check_integer(config, field, low, high)


@pytest.mark.parametrize("config", FITNESS_CONFIGS)
@pytest.mark.parametrize(("field", "low", "high"), [("halving", 1, 100), ("budget", 1, 2**63 - 1)])
def test_integers_of_searches_of_trees_have_bounds_too(config: Any, field: str, low: int, high: int) -> None:
    check_integer(config, field, low, high)


def check_integer(config: Any, field: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(config(**{field: value}), field) == value
    for value in (low - 1, high + 1, float(low), True, str(low), math.nan, np.int64(low)):
        with pytest.raises(ValueError) as raised:  # noqa: PT011  # the message is compared below
            config(**{field: value})
        assert str(raised.value) == (
            f"{config.__name__}.{field} is {value!r}; an integer from {low} to {high} is allowed."
        )


@pytest.mark.parametrize("config", FITNESS_CONFIGS)
def test_minutes_are_a_number_above_0(config: Any) -> None:
    for value in (1e-9, 0.5, 7):
        assert config(minutes=value).minutes == value
    for value in (0, -1.0, math.inf, math.nan, True):
        with pytest.raises(ValueError, match=rf"^{config.__name__}\.minutes is {value!r}; a number above 0 is allowed"):
            config(minutes=value)


@pytest.mark.parametrize("config", FITNESS_CONFIGS)
def test_stages_of_screening_are_those_there_are(config: Any) -> None:
    for stages in ((), ("trainable", "finite")):
        assert config(screening=stages).screening == stages
    message = rf"^{config.__name__}\.screening holds 'fast'; allowed are finite, guided, distinct, trainable\.$"
    with pytest.raises(ValueError, match=message):
        config(screening=("finite", "fast", "slow"))


def test_defaults_are_those_of_the_documentation() -> None:
    assert dataclasses.asdict(FitnessConfig()) == {
        "seeds": 2, "finalists": 24, "final_seeds": 8, "protected": False, "seed": 0,
        "fair_rates": True, "halving": 3, "screening": ("finite", "guided", "distinct", "trainable"),
        "budget": None, "minutes": None,
    }  # fmt: skip
    assert (ExhaustiveConfig().seeds, ExhaustiveConfig().halving) == (5, 1)
    assert (TuneConfig().population, TuneConfig().sigma) == (None, 1.5)
    assert (TaylorConfig().population, TaylorConfig().sigma) == (28, 1.2)


@pytest.mark.parametrize("config", CONFIGS)
def test_settings_have_names_and_never_change(config: Any) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        config(3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().seeds = 3


def test_bounds_are_inclusive_and_the_message_names_the_class() -> None:
    @dataclasses.dataclass
    class Sizes:
        width: Any = 2

    settings.check_bounds(Sizes(), width=(2, 2))
    with pytest.raises(ValueError, match=r"^Sizes\.width is 3; an integer from 2 to 2 is allowed\.$"):
        settings.check_bounds(Sizes(3), width=(2, 2))


# OLD NAMES


def test_an_old_name_of_an_argument_warns_where_it_is_used() -> None:
    @renamed_argument("old", "new", lambda value: 2 * value)
    def double(first: int, *, new: int = 0) -> tuple[int, int]:
        """Its text."""
        return first, new

    assert double(1) == (1, 0)
    assert double(1, new=3) == (1, 3)
    with pytest.warns(DeprecationWarning, match="^double: old is now new.$") as warned:
        assert double(1, old=3) == (1, 6)
    assert warned[0].filename == __file__
    assert (double.__name__, double.__doc__) == ("double", "Its text.")
    with pytest.raises(TypeError, match="older"):
        double(1, older=3)


def test_an_old_name_of_an_attribute_warns_where_it_is_used() -> None:
    class Thing:
        new = 3
        old = renamed_attribute("old", "new", lambda value: 2 * value)

    with pytest.warns(DeprecationWarning, match="^Thing.old is now new.$") as warned:
        assert Thing().old == 6
    assert warned[0].filename == __file__


SMALL: dict[str, Any] = {"seeds": 1, "finalists": 1, "seed": 1}


def test_on_generation_of_search_is_on_event(tiny_task: Task) -> None:
    seen: list[Any] = []
    config = SearchConfig(population=4, generations=2, elites=1, fair_rates=False, screening=(), **SMALL)
    with pytest.warns(DeprecationWarning, match="^search: on_generation is now on_event.$"):
        found = search(tiny_task, config, on_generation=seen.append)
    assert [event.number for event in seen] == [0, 1]
    assert [[*event.records] for event in seen] == found.record


def test_on_batch_of_exhaust_gets_the_funnel_and_the_ranking(tiny_task: Task) -> None:
    seen: list[Any] = []
    config = ExhaustiveConfig(depth=1, batch=2, fair_rates=False, screening=("finite", "guided"), **SMALL)
    with pytest.warns(DeprecationWarning, match="^exhaust: on_batch is now on_event.$"):
        found = exhaust(tiny_task, config, on_batch=lambda *given: seen.append(given))
    assert [len(ranking) for _, ranking in seen] == np.cumsum([len(batch) for batch in found.record]).tolist()
    assert seen[-1][1] == found.ranking
    assert [funnel["trained"] for funnel, _ in seen] == [len(ranking) for _, ranking in seen]


@pytest.mark.parametrize("name", ["tune", "search_taylor"])
def test_on_generation_of_tunings_gets_the_number_and_the_fitness(tiny_task: Task, name: str) -> None:
    seen: list[Any] = []
    config = TuneConfig(generations=2, population=4, **SMALL)
    started: Any = {
        "tune": lambda **given: tune(tiny_task, "log(y) - x / y", config, **given),
        "search_taylor": lambda **given: search_taylor(tiny_task, config, **given),
    }
    with pytest.warns(DeprecationWarning, match=f"^{name}: on_generation is now on_event.$"):
        found = started[name](on_generation=lambda *given: seen.append(given))
    assert [number for number, _ in seen] == [0, 1, 2]
    np.testing.assert_equal([fitness for _, fitness in seen], found.history)
