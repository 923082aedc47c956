"""The option ``--json``: the result of a command for programs.

A command returns its result as a dictionary; ``with_json`` writes it into a file or, for ``-``, on standard output.
What is said for people goes to standard error then.
"""

import contextlib
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glojax import files
from glojax.cli.options import says_on_stderr
from glojax.cli.signatures import Command, with_options
from glojax.distributed import processes

if TYPE_CHECKING:
    from glojax.losses.loss import Loss
    from glojax.tasks.task import Task
    from glojax.workflow import Discovery

JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="A file for the result as JSON; - is standard output."),
]
STDOUT = Path("-")


def _options(json_file: JsonFile = None) -> None: ...


def with_json(command: Command) -> Command:
    """Give a command that returns its result the option ``--json``."""

    def run(*, json_file: Path | None, **given: Any) -> None:
        with result_goes_to(json_file):
            result = command(**given)
        if json_file is not None and processes.is_first():
            write(json_file, result)

    return with_options(command, run, _options)


@contextlib.contextmanager
def result_goes_to(path: Path | None) -> Iterator[None]:
    """A context in which standard output is left to the result if it goes there.

    Raises:
      ValueError: the path is a folder.
    """
    if path is not None and path.is_dir():
        raise ValueError(f"--json is {str(path)!r}, a folder; a file or - is allowed.")
    before = says_on_stderr.set(path == STDOUT)
    try:
        yield
    finally:
        says_on_stderr.reset(before)


def write(path: Path, result: Any) -> None:
    """Write a result, in which a number that is not finite is null."""
    text = json.dumps(_finite(result), indent=2, allow_nan=False) + "\n"
    if path == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        files.write_atomically(path, text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def of_loss(loss: "Loss") -> dict[str, Any]:
    """A loss: its text, and what a loss file holds; a function as output is named."""
    output = loss.output if isinstance(loss.output, str) else getattr(loss.output, "__name__", "function")
    return {
        "text": str(loss),
        "expression": str(loss.tree),
        "coefficients": list(loss.coefficients),
        "protected": loss.protected,
        "output": output,
    }


def of_discovery(job: "Task", found: "Discovery", said: list[str]) -> dict[str, Any]:
    """What a discovery ended with on a task, and what was said of its comparison."""
    from glojax.reporting.comparison_rows import comparison_rows

    return {
        "task": job.name,
        "metric": job.metric_name,
        "loss": of_loss(found.loss),
        "rate": found.rate,
        "fitness": found.best.fitness,
        "comparison": comparison_rows(job.metric_name, job.as_metric, found.comparison),
        "full_training": comparison_rows(job.metric_name, job.as_metric, found.full),
        "conclusions": said,
        "report": None if found.report is None else str(found.report),
    }
