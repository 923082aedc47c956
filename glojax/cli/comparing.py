"""The commands ``glojax evaluate`` and ``glojax train``: train given losses over several seeds."""

import functools
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from glojax.cli.help_panels import COMPARE
from glojax.cli.json_results import with_json
from glojax.cli.multiprocess import in_several_processes
from glojax.cli.options import (
    LossNames,
    MakeTask,
    Resume,
    RunDir,
    Schedule,
    ScheduleOption,
    TaskName,
    check_resume,
    command,
    console_of,
    interval,
    keep,
    plain,
    say_device,
    stop_cleanly,
    with_averaging,
    with_task_of_own_length,
)
from glojax.cli.signatures import renamed_option
from glojax.cli.table_options import with_task_or_table
from glojax.cli.training import with_training

if TYPE_CHECKING:
    import numpy as np

    from glojax.records.curves import Curves
    from glojax.tasks.task import Task

Baseline = Annotated[bool, typer.Option(help="Also train cross-entropy at seven learning rates, and show the best.")]


@command(rich_help_panel=COMPARE, epilog="Example: `glojax evaluate digits cross_entropy baikal baikal_cma --seeds 16`")
@in_several_processes
@with_training
@renamed_option("control", "baseline")
@with_task_or_table
@with_averaging
@with_json
def evaluate(
    task: TaskName = None,
    loss: LossNames = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each loss.")] = 8,
    rate: Annotated[float, typer.Option(help="Scale of the task's learning rate.")] = 1.0,
    baseline: Baseline = True,
    *,
    make_task: MakeTask,
    trains: dict[str, Any],
) -> dict[str, Any]:
    """Train losses over several seeds, as a search does, beside cross-entropy at its best learning rate.

    Scores are of the validation set: the test set is left for ``train``.
    """
    from glojax import losses
    from glojax.discovery import full_training

    console = console_of()
    job = make_task(task)
    made = {name: losses.loss_by_name(name, job.problem.output) for name in loss or []}
    config = full_training.TrainConfig(job.steps, seeds, 1, rate, baseline=baseline, splits=("validation",))
    say_device(console, job, trains)
    found = full_training.train(job, made, config, **trains)
    _print_scores(console, job, found)
    return _result(job, found)


@command(
    rich_help_panel=COMPARE,
    epilog="Example: `glojax train digits baikal baikal_cma --schedule cosine --run-dir runs/full`",
)
@in_several_processes
@with_training
@renamed_option("control", "baseline")
@functools.partial(with_task_or_table, of_task=with_task_of_own_length)
@with_averaging
@with_json
def train(
    context: typer.Context,
    task: TaskName = None,
    loss: LossNames = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each loss.")] = 10,
    points: Annotated[
        int | None, typer.Option(help="Points of each curve. Defaults to 10, at most one a step.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Scale of the task's learning rate, for these losses.")] = 1.0,
    schedule: ScheduleOption = Schedule.constant,
    warmup: Annotated[int, typer.Option(help="Steps over which the learning rate rises from 0.")] = 0,
    weight_decay: Annotated[float, typer.Option(help="Adds this times the parameters to the gradients.")] = 0.0,
    baseline: Baseline = True,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps. Defaults to ten times the task's.")] = None,
    run_dir: RunDir = None,
    resume: Resume = False,
    *,
    make_task: MakeTask,
    trains: dict[str, Any],
) -> dict[str, Any]:
    """Train in full, ten times as long as a search does: accuracy by steps, and test accuracy.

    --run-dir keeps the accuracies so far (curves.json), a figure of them and, at every point, the networks; the same
    command with --resume goes on at the last point.
    """
    from glojax import losses
    from glojax.discovery import full_training
    from glojax.reporting import figures

    console = console_of()
    check_resume(resume, run_dir)
    stop_cleanly(context, run_dir)
    if trains["executor"] is not None and run_dir is not None:
        raise ValueError(
            "--run-dir of train goes with --executor local: the networks in training are with Ray's workers."
        )
    job = make_task(task, keep_in=run_dir)
    made = {name: losses.loss_by_name(name, job.problem.output) for name in loss or []}
    given: dict[str, Any] = {"schedule": schedule.value, "warmup": warmup, "weight_decay": weight_decay}
    steps, given = 10 * job.steps if steps is None else steps, given | ({} if points is None else {"points": points})
    config = full_training.TrainConfig(steps, seeds, rate=rate, baseline=baseline, **given)
    say_device(console, job, trains)

    def show(found: "Curves") -> None:
        _say_point(console, found, config.steps)

    found = full_training.train(job, made, config, run_dir, resume=resume, on_point=show, **trains)
    _print_scores(console, job, found)
    if run_dir is not None:
        title = f"{job.name}, {seeds} seeds, mean and 95% interval"
        keep(figures.training_figure, run_dir / "curves.png", found, title, score=job.score_name)
        console.print(f"Saved {run_dir / 'curves.json'} and {run_dir / 'curves.png'}", soft_wrap=True)
    return _result(job, found)


def _result(job: "Task", found: "Curves") -> dict[str, Any]:
    """What ``--json`` keeps: the metric of every training at every point."""
    rows = [
        {
            "loss": row.name,
            "rate": row.rate,
            "steps": [int(steps) for steps in found.steps],
            **{split: job.as_metric(row.scores[..., place]).tolist() for place, split in enumerate(found.splits)},
        }
        for row in found.shown
    ]
    return {"task": job.name, "metric": job.metric_name, "rows": rows}


def _say_point(console: Console, found: "Curves", steps: int) -> None:
    """Print each loss's mean score at the last point that all losses have reached."""
    known = [row.scores[0, :, 0] == row.scores[0, :, 0] for row in found.rows]  # not NaN
    count = min(int(reached.sum()) for reached in known)
    if count:
        scores = (f"{row.name} {row.scores[:, count - 1, 0].mean():.4f}" for row in found.rows)
        console.print(plain(f"step {found.steps[count - 1]}/{steps}  {'  '.join(scores)}"), soft_wrap=True)


def _print_scores(console: Console, job: "Task", found: "Curves") -> None:
    """Print final scores, with p and g against the baseline or, without one, against the first row."""
    from glojax import statistics, tasks
    from glojax.reporting.numbers import number
    from glojax.tasks import metrics

    one_class = {split: tasks.one_class_metrics(job, split) for split in found.splits}
    shown = found.shown
    base = shown[-1] if found.baseline else shown[0]
    seeds = len(base.scores)
    for place, split in enumerate(found.splits):
        beside = f"{base.name} at its best rate" if found.baseline else base.name
        table = Table(
            Column("loss", overflow="fold"),
            "rate",
            f"{split} {job.metric_name}",
            "95% interval",
            "p",
            "g",
            title=f"p and g against {plain(beside)}",
            title_justify="left",
        )
        for row in shown:
            scores = job.as_metric(row.scores[:, -1, place])
            summary = statistics.summarize(scores, metrics.bounds_of(job.metric_name))
            tests = ["", ""]
            if row is not base and seeds > 1:
                reference = job.as_metric(base.scores[:, -1, place])
                tests = [
                    f"{statistics.welch(reference, scores):.2g}",
                    f"{statistics.effect_size(reference, scores):+.1f}",
                ]
            name = row.name + ": answers one class" * bool(statistics.mostly_among(scores, one_class[split]))
            table.add_row(
                plain(name), f"x{row.rate:g}", f"{summary.mean:.4f} ± {summary.std:.4f}", interval(summary), *tests
            )
        if (constant := tasks.constant_metric(job, split)) is not None:
            table.add_row(tasks.constant_name(job), "", number(constant))
        console.print(table)
        if seeds > 1:
            console.print(noise_in_words(job.as_metric(base.scores[:, -1, place])))


def noise_in_words(metric: "np.ndarray") -> str:
    """What differences from a loss with this metric ``[seeds]`` may be chance."""
    from glojax import statistics
    from glojax.reporting.numbers import number

    seeds, spread = len(metric), statistics.summarize(metric).std
    if seeds < statistics.FEWEST_SEEDS:
        return f"Too few seeds to say what is better: {seeds}, of at least {statistics.FEWEST_SEEDS}."
    if spread != spread:
        return "A training failed, so nothing is known of chance."
    if spread == 0:
        return f"All {seeds} trainings ended alike, so nothing is known of chance."
    least = number(statistics.detectable(spread, seeds))
    return f"Noise: with {seeds} seeds, differences below {least} cannot be told from chance."
