"""Search and tune."""

import dataclasses
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from glojax.cli.executors import with_executor
from glojax.cli.multiprocess import in_several_processes
from glojax.cli.options import (
    Categorical,
    Csv,
    DataDir,
    Devices,
    Group,
    Kind,
    LearningRate,
    Numeric,
    Optimizer,
    Resume,
    RunDir,
    Seed,
    Steps,
    Target,
    TaskName,
    Tensorboard,
    app,
    board_of,
    check_resume,
    console_of,
    interval,
    keep,
    plain,
    say_device,
    stop_cleanly,
    task_of,
    tree_loss,
)
from glojax.cli.progress import ProgressDisplay, funnel_line

if TYPE_CHECKING:
    from glojax.executors.protocol import Executor
    from glojax.losses.loss import Loss
    from glojax.reporting.tensorboard import Board
    from glojax.tasks.task import Task


class Preset(StrEnum):
    """Settings to start from."""

    default = "default"
    paper = "paper"


class SearchSpace(StrEnum):
    """What is searched."""

    trees = "trees"
    taylor = "taylor"


class _Result(NamedTuple):
    """A loss that a search ended with."""

    loss: "Loss"
    rate: float
    steps: int


@app.command(epilog="Example: `glojax search digits --generations 30 --run-dir runs/digits --seed 1`")
@in_several_processes
@with_executor
def search(
    context: typer.Context,
    task: TaskName = "digits",
    preset: Annotated[Preset, typer.Option(help="Settings to start from.")] = Preset.default,
    space: Annotated[
        SearchSpace, typer.Option(help="Trees, or third-order Taylor polynomials by CMA-ES alone (TaylorGLO).")
    ] = SearchSpace.trees,
    exhaustive: Annotated[
        bool, typer.Option("--exhaustive", help="Rank every loss up to --depth instead of breeding trees.")
    ] = False,
    depth: Annotated[int, typer.Option(help="Of the trees of an exhaustive search.")] = 2,
    generations: Annotated[
        int | None, typer.Option(help="Generations of the search; the preset's, or 20 of Taylor's, if left out.")
    ] = None,
    population: Annotated[int | None, typer.Option(help="Candidates a generation; the preset's if left out.")] = None,
    candidate_seeds: Annotated[
        int | None, typer.Option(help="Trainings of a candidate; those of the kind of search if left out.")
    ] = None,
    halving: Annotated[
        int | None,
        typer.Option(help="One candidate in so many goes on at each rung of a training; 1 trains all to the end."),
    ] = None,
    fair_rates: Annotated[
        bool | None,
        typer.Option(
            "--fair-rates/--one-rate",
            help="Train each loss at three learning rates that suit it, or at the task's; the preset's if left out.",
        ),
    ] = None,
    screening: Annotated[
        str | None,
        typer.Option(
            help="Stages before training, of finite,guided,distinct,trainable, or none; the preset's if left out."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Begin nothing new after so many candidate-steps (2e6) or minutes of training (10m)."),
    ] = None,
    tune_generations: Annotated[int, typer.Option(min=0, help="Generations of CMA-ES after it; 0 for none.")] = 20,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each loss in the final comparison.")] = 8,
    random_search: Annotated[bool, typer.Option(help="Search at random with the same budget, too.")] = True,
    tensorboard: Tensorboard = False,
    steps: Steps = None,
    run_dir: RunDir = None,
    resume: Resume = False,
    seed: Seed = 0,
    devices: Devices = None,
    group: Group = None,
    data_dir: DataDir = None,
    csv: Csv = None,
    target: Target = None,
    kind: Kind = None,
    numeric: Numeric = None,
    categorical: Categorical = None,
    optimizer: Optimizer = None,
    learning_rate: LearningRate = None,
    *,
    executor: "Executor | None",
) -> None:
    """Discover a loss: a search, coefficient tuning, and a comparison with cross-entropy and random search."""
    import glojax
    from glojax.reporting.page import write_report

    console = console_of()
    check_resume(resume, run_dir)
    given = {
        "generations": generations, "population": population, "seeds": candidate_seeds, "halving": halving,
        "fair_rates": fair_rates, "screening": _stages(screening), "seed": seed, **_budget(budget),
    }  # fmt: skip
    given = {field: value for field, value in given.items() if value is not None}
    if exhaustive and (space is not SearchSpace.trees or preset is not Preset.default):
        raise ValueError("--exhaustive goes with neither --space taylor nor --preset paper.")
    if exhaustive:
        _refuse("--exhaustive", given, ("generations", "population"))
        config: Any = glojax.ExhaustiveConfig(depth=depth, **given)
    elif space is SearchSpace.taylor:
        _refuse("--space taylor", given, ("halving", "fair_rates", "screening", "budget", "minutes"))
        config = glojax.TuneConfig(**{"population": 28, "sigma": 1.2} | given)  # type: ignore[arg-type]
    else:
        make = glojax.SearchConfig.paper if preset is Preset.paper else glojax.SearchConfig
        config = make(**given)  # type: ignore[arg-type]
    tune_config = glojax.TuneConfig(generations=max(tune_generations, 1), seeds=config.seeds, seed=seed)
    run_dir = Path("runs") / time.strftime("%Y%m%d-%H%M%S") if run_dir is None else run_dir
    stop_cleanly(context, run_dir)
    board = board_of(tensorboard, run_dir)
    job = task_of(
        task, steps, devices, group, data_dir, csv, target=target, kind=kind, numeric=numeric,
        categorical=categorical, optimizer=optimizer, learning_rate=learning_rate, executor=executor,
    )  # fmt: skip
    say_device(console, job)
    console.print("Compiling, and training what candidates are held against ...")

    options = {"run_dir": run_dir, "resume": resume}
    if exhaustive:
        found = _exhaust(console, job, config, options, board)
    elif space is SearchSpace.taylor:
        found = _search_taylor(console, job, config, options, board)
    else:
        found = _breed(console, job, config, tune_config if tune_generations else None, options, board)
    named = {"found": found[0]} | ({"found, tuned": found[1]} if len(found) > 1 else {})
    loss = found[-1].loss
    if not callable(loss.output):
        keep(loss.save, run_dir / "loss.json")
    if random_search:
        drawn = config if isinstance(config, glojax.SearchConfig) else glojax.SearchConfig(seed=seed)
        named["random search"] = _search_randomly(console, job, drawn, found[0].steps, options, board)
    _compare(console, job, named, seeds, seed, options)
    if board is not None:
        board.finish()
    found_at = f"at x{found[-1].rate:.3g} of the task's rate"
    console.print(f"Found loss   f(x, y) = [bold]{plain(str(loss))}[/], {found_at}", soft_wrap=True)
    if callable(loss.output):
        console.print(
            "Not saved    no file can hold its output, a function; task.loss makes it of the report's formula"
        )
    else:
        console.print(f"Saved        {run_dir / 'loss.json'}   (glojax.load)", soft_wrap=True)
    keep(write_report, run_dir)
    console.print(f"Report       {run_dir / 'report.html'}", soft_wrap=True)


def _breed(
    console: Console, job: "Task", config: Any, tune_config: Any, options: dict[str, Any], board: "Board | None"
) -> list[_Result]:
    import glojax

    watch = board and board.phase("search")
    with ProgressDisplay(console, config.generations, f"search on {job.name}", watch) as progress:
        found = glojax.search(job, config, on_generation=progress.generation, **options)
    _say_baseline(console, job, found.baseline)
    console.print(f"Trees: {funnel_line(found.funnel)}", soft_wrap=True)
    if found.fitness == 0:
        raise ValueError(f"no candidate could be trained in {config.generations} generations; search longer.")
    console.print(
        f"Search found [bold]{plain(str(found.best))}[/] at x{found.rate:.3g}, "
        f"validation {job.score_name} {found.fitness:.4f}, in {found.steps:,} candidate-steps.",
        soft_wrap=True,
    )
    results = [_Result(job.loss(found.best, protected=config.protected), found.rate, found.steps)]
    if tune_config is not None:
        tune_config = dataclasses.replace(tune_config, rate=found.rate)
        with ProgressDisplay(console, tune_config.generations + 1, "tuning", board and board.phase("tune")) as progress:
            # A search that was complete may be followed by a tuning that was not begun.
            tuned = glojax.tune(job, found.best, tune_config, on_generation=progress.tuning, **options)
        console.print(
            f"Tuned {len(tuned.vector)} of {tuned.loss.tree.size} coefficients: validation {job.score_name} "
            f"{tuned.start_fitness:.4f} to {tuned.fitness:.4f}."
        )
        if tuned.loss.tuned:
            results.append(_Result(tuned.loss, tuned.rate, tuned.steps))
    return results


def _exhaust(
    console: Console, job: "Task", config: Any, options: dict[str, Any], board: "Board | None"
) -> list[_Result]:
    import numpy as np

    import glojax
    from glojax import statistics

    watch = board and board.phase("exhaustive")
    with ProgressDisplay(console, None, f"exhaustive search on {job.name}, batch", watch) as progress:
        found = glojax.exhaust(job, config, on_batch=progress.batch, **options)
    _say_baseline(console, job, found.baseline)
    drawn = found.funnel["drawn"]
    console.print(
        f"Of {found.trees:,} trees of depth at most {config.depth}: {funnel_line(found.funnel)}.", soft_wrap=True
    )
    if drawn < found.trees:
        console.print(f"The budget ended the search at {drawn / found.trees:.2%} of them.")
    names = {place: name for name, place in found.known.items()}
    table = Table("rank", "loss", "learning rate", "validation", "known as")
    for place, known in enumerate(found.ranking, start=1):
        if place <= 20 or place in names:
            mean, std = (getattr(statistics.summarize(np.array(known.scores)), field) for field in ("mean", "std"))
            table.add_row(
                str(place),
                plain(str(known.tree)),
                f"x{known.rate:.3g}",
                f"{mean:.4f} ± {std:.4f}",
                names.get(place, ""),
            )
    console.print(table)
    return [_Result(job.loss(found.best, protected=config.protected), found.rate, found.steps)]


def _search_taylor(
    console: Console, job: "Task", config: Any, options: dict[str, Any], board: "Board | None"
) -> list[_Result]:
    import glojax

    watch = board and board.phase("taylor")
    with ProgressDisplay(console, config.generations + 1, f"Taylor polynomials on {job.name}", watch) as progress:
        found = glojax.search_taylor(job, config, on_generation=progress.tuning, **options)
    console.print(f"Validation {job.score_name} {found.fitness:.4f}, in {found.steps:,} candidate-steps.")
    return [_Result(found.loss, found.rate, found.steps)]


def _search_randomly(
    console: Console, job: "Task", config: Any, budget: int, options: dict[str, Any], board: "Board | None"
) -> _Result:
    from glojax.discovery import evolution

    watch = board and board.phase("random search")
    with ProgressDisplay(console, None, "random search of the same budget, draw", watch) as progress:
        drawn = evolution.random_search(job, config, budget, on_generation=progress.generation, **options)
    console.print(
        f"Random search found {plain(str(drawn.best))}, validation {job.score_name} {drawn.fitness:.4f}.",
        soft_wrap=True,
    )
    return _Result(job.loss(drawn.best, protected=config.protected), drawn.rate, drawn.steps)


def _stages(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return () if text == "none" else tuple(part.strip() for part in text.split(","))


def _budget(text: str | None) -> dict[str, float | int | None]:
    if text is None:
        return {}
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


def _say_baseline(console: Console, job: "Task", baseline: Any) -> None:
    if baseline is not None:
        name = job.problem.baseline_name.capitalize()
        found = f"validation {job.score_name} {baseline.fitness:.4f}"
        console.print(f"{name}: best at x{baseline.rate:g} of the task's learning rate, {found}.")


@app.command(epilog="Example: `glojax tune digits 'log(y) - x / y' --generations 30`")
@in_several_processes
@with_executor
def tune(
    context: typer.Context,
    task: TaskName,
    loss: Annotated[str, typer.Argument(help="A known loss, an expression, or a saved .json; its tree is tuned.")],
    generations: Annotated[int, typer.Option(help="Generations of CMA-ES.")] = 20,
    population: Annotated[int | None, typer.Option(help="Vectors a generation; 4 + floor(3 ln n) if left out.")] = None,
    sigma: Annotated[float, typer.Option(help="Initial step size.")] = 1.5,
    tensorboard: Tensorboard = False,
    steps: Steps = None,
    run_dir: RunDir = None,
    resume: Resume = False,
    rate: Annotated[float, typer.Option(help="Scale of the task's learning rate.")] = 1.0,
    seed: Seed = 0,
    devices: Devices = None,
    group: Group = None,
    data_dir: DataDir = None,
    *,
    executor: "Executor | None",
) -> None:
    """Tune the coefficients of a loss by CMA-ES."""
    import glojax

    console = console_of()
    check_resume(resume, run_dir)
    stop_cleanly(context, run_dir)
    tree = tree_loss(loss).tree
    config = glojax.TuneConfig(generations=generations, population=population, sigma=sigma, rate=rate, seed=seed)
    board = board_of(tensorboard, run_dir)
    job = task_of(task, steps, devices, group, data_dir, executor=executor)
    say_device(console, job)
    with ProgressDisplay(console, generations + 1, "tuning", board and board.phase("tune")) as progress:
        tuned = glojax.tune(job, tree, config, run_dir, resume=resume, on_generation=progress.tuning)
    console.print(f"Validation {job.score_name} {tuned.start_fitness:.4f} to {tuned.fitness:.4f}.")
    console.print(f"f(x, y) = [bold]{plain(str(tuned.loss))}[/]")
    if run_dir is not None:
        keep(tuned.loss.save, run_dir / "loss.json")
        console.print(f"Saved {run_dir / 'loss.json'}", soft_wrap=True)
    if board is not None:
        board.finish()


def _compare(
    console: Console, job: "Task", named: dict[str, _Result], seeds: int, seed: int, options: dict[str, Any]
) -> None:
    from glojax import statistics
    from glojax.discovery import comparison

    baseline = job.problem.baseline_name
    console.print(f"Comparing with {baseline} over {seeds} fresh seeds ...")
    rows = comparison.compare(
        job, {name: result.loss for name, result in named.items()}, seeds, seed,
        rates={name: result.rate for name, result in named.items()}, **options,
    )  # fmt: skip
    table = Table(
        "loss",
        "learning rate",
        f"validation {job.metric_name}",
        f"test {job.metric_name}",
        "test, 95% interval",
        "failed",
    )
    for row in rows:
        parts = (job.as_metric(part) for part in (row.validation, row.test))
        validation, test = (statistics.summarize(part) if len(part) else None for part in parts)
        table.add_row(
            plain(row.name), f"x{row.rate:.3g}",
            f"{validation.mean:.4f} ± {validation.std:.4f}" if validation else "",
            f"{test.mean:.4f} ± {test.std:.4f}" if test else "none", interval(test) if test else "",
            f"{int((row.validation == 0).sum())} of {seeds}",
        )  # fmt: skip
    console.print(table)
    tuned = next((row for row in rows if row.name == f"{baseline}, best rate"), rows[0])
    scores = job.as_metric(tuned.test if len(tuned.test) else tuned.validation)
    if seeds > 1:
        least = statistics.detectable(statistics.summarize(scores).std, seeds)
        console.print(f"Noise: with {seeds} seeds, differences below {least:.4f} are hardly told from chance.")
