"""The options of a table in place of a named task."""

import functools
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glojax.cli.options import with_task
from glojax.cli.signatures import Command, with_options

if TYPE_CHECKING:
    from glojax.tasks.task import Task


class TargetTransform(StrEnum):
    """What the numbers of a target are turned into for training."""

    log = "log"
    quantile = "quantile"


class Network(StrEnum):
    """The network of a table."""

    mlp = "mlp"
    tabular = "tabular"


PANEL = "A table"
"""The title of these options in a command's help."""


def _file_options(
    csv: Annotated[
        Path | None,
        typer.Option(help="A table, CSV or .parquet, in place of a named task.", rich_help_panel=PANEL),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The column to predict from the others.", rich_help_panel=PANEL)
    ] = None,
    test_csv: Annotated[
        Path | None,
        typer.Option(help="Another file for the test part. Defaults to a part of the first.", rich_help_panel=PANEL),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="classification, binary or regression. Defaults to what the target's values suggest.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(help="What separates cells. Defaults to what the file suggests.", rich_help_panel=PANEL),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Such as utf-16. Defaults to what the file suggests.", rich_help_panel=PANEL)
    ] = None,
    header: Annotated[
        bool, typer.Option(help="Whether the first line names the columns.", rich_help_panel=PANEL)
    ] = True,
    target_gaps: Annotated[
        bool, typer.Option(help="Whether rows without a target are left out, or refused.", rich_help_panel=PANEL)
    ] = True,
    target_transform: Annotated[
        TargetTransform | None,
        typer.Option(help="For a regression with a few large targets. Metrics stay its own.", rich_help_panel=PANEL),
    ] = None,
    network: Annotated[
        Network | None,
        typer.Option(help="mlp of 64 hidden units, or tabular, which is stronger and slower.", rich_help_panel=PANEL),
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="adam by default; sgd, momentum, adamw or rmsprop.", rich_help_panel=PANEL)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Its learning rate. Defaults to 0.003, of sgd to 0.01.", rich_help_panel=PANEL)
    ] = None,
) -> None: ...


def _column_options(
    numeric: Annotated[
        list[str] | None, typer.Option(help="A column that must hold numbers; may be repeated.", rich_help_panel=PANEL)
    ] = None,
    categorical: Annotated[
        list[str] | None, typer.Option(help="A column of categories; may be repeated.", rich_help_panel=PANEL)
    ] = None,
    ordinal: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=LOW,...,HIGH",
            help="A column of ordered values, which becomes one number; may be repeated.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="A column to leave out; may be repeated.", rich_help_panel=PANEL)
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(help="A cell that holds no value, beside ?, NA, -, ...; may be repeated.", rich_help_panel=PANEL),
    ] = None,
) -> None: ...


_DEFAULTS: dict[str, Any] = {"header": True, "target_gaps": True}
_OPTIONS = (
    "target",
    "kind",
    "numeric",
    "categorical",
    "ordinal",
    "drop",
    "missing",
    "delimiter",
    "encoding",
    "header",
    "target_gaps",
    "target_transform",
    "network",
    "test_csv",
    "optimizer",
    "learning_rate",
)


def with_table(command: Command) -> Command:
    """Give a command the options of a table; it gets the file as ``csv``, and others that were given as ``table``."""

    def run(*, csv: Path | None, **given: Any) -> None:
        table = {option: given.pop(option) for option in _OPTIONS}
        table = {option: value for option, value in table.items() if value not in (None, [], (), _DEFAULTS.get(option))}
        if "ordinal" in table:
            table["ordinal"] = dict(_order(text) for text in table["ordinal"])
        if csv is not None and "test_csv" in table:
            table["test"] = table.pop("test_csv")
        table |= {option: str(table[option].value) for option in ("target_transform", "network") if option in table}
        if table.get("delimiter") in ("\\t", "tab"):
            table["delimiter"] = "\t"
        command(csv=csv, table=table, **given)

    inner = with_options(command, run, _file_options, instead_of=("csv", "table"))
    return with_options(inner, lambda **given: inner(**given), _column_options)


def with_task_or_table(command: Command, of_task: Callable[[Command], Command] = with_task) -> Command:
    """Give a command the options of a task or a table; it gets them as ``make_task``.

    Args:
      command: the command. With a table, the arguments ``task`` and ``loss`` of one that has both are losses.
      of_task: gives a command the options of a task. Defaults to ``options.with_task``.
    """

    def run(*, make_task: Callable[..., "Task"], csv: Path | None, table: dict[str, Any], **given: Any) -> None:
        if "loss" in given:
            given |= _arguments(csv, given["task"], given["loss"])
        command(make_task=functools.partial(make_task, csv=csv, table=table), **given)

    inner = with_table(with_options(command, run, _no_options))
    return of_task(inner)


def _no_options() -> None: ...


def _arguments(csv: Path | None, task: str | None, losses: Sequence[str] | None) -> dict[str, Any]:
    """The task and the losses among a command's arguments: a table takes the task's place."""
    losses = list(losses or ())
    if csv is not None:
        losses, task = [*([task] if task else []), *losses], None
    elif task is None:
        raise ValueError("a task, or --csv with a table, is needed before the loss.")
    if not losses:
        raise ValueError("a loss is needed: a known one, an expression, or a saved .json.")
    return {"task": task, "loss": losses}


def _order(text: str) -> tuple[str, tuple[str, ...]]:
    """A column and the order of its values; without one, that of their names."""
    name, _, values = text.partition("=")
    return name, tuple(value.strip() for value in values.split(",")) if values else ()
