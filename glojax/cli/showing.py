"""The commands ``glojax show`` and ``glojax export``."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from glojax.cli.help_panels import LOOK
from glojax.cli.json_results import of_loss, with_json
from glojax.cli.options import command, console_of, plain, tree_loss

if TYPE_CHECKING:
    from glojax.records.summary import RunSummary


class Format(StrEnum):
    """The form in which a loss is exported."""

    python = "python"
    torch = "torch"
    latex = "latex"
    sympy = "sympy"
    json = "json"


@command(rich_help_panel=LOOK, epilog="Example: `glojax show 'log(y) - x / y' --figure baikal.png`")
@with_json
def show(
    loss: Annotated[str, typer.Argument(help="A known loss, an expression, a saved .json, or the directory of a run.")],
    figure: Annotated[Path, typer.Option(help="The file for the figure of its curve.")] = Path("loss.png"),
) -> dict[str, Any]:
    """Show a loss: its formula, LaTeX, canonical form, the coefficients that matter, and a figure of its curve.

    Of a run it shows the found loss, and the best loss of every size; of a run of several tasks, that on the first.
    """
    from glojax.discovery import joint_runs
    from glojax.expressions import canonical, coefficients
    from glojax.losses.recognition import recognized
    from glojax.records import summary
    from glojax.reporting import figures, style

    console = console_of()
    run = summary.read(joint_runs.first_folder(loss)) if Path(loss).is_dir() else None
    if run is not None and run.found is None:
        raise ValueError(f"{loss} holds no loss yet: nothing was trained.")
    shown = tree_loss(loss) if run is None or run.found is None else run.found.loss
    nodes = coefficients.identifiable_coefficients(shown.tree)
    console.print(f"f(x, y)      [bold]{plain(str(shown))}[/]", soft_wrap=True)
    console.print(f"LaTeX        {plain(shown.latex())}", soft_wrap=True)
    console.print(f"canonical    {plain(str(canonical.canonical(shown.tree)))}", soft_wrap=True)
    console.print(f"coefficients {len(nodes)} of {shown.tree.size} change training in independent ways")
    known = recognized(shown)
    if known:
        console.print(f"known as     {known}, up to a factor and terms without y", soft_wrap=True)
    style.save(figures.loss_figure(shown), figure)
    console.print(f"figure       {figure}", soft_wrap=True)
    result: dict[str, Any] = {
        "loss": of_loss(shown),
        "latex": shown.latex(),
        "canonical": str(canonical.canonical(shown.tree)),
        "identifiable_coefficients": len(nodes),
        "known_as": known,
        "figure": str(figure),
    }
    if run is not None:
        _say_hall_of_fame(console, run)
        famous = [] if run.searched is None else run.searched.hall_of_fame
        result["hall_of_fame"] = [
            {
                "nodes": one.size,
                "expression": one.expression,
                "rate": one.record.rate,
                "fitness": one.record.fitness,
                "trainings": one.trainings,
                "is_leading": one.is_leading,
            }
            for one in famous
        ]
    return result


def _say_hall_of_fame(console: Console, run: "RunSummary") -> None:
    """Print the best loss of every size, with those that a smaller one reaches in grey."""
    from glojax.reporting.numbers import number

    phase = run.searched
    if phase is None or not phase.hall_of_fame:
        return
    score = f"validation {run.ranking_of(phase)}"
    title = f"The best loss of every size in the {phase.name}; * is better than all smaller ones"
    table = Table(
        Column("nodes", justify="right"),
        "",
        Column("loss", overflow="fold"),
        "learning rate",
        score,
        Column("trainings", justify="right"),
        title=title,
        title_justify="left",
    )
    for one in phase.hall_of_fame:
        mark, rate = "*" if one.is_leading else "", f"x{one.record.rate:.3g}"
        row = (str(one.size), mark, plain(one.expression), rate, number(one.record.fitness), str(one.trainings))
        table.add_row(*row, style=None if one.is_leading else "dim")
    console.print(table)
    if (simple := phase.simplified) is not None:
        console.print(
            f"As good as the winner within one standard error, with {simple.size} nodes: {plain(simple.expression)}"
        )
    if phase.baseline is not None:
        console.print(f"{run.task.baseline.capitalize()}: {score} {number(phase.baseline.fitness)}.")


@command(rich_help_panel=LOOK, epilog="Example: `glojax export runs/digits/loss.json --to python --output my_loss.py`")
@with_json
def export(
    loss: Annotated[str, typer.Argument(help="A known loss, an expression, or a saved .json.")],
    to: Annotated[Format, typer.Option(help="The form to write.")] = Format.python,
    output: Annotated[Path | None, typer.Option(help="The file. Defaults to standard output.")] = None,
) -> dict[str, Any]:
    """Write a loss as Python source that needs only jax or torch, LaTeX, a sympy expression, or glojax's JSON."""
    from glojax import files

    made = tree_loss(loss)
    forms: dict[Format, Callable[[], str]] = {
        Format.python: made.to_python,
        Format.torch: made.to_torch,
        Format.latex: made.latex,
        Format.sympy: lambda: str(made.sympy()),
        Format.json: made.to_json,
    }
    text = forms[to]().rstrip("\n") + "\n"
    if output is None:
        console_of().file.write(text)
    else:
        files.write_atomically(output, text)
    return {"form": to.value, "text": text, "output": None if output is None else str(output)}
