"""Data utilization: test accuracy against the share of the training set, every loss at its best learning rate.

Makes: for each share and for cross-entropy, Baikal and BaikalCMA the best rate, the test accuracy over seeds with its
95% interval, and Welch's p and Hedges' g against cross-entropy; the curves as a figure.
Command: python experiments/data_utilization.py [--scale full] [--data-dir DIR] [--task digits]
Time: 30 seconds on 2 CPU cores with --task digits --steps 500 --seeds 16; on mnist it was not timed yet.

The scarce end is the claim of arXiv 1905.11528 that the losses regularize: 5% of MNIST are 2,750 images. Rates are
chosen by validation accuracy, over seeds that are not used again; the validation set stays whole.
"""

from dataclasses import replace

import numpy as np
import study
from matplotlib.figure import Figure

from glojax import controls, evaluation
from glojax.seeds import named_seed


def main() -> None:
    """Train every loss at every share, at all rates and then at the best."""
    options = study.options_of(__doc__, seeds=(5, 3), steps=(2000, 200), shares=(5, 4))
    task = study.task_of(options)
    x, labels = task.splits["train"]
    shares = np.geomspace(0.05, 1, options.shares)
    found = np.zeros((options.shares, len(study.LOSSES), options.seeds))
    rows, chosen = [], list(study.LOSSES.values())
    for place, share in enumerate(shares):
        count = max(task.batch_size, round(share * len(x)))
        part = replace(task, train=(x[:count], labels[:count]))
        tuning = [named_seed(0, "rates", number) for number in range(options.seeds)]
        rates = controls.best_rates(part, chosen, tuning)
        found[place] = evaluation.score_losses(part, chosen, range(options.seeds), rates, splits=("test",))[..., 0]
        for name, rate, scores in zip(study.LOSSES, rates, found[place], strict=True):
            statistics = study.against(found[place, 0], scores)
            rows.append({"images": count, "loss": name, "rate": f"x{rate:g}"} | statistics)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(study.LOSSES):
        study.band(axes, shares * len(x), found[:, number].T, name, marker="o")
    axes.set(xscale="log", xlabel="training images", ylabel="test accuracy", ylim=(found.mean(axis=2).min() - 0.05, 1))
    axes.set_title(f"{task.name}, {task.steps} steps, {options.seeds} seeds, each loss at its best learning rate")
    axes.legend(loc="lower right")
    study.keep(options, "data_utilization", rows, figure)


if __name__ == "__main__":
    main()
