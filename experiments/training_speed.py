"""Training speed: accuracy against steps, and the steps that each loss needs to reach an accuracy.

Makes: for cross-entropy, Baikal and BaikalCMA, at the task's learning rate and at each loss's best one, the first point
of the curve at which the mean test accuracy over seeds reaches each level; the curves with 95% intervals as a figure.
Command: python experiments/training_speed.py [--scale full] [--data-dir DIR] [--task digits]
Time: 16 seconds on 2 CPU cores with --task digits --steps 1000 --seeds 16;
18 minutes on mnist with --points 8, beside other work.

The best rates are chosen by validation accuracy at the end of training, over seeds that are not used again.
"""

import study
from matplotlib.figure import Figure

from glojax.discovery import scoring
from glojax.reporting import figures

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.97, 0.98, 0.985, 0.99)


def main() -> None:
    """Choose the rates, train all rows in one program, and look up the levels."""
    options = study.options_of(
        __doc__,
        lists=study.RATES,
        seeds=(10, 2),
        tuning_seeds=(10, 1),
        steps=(20_000, 200),
        points=(40, 10),
    )
    task = study.task_of(options)
    rates, curves = study.at_both_rates(options, task, options.points)
    steps = scoring.points_of(task.steps, options.points)
    figure, rows = Figure(figsize=(11, 4.5), layout="constrained"), []
    axes = figure.subplots(1, 2, sharey=True)
    for number, (rate, curve) in enumerate(zip(rates, curves, strict=True)):
        side, loss = divmod(number, len(study.LOSSES))
        name = list(study.LOSSES)[loss]
        mean = curve.mean(axis=0)
        first = {level: steps[(mean >= level).argmax()] for level in LEVELS if mean.max() >= level}
        reached = {f"{level:g}": first.get(level, "") for level in LEVELS}
        rows.append({"loss": name, "rate": f"x{rate:g}"} | reached | study.against(curves[0, :, -1], curve[:, -1]))
        rows[-1]["curves"] = curve.tolist()
        figures.band(axes[side], steps, curve, f"{name}, rate x{rate:g}")
    for side, title in enumerate(("at the task's learning rate", "each at its best learning rate")):
        axes[side].set(xlabel="steps", title=title)
        axes[side].legend(loc="lower right")
    axes[0].set(
        ylabel=f"test accuracy, {task.name}, {options.seeds} seeds",
        ylim=(curves[1, :, options.points // 10].mean() - 0.2, 1),
    )
    study.keep(options, "training_speed", rows, figure)


if __name__ == "__main__":
    main()
