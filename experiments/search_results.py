"""What the default search finds where a loss matters, beside tuned cross-entropy and the best known loss.

Makes: for each task and search seed, the test metric of the found loss, of the baseline at its best rate, of the best
known loss and of random search, with paired p-values corrected after Holm; and the same after full trainings.
Command: python experiments/search_results.py [--tasks noisy-digits noisy-mnist outliers] [--search-seeds 0 1 2 3 4]
Time: about 3 minutes on 2 CPU cores for each seed of noisy digits. Runs that are there already are only read.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import optax
import study
from weight_averages import mnist_small

import glojax
from glojax import DiscoveryConfig, SearchConfig, Task, TuneConfig, data, files, keep_programs, models, tasks
from glojax.records import summary
from glojax.reporting import conclusions
from glojax.reporting.numbers import number, p_in_words


def mnist_scarce(data_dir: Path | None) -> Task:
    """2,700 training images of MNIST at 12x12 pixels, and the paper's network with a quarter of its channels."""
    splits = data.mnist(data_dir)

    def small(part: data.Split, count: int) -> data.Split:
        return data.Split(study.half_size(part.x[:count])[:, 1:13, 1:13], part.labels[:count])

    parts = small(splits.train, 2700), small(splits.validation, 2000), small(splits.test, 10_000)
    network = models.PaperCNN(channels=(8, 16), hidden=64)
    return Task(network, *parts, optimizer=optax.sgd(0.01), batch_size=50, steps=600, name="mnist-2700")


TASKS = {
    "digits": lambda _: tasks.digits(),
    "noisy-digits": lambda _: tasks.noisy_digits(),
    "noisy-mnist": mnist_small,
    "outliers": lambda _: tasks.diabetes(outliers=0.2),
    "scarce-mnist": mnist_scarce,
}


CONFIGS: dict[str, tuple[SearchConfig, DiscoveryConfig]] = {
    "scarce-mnist": (
        SearchConfig(population=40, generations=8),
        DiscoveryConfig(tune=None, random_search=False, full_steps=0),
    )
}
"""Settings of searches and of discoveries that would take many hours by default."""


def result(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The rows of one search, from its record if it is there."""
    run_dir = options.output / f"{name}-{seed}"
    started = time.perf_counter()
    if not (run_dir / "report.html").exists():
        search, config = CONFIGS.get(name, (SearchConfig(), DiscoveryConfig()))
        search = dataclasses.replace(
            search,
            seed=seed,
            generations=options.generations or search.generations,
            operators=tuple(options.operators),
        )
        tune = None if config.tune is None else TuneConfig(seed=seed)
        config = dataclasses.replace(config, search=search, tune=tune, seeds=options.seeds)
        task = TASKS[name](options.data_dir)
        if options.steps is not None:
            task = dataclasses.replace(task, steps=options.steps)
        glojax.discover(task, config, run_dir, resume=run_dir.exists())
    run = summary.read(run_dir)
    ours = run.found_in_comparison
    assert ours is not None
    full = {name: row.test for name, row in run.fully_trained.items()}
    return {
        "task": name, "seed": seed, "loss": str(run.found.loss) if run.found else "",
        "found": _mean(run.as_metric(ours.best.test)),
        "others": {name: _beside(one) for name, one in conclusions.differences(run).items()},
        "best known": run.best_known,
        "in full": _mean(run.as_metric(full[ours.name])) if full else "",
        "others in full": {name: _beside(one) for name, one in conclusions.differences_in_full(run).items()},
        "minutes": round((time.perf_counter() - started) / 60, 1),
    }  # fmt: skip


def _mean(scores: np.ndarray) -> str:
    return f"{number(float(scores.mean()))} ± {number(float(scores.std(ddof=1)))}"


def _beside(found: conclusions.LossDifference) -> str:
    return f"{number(found.base.mean)} ± {number(found.base.std)}, {p_in_words(found.p)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["noisy-digits"])
    parser.add_argument("--search-seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--seeds", type=int, default=16, help="fresh trainings of each loss")
    parser.add_argument("--generations", type=int, help="of each search; the default search's if not given")
    parser.add_argument("--steps", type=int, help="of each training; the task's if not given")
    parser.add_argument("--operators", nargs="+", default=["paper"], help="what trees are made of")
    parser.add_argument("--data-dir", type=Path, help="folder of the images, as for glojax.data.mnist")
    parser.add_argument("--output", type=Path, default=Path("results/searches"), help="folder for the runs")
    options = parser.parse_args()
    keep_programs()
    rows = []
    for name in options.tasks:
        for seed in options.search_seeds:
            rows.append(result(name, seed, options))
            print(json.dumps(rows[-1], indent=1), flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    files.write_atomically(options.output / "search_results.json", json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
