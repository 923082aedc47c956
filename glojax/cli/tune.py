"""The command ``glojax tune``."""

import dataclasses
from typing import Annotated, Any

import typer

from glojax.cli.multiprocess import in_several_processes
from glojax.cli.options import (
    MakeTask,
    Resume,
    RunDir,
    Seed,
    TaskName,
    app,
    check_resume,
    console_of,
    keep,
    plain,
    say_device,
    stop_cleanly,
    tree_loss,
    with_averaging,
    with_task,
)
from glojax.cli.progress import ProgressDisplay
from glojax.cli.search_settings import RankByOption
from glojax.cli.trackers import Tensorboard, Track, scalars_of
from glojax.cli.training import with_training


@app.command(epilog="Example: `glojax tune digits 'log(y) - x / y' --generations 30`")
@in_several_processes
@with_training
@with_task
@with_averaging
def tune(
    context: typer.Context,
    task: TaskName,
    loss: Annotated[str, typer.Argument(help="A known loss, an expression, or a saved .json; its tree is tuned.")],
    generations: Annotated[int, typer.Option(help="Generations of CMA-ES.")] = 20,
    population: Annotated[
        int | None, typer.Option(help="Vectors in a generation. Defaults to 4 + floor(3 ln n).")
    ] = None,
    sigma: Annotated[float, typer.Option(help="Initial step size.")] = 1.5,
    tensorboard: Tensorboard = False,
    track: Track = None,
    run_dir: RunDir = None,
    resume: Resume = False,
    rate: Annotated[float, typer.Option(help="Scale of the task's learning rate.")] = 1.0,
    rank_by: RankByOption = None,
    seed: Seed = 0,
    *,
    make_task: MakeTask,
    trains: dict[str, Any],
) -> None:
    """Tune the coefficients of a loss by CMA-ES."""
    import glojax

    console = console_of()
    check_resume(resume, run_dir)
    stop_cleanly(context, run_dir)
    tree_loss(loss)  # one that cannot be read is refused before a task is made
    config = glojax.TuneConfig(generations=generations, population=population, sigma=sigma, rate=rate, seed=seed)
    if rank_by is not None:
        config = dataclasses.replace(config, rank_by=rank_by.value)
    scalars = scalars_of(track, tensorboard, run_dir)
    job = make_task(task)
    tree = tree_loss(loss, job.problem.output)
    say_device(console, job, trains)
    with ProgressDisplay(console, {"tune": "tuning"}, scalars) as progress:
        tuned = glojax.tune(job, tree, config, run_dir, resume=resume, on_event=progress.show, **trains)
    console.print(f"Validation {config.ranked(job).score_name} {tuned.start_fitness:.4f} to {tuned.fitness:.4f}.")
    console.print(f"f(x, y) = [bold]{plain(str(tuned.loss))}[/]")
    if run_dir is not None:
        keep(tuned.loss.save, run_dir / "loss.json")
        console.print(f"Saved {run_dir / 'loss.json'}", soft_wrap=True)
    if scalars is not None:
        scalars.finish()
