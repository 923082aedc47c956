"""A recorded run, opened to be looked at in Python: finished, stopped or under way."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from glojax.losses.loss import Loss
from glojax.records import summary
from glojax.records.candidate_table import COLUMNS, candidate_rows
from glojax.records.comparisons import rows_of
from glojax.records.summary import RunSummary
from glojax.reporting import conclusions, page
from glojax.reporting.comparison_rows import comparison_rows


@dataclass(frozen=True, eq=False)
class OpenedRun:
    """A run directory, as it was when it was opened.

    Attributes:
      summary: everything that the directory holds, for what the methods do not show.
    """

    summary: RunSummary

    @property
    def loss(self) -> Loss | None:
        """The found loss, or the best so far; None if nothing was trained yet."""
        return None if self.summary.found is None else self.summary.found.loss

    @property
    def rate(self) -> float | None:
        """The scale of the task's learning rate that goes with the loss."""
        return None if self.summary.found is None else self.summary.found.rate

    @property
    def conclusions(self) -> list[str]:
        """What the report says of the comparison, beginning with the verdict."""
        return conclusions.about_comparison(self.summary)

    def table(self, *, full: bool = False) -> pd.DataFrame:
        """The comparison over fresh seeds, or that of full trainings, a row for each loss; empty if there is none yet.

        Args:
          full: of full trainings. Defaults to False.

        Returns:
          The columns of ``reporting.comparison_rows``: loss, rate, and the metric's mean, deviation and 95% interval.
        """
        run = self.summary
        kept = run.full if full else run.comparison
        rows = rows_of(kept) if kept else []
        return pd.DataFrame(comparison_rows(run.task.metric, run.as_metric, rows))

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """Every candidate of every phase, and the trees that screening rejected, as ``glojax record`` writes them."""
        rows = [row for generation in candidate_rows(self.summary.directory) for row in generation]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def plot(self) -> Figure:
        """The figure of the whole run: fitness by generation, tuning, screening, and the loss's curve."""
        return page.overview(self.summary)

    def report(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the report.

        Args:
          path: the page. Defaults to ``report.html`` in the run directory.

        Returns:
          Where it is.
        """
        return page.write_report(self.summary.directory, path)


def open_run(path: str | os.PathLike[str]) -> OpenedRun:
    """Open a run to look at it.

    Args:
      path: the run directory.

    Raises:
      ValueError: not a run, or one with damaged files; the message names them.
      OSError: a file is missing or cannot be read.

    Example:
        run = glojax.open_run("runs/digits")
        run.loss, run.table(), run.candidates, run.plot()
    """
    return OpenedRun(summary.read(path))
