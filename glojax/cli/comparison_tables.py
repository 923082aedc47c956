"""How commands print the comparison of losses over fresh seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from glojax.cli.options import interval, plain

if TYPE_CHECKING:
    from glojax.records.comparisons import Comparison
    from glojax.tasks.task import Task
    from glojax.workflow import Discovery


def say_comparison(console: Console, job: "Task", found: "Discovery") -> None:
    """Print the comparison that a discovery ends with, and that of full trainings if there is one."""
    seeds = len(found.comparison[0].validation)
    say_rows(console, job, found.comparison, f"Comparison over {seeds} fresh seeds")
    if found.full:
        steps = found.full[0].steps[-1]
        title = f"As a user trains: {steps:,} steps, cosine decay, last weights; {seeds} fresh seeds"
        say_rows(console, job, found.full, title)


def say_rows(console: Console, job: "Task", rows: Sequence["Comparison"], title: str) -> None:
    """Print a row for each loss: mean, deviation and interval of the metric over seeds."""
    from glojax import statistics, tasks
    from glojax.tasks import metrics

    metric = job.metric_name
    columns = ("loss", "learning rate", f"validation {metric}", f"test {metric}", "test, 95% interval", "failed")
    table = Table(*columns, title=plain(title), title_justify="left")
    bounds = metrics.bounds_of(metric)
    one_class = tasks.one_class_metrics(job)
    for row in rows:
        parts = (job.as_metric(part) for part in (row.validation, row.test))
        judged = job.as_metric(row.test if len(row.test) else row.validation)
        name = row.name + ": answers one class" * bool(statistics.mostly_among(judged, one_class))
        validation, test = (statistics.summarize(part, bounds) if len(part) else None for part in parts)
        table.add_row(
            plain(name),
            f"x{row.rate:.3g}",
            f"{validation.mean:.4f} ± {validation.std:.4f}" if validation else "",
            f"{test.mean:.4f} ± {test.std:.4f}" if test else "none",
            interval(test) if test else "",
            f"{int((row.validation == 0).sum())} of {len(row.validation)}",
        )
    for cells in constant_cells(job):
        table.add_row(*cells)
    console.print(table)


def constant_cells(job: "Task") -> list[list[str]]:
    """The row of one prediction for all examples, such as the largest class; none where it has no metric."""
    from glojax import tasks
    from glojax.reporting.numbers import number

    found = [tasks.constant_metric(job, part) if part in job.splits else None for part in ("validation", "test")]
    if found[0] is None:
        return []
    return [[tasks.constant_name(job), "", *("" if one is None else number(one) for one in found), "", ""]]


def say_conclusions(console: Console, run_dir: Path) -> list[str]:
    """Print what the report says of the comparison, where the run directory is: with the first process.

    Returns:
      What was said of the comparison, without errors in units of a table's target; [] in the other processes.
    """
    from glojax.distributed import processes
    from glojax.records import summary
    from glojax.reporting import conclusions, units

    if not processes.is_first():
        return []
    run = summary.read(run_dir)
    said = conclusions.about_comparison(run)
    for sentence in [*said, *units.errors_in_words(run)]:
        console.print(plain(sentence))
    return said
