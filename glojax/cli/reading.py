"""The commands that look at runs: ``glojax report``, ``glojax record`` and ``glojax runs``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from glojax.cli.options import app, console_of, plain

if TYPE_CHECKING:
    from glojax.records.summary import RunSummary

Run = Annotated[Path, typer.Argument(help="The directory of a run.")]


@app.command(epilog="Example: `glojax report runs/digits`")
def report(
    run: Run,
    output: Annotated[Path | None, typer.Option(help="The page; RUN/report.html if left out.")] = None,
) -> None:
    """Write what a run found, and how, as one HTML page, and its figures as images beside it."""
    from glojax.reporting.page import write_report

    console_of().print(f"Saved {write_report(run, output)}", soft_wrap=True)


@app.command(epilog="Example: `glojax record runs/digits --output candidates.csv`")
def record(
    run: Run,
    output: Annotated[Path, typer.Option(help="The file; its ending, .csv or .parquet, is its format.")],
) -> None:
    """Write every candidate of a run, also while it goes on, as a table: CSV, or Parquet (extra: parquet)."""
    from glojax.records.candidate_table import write_candidate_table

    rows = write_candidate_table(run, output)
    console_of().print(f"Saved {rows:,} candidates to {output}", soft_wrap=True)


@app.command(epilog="Example: `glojax runs runs/first runs/second`")
def runs(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER or RUN", help="Folders of runs, or runs; the folder runs if left out."),
    ] = None,
) -> None:
    """List the runs of a folder, the newest last; or compare those that are named, side by side."""
    from glojax.records import summary

    console, is_list = console_of(), not paths or len(paths) == 1
    found: list[Path] = []
    for path in paths or [Path("runs")]:
        if not path.is_dir():
            raise FileNotFoundError(f"{path}: there is no such folder.")
        inside = summary.runs_in(path)
        if (path / "settings.json").exists() or not (inside or is_list):
            found.append(path)
        else:
            found += inside
            is_list = True
    read = [(path, _read(path)) for path in found]
    (_list if is_list else _compare)(console, read)


def _read(path: Path) -> "RunSummary | str":
    """A run, or why it cannot be read."""
    from glojax.records import summary

    try:
        return summary.read(path)
    except (ValueError, OSError) as error:
        return str(error)


def _list(console: Console, read: Sequence[tuple[Path, "RunSummary | str"]]) -> None:
    from glojax.reporting import conclusions
    from glojax.reporting.numbers import number

    table = Table(
        Column("run", overflow="fold"), "task", Column("phases"), "state", Column("best loss", overflow="fold"),
        "fitness", "test", "baseline", Column("steps", justify="right"),
    )  # fmt: skip
    for path, run in read:
        if isinstance(run, str):
            table.add_row(plain(path.name), "", "", "unreadable", plain(run), "", "", "", "")
            continue
        phases = [f"{name} {len(phase.generations)}" for name, phase in run.phases.items()]
        phases += ["comparison"] if run.comparison else []
        found = run.found
        loss, fitness = (plain(str(found.loss)), number(found.fitness)) if found else ("", "")
        test, baseline = map(number, conclusions.mean_metrics(run))
        row = ("\n".join(phases), run.state, loss, fitness, test, baseline, f"{run.steps:,}")
        table.add_row(plain(path.name), plain(run.task.name), *row)
    console.print(table)
    if not read:
        console.print("There are no runs.")


def _compare(console: Console, read: Sequence[tuple[Path, "RunSummary | str"]]) -> None:
    from glojax.records import summary
    from glojax.reporting import conclusions
    from glojax.reporting.numbers import effect, number, p_value, signed

    for path, run in read:
        if isinstance(run, str):
            console.print(f"{plain(str(path))} is left out: {plain(run)}", soft_wrap=True)
    runs = [(path, run) for path, run in read if not isinstance(run, str)]
    if not runs:
        raise ValueError("none of these runs can be read.")
    first = runs[0][1]
    table = Table("", *(Column(plain(str(path)), overflow="fold") for path, _ in runs))
    rows: dict[str, list[str]] = {}

    def add(name: str, cells: Sequence[str]) -> None:
        rows.setdefault(name, []).extend(cells)

    for _, run in runs:
        found, (test, baseline) = run.found, conclusions.mean_metrics(run)
        beside = None if run is first else conclusions.difference_of_runs(first, run)
        add("task", [run.task.name])
        add("state", [run.state])
        add("loss", [str(found.loss) if found else ""])
        add("fitness", [number(found.fitness) if found else ""])
        add("measured", [f"{conclusions.judged_split(run)} {run.task.metric}"])
        add("of the loss", [number(test)])
        add("of the baseline", [number(baseline)])
        add("candidate-steps", [f"{run.steps:,}"])
        add("difference", [f"{signed(beside.difference.mean)}" if beside else ""])
        add("Welch's p", [p_value(beside.p) if beside else ""])
        add("Hedges' g", [effect(beside.effect) if beside else ""])
        add("phases", [", ".join(run.phases)])
    for phase in dict.fromkeys(name for _, run in runs for name in run.phases):
        if all(phase in run.phases for _, run in runs):
            configs = [run.phases[phase].config for _, run in runs]
            for name in summary.differing(configs):
                add(f"{phase}: {name}", [str(config.get(name, "")) for config in configs])
    for name, cells in rows.items():
        table.add_row(plain(name), *map(plain, cells))
    console.print(table)
    tasks = dict.fromkeys(f"{run.task.name} ({run.task.fingerprint})" for _, run in runs)
    if len(tasks) > 1:
        console.print(f"Tasks differ, so that scores cannot be compared: {plain(', '.join(tasks))}.", soft_wrap=True)
    else:
        console.print("Difference, p and g are against the first run, over the fresh seeds of each run's comparison.")
