"""MNIST after the shortened training: cross-entropy, Baikal and BaikalCMA, and cross-entropy at higher learning rates.

Makes: validation and test accuracy over seeds beside the figures of arXiv 1905.11528, with Welch's p and Hedges' g
against cross-entropy at the paper's rate; and the accuracy by steps as a figure.
Command: python experiments/mnist_accuracy.py [--scale small] [--data-dir DIR] [--seeds 2] [--output DIR]
Time: on 2 CPU cores 25 minutes; with --scale small, a tenth of the steps, 3.

The full scale is the paper's setting: 55,000 images, its network with dropout, plain SGD at 0.01, batches of 100, 2,000
steps. The test set is scored at every point of the curve and chooses nothing.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from glojax import controls, evaluation, files, keep_programs, losses, tasks

ROWS = {
    "cross-entropy": (losses.cross_entropy, 1.0),
    "Baikal": (losses.baikal, 1.0),
    "BaikalCMA": (losses.baikal_cma, 1.0),
    "cross-entropy, rate x3": (losses.cross_entropy, 3.0),
    "cross-entropy, rate x10": (losses.cross_entropy, 10.0),
}
PAPER = {"cross-entropy": 0.9700, "Baikal": 0.9838, "BaikalCMA": 0.9902}  # validation after 2,000 steps, one run each
POINTS = 10


def main() -> None:
    """Train all rows over the seeds in one program; print the table, write it and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=("full", "small"), default="full")
    parser.add_argument("--data-dir", type=Path, help="as for glojax.data.mnist")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("results"))
    options = parser.parse_args()
    keep_programs()
    task = tasks.mnist(steps=2000 if options.scale == "full" else 200, data_dir=options.data_dir)
    chosen, rates = zip(*ROWS.values(), strict=True)
    curves = evaluation.learning_curves(
        task, chosen, range(options.seeds), rates, splits=("validation", "test"), steps=task.steps, points=POINTS
    )
    rows = []
    for name, curve in zip(ROWS, curves, strict=True):
        validation, test = (controls.summarize(curve[:, -1, split]) for split in range(2))
        against = [curves[0, :, -1, 1], curve[:, -1, 1]]
        statistics = {} if options.seeds < 2 else {"p": controls.welch(*against), "g": controls.effect_size(*against)}
        rows.append(
            {"loss": name, "validation": validation.mean, "std": validation.std, "test": test.mean}
            | {"test std": test.std, "paper": PAPER.get(name) if options.scale == "full" else None}
            | statistics
            | {"curves": curve.tolist()}
        )
        print(*(f"{field} {value}" for field, value in rows[-1].items() if field != "curves"), sep=", ", flush=True)
    record = {"options": {name: str(value) for name, value in vars(options).items()}, "steps": task.steps, "rows": rows}
    files.write_atomically(options.output / "mnist_accuracy.json", json.dumps(record, indent=1) + "\n")
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    steps = np.arange(1, POINTS + 1) * (task.steps // POINTS)
    for name, curve in zip(ROWS, curves[..., 0], strict=True):
        (line,) = axes.plot(steps, curve.mean(axis=0), label=name, linestyle="--" if "rate" in name else "-")
        axes.fill_between(steps, curve.min(axis=0), curve.max(axis=0), color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xlabel="steps", ylabel="validation accuracy", title=f"MNIST, {options.seeds} seeds (mean, range)")
    axes.set_ylim(bottom=max(0.0, float(np.median(curves[:, :, 0, 0])) - 0.1), top=1)
    axes.legend(loc="lower right")
    figure.savefig(options.output / "mnist_accuracy.png", dpi=150)
    print(f"Saved {options.output / 'mnist_accuracy.json'} and .png")


if __name__ == "__main__":
    main()
