"""The commands that read recorded runs: ``glojax report``, ``glojax record`` and ``glojax runs``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from glojax.cli.help_panels import LOOK
from glojax.cli.json_results import of_loss, with_json
from glojax.cli.options import command, console_of, plain

if TYPE_CHECKING:
    from glojax.records.summary import RunSummary

Run = Annotated[Path, typer.Argument(help="The directory of a run.")]


@command(rich_help_panel=LOOK, epilog="Example: `glojax report runs/digits`")
@with_json
def report(
    run: Run,
    output: Annotated[Path | None, typer.Option(help="The page. Defaults to RUN/report.html.")] = None,
) -> dict[str, Any]:
    """Write a report of a run: one HTML page, with its figures as images beside it."""
    from glojax.reporting.page import write_report

    written = write_report(run, output)
    console_of().print(f"Saved {written}", soft_wrap=True)
    return {"report": str(written)}


@command(rich_help_panel=LOOK, epilog="Example: `glojax record runs/digits --output candidates.csv`")
@with_json
def record(
    run: Run,
    output: Annotated[Path, typer.Option(help="The file; its ending, .csv or .parquet, sets the format.")],
) -> dict[str, Any]:
    """Write every candidate of a run, finished or under way, as a table: CSV or Parquet (extra: parquet)."""
    from glojax.records.candidate_table import write_candidate_table

    rows = write_candidate_table(run, output)
    console_of().print(f"Saved {rows:,} candidates to {output}", soft_wrap=True)
    return {"output": str(output), "rows": rows}


@command(rich_help_panel=LOOK, epilog="Example: `glojax runs runs/first runs/second`")
@with_json
def runs(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER or RUN", help="Folders of runs, or runs. Defaults to the folder runs."),
    ] = None,
) -> dict[str, Any]:
    """List the runs of a folder, newest last, or compare the named runs side by side."""
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
    return {"runs": [{"path": str(path), **_result(run)} for path, run in read]}


def _read(path: Path) -> "RunSummary | str":
    """A run, or the reason why it cannot be read."""
    from glojax.records import summary

    try:
        return summary.read(path)
    except (ValueError, OSError) as error:
        return str(error)


def _result(run: "RunSummary | str") -> dict[str, Any]:
    """What ``--json`` keeps of a run, or the reason why it cannot be read."""
    from glojax.reporting import conclusions

    if isinstance(run, str):
        return {"error": run}
    found, (test, baseline) = run.found, conclusions.mean_metrics(run)
    return {
        "task": run.task.name,
        "state": run.state,
        "loss": None if found is None else of_loss(found.loss),
        "fitness": None if found is None else found.fitness,
        "metric": run.task.metric,
        "of_the_loss": test,
        "of_the_baseline": baseline,
        "candidate_steps": run.steps,
    }


def _list(console: Console, read: Sequence[tuple[Path, "RunSummary | str"]]) -> None:
    """Print a row for each run."""
    from glojax.reporting import conclusions
    from glojax.reporting.numbers import number

    table = Table(
        Column("run", overflow="fold"),
        "task",
        "phases",
        "state",
        Column("best loss", overflow="fold"),
        "fitness",
        "test",
        "baseline",
        Column("steps", justify="right"),
    )
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
    """Print a column for each run, with tests against the first."""
    for path, run in read:
        if isinstance(run, str):
            console.print(f"{plain(str(path))} is left out: {plain(run)}", soft_wrap=True)
    runs = [(path, run) for path, run in read if not isinstance(run, str)]
    if not runs:
        raise ValueError("none of these runs can be read.")
    columns = (Column(plain(str(path)), overflow="fold") for path, _ in runs)
    table = Table("", *columns)
    described = [_described(run, runs[0][1]) for _, run in runs]
    rows = {name: [cells[name] for cells in described] for name in described[0]}
    rows |= _differing_settings([run for _, run in runs])
    for name, cells in rows.items():
        table.add_row(plain(name), *map(plain, cells))
    console.print(table)
    tasks = dict.fromkeys(f"{run.task.name} ({run.task.fingerprint})" for _, run in runs)
    if len(tasks) > 1:
        console.print(f"Tasks differ, so that scores cannot be compared: {plain(', '.join(tasks))}.", soft_wrap=True)
    else:
        console.print("Difference, p and g are against the first run, over the fresh seeds of each run's comparison.")


def _described(run: "RunSummary", first: "RunSummary") -> dict[str, str]:
    """The cells of a run by the names of their rows, with its difference from the first run."""
    from glojax.reporting import conclusions
    from glojax.reporting.numbers import effect, number, p_value, signed

    found, (test, baseline) = run.found, conclusions.mean_metrics(run)
    beside = None if run is first else conclusions.difference_of_runs(first, run)
    return {
        "task": run.task.name,
        "state": run.state,
        "loss": str(found.loss) if found else "",
        "fitness": number(found.fitness) if found else "",
        "measured": f"{conclusions.judged_split(run)} {run.task.metric}",
        "of the loss": number(test),
        "of the baseline": number(baseline),
        "candidate-steps": f"{run.steps:,}",
        "difference": signed(beside.difference.mean) if beside else "",
        "Welch's p": p_value(beside.p) if beside else "",
        "Hedges' g": effect(beside.effect) if beside else "",
        "phases": ", ".join(run.phases),
    }


def _differing_settings(runs: Sequence["RunSummary"]) -> dict[str, list[str]]:
    """The settings in which runs differ, of the phases that all of them have."""
    from glojax.records import summary

    rows = {}
    for phase in runs[0].phases:
        if all(phase in run.phases for run in runs):
            configs = [run.phases[phase].config for run in runs]
            for name in summary.differing(configs):
                rows[f"{phase}: {name}"] = [str(config.get(name, "")) for config in configs]
    return rows
