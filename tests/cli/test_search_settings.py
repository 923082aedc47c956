"""The settings of a search: the options, and the ``DiscoveryConfig`` that they stand for."""

import inspect
from typing import Annotated, Any

import pytest
import typer
from as_typed import run
from typer.testing import CliRunner

from glojax import DiscoveryConfig, ExhaustiveConfig, SearchConfig, TaylorConfig, TuneConfig
from glojax.cli.search_settings import with_search_settings


def made(*arguments: str) -> DiscoveryConfig:
    """The settings that a command with these options gets."""
    configs: list[DiscoveryConfig] = []

    def command(last: Annotated[bool, typer.Option()] = False, *, config: DiscoveryConfig) -> None:
        configs.append(config)

    app = typer.Typer()
    app.command()(with_search_settings(command, "last"))
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None:
        raise result.exception
    (config,) = configs
    return config


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", SearchConfig()),
        ("--preset paper", SearchConfig.paper()),
        ("--preset paper --population 12 --seed 3", SearchConfig.paper(population=12, seed=3)),
        ("--population 12 --generations 2 --halving 2", SearchConfig(population=12, generations=2, halving=2)),
        ("--candidate-seeds 3 --fair-rates", SearchConfig(seeds=3, fair_rates=True)),
        ("--one-rate", SearchConfig(fair_rates=False)),
        ("--screening none", SearchConfig(screening=())),
        ("--screening finite,distinct", SearchConfig(screening=("finite", "distinct"))),
        ("--operators paper,exp", SearchConfig(operators=("paper", "exp"))),
        ("--operators all", SearchConfig(operators=("all",))),
        ("--leaves progress,prior", SearchConfig(leaves=("prior", "progress"))),
        ("--exhaustive --operators +,log", ExhaustiveConfig(operators=("log", "+"))),
        ("--budget 2e6", SearchConfig(budget=2_000_000)),
        ("--budget 10m", SearchConfig(minutes=10.0)),
        ("--depth 3", SearchConfig()),
        ("--exhaustive", ExhaustiveConfig(depth=2)),
        ("--exhaustive --depth 1 --candidate-seeds 1 --seed 4", ExhaustiveConfig(depth=1, seeds=1, seed=4)),
        ("--space taylor --generations 5 --population 9", TaylorConfig(generations=5, population=9)),
    ],
)
def test_options_become_the_settings_of_the_search(options: str, expected: Any) -> None:
    assert made(*options.split()).search == expected


def test_the_rest_of_a_discovery_follows_the_search() -> None:
    config = made("--candidate-seeds", "3", "--seed", "5")
    assert config.tune == TuneConfig(generations=20, seeds=3, seed=5)
    assert (config.random_search, config.seeds, config.full_steps) == (True, 16, None)
    config = made("--tune-generations", "0", "--no-random-search", "--seeds", "2", "--full-steps", "0")
    assert (config.tune, config.random_search, config.seeds, config.full_steps) == (None, False, 2, 0)


def test_the_settings_stand_before_the_options_of_the_run() -> None:
    def command(task: str = "digits", last: bool = False, *, config: DiscoveryConfig) -> None: ...

    names = list(inspect.signature(with_search_settings(command, "last")).parameters)
    assert names[:3] == ["task", "preset", "space"]
    assert names[-3:] == ["random_search", "seed", "last"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--exhaustive --preset paper", "--exhaustive goes with neither --space taylor nor --preset paper"),
        ("--exhaustive --space taylor", "--exhaustive goes with neither --space taylor nor --preset paper"),
        ("--exhaustive --population 9", "--exhaustive has no population; leave out that option"),
        ("--space taylor --one-rate", "--space taylor has no fair rates; leave out that option"),
        ("--space taylor --budget 5m", "--space taylor has no minutes; leave out that option"),
        ("--budget soon", "--budget is 'soon'; candidate-steps such as 2e6, or minutes such as 10m, are allowed"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(*options.split())


@pytest.mark.parametrize(("option", "value"), [("--seeds", 0), ("--tune-generations", -1)])
def test_a_number_that_would_fail_after_the_search_is_refused_before_it(option: str, value: int) -> None:
    result = run("search", option, value)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output


@pytest.mark.parametrize("preset", ["default", "paper"])
@pytest.mark.parametrize(
    "option", [("--population", "2"), ("--population", "4"), ("--generations", "1"), ("--candidate-seeds", "1")]
)
def test_a_small_value_of_one_option_needs_no_other(preset: str, option: tuple[str, str]) -> None:
    config = made("--preset", preset, *option, "--seeds", "1")
    assert isinstance(config.search, SearchConfig)
    assert config.search.elites == min(6, config.search.population - 1)
