"""The section that compares losses over fresh seeds."""

import dataclasses
from pathlib import Path

import numpy as np
import scipy.stats

from glojax.records import summary
from glojax.reporting.blocks import Picture, Table, Text
from glojax.reporting.comparison_section import comparison_blocks


def test_every_loss_is_beside_the_baseline_at_its_best_rate(made: Path) -> None:
    run = summary.read(made)
    text, scores, learning, table = comparison_blocks(run)
    assert isinstance(text, Text)
    assert "the same 5 fresh seeds" in text.text
    assert isinstance(scores, Picture)
    assert isinstance(learning, Picture)
    assert isinstance(table, Table)
    names = ["found, tuned (this loss)", "cross-entropy", "found", "random search"]
    assert [(row[0], row[1]) for row in table.rows] == [(name, rate) for rate in ("×30", "×1") for name in names]
    base = next(loss for loss in run.compared if loss.name == "cross-entropy").best.test
    by_name = {loss.name: loss for loss in run.compared}
    for row, name in zip(table.rows, ["found, tuned", "cross-entropy", "found", "random search"] * 2, strict=True):
        values = (by_name[name].best if row[1] == "×30" else by_name[name].own).test
        assert row[3] == f"{values.mean():.4f} ± {values.std(ddof=1):.4f}"
        if (name, row[1]) == ("cross-entropy", "×30"):
            assert row[5:9] == [""] * 4
        else:
            assert row[5].replace("−", "-") == f"{values.mean() - base.mean():+.4f}"
            assert row[7] == f"{scipy.stats.ttest_ind(values, base, equal_var=False).pvalue:.2g}"
        assert row[9] == "0 of 5"


def test_a_loss_whose_error_is_infinite_is_not_among_the_pictures_dots(made: Path) -> None:
    run = summary.read(made)
    run = dataclasses.replace(run, task=run.task._replace(score="1 / (1 + rmse)"))
    for row in run.comparison["rows"]:
        if row["name"] == "found, best rate":
            row["scores"] = np.zeros((5, 3, 2)).tolist()
    scores = next(block for block in comparison_blocks(run) if isinstance(block, Picture))
    labels = [label.get_text() for label in scores.figure.axes[0].get_yticklabels()]
    assert labels == ["found, tuned (this loss)", "cross-entropy", "random search"]
