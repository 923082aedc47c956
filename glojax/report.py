"""Figures: how a search went, and what a loss looks like."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from glojax import controls, losses, metrics, trees
from glojax.curves import Curves
from glojax.evolution import Generation
from glojax.exhaustive import Exhausted
from glojax.fitness import total
from glojax.kinds import KINDS, Kind
from glojax.losses import Loss


def search_figure(
    path: str | os.PathLike[str],
    generations: Sequence[Generation],
    tuning: Sequence[np.ndarray] = (),
    found: Loss | None = None,
    *,
    usual: tuple[str, Loss] = ("cross-entropy", losses.cross_entropy),
    score: str = "accuracy",
) -> None:
    """A figure of a run: fitness by generation in both phases, its funnel, and the found loss beside the usual one.

    Args:
      path: of the image; its ending names the format.
      generations: of the search.
      tuning: fitness ``[population]`` of each generation of CMA-ES.
      found: the loss that the run ended with.
      usual: name of the loss that it is held against, and the loss.
      score: what fitness is.
    """
    figure = Figure(figsize=(12, 7.2), layout="constrained")
    (search_axes, funnel_axes), (tuning_axes, loss_axes) = figure.subplots(2, 2)
    _fitness(search_axes, [generation.fitness for generation in generations], "Search", score)
    _funnel(funnel_axes, total(generation.funnel for generation in generations))
    _fitness(tuning_axes, tuning, "CMA-ES", score)
    if found is not None:
        _curves(loss_axes, {usual[0]: usual[1], "found": found})
    _save(figure, path)


def ranking_figure(
    path: str | os.PathLike[str], exhausted: Exhausted, most: int = 30, *, score: str = "accuracy"
) -> None:
    """A figure of an exhaustive search: the best losses with their 95% intervals, known ones by name, and its funnel.

    Args:
      path: of the image; its ending names the format.
      exhausted: ``exhaustive.exhaust``'s.
      most: losses that are shown.
      score: what fitness is.
    """
    shown = exhausted.ranking[:most]
    figure = Figure(figsize=(13, 1.8 + 0.19 * max(len(shown), 15)), layout="constrained")
    axes, funnel_axes = figure.subplots(1, 2, width_ratios=(3, 2))
    names = {place: name for name, place in exhausted.known.items()}
    for place, known in enumerate(shown, start=1):
        summary = controls.summarize(np.array(known.scores))
        error = [[summary.mean - summary.low], [summary.high - summary.mean]] if len(known.scores) > 1 else None
        color = "C1" if place in names else "C0"
        axes.errorbar([summary.mean], [place], xerr=error, fmt="o", markersize=4, color=color, elinewidth=1)
    labels = [f"{known.tree}  ({names[place]})" if place in names else str(known.tree)
              for place, known in enumerate(shown, start=1)]  # fmt: skip
    axes.set_yticks(range(1, len(shown) + 1), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(left=max(0.0, shown[0].fitness - 0.15))  # the worst are of no interest
    axes.set(xlabel=f"validation {score}, mean over seeds and its 95% interval", title="Ranking")
    _funnel(funnel_axes, exhausted.funnel)
    _save(figure, path)


def loss_figure(path: str | os.PathLike[str], loss: Loss) -> None:
    """The curve of a loss beside the usual one, as arXiv 1905.11528 plots it, and its slope."""
    usual = next((kind for kind in KINDS.values() if kind.output == loss.output), Kind(loss.output, metrics.r2))
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    value_axes, slope_axes = figure.subplots(1, 2)
    curves = {usual.control_name: usual.usual, "this loss": loss}
    _curves(value_axes, curves)
    _curves(slope_axes, curves, slope=True)
    _save(figure, path)


def training_figure(path: str | os.PathLike[str], curves: Curves, title: str, *, score: str = "accuracy") -> None:
    """The scores of losses by steps: mean over seeds and its 95% interval, a panel for each part of the data.

    Args:
      path: of the image; its ending names the format.
      curves: ``curves.train``'s.
      title: above the panels.
      score: what they are.
    """
    figure = Figure(figsize=(6 * len(curves.splits), 4), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, len(curves.splits), sharey=True, squeeze=False)[0]
    for place, (axes, split) in enumerate(zip(panels, curves.splits, strict=True)):
        for number, row in enumerate(curves.shown):
            scores = row.scores[..., place]
            is_control = number >= len(curves.rows)
            band(axes, curves.steps, scores, f"{row.name}, x{row.rate:g}", linestyle="--" if is_control else "-")
        axes.set(xlabel="steps", ylabel=f"{split} {score}")
        axes.legend(loc="lower right")
    _save(figure, path)


def band(axes: Axes, x: Any, scores: np.ndarray, label: str, **style: Any) -> None:
    """Mean of scores ``[seeds, points]`` as a line, their 95% confidence interval around it."""
    summaries = [controls.summarize(column) for column in scores.T]
    (line,) = axes.plot(x, [summary.mean for summary in summaries], label=label, **style)
    if len(scores) > 1:
        low, high = ([getattr(summary, end) for summary in summaries] for end in ("low", "high"))
        axes.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def binary_curve(loss: Loss, y: np.ndarray) -> np.ndarray:
    """The loss of a binary problem whose label is the first class and whose prediction for it is ``y`` ``[points]``."""
    y = np.asarray(y, np.float64)
    with np.errstate(all="ignore"):
        terms = [
            trees.evaluate(loss.tree, np.full_like(y, x), p, np, loss.protected, loss.coefficients)
            for x, p in ((1.0, y), (0.0, 1 - y))
        ]
        return -np.broadcast_to(terms[0] + terms[1], y.shape)


def single_curve(loss: Loss, y: np.ndarray, target: float) -> np.ndarray:
    """The loss of one output whose prediction is ``y`` ``[points]``."""
    y = np.asarray(y, np.float64)
    with np.errstate(all="ignore"):
        value = trees.evaluate(loss.tree, np.full_like(y, target), y, np, loss.protected, loss.coefficients)
        return -np.broadcast_to(value, y.shape)


def _fitness(axes: Axes, generations: Sequence[np.ndarray], title: str, score: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("generation")
    axes.set_ylabel(f"validation {score}")
    if not len(generations):
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center")
        return
    numbers = np.arange(len(generations))
    best = np.maximum.accumulate([fitness.max() for fitness in generations])
    alive = [fitness[fitness > 0] for fitness in generations]
    axes.plot(numbers, best, label="best so far", marker="o" if len(numbers) == 1 else None)
    axes.plot(numbers, [part.mean() if len(part) else np.nan for part in alive], label="mean of the trainable")
    axes.plot(numbers, [fitness.mean() for fitness in generations], label="mean of all", linestyle=":")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()


def _funnel(axes: Axes, funnel: dict[str, int]) -> None:
    axes.set_title("Trees that came so far")
    if not any(funnel.values()):
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center")
        return
    bars = axes.barh(list(funnel), list(funnel.values()))
    axes.bar_label(bars, labels=[f"{count:,}" for count in funnel.values()], padding=3)
    axes.set(xscale="log", xlim=(0.5, 8 * max(funnel.values())), xlabel="trees")
    axes.invert_yaxis()


def _curves(axes: Axes, curves: dict[str, Loss], slope: bool = False) -> None:
    is_probability = next(iter(curves.values())).output in ("softmax", "sigmoid")
    y = np.linspace(0.005, 0.995, 397) if is_probability else np.linspace(-0.995, 0.995, 398)
    inner = (y > 0.1) if is_probability else np.full(y.shape, True)
    for name, loss in curves.items():
        values = binary_curve(loss, y) if loss.output == "softmax" else single_curve(loss, y, float(is_probability))
        # An additive constant changes no training, and a scale is a learning rate: shapes are what is compared.
        middle = values[inner & (np.abs(y) < 0.9) & np.isfinite(values)]
        if len(middle):
            values = (values - middle.min()) / (np.ptp(middle) or 1)
        with np.errstate(all="ignore"):
            drawn = np.gradient(values, y) if slope else values
        axes.plot(y, drawn, label=name)
    shown = inner & (np.abs(y) < 0.92)
    visible = np.concatenate([np.asarray(line.get_ydata(), float)[shown] for line in axes.lines])
    visible = visible[np.isfinite(visible)]
    if len(visible):
        margin = 0.1 * (np.ptp(visible) or 1)
        axes.set_ylim(visible.min() - margin, visible.max() + margin)
    axes.set_title("Slope of that curve" if slope else "Loss, its range over 0.1 to 0.9 scaled to 1")
    axes.set_xlabel("prediction for the true class (two classes)" if is_probability else "prediction for a target of 0")
    axes.legend()


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
