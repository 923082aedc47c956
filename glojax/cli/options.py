"""What the commands share: common options, and the tasks and losses that are named on the command line."""

import contextlib
import dataclasses
import functools
import shlex
import signal
import sys
from collections.abc import Callable
from contextvars import ContextVar
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from glojax.cli.help_panels import in_panels
from glojax.cli.signatures import Command, with_options
from glojax.distributed import processes

if TYPE_CHECKING:
    from glojax.data.tables import TableData
    from glojax.losses.loss import Loss
    from glojax.losses.outputs import Output
    from glojax.statistics import Summary
    from glojax.tasks.task import Task

app = typer.Typer(
    name="glojax",
    help="Discover loss functions by genetic programming and CMA-ES, and compare them honestly.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


command = in_panels(app)
"""The decorator of commands, as ``app.command``."""

TaskName = Annotated[
    str | None,
    typer.Argument(
        help="digits, noisy-digits, diabetes, mnist, cifar10, or path/to/file.py:function that returns a Task; none "
        "with --csv."
    ),
]

TaskNames = Annotated[
    list[str] | None,
    typer.Argument(
        help="digits, noisy-digits, diabetes, mnist, cifar10, or path/to/file.py:function that returns a Task; of "
        "several, one loss is searched for all. Defaults to noisy-digits, where 40% of the training labels are wrong, "
        "or to digits with an option that makes it harder."
    ),
]
LossNames = Annotated[list[str] | None, typer.Argument(help="A known loss, an expression, or a saved .json.")]
Seed = Annotated[int, typer.Option(help="Seed of all randomness.")]
RunDir = Annotated[Path | None, typer.Option(help="The directory that keeps the record.")]
Devices = Annotated[
    int | None,
    typer.Option(help="CPU devices. Defaults to one per core, unless XLA_FLAGS or JAX_NUM_CPU_DEVICES name a number."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run that is in the run directory.")]


says_on_stderr: ContextVar[bool] = ContextVar("says_on_stderr", default=False)
"""Whether what is said for people goes to standard error, because standard output is for a result."""


def console_of() -> Console:
    """Where a command says what it does: standard output, wide enough for tables in a log.

    With several processes, only the first one prints.
    """
    console = Console(highlight=False, quiet=not processes.is_first(), stderr=says_on_stderr.get())
    if not console.is_terminal:
        console.width = 120  # a log has no width; tables need this much
    return console


def keep(save: Callable[..., object], path: Path, *given: Any, **options: Any) -> None:
    """Save a result by ``save(path, ...)``; with several processes, only the first one does."""
    if processes.is_first():
        save(path, *given, **options)


def plain(text: str) -> str:
    """Text that rich prints as it is, without markup."""
    from rich.markup import escape

    return escape(text)


def prepare(devices: int | None) -> None:
    """Tell JAX how to use this machine, before anything starts JAX."""
    from glojax.distributed.devices import keep_programs, use_cores

    if devices is not None:
        use_cores(devices)
    else:  # a user's file may have started JAX
        with contextlib.suppress(RuntimeError):
            use_cores()
    keep_programs()


# A TASK

MakeTask = Callable[..., "Task"]
"""Makes the task of this name, with the options that were given; ``keep_in`` is a folder for a table's transform."""


HARDER = "Harder data"
"""The title of the options of ``tasks.harder`` in a command's help."""


class Precision(StrEnum):
    """Of products and convolutions."""

    highest = "highest"
    tf32 = "tf32"
    bf16 = "bf16"


class Noise(StrEnum):
    """How labels become wrong."""

    symmetric = "symmetric"
    pairs = "pairs"


class ClassWeight(StrEnum):
    """How classes are weighed."""

    balanced = "balanced"


class Schedule(StrEnum):
    """How the learning rate changes during training."""

    constant = "constant"
    linear = "linear"
    cosine = "cosine"
    step = "step"


ScheduleOption = Annotated[
    Schedule,
    typer.Option(help="Of the learning rate: linear and cosine end at 0, step divides by 10 at 1/2 and 3/4."),
]
Averaging = Annotated[
    float | None,
    typer.Option(
        help="Score weights averaged over the last part of the steps, such as 0.2 of them; 0 scores the last weights. "
        "Defaults to the task's."
    ),
]


def _place_options(
    devices: Devices = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where TensorFlow Datasets keeps mnist and cifar10. Defaults to its own folder."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="What networks are judged by: balanced_accuracy, f1, auc, mae, ... Defaults to the task's."),
    ] = None,
    class_weight: Annotated[
        ClassWeight | None,
        typer.Option(help="Weigh classes so that rare ones count as much. Defaults to the task's weights."),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(help="Of products: all 32 bits, or less on an accelerator. Defaults to what JAX is set to."),
    ] = None,
    label_noise: Annotated[
        float, typer.Option(help="Share of the training labels made wrong, such as 0.4.", rich_help_panel=HARDER)
    ] = 0.0,
    noise: Annotated[
        Noise, typer.Option(help="Wrong labels: any other class, or the one that follows.", rich_help_panel=HARDER)
    ] = Noise.symmetric,
    train_examples: Annotated[
        int | None, typer.Option(help="Keep this many training examples. Defaults to all.", rich_help_panel=HARDER)
    ] = None,
    outliers: Annotated[
        float,
        typer.Option(help="Share of a regression's training targets moved by 8 sigma.", rich_help_panel=HARDER),
    ] = 0.0,
    imbalance: Annotated[
        float,
        typer.Option(help="Times that the last class is rarer than the first, in training.", rich_help_panel=HARDER),
    ] = 1.0,
    noisy_validation: Annotated[
        bool,
        typer.Option("--noisy-validation", help="Validation gets the same noise and outliers.", rich_help_panel=HARDER),
    ] = False,
) -> None: ...


def _training_options(
    steps: Annotated[int | None, typer.Option(help="Optimizer steps of a training. Defaults to the task's.")] = None,
    schedule: ScheduleOption = Schedule.constant,
) -> None: ...


def _averaging_option(averaging: Averaging = None) -> None: ...


def with_task_of_own_length(command: Command) -> Command:
    """Give a command the options of a task, except ``--steps``; it gets them as ``make_task``."""

    def run(
        *,
        devices: int | None,
        data_dir: Path | None,
        metric: str | None,
        class_weight: ClassWeight | None,
        precision: Precision | None,
        label_noise: float,
        noise: Noise,
        train_examples: int | None,
        outliers: float,
        imbalance: float,
        noisy_validation: bool,
        **given: Any,
    ) -> None:
        harder = {
            "label_noise": label_noise,
            "noise": noise.value,
            "train_examples": train_examples,
            "outliers": outliers,
            "imbalance": imbalance,
            "noisy_validation": noisy_validation,
        }
        changes = {
            "metric": metric,
            "class_weight": class_weight and class_weight.value,
            "precision": precision and precision.value,
        }
        command(
            make_task=functools.partial(_task_of, devices=devices, data_dir=data_dir, changes=changes, harder=harder),
            **given,
        )

    return with_options(command, run, _place_options, instead_of=("make_task",))


def with_task(command: Command) -> Command:
    """Give a command the options of a task; it gets them as ``make_task``."""

    def run(*, make_task: Callable[..., "Task"], steps: int | None, schedule: Schedule, **given: Any) -> None:
        command(make_task=functools.partial(make_task, steps=steps, schedule=schedule.value), **given)

    return with_task_of_own_length(with_options(command, run, _training_options))


def with_averaging(command: Command) -> Command:
    """Give a command that has a task the option ``--averaging``."""

    def run(*, make_task: Callable[..., "Task"], averaging: float | None, **given: Any) -> None:
        command(make_task=functools.partial(make_task, averaging=averaging), **given)

    return with_options(command, run, _averaging_option)


_HARDER = ("label_noise", "train_examples", "outliers", "imbalance")
"""The options that make a task's data harder."""


def _task_of(
    name: str | None,
    *,
    devices: int | None,
    data_dir: Path | None,
    harder: dict[str, Any],
    changes: dict[str, Any],
    steps: int | None = None,
    schedule: str = "constant",
    averaging: float | None = None,
    csv: Path | None = None,
    table: dict[str, Any] | None = None,
    keep_in: Path | None = None,
) -> "Task":
    """The task of this name, or the task of a table, with the options that were given."""
    from glojax import tasks
    from glojax.tasks import optimizers

    prepare(devices)
    changes = {"steps": steps, "averaging": averaging, **changes}
    table = table or {}
    check_table(csv, table)
    if csv is not None:
        if name is not None:
            raise ValueError(f"--csv takes the place of a task; leave out {name!r}.")
        metric = changes.pop("metric", None)
        task = tasks.table(csv, **table, metric=metric, on_read=functools.partial(_say_table, keep_in))
    else:
        if name is None:
            name = "digits" if any(harder[field] not in (None, 0, 1) for field in _HARDER) else "noisy-digits"
        task = tasks.task_by_name(name, **({} if data_dir is None else {"data_dir": data_dir}))
    task = tasks.harder(task, **harder)
    changes = {field: value for field, value in changes.items() if value is not None}
    if schedule != "constant":
        over = task.steps if steps is None else steps
        changes["optimizer"] = optimizers.adapted(task.optimizer, over, schedule=schedule)
    return dataclasses.replace(task, **changes) if changes else task


def check_table(csv: Path | None, table: dict[str, Any]) -> None:
    """Refuse a table without its target, and the options of one without a file."""
    if csv is not None and "target" not in table:
        raise ValueError("--csv needs --target, the column to predict from the others.")
    if csv is None and table:
        raise ValueError(f"--{next(iter(table)).replace('_', '-')} goes with --csv alone.")


def _say_table(keep_in: Path | None, table: "TableData") -> None:
    """Print what a table was taken for, and keep its transform in a run directory that holds no run yet."""
    console_of().print(table.about, markup=False, soft_wrap=True)
    if keep_in is not None and not (keep_in / "settings.json").exists():
        keep(table.transform.save, keep_in / "table.json")


# A RUN


def check_resume(resume: bool, run_dir: Path | None) -> None:
    """Refuse ``--resume`` without a run directory."""
    if resume and run_dir is None:
        raise ValueError("--resume needs the --run-dir that it goes on with.")


def stop_cleanly(context: typer.Context, run_dir: Path | None) -> None:
    """On Ctrl-C, or the SIGTERM that preempted machines get, say how to continue and end the process at once.

    Nothing needs saving: the record is complete at any moment. No exception is raised, because one raised in a callback
    of JAX or of Python's garbage collection would be ignored.
    """

    def stop(number: int, _: object) -> None:
        if run_dir is None:
            hint = "nothing is kept without a --run-dir"
        else:
            more = {"--run-dir": ["--run-dir", str(run_dir)], "--resume": ["--resume"]}
            given = {argument.partition("=")[0] for argument in sys.argv}
            added = [part for option, parts in more.items() if option not in given for part in parts]
            command = shlex.join(["glojax", *sys.argv[1:], *added])
            hint = f"all that was done is in {run_dir}; go on with\n  {command}"
        Console(stderr=True).show_cursor()
        print(f"\nglojax: stopped; {hint}", file=sys.stderr, flush=True)
        processes.leave(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.signal(number, stop)
        context.call_on_close(lambda number=number, before=before: signal.signal(number, before))


def tree_loss(name: str, output: "Output" = "softmax") -> "Loss":
    """The loss of this name, which must be an expression tree; what names no output gets this one."""
    from glojax import losses

    loss = losses.loss_by_name(name, output)
    if not isinstance(loss, losses.Loss):
        raise ValueError(
            f"{name} is not an expression tree: it can be evaluated and trained, but not shown, tuned or exported."
        )
    return loss


def say_device(console: Console, task: "Task", trains: dict[str, Any]) -> None:
    """Print what is trained, and on what."""
    from glojax.distributed.devices import all_devices
    from glojax.expressions import interpreter_kernels

    if trains["executor"] is None:
        devices = all_devices()
        several = f" of {processes.count()} processes" if processes.count() > 1 else ""
        on = f"{len(devices)} {devices[0].platform.upper()} device{'s' * (len(devices) > 1)} ({devices[0].device_kind})"
        on += several
        if devices[0].platform != "cpu" and not interpreter_kernels.HAS_PALLAS:
            on += ", losses without Pallas, which takes longer"
    else:
        on = str(trains["executor"])
    console.print(f"{task.name}: {task.steps} steps in batches of {task.batch_size}, on {on}.")


def interval(summary: "Summary") -> str:
    """The 95% confidence interval, or "" where there is none."""
    return "" if summary.low != summary.low else f"{summary.low:.4f} to {summary.high:.4f}"
