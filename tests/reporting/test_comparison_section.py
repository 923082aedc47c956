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
    assert run.task.constant is not None
    constant = ["one answer for all examples", "", "", f"{run.task.constant:.4f}"]
    assert (table.rows[-1][:4], len(table.rows[-1])) == (constant, len(table.rows[0]))
    rows = table.rows[:-1]
    assert [(row[0], row[1]) for row in rows] == [(name, rate) for rate in ("×30", "×1") for name in names]
    by_name = {loss.name: loss for loss in run.compared}
    ours = by_name["found, tuned"].best.test
    others = {name: by_name[name].best.test for name in ("cross-entropy", "found", "random search")}
    p_values = [scipy.stats.ttest_rel(ours, values).pvalue for values in others.values()]
    corrected = dict(zip(others, scipy_holm(p_values), strict=True))
    for row, name in zip(rows, ["found, tuned", *others] * 2, strict=True):
        values = (by_name[name].best if row[1] == "×30" else by_name[name].own).test
        assert row[3] == f"{values.mean():.4f} ± {values.std(ddof=1):.4f}"
        if name == "found, tuned" or row[1] == "×1":
            assert row[5:9] == [""] * 4
        else:
            assert row[5].replace("−", "-") == f"{ours.mean() - values.mean():+.4f}"
            half = scipy.stats.t.ppf(0.975, 4) * (ours - values).std(ddof=1) / 5**0.5
            gap = ours.mean() - values.mean()
            assert row[6].replace("−", "-") == f"{gap - half:+.4f} to {gap + half:+.4f}"
            assert row[7] == f"{corrected[name]:.2g}"
        assert row[9] == "0 of 5"


def scipy_holm(p_values: list[float]) -> list[float]:
    """Holm's correction by its definition: the largest of the smaller ones times how many are left."""
    return [min(1.0, max(q * sum(other >= q for other in p_values) for q in p_values if q <= p)) for p in p_values]


def test_full_trainings_and_known_losses_have_tables_of_their_own(made: Path) -> None:
    run = summary.read(made)
    random = np.random.default_rng(1)
    names = ("cross-entropy", "found, tuned", "best known loss")
    scores = {name: random.uniform(0.6, 0.7, (5, 3, 2)) for name in names}
    full = {
        "steps": [100, 200, 300],
        "rows": [{"name": name, "rate": 3.0, "scores": scores[name].tolist()} for name in names],
    }
    known = [
        {"label": "focal, gamma 2", "rate": 10.0, "scores": [0.7, 0.8], "final": False},
        {"label": "cross-entropy", "rate": 30.0, "scores": [0.6, 0.6, 0.7], "final": True},
        {"label": "Brier", "rate": 20.0, "scores": [0.7, 0.7, 0.7], "final": True},
    ]
    run = dataclasses.replace(run, full=full, known=known)
    assert run.best_known == "Brier"
    *_, in_full, tried = comparison_blocks(run)
    assert isinstance(in_full, Table)
    assert isinstance(tried, Table)
    assert [row[0] for row in in_full.rows] == ["cross-entropy", "found, tuned (this loss)", "best known loss"]
    assert "300 steps instead of 30, with a cosine decay" in in_full.caption
    last = {name: values[:, -1, 1] for name, values in scores.items()}
    p_values = [scipy.stats.ttest_rel(last["found, tuned"], last[name]).pvalue for name in (names[0], names[2])]
    for row, name, p in zip(in_full.rows[::2], (names[0], names[2]), scipy_holm(p_values), strict=True):
        assert row[3] == f"{last[name].mean():.4f} ± {last[name].std(ddof=1):.4f}"
        assert row[5].replace("−", "-") == f"{(last['found, tuned'] - last[name]).mean():+.4f}"
        assert row[7] == f"{p:.2g}"
    assert [row[:2] for row in tried.rows] == [["Brier", "×20"], ["cross-entropy", "×30"], ["focal, gamma 2", "×10"]]
    assert tried.rows[1][2:] == ["0.6333 ± 0.0577", "3"]


def test_a_loss_whose_error_is_infinite_is_not_among_the_pictures_dots(made: Path) -> None:
    run = summary.read(made)
    run = dataclasses.replace(run, task=run.task._replace(score="1 / (1 + rmse)"))
    for row in run.comparison["rows"]:
        if row["name"] in ("found", "found, best rate"):
            row["scores"] = np.zeros((5, 3, 2)).tolist()
    scores = next(block for block in comparison_blocks(run) if isinstance(block, Picture))
    labels = [label.get_text() for label in scores.figure.axes[0].get_yticklabels()]
    assert labels == ["found, tuned (this loss)", "cross-entropy", "random search"]
