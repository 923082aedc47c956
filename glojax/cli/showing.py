"""The commands ``glojax show`` and ``glojax export``."""

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from glojax.cli.options import app, console_of, plain, tree_loss


class Format(StrEnum):
    """The form in which a loss is exported."""

    python = "python"
    torch = "torch"
    latex = "latex"
    sympy = "sympy"
    json = "json"


@app.command(epilog="Example: `glojax show 'log(y) - x / y' --figure baikal.png`")
def show(
    loss: Annotated[str, typer.Argument(help="A known loss, an expression, or a saved .json.")],
    figure: Annotated[Path, typer.Option(help="The file for the figure of its curve.")] = Path("loss.png"),
) -> None:
    """Show a loss: its formula, LaTeX, canonical form, the coefficients that matter, and a figure of its curve."""
    from glojax.expressions import canonical, coefficients
    from glojax.reporting import figures

    console = console_of()
    shown = tree_loss(loss)
    nodes = coefficients.identifiable_coefficients(shown.tree)
    console.print(f"f(x, y)      [bold]{plain(str(shown))}[/]", soft_wrap=True)
    console.print(f"LaTeX        {plain(shown.latex())}", soft_wrap=True)
    console.print(f"canonical    {plain(str(canonical.canonical(shown.tree)))}", soft_wrap=True)
    console.print(f"coefficients {len(nodes)} of {shown.tree.size} change training in independent ways")
    figures.loss_figure(figure, shown)
    console.print(f"figure       {figure}", soft_wrap=True)


@app.command(epilog="Example: `glojax export runs/digits/loss.json --to python --output my_loss.py`")
def export(
    loss: Annotated[str, typer.Argument(help="A known loss, an expression, or a saved .json.")],
    to: Annotated[Format, typer.Option(help="The form to write.")] = Format.python,
    output: Annotated[Path | None, typer.Option(help="The file. Defaults to standard output.")] = None,
) -> None:
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
        sys.stdout.write(text)
    else:
        files.write_atomically(output, text)
