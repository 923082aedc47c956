"""The command ``glojax tune``."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from glojax.cli.help_panels import DISCOVER
from glojax.cli.json_results import of_loss, with_json
from glojax.cli.multiprocess import in_several_processes
from glojax.cli.options import (
    MakeTask,
    Resume,
    RunDir,
    Seed,
    TaskName,
    check_resume,
    command,
    console_of,
    keep,
    plain,
    say_device,
    stop_cleanly,
    tree_loss,
    with_averaging,
)
from glojax.cli.progress import ProgressDisplay
from glojax.cli.search_settings import RankByOption
from glojax.cli.table_options import with_task_or_table
from glojax.cli.trackers import Tensorboard, Track, scalars_of
from glojax.cli.training import with_training

if TYPE_CHECKING:
    from glojax.discovery.tuning import TuningResult


class Method(StrEnum):
    """How coefficients are tuned."""

    cma_es = "cma-es"
    gradient = "gradient"


@command(rich_help_panel=DISCOVER, epilog="Example: `glojax tune digits 'log(y) - x / y' --generations 30`")
@in_several_processes
@with_training
@with_task_or_table
@with_averaging
@with_json
def tune(
    context: typer.Context,
    task: TaskName = None,
    loss: Annotated[
        list[str] | None,
        typer.Argument(help="A known loss, an expression, or a saved .json; its tree is tuned."),
    ] = None,
    method: Annotated[
        Method, typer.Option(help="CMA-ES, or ascent along derivatives of the score through the training itself.")
    ] = Method.cma_es,
    horizon: Annotated[
        int | None, typer.Option(help="Steps that derivatives are taken through (gradient). Defaults to all.")
    ] = None,
    generations: Annotated[int, typer.Option(help="Generations of CMA-ES, or steps of the ascent.")] = 20,
    population: Annotated[
        int | None, typer.Option(help="Vectors in a generation. Defaults to 4 + floor(3 ln n).")
    ] = None,
    sigma: Annotated[float, typer.Option(help="Initial step size, or how far the starts of an ascent scatter.")] = 1.5,
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
) -> dict[str, Any]:
    """Tune the coefficients of a loss by CMA-ES, or along derivatives."""
    import glojax

    console = console_of()
    check_resume(resume, run_dir)
    stop_cleanly(context, run_dir)
    expression = _one(loss)
    ranked: dict[str, Any] = {} if rank_by is None else {"rank_by": rank_by.value}
    config = glojax.TuneConfig(
        method=method.value, horizon=horizon, generations=generations, population=population,
        sigma=sigma, rate=rate, seed=seed, **ranked,
    )  # fmt: skip
    scalars = scalars_of(track, tensorboard, run_dir)
    job = make_task(task, keep_in=run_dir)
    tree = tree_loss(expression, job.problem.output)
    say_device(console, job, trains)
    with ProgressDisplay(console, {"tune": "tuning"}, scalars) as progress:
        tuned = glojax.tune(job, tree, config, run_dir, resume=resume, on_event=progress.show, **trains)
    if scalars is not None:
        scalars.finish()
    _say(console, config.ranked(job).score_name, tuned, run_dir)
    return {"task": job.name, **_result(tuned)}


def _say(console: Console, score: str, tuned: "TuningResult", run_dir: Path | None) -> None:
    """Print what was found, and keep it."""
    from glojax.reporting.numbers import gain_in_words

    console.print(f"Validation {score} {tuned.start_fitness:.4f} to {tuned.fitness:.4f}.")
    if tuned.gain is not None:
        console.print(gain_in_words(tuned.gain), soft_wrap=True)
    console.print(f"f(x, y) = [bold]{plain(str(tuned.loss))}[/]")
    if run_dir is not None:
        keep(tuned.loss.save, run_dir / "loss.json")
        console.print(f"Saved {run_dir / 'loss.json'}", soft_wrap=True)


def _result(tuned: "TuningResult") -> dict[str, Any]:
    """What ``--json`` keeps of a tuning."""
    return {
        "loss": of_loss(tuned.loss),
        "rate": tuned.rate,
        "start_fitness": tuned.start_fitness,
        "fitness": tuned.fitness,
        "gain": None if tuned.gain is None else {**tuned.gain._asdict(), "is_kept": tuned.gain.is_kept},
        "candidate_steps": tuned.steps,
    }


def _one(losses: list[str] | None) -> str:
    """The loss that is tuned; one that cannot be read is refused before a task is made."""
    if losses is None or len(losses) != 1:
        raise ValueError(f"tune takes a task, or --csv, and one loss; {len(losses or ())} were given.")
    tree_loss(losses[0])
    return losses[0]
