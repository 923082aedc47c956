"""Train given losses."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from glojax.cli.executors import with_executor
from glojax.cli.multiprocess import in_several_processes
from glojax.cli.options import (
    DataDir,
    Devices,
    Group,
    LossNames,
    Resume,
    RunDir,
    Steps,
    TaskName,
    app,
    check_resume,
    console_of,
    interval,
    keep,
    plain,
    say_device,
    stop_cleanly,
    task_of,
)

if TYPE_CHECKING:
    from glojax.executors.protocol import Executor

Baseline = Annotated[
    bool, typer.Option(help="Train cross-entropy at seven learning rates beside them, and show the best.")
]


class Schedule(StrEnum):
    """The learning rate in the course of training."""

    constant = "constant"
    linear = "linear"
    cosine = "cosine"
    step = "step"


@app.command(epilog="Example: `glojax evaluate digits cross_entropy baikal baikal_cma --seeds 16`")
@in_several_processes
@with_executor
def evaluate(
    task: TaskName,
    loss: LossNames,
    seeds: Annotated[int, typer.Option(help="Trainings of each loss.")] = 8,
    rate: Annotated[float, typer.Option(help="Scale of the task's learning rate.")] = 1.0,
    baseline: Baseline = True,
    steps: Steps = None,
    devices: Devices = None,
    group: Group = None,
    data_dir: DataDir = None,
    *,
    executor: "Executor | None",
) -> None:
    """Train losses over several seeds, as a search does, beside cross-entropy at its best learning rate.

    Scores are of the validation set: the test set is left for ``train``.
    """
    from glojax import losses
    from glojax.discovery import full_training

    console = console_of()
    job = task_of(task, steps, devices, group, data_dir, executor=executor)
    made = {name: losses.loss_by_name(name, job.problem.output) for name in loss}
    config = full_training.TrainConfig(job.steps, seeds, 1, rate, baseline=baseline, splits=("validation",))
    say_device(console, job)
    _print_scores(console, job, full_training.train(job, made, config))


@app.command(epilog="Example: `glojax train digits baikal baikal_cma --schedule cosine --run-dir runs/full`")
@in_several_processes
@with_executor
def train(
    context: typer.Context,
    task: TaskName,
    loss: LossNames,
    seeds: Annotated[int, typer.Option(help="Trainings of each loss.")] = 10,
    points: Annotated[int, typer.Option(help="The accuracy is taken so many times in the course of training.")] = 10,
    rate: Annotated[float, typer.Option(help="Scale of the task's learning rate, for these losses.")] = 1.0,
    schedule: Annotated[
        Schedule, typer.Option(help="Of the rate: linear and cosine end at 0, step divides by 10 at 1/2 and 3/4.")
    ] = Schedule.constant,
    warmup: Annotated[int, typer.Option(help="Steps in which the rate rises from 0.")] = 0,
    weight_decay: Annotated[float, typer.Option(help="This times the parameters is added to the gradients.")] = 0.0,
    baseline: Baseline = True,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps; ten times the task's own if left out.")] = None,
    run_dir: RunDir = None,
    resume: Resume = False,
    devices: Devices = None,
    group: Group = None,
    data_dir: DataDir = None,
    *,
    executor: "Executor | None",
) -> None:
    """Train in full, ten times the shortened training: accuracy by steps, and the test accuracy.

    With --run-dir the accuracies so far (curves.json), a figure of them and, at every point, the networks are kept;
    the same command with --resume goes on at the last point.
    """
    from glojax import losses
    from glojax.discovery import full_training
    from glojax.reporting import figures

    console = console_of()
    check_resume(resume, run_dir)
    stop_cleanly(context, run_dir)
    if executor is not None and run_dir is not None:
        raise ValueError(
            "--run-dir of train goes with --executor local: the networks in training are with Ray's workers."
        )
    job = task_of(task, None, devices, group, data_dir, executor=executor)
    made = {name: losses.loss_by_name(name, job.problem.output) for name in loss}
    config = full_training.TrainConfig(
        10 * job.steps if steps is None else steps, seeds, points, rate, schedule.value, warmup, weight_decay, baseline
    )
    say_device(console, job)

    def show(found: Any) -> None:
        known = [row.scores[0, :, 0] == row.scores[0, :, 0] for row in found.rows]
        count = min(int(reached.sum()) for reached in known)
        if count:
            scores = (f"{row.name} {row.scores[:, count - 1, 0].mean():.4f}" for row in found.rows)
            console.print(plain(f"step {found.steps[count - 1]}/{config.steps}  {'  '.join(scores)}"), soft_wrap=True)

    found = full_training.train(job, made, config, run_dir, resume=resume, on_point=show)
    _print_scores(console, job, found)
    if run_dir is not None:
        keep(
            figures.training_figure,
            run_dir / "curves.png",
            found,
            f"{job.name}, {seeds} seeds, mean and 95% interval",
            score=job.score_name,
        )
        console.print(f"Saved {run_dir / 'curves.json'} and {run_dir / 'curves.png'}", soft_wrap=True)


def _print_scores(console: Console, job: Any, found: Any) -> None:
    """Scores at the end of training, and p and g against the baseline, or the first row where there is none."""
    from glojax import statistics

    shown = found.shown
    base = shown[-1] if found.baseline else shown[0]
    seeds = len(base.scores)
    for place, split in enumerate(found.splits):
        beside = f"{base.name} at its best rate" if found.baseline else base.name
        table = Table(
            Column("loss", overflow="fold"), "rate", f"{split} {job.metric_name}", "95% interval", "p", "g",
            title=f"p and g against {plain(beside)}", title_justify="left",
        )  # fmt: skip
        for row in shown:
            scores = job.as_metric(row.scores[:, -1, place])
            summary = statistics.summarize(scores)
            tests = ["", ""]
            if row is not base and seeds > 1:
                reference = job.as_metric(base.scores[:, -1, place])
                tests = [
                    f"{statistics.welch(reference, scores):.2g}",
                    f"{statistics.effect_size(reference, scores):+.1f}",
                ]
            table.add_row(
                plain(row.name), f"x{row.rate:g}", f"{summary.mean:.4f} ± {summary.std:.4f}", interval(summary), *tests
            )
        console.print(table)
        if seeds > 1:
            least = statistics.detectable(statistics.summarize(job.as_metric(base.scores[:, -1, place])).std, seeds)
            console.print(f"Noise: with {seeds} seeds, differences below {least:.4f} are hardly told from chance.")
