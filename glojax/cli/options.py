"""What the commands share: their options, and how they name a task, a loss, a device."""

import contextlib
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from glojax.distributed import processes

app = typer.Typer(
    name="glojax",
    help="Discover loss functions by genetic programming and CMA-ES, and compare them honestly.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

TaskName = Annotated[
    str, typer.Argument(help="digits, mnist, cifar10, or path/to/file.py:function that returns a Task.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where TensorFlow Datasets keeps mnist and cifar10; its own default if left out."),
]
LossNames = Annotated[list[str], typer.Argument(help="A known loss, an expression, or a saved .json.")]
Seed = Annotated[int, typer.Option(help="All randomness derives from it.")]
Steps = Annotated[int | None, typer.Option(help="Optimizer steps of a training; the task's own if left out.")]
RunDir = Annotated[Path | None, typer.Option(help="Where the record is kept.")]
Devices = Annotated[
    int | None,
    typer.Option(help="CPU devices; one a core if left out, unless XLA_FLAGS or JAX_NUM_CPU_DEVICES say otherwise."),
]
Group = Annotated[
    int | None,
    typer.Option(help="Candidates trained together on a device, at most; as many as fit its memory if left out."),
]
Tensorboard = Annotated[
    bool, typer.Option("--tensorboard", help="Write scalars for TensorBoard into the run directory, as it goes.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what the run directory holds.")]


def console_of() -> Console:
    """Standard output, wide enough for tables where it is a log; of several processes, only the first has one."""
    console = Console(highlight=False, quiet=not processes.is_first())
    if not console.is_terminal:
        console.width = 120  # a log has no width; tables need this much
    return console


def keep(save: Callable[..., object], path: Path, *given: Any, **options: Any) -> None:
    """Save a result by ``save(path, ...)``; of several processes, only the first does."""
    if processes.is_first():
        save(path, *given, **options)


def plain(text: str) -> str:
    """Text in which rich sees no markup."""
    from rich.markup import escape

    return escape(text)


def prepare(devices: int | None) -> None:
    """Tell JAX how to use this machine, before anything starts it."""
    from glojax.distributed.devices import keep_programs, use_cores

    if devices is not None:
        use_cores(devices)
    else:  # a user's file may start JAX
        with contextlib.suppress(RuntimeError):
            use_cores()
    keep_programs()


Csv = Annotated[Path | None, typer.Option(help="A table to search a loss for, in place of a named task.")]
Target = Annotated[str | None, typer.Option(help="Its column that is to be told from the others.")]
Kind = Annotated[
    str | None, typer.Option(help="classification, binary or regression; by the target's values if left out.")
]
Numeric = Annotated[list[str] | None, typer.Option(help="A column that must hold numbers; may be repeated.")]
Categorical = Annotated[list[str] | None, typer.Option(help="A column of categories; may be repeated.")]
Optimizer = Annotated[str | None, typer.Option(help="Of a table: sgd, momentum, adam, adamw or rmsprop.")]
LearningRate = Annotated[float | None, typer.Option(help="Of a table's optimizer; 0.01 if left out.")]


def task_of(
    name: str,
    steps: int | None,
    devices: int | None,
    group: int | None,
    data_dir: Path | None,
    csv: Path | None = None,
    executor: Any = None,
    **of_table: Any,
) -> Any:
    """The task of that name, or of a table, with the options that were given."""
    import dataclasses

    from glojax import tasks

    prepare(devices)
    given_of_table = {option: value for option, value in of_table.items() if value not in (None, [], ())}
    if csv is not None:
        if not given_of_table.get("target"):
            raise ValueError("--csv needs --target, the column that is to be told from the others.")
        if name != "digits":
            raise ValueError(f"--csv takes the place of a task; leave out {name!r}.")
        task = tasks.table(csv, **given_of_table)
    elif given_of_table:
        raise ValueError(f"--{next(iter(given_of_table)).replace('_', '-')} goes with --csv alone.")
    else:
        task = tasks.task_by_name(name, **({} if data_dir is None else {"data_dir": data_dir}))
    fields = {"steps": steps, "group": group, "executor": executor}
    given = {field: value for field, value in fields.items() if value is not None}
    return dataclasses.replace(task, **given) if given else task


def check_resume(resume: bool, run_dir: Path | None) -> None:
    """Refuse to go on with nothing."""
    if resume and run_dir is None:
        raise ValueError("--resume needs the --run-dir that it goes on with.")


def stop_cleanly(context: typer.Context, run_dir: Path | None) -> None:
    """On Ctrl-C, or on SIGTERM as preempted machines get it, say how to go on and end the process at once.

    Nothing needs saving then, as what a run has done is on record at any moment. No exception is raised: in a callback
    of JAX's or of Python's garbage collection it would be ignored.
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


def board_of(tensorboard: bool, run_dir: Path | None) -> Any:
    """What writes scalars for TensorBoard, if they are asked for."""
    from glojax.reporting.tensorboard import Board

    if tensorboard and run_dir is None:
        raise ValueError("--tensorboard needs the --run-dir that it writes into.")
    return Board(run_dir) if tensorboard and run_dir is not None and processes.is_first() else None


def tree_loss(name: str) -> Any:
    """The loss of that name, an expression tree."""
    from glojax import losses

    loss = losses.loss_by_name(name)
    if not isinstance(loss, losses.Loss):
        raise ValueError(
            f"{name} is not an expression tree: it can be evaluated and trained, but not shown, tuned or exported."
        )
    return loss


def say_device(console: Console, task: Any) -> None:
    """What is trained, and on what."""
    from glojax.distributed.devices import all_devices

    if task.executor is None:
        devices = all_devices()
        several = f" of {processes.count()} processes" if processes.count() > 1 else ""
        on = f"{len(devices)} {devices[0].platform.upper()} device{'s' * (len(devices) > 1)} ({devices[0].device_kind})"
        on += several
    else:
        on = str(task.executor)
    console.print(f"{task.name}: {task.steps} steps in batches of {task.batch_size}, on {on}.")


def interval(summary: Any) -> str:
    """The 95% confidence interval, if there is one."""
    return "" if summary.low != summary.low else f"{summary.low:.4f} to {summary.high:.4f}"
