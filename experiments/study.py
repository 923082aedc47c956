"""What the experiments share: their options, the losses they compare, and how they save a table and a figure."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from glojax import files, keep_programs, losses, statistics, tasks
from glojax.discovery import comparison, scoring
from glojax.seeds import named_seed
from glojax.tasks.task import Task

LOSSES = {"cross-entropy": losses.cross_entropy, "Baikal": losses.baikal, "BaikalCMA": losses.baikal_cma}
"""Cross-entropy and the two losses found by arXiv 1905.11528."""


def options_of(
    doc: str | None,
    task: str = "mnist",
    lists: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    **settings: tuple[int, int],
) -> argparse.Namespace:
    """Parse the command line of a script.

    Args:
      doc: the script's docstring.
      task: the default of ``--task``.
      lists: options that take several numbers, with their defaults at the full and at the small scale.
      **settings: options that take a whole number of at least 1, with the same two defaults.

    Returns:
      The options; those that were not given have the default of their scale.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=("full", "small"), default="small", help="small is meant for 2 CPU cores")
    parser.add_argument("--task", default=task, help="mnist, cifar10, digits (quick) or path/to/file.py:function")
    parser.add_argument("--data-dir", type=Path, help="folder of the images, as for glojax.data.mnist")
    parser.add_argument("--output", type=Path, default=Path("results"), help="folder for the table and the figure")
    for name, (full, small) in settings.items():
        option = name.replace("_", "-")
        parser.add_argument(f"--{option}", type=int, help=f"defaults to {full} at the full scale, {small} at the small")
    for name, pair in (lists or {}).items():
        full, small = (" ".join(f"{number:g}" for number in numbers) for numbers in pair)
        help_text = f"defaults to {full} at the full scale, {small} at the small"
        parser.add_argument(f"--{name}", type=float, nargs="+", help=help_text)
    options = parser.parse_args()
    for name, pair in (lists or {}).items():
        if getattr(options, name) is None:
            setattr(options, name, pair[options.scale == "small"])
        if min(getattr(options, name)) <= 0:
            parser.error(f"--{name} holds {min(getattr(options, name))}; numbers above 0 are needed")
    for name, pair in settings.items():
        if getattr(options, name) is None:
            setattr(options, name, pair[options.scale == "small"])
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(options, name)}; it must be at least 1")
    return options


def task_of(options: argparse.Namespace) -> Task:
    """The task that the options name, with their number of steps."""
    keep_programs()
    task = tasks.task_by_name(options.task, **({} if options.data_dir is None else {"data_dir": options.data_dir}))
    return replace(task, steps=options.steps, averaging=0)  # the paper scores the last weights


def half_size(images: np.ndarray) -> np.ndarray:
    """Images ``[images, height, width, channels]`` of even sides at half the size: means of 2x2 pixels, float32."""
    count, height, width, channels = images.shape
    blocks = np.asarray(images).reshape(count, height // 2, 2, width // 2, 2, channels)
    return blocks.mean(axis=(2, 4)).astype(np.float32)


RATES = {"rates": (scoring.RATES, (1.0, 10.0))}
"""The option ``--rates`` of scripts that choose a rate, with its defaults at the full and at the small scale."""


def best_rates(options: argparse.Namespace, task: Task) -> list[float]:
    """The best of ``--rates`` for each of ``LOSSES``, by validation accuracy over seeds that nothing else uses."""
    seeds = [named_seed(0, "rates", number) for number in range(options.tuning_seeds)]
    return comparison.best_rates(task, list(LOSSES.values()), seeds, options.rates)


def at_both_rates(options: argparse.Namespace, task: Task, points: int) -> tuple[list[float], np.ndarray]:
    """Train ``LOSSES`` at the task's learning rate, and each at its best one.

    Returns:
      The rates ``[2 * losses]``, and test accuracies ``[2 * losses, seeds, points]``.
    """
    rates = [1.0] * len(LOSSES) + best_rates(options, task)
    curves = scoring.learning_curves(
        task, list(LOSSES.values()) * 2, range(options.seeds), rates, splits=("test",), steps=task.steps, points=points
    )
    return rates, curves[..., 0]


def against(first: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """The statistics of a row's scores ``[seeds]``, with p and g against those of the first row."""
    summary = statistics.summarize(scores)
    row: dict[str, Any] = {"mean": summary.mean, "std": summary.std, "low": summary.low, "high": summary.high}
    if len(scores) > 1 and not np.shares_memory(first, scores):
        row |= {"p": statistics.welch(first, scores), "g": statistics.effect_size(first, scores)}
    return row


def keep(options: argparse.Namespace, name: str, rows: list[dict[str, Any]], figure: Figure | None = None) -> None:
    """Print the rows as a table, and write them as JSON and the figure as PNG."""
    columns = [field for field in rows[0] if not isinstance(rows[0][field], list | dict)]
    for row in rows[1:]:
        columns += [field for field in row if field not in columns and not isinstance(row[field], list | dict)]
    print("| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns), sep="\n")
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        print("| " + " | ".join(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells) + " |")
    settings = {option: str(value) for option, value in vars(options).items()}
    content = json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n"
    files.write_atomically(options.output / f"{name}.json", content)
    if figure is not None:
        figure.savefig(options.output / f"{name}.png", dpi=150)
    print(f"Saved {options.output / name}.json and .png")
