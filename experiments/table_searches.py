"""What the default search finds on tables, beside the losses that a person would try.

Makes: for each table the test metrics of the found loss and of controls, each at its best rate, over fresh seeds, with
the paired p-values against the found loss, corrected after Holm; and the verdict of the search itself.
Command: python experiments/table_searches.py [--tables rare diabetes skewed] [--csv FILE:TARGET[:DROP] ...]
Time: a few minutes on 2 CPU cores for each. Runs that are there already are only read.

Controls of classes are cross-entropy, cross-entropy with balanced class weights, and focal loss; of numbers squared
error, absolute error, Huber, log-cosh and quantile loss. Of each sort with a coefficient the one with the best
validation score counts.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

import glojax
from glojax import DiscoveryConfig, Task, files, keep_programs, statistics, tables, tasks
from glojax.discovery import best_known, scoring
from glojax.discovery.comparison import compare
from glojax.losses.loss import LossFunction
from glojax.records import summary
from glojax.records.comparisons import WEIGHTED, best_rows
from glojax.reporting import conclusions
from glojax.seeds import named_seed

CONTROLS = (WEIGHTED, "focal", "absolute error", "Huber", "log-cosh", "quantile")
OF_CLASSES, OF_NUMBERS = ("balanced_accuracy", "auc"), ("r2", "rmse")


def rare() -> pd.DataFrame:
    """5,000 rows of which 2% are positive, and 1% have the wrong label."""
    x, y = datasets.make_classification(
        5000, 12, n_informative=6, weights=[0.98], flip_y=0.01, class_sep=1.2, random_state=0
    )
    return pd.DataFrame(x, columns=[f"x{place}" for place in range(12)]).assign(target=y)


def skewed() -> pd.DataFrame:
    """1,500 rows whose target has a long tail: the exponential of Friedman's first function with noise."""
    x, y = datasets.make_friedman1(1500, noise=1.0, random_state=0)
    return pd.DataFrame(x, columns=[f"x{place}" for place in range(10)]).assign(target=np.exp(y / 6))


MADE: dict[str, Callable[[], pd.DataFrame]] = {
    "rare": rare,
    "diabetes": lambda: datasets.load_diabetes(as_frame=True).frame,  # type: ignore[union-attr]  # a Bunch
    "skewed": skewed,
}


def controls(task: Task) -> dict[str, LossFunction]:
    """Losses that need no search, beside the task's baseline, by their labels."""
    return {one.label: one.loss for one in best_known.candidates(task) if one.name in CONTROLS}


def compared(task: Task, found: LossFunction, rate: float, units: float, seeds: int) -> list[dict[str, Any]]:
    """A row for the found loss, the baseline and each sort of control, the best first by the first metric."""
    named = {"found": found, **controls(task)}
    best = best_rows(compare(task, named, seeds, rates={"found": rate}))
    sorts: dict[str, str] = {}
    for label, row in best.items():
        sort = label.partition(", ")[0]
        if sort not in sorts or row.validation.mean() > best[sorts[sort]].validation.mean():
            sorts[sort] = label
    labels = sorted(sorts.values(), key=lambda label: label != "found")
    losses = {label: named.get(label, task.problem.baseline) for label in labels}
    fresh, rates = [named_seed(1, "tables", place) for place in range(seeds)], [best[label].rate for label in losses]
    metrics = OF_NUMBERS if task.problem.output == "identity" else OF_CLASSES
    rows = [{"loss": label, "rate": rate} for label, rate in zip(losses, rates, strict=True)]
    for metric in metrics:
        judged = dataclasses.replace(task, metric=metric, minimize=False)
        scores = scoring.score_losses(judged, list(losses.values()), fresh, rates, splits=("test",))[..., 0]
        values = judged.as_metric(scores) * (units if metric == "rmse" else 1)
        for row, of_loss in zip(rows, values, strict=True):
            row[metric] = of_loss.tolist()
    first = np.array([row[metrics[0]] for row in rows])
    pairs = [statistics.paired_p(first[0], other) for other in first[1:]]
    for row, p in zip(rows[1:], statistics.holm(pairs), strict=True):
        row["p"] = p
    return sorted(rows, key=lambda row: -np.mean(row[metrics[0]]))


def result(path: Path, target: str, drop: list[str], config: DiscoveryConfig, options: argparse.Namespace) -> dict:
    """The row of one table, from the record of its search if that is there."""
    read: list[tables.TableData] = []
    given = {} if options.steps is None else {"steps": options.steps}
    task = tasks.table(path, target, drop=drop, on_read=read.append, **given)
    run_dir = options.output / path.stem
    discovery = glojax.discover(task, config, run_dir, resume=(run_dir / "settings.json").exists())
    rows = compared(discovery.task, discovery.loss, discovery.rate, read[0].target_std or 1.0, options.seeds)
    run = summary.read(run_dir)
    return {
        "table": path.stem,
        "loss": str(discovery.loss),
        "one answer for all": tasks.constant_metric(discovery.task),
        "rows": rows,
        "verdict": conclusions.about_comparison(run),
    }


def main() -> None:
    """Search on every table, and print what was found as it ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="*", choices=MADE, default=list(MADE))
    parser.add_argument("--csv", nargs="+", default=[], metavar="FILE:TARGET[:DROP]")
    parser.add_argument("--seeds", type=int, default=16, help="fresh trainings of each loss")
    parser.add_argument("--generations", type=int, help="of each search; the default search's if not given")
    parser.add_argument("--steps", type=int, help="of each training; the task's if not given")
    parser.add_argument("--output", type=Path, default=Path("results/tables"), help="folder for the runs")
    options = parser.parse_args()
    keep_programs()
    options.output.mkdir(parents=True, exist_ok=True)
    config = DiscoveryConfig(seeds=options.seeds)
    if options.generations is not None:
        config = dataclasses.replace(config, search=dataclasses.replace(config.search, generations=options.generations))
    asked: list[tuple[Path, str, list[str]]] = []
    for name in options.tables:
        MADE[name]().to_csv(path := options.output / f"{name}.csv", index=False)
        asked.append((path, "target", []))
    asked += [(Path(file), target, drop) for file, target, *drop in (text.split(":") for text in options.csv)]
    found = []
    for path, target, drop in asked:
        found.append(one := result(path, target, drop, config, options))
        print(f"\n{one['table']}: {one['loss']}; one answer for all {one['one answer for all']:.4f}")
        for row in one["rows"]:
            metrics = [name for name in row if isinstance(row[name], list)]
            values = [f"{name} {np.mean(row[name]):.4f} ± {np.std(row[name], ddof=1):.4f}" for name in metrics]
            print(f"  {row['loss']:<32} x{row['rate']:<8.3g} {'  '.join(values)}  p {row.get('p', float('nan')):.2g}")
        print("\n".join(one["verdict"]), flush=True)
    files.write_atomically(options.output / "table_searches.json", json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
