"""The section of a report that compares losses over fresh seeds."""

from collections.abc import Iterator, Mapping

import numpy as np

from glojax import statistics
from glojax.records.comparisons import Comparison
from glojax.records.summary import ComparedLoss, RunSummary
from glojax.reporting import figures, style
from glojax.reporting.blocks import Block, Picture, Table, Text
from glojax.reporting.conclusions import (
    LossDifference,
    detectable_in_words,
    differences,
    differences_in_full,
    final_metrics,
    judged_split,
)
from glojax.reporting.numbers import counted, effect, interval, mean, number, p_value, rate, signed


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
    yield from _full_blocks(run, label)
    yield from _known_blocks(run)


_DIFFERENCE_HEAD = ["this loss minus it", "its 95% interval", "p", "g"]


def _table(run: RunSummary, losses: list[ComparedLoss], names: Mapping[str, str], label: str) -> Table:
    head = ["loss", "rate", f"validation {run.task.metric}", label, "95% interval", *_DIFFERENCE_HEAD, "failed"]
    found = differences(run)
    rows = [_cells(run, names[loss.name], loss.best, found.get(loss.name)) for loss in losses]
    rows += [_cells(run, names[loss.name], loss.own, None) for loss in losses if loss.own is not loss.best]
    if run.task.constant is not None:
        rows.append(["one answer for all examples", "", "", number(run.task.constant), *[""] * (len(head) - 4)])
    base = found.get(run.compared[0].name)
    remark = (
        "" if base is None else f" {detectable_in_words(base.detectable)} from {run.task.baseline}, at the 5% level."
    )
    caption = (
        "Each loss at its best learning rate, then at the task's own: mean ± standard deviation over seeds. "
        "Differences are of the same seeds, at best rates; p is of the two-tailed paired test, corrected for "
        f"{counted(len(found), 'comparison')} after Holm, g is Hedges'.{remark}"
    )
    return Table(head, rows, caption)


def _cells(run: RunSummary, name: str, row: Comparison, found: LossDifference | None) -> list[str]:
    values = final_metrics(run, row)
    if statistics.mostly_among(values, run.task.one_class):
        name += ": answers one class"
    cells = [name, f"×{rate(row.rate)}", mean(run.as_metric(row.validation)), mean(values)]
    cells.append(interval(values, run.task.metric))
    if found is None:
        cells += [""] * 4
    else:
        gap = found.difference
        bounds = f"{signed(gap.low)} to {signed(gap.high)}"
        cells += [signed(gap.mean), bounds, p_value(found.p), effect(found.effect)]
    return [*cells, f"{int((row.validation == 0).sum())} of {len(row.validation)}"]


def _full_blocks(run: RunSummary, label: str) -> Iterator[Block]:
    """The same losses as a user trains."""
    rows, ours = run.fully_trained, run.found_in_comparison
    if not rows:
        return
    found = differences_in_full(run)
    head = ["loss", "rate", f"validation {run.task.metric}", label, "95% interval", *_DIFFERENCE_HEAD, "failed"]
    cells = [
        _cells(run, f"{name} (this loss)" if ours and name == ours.name else name, row, found.get(name))
        for name, row in rows.items()
    ]
    steps = next(iter(rows.values())).steps[-1]
    yield Table(
        head,
        cells,
        f"As a user trains: {steps:,} steps instead of {run.task.steps:,}, with a cosine decay, scored with the last "
        "weights and not with their average; each loss at its best rate for that, in steps of three. Differences and p "
        "as above.",
    )


def _known_blocks(run: RunSummary) -> Iterator[Block]:
    """What every known loss was worth on the validation set."""
    if not run.known:
        return
    ranked = sorted(run.known, key=lambda one: (not one["final"], -np.mean(one["scores"])))
    rows = [
        [one["label"], f"×{rate(one['rate'])}", mean(np.array(one["scores"])), str(len(one["scores"]))]
        for one in ranked
    ]
    yield Table(
        ["known loss", "rate", f"validation {run.known_score}", "trainings"],
        rows,
        "The known losses that fit this output, each at the best of seven rates, with several values of its "
        "coefficient; the best and the baseline were trained again over more seeds, and the first of them is the best "
        "known loss. Those with fewer trainings may have been stopped early.",
        f"All {len(rows)} known losses that were tried",
    )
