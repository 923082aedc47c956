"""The curves of the losses of arXiv 1905.11528 on a binary problem: the loss and its slope against the prediction.

Makes: a figure of each loss and its slope for the true labels 1 and 0, as the paper plots them, and a table of where
each loss is least.
Command: python experiments/loss_curves.py [--output DIR]
Time: seconds.
"""

import numpy as np
import study
from matplotlib.figure import Figure

from glojax.reporting import figures


def main() -> None:
    """Draw the curves and print the minima."""
    options = study.options_of(__doc__)
    y = np.linspace(0.001, 0.999, 999)
    figure, rows = Figure(figsize=(10, 7), layout="constrained"), []
    axes = figure.subplots(2, 2, sharex=True)
    for name, loss in study.LOSSES.items():
        for column, label in enumerate((1, 0)):
            curve = figures.binary_curve(loss, y if label else 1 - y)
            axes[0, column].plot(y, curve, label=name)
            axes[1, column].plot(y, np.gradient(curve, y), label=name)
            least = curve.argmin()
            rows.append({"loss": name, "label": label, "least at": float(y[least]), "value": float(curve[least])})
    for column, label in enumerate((1, 0)):
        axes[0, column].set(title=f"true label {label}", ylim=(-0.5, 20))
        axes[1, column].set(xlabel="prediction y for label 1", ylim=(-15, 15))
    axes[0, 0].set_ylabel("loss")
    axes[1, 0].set_ylabel("slope")
    axes[0, 0].legend()
    study.keep(options, "loss_curves", rows, figure)


if __name__ == "__main__":
    main()
