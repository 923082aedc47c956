"""Data utilization: test accuracy against the share of the training set, with every loss at its best learning rate.

Makes: for each share and each of cross-entropy, Baikal and BaikalCMA, the best rate, the test accuracy over seeds with
its 95% interval, and Welch's p and Hedges' g against cross-entropy; the curves as a figure.
Command: python experiments/data_utilization.py [--scale full] [--data-dir DIR] [--task digits]
Time: 30 seconds on 2 CPU cores with --task digits --steps 500 --seeds 16;
16 minutes on mnist, beside other work.

The small shares test the claim of arXiv 1905.11528 that the losses regularize: 5% of MNIST are 2,750 images. Rates are
chosen by validation accuracy over seeds that are not used again; the validation set stays whole.
"""

from dataclasses import replace

import numpy as np
import study
from matplotlib.figure import Figure

from glojax.discovery import scoring
from glojax.reporting import figures


def main() -> None:
    """Train every loss at every share, at all rates and then at the best."""
    lists = study.RATES | {"shares": ((0.05, 0.11, 0.22, 0.47, 1.0), (0.05, 0.22, 1.0))}
    options = study.options_of(__doc__, lists=lists, seeds=(5, 2), tuning_seeds=(5, 1), steps=(2000, 200))
    if max(options.shares) > 1:
        raise SystemExit(f"--shares holds {max(options.shares):g}; shares of the training set are at most 1")
    task = study.task_of(options)
    x, labels = task.splits["train"]
    sizes = [max(task.batch_size, round(share * len(x))) for share in options.shares]
    found = np.zeros((len(sizes), len(study.LOSSES), options.seeds))
    rows = []
    for place, size in enumerate(sizes):
        part = replace(task, train=(x[:size], labels[:size]))
        rates = study.best_rates(options, part)
        found[place] = scoring.score_losses(
            part, list(study.LOSSES.values()), range(options.seeds), rates, splits=("test",)
        )[..., 0]
        for name, rate, scores in zip(study.LOSSES, rates, found[place], strict=True):
            statistics = study.against(found[place, 0], scores)
            rows.append({"images": size, "loss": name, "rate": f"x{rate:g}"} | statistics | {"scores": scores.tolist()})
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(study.LOSSES):
        figures.band(axes, sizes, found[:, number].T, name, marker="o")
    axes.set(xscale="log", xlabel="training images", ylabel="test accuracy", ylim=(found.mean(axis=2).min() - 0.05, 1))
    axes.set_title(f"{task.name}, {task.steps} steps, {options.seeds} seeds, each loss at its best learning rate")
    axes.legend(loc="lower right")
    study.keep(options, "data_utilization", rows, figure)


if __name__ == "__main__":
    main()
