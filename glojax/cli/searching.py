"""Search and tune."""

import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from glojax.cli.shared import (
    DataDir,
    Devices,
    Group,
    Resume,
    RunDir,
    Seed,
    Steps,
    TaskName,
    app,
    check_resume,
    console_of,
    interval,
    plain,
    say_device,
    task_of,
    tree_loss,
)
from glojax.progress import Progress


class Preset(StrEnum):
    """Settings to start from."""

    default = "default"
    paper = "paper"


@app.command(epilog="Example: `glojax search digits --generations 30 --run-dir runs/digits --seed 1`")
def search(
    task: TaskName = "digits",
    preset: Annotated[Preset, typer.Option(help="Settings to start from.")] = Preset.default,
    generations: Annotated[
        int | None, typer.Option(help="Generations of the search; the preset's if left out.")
    ] = None,
    population: Annotated[int | None, typer.Option(help="Candidates a generation; the preset's if left out.")] = None,
    halving: Annotated[
        int | None,
        typer.Option(help="One candidate in so many goes on at each rung of a training; 1 trains all to the end."),
    ] = None,
    tune_generations: Annotated[int, typer.Option(help="Generations of CMA-ES after the search; 0 for none.")] = 20,
    seeds: Annotated[int, typer.Option(help="Trainings of each loss in the final comparison.")] = 8,
    steps: Steps = None,
    run_dir: RunDir = None,
    resume: Resume = False,
    seed: Seed = 0,
    devices: Devices = None,
    group: Group = None,
    data_dir: DataDir = None,
) -> None:
    """Discover a loss: genetic search, coefficient tuning, and a comparison with cross-entropy."""
    import glojax
    from glojax import controls, losses, report

    console = console_of()
    changes = {"generations": generations, "population": population, "halving": halving, "seed": seed}
    given = {field: value for field, value in changes.items() if value is not None}
    make = glojax.SearchConfig.paper if preset is Preset.paper else glojax.SearchConfig
    config = make(**given)  # type: ignore[arg-type]
    tune_config = glojax.TuneConfig(generations=max(tune_generations, 1), seeds=config.seeds, seed=seed)
    check_resume(resume, run_dir)
    run_dir = Path("runs") / time.strftime("%Y%m%d-%H%M%S") if run_dir is None else run_dir
    job = task_of(task, steps, devices, group, data_dir)
    say_device(console, job)

    with Progress(console, config.generations, f"search on {job.name}") as progress:
        found = glojax.search(job, config, run_dir, resume=resume, on_generation=progress.generation)
    if found.fitness == 0:
        raise ValueError(f"no candidate could be trained in {config.generations} generations; search longer.")
    console.print(f"Search found [bold]{plain(str(found.best))}[/], validation accuracy {found.fitness:.4f}.")
    loss, history = losses.Loss(found.best, protected=config.protected), []
    if tune_generations:
        with Progress(console, tune_generations + 1, "tuning") as progress:
            # A search that was complete may be followed by a tuning that was not begun.
            tuned = glojax.tune(job, found.best, tune_config, run_dir, resume=resume, on_generation=progress.tuning)
        loss, history = tuned.loss, tuned.history
        console.print(
            f"Tuned {len(tuned.coefficients)} of {loss.tree.size} coefficients: validation accuracy "
            f"{tuned.start_fitness:.4f} to {tuned.fitness:.4f}."
        )
    loss.save(run_dir / "loss.json")
    report.search_figure(run_dir / "search.png", found.generations, history, loss)

    console.print(f"Comparing with cross-entropy over {seeds} fresh seeds ...")
    named = {"found": losses.Loss(found.best, protected=config.protected)} | (
        {"found, tuned": loss} if loss.tuned else {}
    )
    rows = controls.compare(job, named, seeds, seed)
    _print_comparison(console, rows)
    console.print(f"Found loss   f(x, y) = [bold]{plain(str(loss))}[/]")
    console.print(f"Saved        {run_dir / 'loss.json'}   (glojax.load)", soft_wrap=True)
    console.print(f"Figure       {run_dir / 'search.png'}", soft_wrap=True)


@app.command(epilog="Example: `glojax tune digits 'log(y) - x / y' --generations 30`")
def tune(
    task: TaskName,
    loss: Annotated[str, typer.Argument(help="A known loss, an expression, or a saved .json; its tree is tuned.")],
    generations: Annotated[int, typer.Option(help="Generations of CMA-ES.")] = 20,
    population: Annotated[int | None, typer.Option(help="Vectors a generation; 4 + floor(3 ln n) if left out.")] = None,
    sigma: Annotated[float, typer.Option(help="Initial step size.")] = 1.5,
    steps: Steps = None,
    run_dir: RunDir = None,
    resume: Resume = False,
    seed: Seed = 0,
    devices: Devices = None,
    group: Group = None,
    data_dir: DataDir = None,
) -> None:
    """Tune the coefficients of a loss by CMA-ES."""
    import glojax

    console = console_of()
    check_resume(resume, run_dir)
    tree = tree_loss(loss).tree
    config = glojax.TuneConfig(generations=generations, population=population, sigma=sigma, seed=seed)
    job = task_of(task, steps, devices, group, data_dir)
    say_device(console, job)
    with Progress(console, generations + 1, "tuning") as progress:
        tuned = glojax.tune(job, tree, config, run_dir, resume=resume, on_generation=progress.tuning)
    console.print(f"Validation accuracy {tuned.start_fitness:.4f} to {tuned.fitness:.4f}.")
    console.print(f"f(x, y) = [bold]{plain(str(tuned.loss))}[/]")
    if run_dir is not None:
        tuned.loss.save(run_dir / "loss.json")
        console.print(f"Saved {run_dir / 'loss.json'}", soft_wrap=True)


def _print_comparison(console: Console, rows: Sequence[Any]) -> None:
    from glojax import controls

    table = Table("loss", "learning rate", "validation", "test", "test, 95% interval")
    for row in rows:
        validation, test = (controls.summarize(part) if len(part) else None for part in (row.validation, row.test))
        table.add_row(
            plain(row.name), f"x{row.rate:g}",
            f"{validation.mean:.4f} ± {validation.std:.4f}" if validation else "",
            f"{test.mean:.4f} ± {test.std:.4f}" if test else "none", interval(test) if test else "",
        )  # fmt: skip
    console.print(table)
