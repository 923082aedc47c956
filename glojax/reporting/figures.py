"""Figures of runs and losses: how a search went, how losses train, and what they look like.

``search_figure``, ``loss_figure`` and ``training_figure`` are whole figures; the functions under PANELS draw into axes.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from glojax import statistics
from glojax.expressions import context, trees
from glojax.losses.loss import Loss
from glojax.records.candidates import Record
from glojax.records.curves import Curves
from glojax.records.genealogy import Ancestor, main_line
from glojax.records.hall_of_fame import Famous
from glojax.reporting import style
from glojax.statistics import Summary
from glojax.tasks import metrics
from glojax.tasks.problems import KINDS, Kind

MOST_ANCESTORS = 1000
"""Ancestors that a figure shows, the latest ones."""

_DASHES = ("-", "--", "-.", ":")
_HALF = dict.fromkeys(context.LEAVES, 0.5)


def search_figure(
    generations: Sequence[Sequence[Record]],
    funnel: Mapping[str, int],
    tuning: Sequence[Sequence[Record]],
    curves: Mapping[str, Loss],
    *,
    score: str = "accuracy",
) -> Figure:
    """A figure of a run: fitness by generation in both phases, the funnel, and the found loss beside the baseline.

    Args:
      generations: every candidate of the search.
      funnel: how many trees passed each stage.
      tuning: every vector of CMA-ES.
      curves: losses by name.
      score: name of the fitness. Defaults to accuracy.

    Returns:
      The figure, in which an empty part says "none".
    """
    with style.style():
        figure = Figure(figsize=(10, 6), layout="constrained")
        search, stages, cma_es, loss = np.asarray(figure.subfigures(2, 2)).flat
        parts = (
            (search, "Search", generations),
            (stages, "Trees that passed each stage", funnel),
            (cma_es, "CMA-ES", tuning),
            (loss, "Loss", curves),
        )
        for part, title, content in parts:
            part.suptitle(title)
            if not content:
                part.text(0.5, 0.5, "none", ha="center")
        for part, phase in ((search, generations), (cma_es, tuning)):
            if phase:
                fitness(part.subplots(2, sharex=True), phase, score)
        if funnel:
            funnel_bars(stages.subplots(), funnel)
        if curves:
            loss_curves(loss.subplots(), curves)
    return figure


def loss_figure(loss: Loss) -> Figure:
    """The curve of a loss beside the baseline, as arXiv 1905.11528 plots it, and its slope."""
    kind = next((kind for kind in KINDS.values() if kind.output == loss.output), Kind(loss.output, metrics.r2))
    curves = {"this loss": loss, kind.baseline_name: kind.baseline}
    with style.style():
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        value_axes, slope_axes = figure.subplots(1, 2)
        loss_curves(value_axes, curves)
        loss_slopes(slope_axes, curves)
    return figure


def training_figure(path: str | os.PathLike[str], curves: Curves, title: str, *, score: str = "accuracy") -> None:
    """Write the scores of losses by steps: mean over seeds and its 95% interval, one panel for each split.

    Args:
      path: the image; its ending is its format.
      curves: scores of full trainings.
      title: shown above the panels.
      score: name of the scores. Defaults to accuracy.
    """
    with style.style():
        figure = Figure(figsize=(6 * len(curves.splits), 4), layout="constrained")
        figure.suptitle(title)
        panels = figure.subplots(1, len(curves.splits), sharey=True, squeeze=False)[0]
        for place, (axes, split) in enumerate(zip(panels, curves.splits, strict=True)):
            for number, row in enumerate(curves.shown):
                scores = row.scores[..., place]
                is_baseline = number >= len(curves.rows)
                band(axes, curves.steps, scores, f"{row.name}, x{row.rate:g}", linestyle="--" if is_baseline else "-")
            axes.set(xlabel="steps", ylabel=f"{split} {score}")
            axes.legend(loc="lower right")
    style.save(figure, path)


def band(axes: Axes, x: Sequence[float] | np.ndarray, scores: np.ndarray, label: str, **style: Any) -> None:
    """Draw the mean of scores ``[seeds, points]`` as a line and its 95% interval as a band around it.

    Args:
      axes: to draw into.
      x: ``[points]``.
      scores: ``[seeds, points]``.
      label: for the legend.
      **style: of the line, as for ``Axes.plot``.
    """
    summaries = [statistics.summarize(column) for column in scores.T]
    (line,) = axes.plot(x, [summary.mean for summary in summaries], label=label, **style)
    if len(scores) > 1:
        low, high = ([getattr(summary, end) for summary in summaries] for end in ("low", "high"))
        axes.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def binary_curve(loss: Loss, y: np.ndarray) -> np.ndarray:
    """The loss ``[points]`` of two classes, where the first is the label and its prediction is ``y`` ``[points]``.

    Leaves of a context are those of equal classes, halfway through a training.
    """
    y = np.asarray(y, np.float64)
    with np.errstate(all="ignore"):
        terms = [
            trees.evaluate(loss.tree, np.full_like(y, x), p, np, loss.protected, loss.coefficients, _HALF)
            for x, p in ((1.0, y), (0.0, 1 - y))
        ]
        return -np.broadcast_to(terms[0] + terms[1], y.shape)


def single_curve(loss: Loss, y: np.ndarray, target: float) -> np.ndarray:
    """The loss ``[points]`` of one output whose prediction is ``y`` ``[points]``; other leaves are those halfway."""
    y = np.asarray(y, np.float64)
    with np.errstate(all="ignore"):
        value = trees.evaluate(loss.tree, np.full_like(y, target), y, np, loss.protected, loss.coefficients, _HALF)
        return -np.broadcast_to(value, y.shape)


# PANELS


def fitness(axes: Sequence[Axes], generations: Sequence[Sequence[Record]], score: str) -> None:
    """Draw the best candidate of each generation, and the mean of all that could be trained, with 95% intervals.

    Args:
      axes: two, for the best and for the mean. The interval of the best is over its trainings so far, if they are
        three, as that of two is wider than all else; that of the mean is over candidates.
      generations: every candidate of a search.
      score: name of the fitness.
    """
    best, mean = _best_and_mean(generations)
    for number, (part, summaries, label) in enumerate(zip(axes, (best, mean), ("best", "mean"), strict=True)):
        _band_by_generation(part, summaries, label, style.COLORS[number])
    axes[0].set_title(f"validation {score}", loc="left")
    axes[-1].set_xlabel("generation")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))


def _best_and_mean(generations: Sequence[Sequence[Record]]) -> tuple[list[Summary], list[Summary]]:
    scores: dict[tuple[str, tuple[float, ...]], tuple[bool, tuple[float, ...]]] = {}
    best, mean = [], []
    for records in generations:
        for record in records:
            finished, before = scores.get((record.canonical, record.coefficients), (False, ()))
            if record.scores:  # scores of trainings to the end replace those that halving stopped
                kept = before if finished else ()
                scores[record.canonical, record.coefficients] = (record.fate != "dropped", (*kept, *record.scores))
        top = max(records, key=lambda record: record.fitness)
        _, found = scores.get((top.canonical, top.coefficients), (True, ()))
        summary = statistics.summarize(np.array(found or (top.fitness,)))
        best.append(summary if len(found) > 2 else summary._replace(low=np.nan, high=np.nan))
        alive = np.array([record.fitness for record in records if record.fitness > 0])
        mean.append(statistics.summarize(alive if len(alive) else np.array([np.nan])))
    return best, mean


def _band_by_generation(axes: Axes, summaries: Sequence[Summary], label: str, color: str) -> None:
    middle, low, high = (np.array([getattr(one, name) for one in summaries]) for name in ("mean", "low", "high"))
    places = np.arange(len(middle))
    axes.plot(places, middle, color=color, marker="o" if len(places) < 50 else None, markersize=3, label=label)
    axes.fill_between(places, low, high, color=color, alpha=0.18, linewidth=0)
    shown, halves = middle[np.isfinite(middle)], (high - low)[np.isfinite(high - low)] / 2
    if len(shown):
        # The interval of few trainings is often far wider than everything else in the panel.
        margin = 0.1 * np.ptp(shown) + (np.median(halves) if len(halves) else 0) + 0.002
        axes.set_ylim(shown.min() - margin, shown.max() + margin)
    axes.set_ylabel(label)


def best_by_steps(axes: Axes, searches: Mapping[str, Sequence[Sequence[Record]]], score: str) -> None:
    """Draw the best fitness so far of each search by the optimizer steps of all its candidates."""
    for number, (name, generations) in enumerate(searches.items()):
        steps = np.cumsum([sum(record.steps for record in records) for records in generations])
        best = np.maximum.accumulate([max(record.fitness for record in records) for records in generations])
        dashes = _DASHES[number % len(_DASHES)]
        axes.plot(steps, best, dashes, drawstyle="steps-post", marker="o", markersize=3, label=name)
    axes.set(xlabel="candidate-steps", ylabel=f"best validation {score} so far")
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    axes.legend(loc="lower right")


def funnel_bars(axes: Axes, funnel: Mapping[str, int]) -> None:
    """Draw how many trees passed each stage."""
    bars = axes.barh(list(funnel), list(funnel.values()), color=style.COLORS[0])
    axes.bar_label(bars, labels=[f"{count:,}" for count in funnel.values()], padding=3)
    axes.set(xscale="log", xlim=(0.5, 12 * max(funnel.values())), xlabel="trees")
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    axes.grid(axis="y", visible=False)
    axes.invert_yaxis()


def by_size(axes: Axes, famous: Sequence[Famous], score: str, baseline: Record | None, name: str) -> None:
    """Draw the fitness of the best loss of every size, those filled that no smaller one reaches, and the baseline."""
    sizes, fitness = [one.size for one in famous], [one.record.fitness for one in famous]
    leading = [one for one in famous if one.is_leading]
    axes.plot(sizes, fitness, "o", color=style.COLORS[4], markersize=4, fillstyle="none")
    best = dict(color=style.COLORS[0], marker="o", markersize=5, drawstyle="steps-post")
    axes.plot([one.size for one in leading], [one.record.fitness for one in leading], **best)  # type: ignore[arg-type]
    if baseline is not None:
        axes.axhline(baseline.fitness, color=style.COLORS[1], linestyle="--", label=name)
        axes.legend(loc="lower right")
    shown = np.array([*fitness, *([baseline.fitness] if baseline is not None else [])])
    floor = max(float(shown.min()), float(shown.max() - 4 * (shown.max() - np.median(shown)) - 0.01))
    margin = 0.1 * (float(shown.max()) - floor) + 1e-3
    axes.set_ylim(floor - margin, float(shown.max()) + margin)  # the worst of the smallest are far below all others
    axes.set(xlabel="nodes", ylabel=f"validation {score}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def family_map(axes: Axes, family: Sequence[Ancestor], score: str) -> None:
    """Draw a loss and its ancestors by generation and fitness, each joined to its parents; the main line is thick."""
    line = main_line(family)
    generations = np.array([ancestor.generation for ancestor in family])
    drawn = range(min(len(family), MOST_ANCESTORS))
    values = np.array([ancestor.record.fitness for ancestor in family])
    floor = max(0.0, float(np.median(values)) - 2 * float(values.max() - np.median(values)) - 0.02)
    values = np.maximum(values, floor)  # those far below are drawn at the lower edge
    ends = [(place, parent) for place in drawn for parent in family[place].parents]
    joins = [[(generations[end], values[end]) for end in pair] for pair in ends]
    axes.add_collection(LineCollection(joins, colors=style.COLORS[4], linewidths=0.5, alpha=0.5))
    axes.plot(generations[line], values[line], color=style.COLORS[0], linewidth=2)
    for is_dropped, label, fill in ((False, "trained to the end", "full"), (True, "stopped early by halving", "none")):
        places = [place for place in drawn if (family[place].record.fate == "dropped") == is_dropped]
        if places:
            marks: dict[str, Any] = {"color": style.COLORS[4], "markersize": 4, "fillstyle": fill}
            axes.plot(generations[places], values[places], "o", label=label, **marks)
    axes.plot(generations[line], values[line], "o", color=style.COLORS[0], markersize=5, label="main line")
    axes.set(xlabel="generation of first appearance", ylabel=f"validation {score} then")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right")


def ranking(axes: Axes, shown: Sequence[tuple[str, Sequence[float]]], label: str) -> None:
    """Draw named scores one below another: every score as a dot, the mean, and its 95% interval."""
    for place, (_, scores) in enumerate(shown, start=1):
        summary = statistics.summarize(np.array(scores))
        axes.plot(scores, [place] * len(scores), "o", color=style.COLORS[4], markersize=3, alpha=0.6)
        error = [[summary.mean - summary.low], [summary.high - summary.mean]] if len(scores) > 1 else None
        look: dict[str, Any] = dict(fmt="D", markersize=4, color=style.COLORS[0], elinewidth=1.3, capsize=2)
        axes.errorbar([summary.mean], [place], xerr=error, **look)
    axes.set_yticks(range(1, len(shown) + 1), [name for name, _ in shown])
    axes.set_ylim(len(shown) + 0.6, 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(label)


def learning_curves(axes: Axes, steps: Sequence[int], rows: Mapping[str, np.ndarray], label: str) -> None:
    """Draw values ``[seeds, points]`` by name: means and 95% intervals by steps, without points that are not finite."""
    for number, (name, values) in enumerate(rows.items()):
        finite = np.isfinite(values).all(axis=0)
        band(axes, np.array(steps)[finite], values[:, finite], name, linestyle=_DASHES[number % len(_DASHES)])
    axes.set(xlabel="steps", ylabel=label)
    axes.legend()


def loss_curves(axes: Axes, curves: Mapping[str, Loss]) -> None:
    """Draw losses by the prediction."""
    _curves(axes, curves, slope=False)


def loss_slopes(axes: Axes, curves: Mapping[str, Loss]) -> None:
    """Draw the slopes of losses by the prediction."""
    _curves(axes, curves, slope=True)


def _curves(axes: Axes, curves: Mapping[str, Loss], slope: bool) -> None:
    is_probability = next(iter(curves.values())).output in ("softmax", "sigmoid")
    y = np.linspace(0.005, 0.995, 397) if is_probability else np.linspace(-0.995, 0.995, 398)
    inner = (y > 0.1) if is_probability else np.full(y.shape, True)
    for number, (name, loss) in enumerate(curves.items()):
        values = binary_curve(loss, y) if loss.output == "softmax" else single_curve(loss, y, float(is_probability))
        # A constant changes no gradient and a factor only the learning rate, so only the shapes are compared.
        middle = values[inner & (np.abs(y) < 0.9) & np.isfinite(values)]
        if len(middle):
            values = (values - middle.min()) / (np.ptp(middle) or 1)
        with np.errstate(all="ignore"):
            drawn = np.gradient(values, y) if slope else values
        axes.plot(y, drawn, _DASHES[number % len(_DASHES)], label=name)
    shown = inner & (np.abs(y) < 0.92)
    visible = np.concatenate([np.asarray(line.get_ydata(), float)[shown] for line in axes.lines])
    visible = visible[np.isfinite(visible)]
    if len(visible):
        margin = 0.1 * (np.ptp(visible) or 1)
        axes.set_ylim(visible.min() - margin, visible.max() + margin)
    axes.set_xlabel("prediction for the true class (two classes)" if is_probability else "prediction for a target of 0")
    axes.set_ylabel("slope" if slope else "loss, scaled")
    axes.legend()


def _short(value: float) -> str:
    """A count with a unit: k, M or G."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
