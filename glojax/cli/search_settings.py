"""The options of ``glojax search`` that say what is searched and how, and the ``DiscoveryConfig`` that they make."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glojax.cli.options import Averaging, Seed
from glojax.cli.signatures import Command, with_options

if TYPE_CHECKING:
    from glojax.discovery.exhaustive import ExhaustiveConfig
    from glojax.discovery.search_config import SearchConfig
    from glojax.discovery.tuning import TaylorConfig
    from glojax.workflow import DiscoveryConfig


class Preset(StrEnum):
    """Settings to start from."""

    default = "default"
    paper = "paper"


class RankBy(StrEnum):
    """What candidates are ranked by."""

    margins = "margins"
    metric = "metric"


RankByOption = Annotated[
    RankBy | None,
    typer.Option(
        help="Rank candidates by margins where the metric is accuracy, or by the metric itself. Defaults to margins, "
        "and to the metric with the paper's preset."
    ),
]


class Aggregate(StrEnum):
    """How scores on several tasks become one fitness."""

    gains = "gains"
    ranks = "ranks"


AggregateOption = Annotated[
    Aggregate | None,
    typer.Option(
        help="Of several tasks: the fitness is the mean of gains over each baseline in units of its noise, or of "
        "ranks. Defaults to gains."
    ),
]


class SearchSpace(StrEnum):
    """What is searched."""

    trees = "trees"
    taylor = "taylor"


FullSteps = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Steps of the full trainings at the end, with a cosine decay; 0 for none. Defaults to 10 times more.",
    ),
]


StartFrom = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LOSS",
        help="First in the first generation: an expression, a loss.json, a file of expressions, a run, or zoo for the "
        "known losses; may be repeated.",
    ),
]
Operators = Annotated[
    str | None,
    typer.Option(
        help="What trees are made of, such as paper,exp: any of log,square,sqrt,+,-,*,/,exp,tanh,abs,max,power; paper "
        "is the first seven, all is all. Defaults to paper."
    ),
]
Leaves = Annotated[
    str | None,
    typer.Option(
        help="What trees may have beside x, y and integers: progress, the share of the steps taken, prior, the share "
        "of a class, or both."
    ),
]
Parsimony = Annotated[
    float | None, typer.Option(help="What a node must add to validation fitness to be worth having, such as 0.0005.")
]
CoefficientSamples = Annotated[
    int | None,
    typer.Option(help="Vectors of coefficients tried for each elite after each generation. Defaults to 0."),
]
CandidateSeeds = Annotated[
    int | None, typer.Option(help="Trainings of each candidate. The default depends on the kind of search.")
]
Halving = Annotated[
    int | None,
    typer.Option(help="Keep one candidate in this many at each rung of a training; 1 trains all to the end."),
]


def _options(
    preset: Annotated[Preset, typer.Option(help="Settings to start from.")] = Preset.default,
    space: Annotated[
        SearchSpace, typer.Option(help="Trees, or third-order Taylor polynomials by CMA-ES alone (TaylorGLO).")
    ] = SearchSpace.trees,
    exhaustive: Annotated[
        bool, typer.Option("--exhaustive", help="Rank every loss up to --depth instead of breeding trees.")
    ] = False,
    depth: Annotated[int, typer.Option(help="Largest depth of the trees of an exhaustive search, 1 to 3.")] = 2,
    generations: Annotated[
        int | None, typer.Option(help="Generations of the search. Defaults to the preset's, or 20 for Taylor.")
    ] = None,
    population: Annotated[
        int | None, typer.Option(help="Candidates in a generation. Defaults to the preset's.")
    ] = None,
    candidate_seeds: CandidateSeeds = None,
    coefficient_samples: CoefficientSamples = None,
    halving: Halving = None,
    fair_rates: Annotated[
        bool | None,
        typer.Option(
            "--fair-rates/--one-rate",
            help="Train each loss at three learning rates that suit it, or at the task's. Defaults to the preset's.",
        ),
    ] = None,
    screening: Annotated[
        str | None,
        typer.Option(
            help="Stages before training: any of finite,guided,distinct,trainable, or none. Defaults to the preset's."
        ),
    ] = None,
    operators: Operators = None,
    leaves: Leaves = None,
    start_from: StartFrom = None,
    parsimony: Parsimony = None,
    averaging: Averaging = None,
    rank_by: RankByOption = None,
    aggregate: AggregateOption = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Start nothing new after this many candidate-steps (2e6) or minutes of training (10m)."),
    ] = None,
    tune_generations: Annotated[
        int, typer.Option(min=0, help="Generations of CMA-ES on the found loss's coefficients; 0 for none.")
    ] = 20,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each loss in the final comparison.")] = 16,
    full_steps: FullSteps = None,
    random_search: Annotated[bool, typer.Option(help="Also search at random, with the same budget.")] = True,
    seed: Seed = 0,
) -> None: ...


_AS_THEY_ARE = ("generations", "population", "coefficient_samples", "halving", "fair_rates", "parsimony", "averaging")
"""Options that are settings of the same name."""


def with_search_settings(command: Command, before: str) -> Command:
    """Give a command the options of a search, in front of its own option ``before``; it gets them as ``config``."""

    def run(
        *,
        preset: Preset,
        space: SearchSpace,
        exhaustive: bool,
        depth: int,
        candidate_seeds: int | None,
        screening: str | None,
        operators: str | None,
        leaves: str | None,
        start_from: list[str] | None,
        rank_by: RankBy | None,
        aggregate: Aggregate | None,
        budget: str | None,
        tune_generations: int,
        seeds: int,
        full_steps: int | None,
        random_search: bool,
        seed: int,
        **given: Any,
    ) -> None:
        fields = {
            **{name: given.pop(name) for name in _AS_THEY_ARE},
            "seeds": candidate_seeds,
            "screening": None if screening is None else _stages(screening),
            "operators": None if operators is None else _names(operators),
            "leaves": None if leaves is None else _names(leaves),
            "start": _start(start_from) or None,
            "rank_by": None if rank_by is None else rank_by.value,
            "aggregate": None if aggregate is None else aggregate.value,
            "seed": seed,
            **({} if budget is None else _budget(budget)),
        }
        search = _search_config(fields, preset, space, depth if exhaustive else None)
        command(config=_discovery_config(search, tune_generations, seeds, full_steps, random_search), **given)

    return with_options(command, run, _options, instead_of=("config",), before=before)


def _search_config(
    fields: dict[str, Any], preset: Preset, space: SearchSpace, depth: int | None
) -> "SearchConfig | ExhaustiveConfig | TaylorConfig":
    """The settings of the search from those of its fields that were given; a depth asks for an exhaustive one."""
    import glojax

    fields = {field: value for field, value in fields.items() if value is not None}
    if depth is not None:
        if space is not SearchSpace.trees or preset is not Preset.default:
            raise ValueError("--exhaustive goes with neither --space taylor nor --preset paper.")
        _refuse(
            "--exhaustive", fields, ("generations", "population", "start", "aggregate", "coefficient_samples", "leaves")
        )
        return glojax.ExhaustiveConfig(depth=depth, **fields)
    if space is SearchSpace.taylor:
        of_trees = (
            "halving",
            "fair_rates",
            "screening",
            "operators",
            "leaves",
            "start",
            "parsimony",
            "budget",
            "minutes",
        )
        _refuse("--space taylor", fields, (*of_trees, "aggregate", "coefficient_samples"))
        return glojax.TaylorConfig(**fields)
    return (glojax.SearchConfig.paper if preset is Preset.paper else glojax.SearchConfig)(**fields)


def _discovery_config(
    search: "SearchConfig | ExhaustiveConfig | TaylorConfig",
    tune_generations: int,
    seeds: int,
    full_steps: int | None,
    random_search: bool,
) -> "DiscoveryConfig":
    import glojax

    tune = None
    if tune_generations:
        tune = glojax.TuneConfig(generations=tune_generations, seeds=search.seeds or 2, seed=search.seed)
    return glojax.DiscoveryConfig(
        search=search, tune=tune, random_search=random_search, seeds=seeds, full_steps=full_steps
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _stages(text: str) -> tuple[str, ...]:
    return () if text == "none" else _names(text)


def _start(given: Sequence[str] | None) -> tuple[str, ...]:
    from glojax.discovery.start import read_start

    return tuple(text for one in given or () for text in read_start(one))


def _budget(text: str) -> dict[str, float | int]:
    try:
        number = float(text.removesuffix("m"))
    except ValueError:
        raise ValueError(
            f"--budget is {text!r}; candidate-steps such as 2e6, or minutes such as 10m, are allowed."
        ) from None
    return {"minutes": number} if text.endswith("m") else {"budget": int(number)}


def _refuse(option: str, given: dict[str, Any], fields: Sequence[str]) -> None:
    for field in fields:
        if field in given:
            raise ValueError(f"{option} has no {field.replace('_', ' ')}; leave out that option.")
