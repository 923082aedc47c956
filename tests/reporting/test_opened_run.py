"""A run that is opened in Python."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import glojax
from glojax.records import summary
from glojax.records.candidate_table import write_candidate_table
from glojax.records.comparisons import rows_of
from glojax.reporting import conclusions


@pytest.mark.slow
def test_an_opened_run_shows_what_the_directory_holds(make_run: Callable[..., Path], tmp_path: Path) -> None:
    directory = make_run(tmp_path / "run")
    run, read = glojax.open_run(directory), summary.read(directory)
    assert read.found is not None
    assert (run.loss, run.rate) == (read.found.loss, read.found.rate)
    assert run.conclusions == conclusions.about_comparison(read)
    table, rows = run.table(), rows_of(read.comparison)
    assert table["loss"].tolist() == [row.name for row in rows]
    np.testing.assert_allclose(table["test"], [row.test.mean() for row in rows])
    assert run.table(full=True).empty
    write_candidate_table(directory, tmp_path / "all.csv")
    kept = pd.read_csv(tmp_path / "all.csv")
    assert run.candidates["canonical"].tolist() == kept["canonical"].tolist()
    np.testing.assert_allclose(run.candidates["fitness"].astype(float), kept["fitness"])
    assert len(run.plot().subfigs) == 4
    assert run.report(tmp_path / "page.html") == tmp_path / "page.html"
    assert str(run.loss.tree) in (tmp_path / "page.html").read_text()


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a run directory: it has no settings"):
        glojax.open_run(tmp_path)
