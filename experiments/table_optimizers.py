"""SGD beside Adam for the networks of tables, each at its best learning rate.

Command: python experiments/table_optimizers.py [--networks mlp tabular] [--csv FILE:TARGET[:DROP] ...]

The loss is the usual one, cross-entropy or squared error. The best of eight rates is that with the best mean validation
score over ``--seeds`` trainings; what is shown is the test metric of as many others at that rate, with the paired
difference. Without ``--csv`` the tables are scikit-learn's breast cancer, wine, diabetes, and one that is drawn, 5% of
it positive.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from glojax import files, keep_programs, statistics, tasks
from glojax.discovery import scoring

RATES = {
    "sgd": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "adam": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
}
"""Learning rates of each optimizer."""


def embedded(folder: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """Tables of scikit-learn as CSV files, with their targets."""
    made = {
        "breast_cancer": datasets.load_breast_cancer,
        "wine": datasets.load_wine,
        "diabetes": datasets.load_diabetes,
    }
    frames = {name: load(as_frame=True).frame for name, load in made.items()}
    x, y = datasets.make_classification(2000, 12, n_informative=6, weights=[0.95], class_sep=0.7, random_state=0)
    frames["rare"] = pd.DataFrame(x, columns=[f"x{place}" for place in range(12)]).assign(target=y)
    for name, frame in frames.items():
        path = folder / f"{name}.csv"
        frame.to_csv(path, index=False)
        yield path, "target", []


def compared(path: Path, target: str, drop: list[str], network: str, seeds: int, steps: int) -> dict[str, Any]:
    """The test metric of each optimizer at its best rate on a table."""
    found: dict[str, Any] = {"table": path.stem, "network": network}
    for optimizer, rates in RATES.items():
        task = tasks.table(
            path, target, drop=drop, network=network, optimizer=optimizer, learning_rate=1.0, steps=steps
        )
        loss = task.problem.baseline
        first = scoring.score_losses(task, [loss] * len(rates), range(seeds), rates)[..., 0]
        best = rates[int(first.mean(axis=1).argmax())]
        fresh = range(1000, 1000 + seeds)
        scores = scoring.score_losses(task, [loss], fresh, [best], splits=("test",))[0, :, 0]
        found |= {"metric": task.metric_name, optimizer: task.as_metric(scores).tolist(), f"{optimizer} rate": best}
    sgd, adam = np.array(found["sgd"]), np.array(found["adam"])
    gap = statistics.paired_difference(sgd, adam)
    found |= {"difference": gap.mean, "p": statistics.paired_p(sgd, adam)}
    return found


def main() -> None:
    """Compare on every table, and print a row for each as it ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["mlp", "tabular"])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--csv", nargs="+", default=[], metavar="FILE:TARGET[:DROP]")
    parser.add_argument("--output", type=Path, default=Path("results"))
    options = parser.parse_args()
    keep_programs()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        given = [text.split(":") for text in options.csv]
        tables = [(Path(name), target, drop) for name, target, *drop in given] or list(embedded(Path(folder)))
        for network in options.networks:
            for path, target, drop in tables:
                row = compared(path, target, drop, network, options.seeds, options.steps)
                rows.append(row)
                print(
                    f"{row['network']:<8} {row['table']:<18} {row['metric']:<18} "
                    f"sgd {row['sgd rate']:g}: {np.mean(row['sgd']):.4f}  adam {row['adam rate']:g}: "
                    f"{np.mean(row['adam']):.4f}  {row['difference']:+.4f} p {row['p']:.2g}",
                    flush=True,
                )
    options.output.mkdir(parents=True, exist_ok=True)
    files.write_atomically(options.output / "table_optimizers.json", json.dumps({"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
