"""The section of a report that compares losses over fresh seeds."""

from collections.abc import Iterator, Mapping

import numpy as np

from glojax import statistics
from glojax.records.comparisons import Comparison
from glojax.records.summary import ComparedLoss, RunSummary
from glojax.reporting import figures, style
from glojax.reporting.blocks import Block, Picture, Table, Text
from glojax.reporting.conclusions import detectable_in_words, difference_from, final_metrics, judged_split
from glojax.reporting.numbers import effect, interval, mean, p_value, rate, signed


def comparison_blocks(run: RunSummary) -> Iterator[Block]:
    """Scores of every seed, learning curves, and the table of all losses with their differences from the baseline."""
    if not run.compared:
        yield Text("Not shown: no comparison is recorded. It is the last step of glojax search.")
        return
    ours, base = run.found_in_comparison, run.compared[0]
    losses = [*([ours] if ours else []), base, *(loss for loss in run.compared[1:] if loss is not ours)]
    names = {loss.name: f"{loss.name} (this loss)" if loss is ours else loss.name for loss in losses}
    label = f"{judged_split(run)} {run.task.metric}"
    yield Text(
        f"Every loss was trained with the same {len(base.own.validation)} fresh seeds, at the task's learning rate "
        "and at its own best one, which was chosen by the validation scores of other seeds."
    )
    ends = {names[loss.name]: final_metrics(run, loss.best) for loss in losses}
    shown = [(name, values.tolist()) for name, values in ends.items() if np.isfinite(values).all()]
    if shown:
        yield Picture(
            "scores",
            style.panel(figures.ranking, shown, label, size=(5.0, 1 + 0.4 * len(shown))),
            f"The {label} of every seed (dots), their mean (diamond) and its 95% interval, each loss at its best rate.",
            f"{label} by loss and seed",
        )
    # The last of the splits: test, where there is one.
    curves = {names[loss.name]: run.as_metric(loss.best.scores[..., -1]) for loss in losses}
    yield Picture(
        "learning",
        style.panel(figures.learning_curves, base.best.steps, curves, label),
        f"Learning curves: mean {label} and its 95% interval by steps, each loss at its best rate.",
        f"Mean {label} of each loss by steps",
    )
    yield _table(run, losses, names, label)


def _table(run: RunSummary, losses: list[ComparedLoss], names: Mapping[str, str], label: str) -> Table:
    base = run.compared[0]
    rows = [(loss.name, loss.best) for loss in losses]
    rows += [(loss.name, loss.own) for loss in losses if loss.own is not loss.best]
    head = ["loss", "rate", f"validation {run.task.metric}", label, "95% interval"]
    head += ["difference", "its 95% interval", "p", "g", "failed"]
    seed_count, noise = len(base.own.validation), statistics.summarize(final_metrics(run, base.best)).std
    remark = ""
    if seed_count > 1 and np.isfinite(noise):
        remark = f" {detectable_in_words(statistics.detectable(noise, seed_count))}, at the 5% level."
    caption = (
        "Each loss at its best learning rate, then at the task's own: mean ± standard deviation over seeds. "
        f"Differences are from {base.name} at its best rate; p is of Welch's two-tailed test, g is Hedges'.{remark}"
    )
    return Table(head, [_cells(run, names[name], row, base.best) for name, row in rows], caption)


def _cells(run: RunSummary, name: str, row: Comparison, base: Comparison) -> list[str]:
    values = final_metrics(run, row)
    cells = [name, f"×{rate(row.rate)}", mean(run.as_metric(row.validation)), mean(values), interval(values)]
    found = None if row is base else difference_from(run, base, row)
    if found is None:
        cells += [""] * 4
    else:
        gap = found.difference
        bounds = f"{signed(gap.low)} to {signed(gap.high)}"
        cells += [signed(gap.mean), bounds, p_value(found.p), effect(found.effect)]
    return [*cells, f"{int((row.validation == 0).sum())} of {len(row.validation)}"]
