"""Accuracy after the shortened training: cross-entropy, Baikal and BaikalCMA, and cross-entropy at higher rates.

Makes: validation and test accuracy over seeds, next to the figures of arXiv 1905.11528, with Welch's p and Hedges' g
against cross-entropy at the task's rate on the test set; the accuracy by steps as a figure.
Command: python experiments/mnist_accuracy.py [--scale full] [--data-dir DIR]
Time: 8 seconds on 2 CPU cores with --task digits --steps 500 --seeds 16;
32 minutes on mnist with --steps 2000 --seeds 2.

The full scale is the paper's setting: 55,000 images, its network with dropout, plain SGD at 0.01, batches of 100, 2,000
steps. The test set is scored along the way, and nothing is chosen by it.
"""

import numpy as np
import study
from matplotlib.figure import Figure

from glojax import statistics
from glojax.discovery import scoring
from glojax.reporting import figures

PAPER = {"cross-entropy": 0.9700, "Baikal": 0.9838, "BaikalCMA": 0.9902}  # validation after 2,000 steps, one run each
ROWS = [(name, loss, 1.0) for name, loss in study.LOSSES.items()]
ROWS += [(f"cross-entropy, rate x{rate:g}", study.LOSSES["cross-entropy"], rate) for rate in (3.0, 10.0)]
POINTS = 10


def main() -> None:
    """Train all rows over the seeds in one program."""
    options = study.options_of(__doc__, seeds=(10, 2), steps=(2000, 200))
    task = study.task_of(options)
    names, chosen, rates = zip(*ROWS, strict=True)
    curves = scoring.learning_curves(
        task, chosen, range(options.seeds), rates, splits=("validation", "test"), steps=task.steps, points=POINTS
    )
    paper = PAPER if (task.name, task.steps) == ("mnist", 2000) else {}
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes, rows = figure.subplots(), []
    steps = scoring.points_of(task.steps, POINTS)
    for name, rate, curve in zip(names, rates, curves, strict=True):
        validation = statistics.summarize(curve[:, -1, 0])
        row = {"loss": name, "validation": validation.mean} | ({"paper's": paper[name]} if name in paper else {})
        test = study.against(curves[0, :, -1, 1], curve[:, -1, 1])
        rows.append(row | {"validation std": validation.std} | {f"test {name}": value for name, value in test.items()})
        rows[-1]["curves"] = curve.tolist()  # [seeds, points, (validation, test)]
        figures.band(axes, steps, curve[..., 0], name, linestyle="-" if rate == 1 else "--")
    axes.set(xlabel="steps", ylabel="validation accuracy", title=f"{task.name}, {options.seeds} seeds, 95% intervals")
    axes.set_ylim(float(np.median(curves[:, :, 1, 0])) - 0.1, 1.0)
    axes.legend(loc="lower right")
    study.keep(options, "mnist_accuracy", rows, figure)


if __name__ == "__main__":
    main()
