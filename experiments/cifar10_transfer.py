"""Transfer: the losses that arXiv 1905.11528 found on MNIST train its CIFAR-10 network, without another search.

Makes: test accuracy of cross-entropy, Baikal and BaikalCMA over seeds, at the task's learning rate and at each loss's
best one, with Welch's p and Hedges' g against cross-entropy; accuracy by steps as a figure.
Command: python experiments/cifar10_transfer.py [--scale full] [--data-dir DIR]
Time: 7 minutes on 2 CPU cores, on 4,500 images.

The training is the paper's: random 24x24 crops, flips, brightness and contrast; SGD with weight decay 0.004.
"""

import study
from matplotlib.figure import Figure

from glojax.discovery import scoring
from glojax.reporting import figures

POINTS = 10


def main() -> None:
    """Choose the rates, then train all rows in one program."""
    lists = {"rates": (scoring.RATES, (0.1, 0.3, 1.0))}
    options = study.options_of(__doc__, "cifar10", lists, seeds=(10, 2), tuning_seeds=(10, 1), steps=(43_000, 20))
    task = study.task_of(options)
    rates, curves = study.at_both_rates(options, task, POINTS)
    figure, rows = Figure(figsize=(7, 4.5), layout="constrained"), []
    axes, steps = figure.subplots(), scoring.points_of(task.steps, POINTS)
    for number, (rate, curve) in enumerate(zip(rates, curves, strict=True)):
        side, loss = divmod(number, len(study.LOSSES))
        name, baseline = list(study.LOSSES)[loss], curves[side * len(study.LOSSES)]
        rows.append({"loss": name, "rate": f"x{rate:g}"} | study.against(baseline[:, -1], curve[:, -1]))
        rows[-1]["curves"] = curve.tolist()
        figures.band(axes, steps, curve, f"{name}, rate x{rate:g}", linestyle="-" if side else "--")
    axes.set(xlabel="steps", ylabel="test accuracy", title=f"{task.name}, {options.seeds} seeds, 95% intervals")
    axes.legend()
    study.keep(options, "cifar10_transfer", rows, figure)


if __name__ == "__main__":
    main()
