"""The command ``glojax transfer``: a found loss on tasks that it never saw."""

from pathlib import Path
from typing import Annotated, Any

import typer

from glojax.cli.comparison_tables import say_conclusions, say_rows
from glojax.cli.help_panels import COMPARE
from glojax.cli.json_results import of_loss, with_json
from glojax.cli.multiprocess import in_several_processes
from glojax.cli.options import MakeTask, Resume, Seed, command, console_of, plain, say_device, stop_cleanly, with_task
from glojax.cli.training import with_training


@command(rich_help_panel=COMPARE, epilog="Example: `glojax transfer runs/noisy --to digits --to my_file.py:task`")
@in_several_processes
@with_training
@with_task
@with_json
def transfer(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="The directory of a run; or a known loss, an expression, a saved .json.")],
    to: Annotated[
        list[str],
        typer.Option(help="A task that the loss never saw: a name, or path/to/file.py:function; may be repeated."),
    ],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each loss.")] = 16,
    seed: Seed = 0,
    output: Annotated[
        Path | None, typer.Option(help="The folder that keeps the comparisons. Defaults to RUN/transfer.")
    ] = None,
    resume: Resume = False,
    *,
    make_task: MakeTask,
    trains: dict[str, Any],
) -> dict[str, Any]:
    """Compare a found loss on other tasks, with their baselines and best known losses over fresh seeds.

    The loss is shown at its fair rate, which needs no training of it, and at its best one. The run itself is not
    changed.
    """
    from glojax.discovery import joint_runs, scoring
    from glojax.discovery.transfer import loss_of
    from glojax.discovery.transfer import transfer as compared
    from glojax.reporting.comparison_rows import comparison_rows

    console = console_of()
    output = Path(run) / "transfer" if output is None and Path(run).is_dir() else output
    stop_cleanly(context, output)
    jobs = [make_task(name) for name in to]
    made = [loss_of(run, job) for job in jobs]
    for job, loss in zip(jobs, made, strict=True):  # before anything is trained
        scoring.check_losses(job, [loss])
    folders = joint_runs.folders_of(joint_runs.names_of(jobs))
    results = []
    for job, loss, folder in zip(jobs, made, folders, strict=True):
        say_device(console, job, trains)
        console.print(f"Trying the known losses, and comparing f(x, y) = {plain(str(loss))} ...", soft_wrap=True)
        own = None if output is None else output / folder
        found = compared(loss, job, seeds, seed, run_dir=own, resume=resume, **trains)
        say_rows(console, job, found.comparison, f"On {job.name}, over {seeds} fresh seeds")
        if own is not None:
            say_conclusions(console, own)
            console.print(f"Saved        {own}   (glojax report)", soft_wrap=True)
        rows = comparison_rows(job.metric_name, job.as_metric, found.comparison)
        results.append({"task": job.name, "metric": job.metric_name, "loss": of_loss(loss), "comparison": rows})
    return {"results": results}
