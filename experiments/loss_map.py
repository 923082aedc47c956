"""The loss map: every loss of depth 3 that trains differently, trained on digits and on noisy digits.

Makes: loss_map.parquet, which ``read`` reads (docs/loss-map.md says what is in it). What is there already is not
computed again.
Command: python experiments/loss_map.py [--output results/loss_map]
Time: an hour on 2 CPU cores beside other work.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from glojax import ExhaustiveConfig, SearchConfig, Task, files, keep_programs, tasks
from glojax.discovery import scoring
from glojax.discovery.distinct import Distinct, distinct
from glojax.discovery.fitness import FACTORS, Fitness
from glojax.executors import local
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree
from glojax.records.run import Run
from glojax.seeds import named_random, named_seed

TASKS: dict[str, Callable[[], Task]] = {"digits": tasks.digits, "noisy_digits": tasks.noisy_digits}
UNIT = 65535
"""Scores lie between 0 and 1 and are kept as whole numbers of this many parts."""

SEEDS = 4
MORE_SEEDS = 12
TOP = 2048
CHUNK = 1024
HALVING = SearchConfig().halving


class OnTask(NamedTuple):
    """What the losses are worth on one task."""

    baseline_rate: float  # scale of the task's learning rate that is best for the baseline
    baseline: np.ndarray  # float32[8], its scores (margins) there
    rates: np.ndarray  # float32[losses, 3], scales of the task's learning rate that were tried
    rungs: np.ndarray  # float32[losses, 3, 4, 3], margins by rate, seed and rung; of what was stopped, its last
    more: np.ndarray  # float32[losses, 12], margins over further seeds at the best rate; NaN but for the best losses
    accuracy: np.ndarray  # float32[losses, 2], mean accuracy of validation and test over all seeds; NaN as ``more``

    @property
    def best_rates(self) -> np.ndarray:
        """int64[losses], the place of the best rate of each."""
        return self.rungs[..., -1].mean(axis=-1).argmax(axis=1)

    @property
    def scores(self) -> np.ndarray:
        """float32[losses, 16], margins at the best rate over all seeds; NaN where there are none."""
        found = np.take_along_axis(self.rungs[..., -1], self.best_rates[:, None, None], axis=1)[:, 0]
        return np.concatenate([found, self.more], axis=1)


class LossMap(NamedTuple):
    """The file, read."""

    trees: list[Tree]  # the smallest tree of each loss, the smallest first
    on: dict[str, OnTask]
    funnel: dict[str, int]
    coverage: dict[str, int]


# WHAT IS TRAINED


def fitness_of(task: Task, depth: int) -> Fitness:
    """How the losses are screened, and what their rates derive from."""
    return Fitness.of(task, ExhaustiveConfig(depth=depth), 2 ** (depth + 1) - 1, local.resolve(task))


def losses_of(depth: int) -> Distinct:
    """The losses up to a depth that train differently; the same for all tasks of classes."""
    fitness = fitness_of(tasks.digits(), depth)

    def progress(stage: str, done: int, count: int) -> None:
        print(f"\r{stage}: {done:,} of {count:,}", end="" if done < count else "\n", flush=True)

    settings, stages = fitness.screener.settings, fitness.config.screening
    return distinct(depth, settings, stages, fair_rates=True, soft_labels=False, progress=progress)


def kept(path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays from a file, made and written there if it is not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replaced(path) as file:
            np.savez_compressed(file, allow_pickle=False, **make())
    with np.load(path, allow_pickle=False) as found:
        return dict(found)


def trained(name: str, found: Distinct, options: argparse.Namespace) -> OnTask:
    """All losses on one task: each at three rates with halving among a thousand, then the best over more seeds."""
    task, parts = TASKS[name](), options.output / "parts"
    fitness = fitness_of(task, options.depth)
    with Run(None, "exhaustive", task, fitness.config, False) as run:
        baseline = fitness.find_baseline(run)
    assert baseline is not None
    rates = (fitness.fair_rates(baseline, found.trees)[:, None] * np.array(FACTORS)).astype(np.float32)
    seeds = [named_seed(0, "loss map", number) for number in range(options.seeds + options.more_seeds)]
    rungs = np.full((len(found.trees), len(FACTORS), options.seeds, 3), np.nan, np.float32)
    # Halving compares losses with their like in any chunk, so a chunk holds losses of all sizes.
    order = named_random(0, "loss map").permutation(len(found.trees))
    for first in range(0, len(order), options.chunk):
        places = order[first : first + options.chunk]
        path = parts / f"{name}-{first}.npz"
        rungs[places] = kept(path, lambda places=places: _halved(fitness, found.trees, rates, places, seeds, options))[
            "rungs"
        ]
        print(f"\r{name}: {first + len(places):,} of {len(order):,}", end="", flush=True)
    print()
    whole = OnTask(
        baseline.rate,
        np.array(baseline.scores, np.float32),
        rates,
        rungs,
        np.full((len(rates), options.more_seeds), np.nan, np.float32),
        np.full((len(rates), 2), np.nan, np.float32),
    )
    best = np.argsort(-whole.scores[:, : options.seeds].mean(axis=1), kind="stable")[: options.top]
    chosen = rates[np.arange(len(rates)), whole.best_rates]
    for first in range(0, len(best), options.chunk):
        places = best[first : first + options.chunk]
        path = parts / f"{name}-best-{first}.npz"
        more = kept(path, lambda places=places: _again(fitness, found.trees, chosen, places, seeds, options.seeds))
        whole.more[places], whole.accuracy[places] = more["more"], more["accuracy"]
    return whole


def _halved(
    fitness: Fitness,
    trees: Sequence[Tree],
    rates: np.ndarray,
    places: np.ndarray,
    seeds: Sequence[int],
    options: argparse.Namespace,
) -> dict[str, np.ndarray]:
    chosen = [trees[place] for place in places]
    measured = scoring.measure(fitness.evaluator, chosen, seeds[: options.seeds], rates=rates[places], halving=HALVING)
    return {"rungs": measured.rungs}


def _again(
    fitness: Fitness,
    trees: Sequence[Tree],
    rates: np.ndarray,
    places: np.ndarray,
    seeds: Sequence[int],
    first_seeds: int,
) -> dict[str, np.ndarray]:
    chosen, own = [trees[place] for place in places], rates[places].tolist()
    more = scoring.train_each(fitness.evaluator, chosen, [seeds[first_seeds:]] * len(chosen), own)
    task = fitness.task
    losses = [task.loss(tree) for tree in chosen]
    accuracy = scoring.score_losses(task, losses, seeds, own, splits=("validation", "test"))
    return {"more": np.array(more.scores, np.float32), "accuracy": accuracy.mean(axis=1)}


# THE FILE


def write(path: Path, found: Distinct, on: dict[str, OnTask]) -> None:
    """Write the map, in place of what is there."""
    columns: dict[str, Any] = {"expression": pa.array([str(tree) for tree in found.trees])}
    about: dict[str, Any] = {"funnel": found.funnel, "coverage": found.coverage, "tasks": {}}
    for name, one in on.items():
        has_more = np.isfinite(one.more[:, 0])
        columns[f"{name} rate"] = pa.array(one.rates[:, 1])
        columns[f"{name} rungs"] = _lists(one.rungs.reshape(len(found.trees), -1), np.ones(len(has_more), bool))
        columns[f"{name} more"] = _lists(one.more, has_more)
        columns[f"{name} accuracy"] = _lists(one.accuracy, has_more)
        about["tasks"][name] = {
            "baseline rate": one.baseline_rate,
            "baseline": one.baseline.tolist(),
            "rungs": one.rungs.shape[1:],
        }
    table = pa.table(columns).replace_schema_metadata({"glojax": json.dumps(about)})
    with files.replaced(path) as file:
        parquet.write_table(table, file, compression="zstd", compression_level=19)


def _lists(scores: np.ndarray, is_there: np.ndarray) -> Any:
    """A column of lists of scores as whole numbers; null where there are none."""
    rows = np.round(np.where(is_there[:, None], scores, 0) * UNIT).astype(np.uint16)
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1], mask=pa.array(~is_there))


def read(path: Path) -> LossMap:
    """Read the map from its file.

    Raises:
      ValueError: a file that is no loss map.
    """
    table = parquet.read_table(path)
    about = (table.schema.metadata or {}).get(b"glojax")
    if about is None:
        raise ValueError(f"{path} is no loss map: experiments/loss_map.py makes one.")
    facts = json.loads(about)
    trees = [parse(text) for text in table["expression"].to_pylist()]

    def scores(column: str) -> np.ndarray:
        found = table[column].combine_chunks()
        is_there = found.is_valid().to_numpy(zero_copy_only=False)
        rows = np.full((len(trees), found.type.list_size), np.nan, np.float32)
        rows[is_there] = found.flatten().to_numpy().reshape(-1, found.type.list_size) / np.float32(UNIT)
        return rows

    on = {}
    for name, fact in facts["tasks"].items():
        middle = table[f"{name} rate"].to_numpy()
        on[name] = OnTask(
            fact["baseline rate"],
            np.array(fact["baseline"], np.float32),
            middle[:, None] * np.array(FACTORS, np.float32),
            scores(f"{name} rungs").reshape(len(trees), *fact["rungs"]),
            scores(f"{name} more"),
            scores(f"{name} accuracy"),
        )
    return LossMap(trees, on, facts["funnel"], facts["coverage"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=3, help="largest depth of the trees")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="trainings of every loss at every rate")
    parser.add_argument("--more-seeds", type=int, default=MORE_SEEDS, help="further trainings of the best losses")
    parser.add_argument("--top", type=int, default=TOP, help="how many losses are the best")
    parser.add_argument("--chunk", type=int, default=CHUNK, help="losses that are trained together")
    parser.add_argument("--output", type=Path, default=Path("results/loss_map"), help="folder for the map")
    options = parser.parse_args()
    keep_programs()
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "losses.json"
    if path.exists():
        text = json.loads(path.read_text())
        found = Distinct([parse(one) for one in text["trees"]], text["coverage"], text["funnel"])
    else:
        found = losses_of(options.depth)
        text = {"trees": [str(tree) for tree in found.trees], "coverage": found.coverage, "funnel": found.funnel}
        files.write_atomically(path, json.dumps(text))
    on = {name: trained(name, found, options) for name in TASKS}
    write(options.output / "loss_map.parquet", found, on)


if __name__ == "__main__":
    main()
