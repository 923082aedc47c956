"""Search strategies on the loss map, by look-up: the library's own search, with recorded scores for trainings.

Makes: for each strategy and task, the candidate-steps until the fittest loss so far is truly one of the best 1% of the
map, and what the loss that the search ends with lacks to the best, in the mean of many searches.
Command: python experiments/replay.py [--map experiments/loss_map.parquet] [--repeats 1000]
Time: about half a minute for a search on 2 CPU cores.

A training is a look-up of the loss whose gradient has the same direction, at its rate, its rung and one of the recorded
seeds, in an order of each repeat's own. Trees with other directions are not trainable. The true value of a loss is its
mean over all its recorded seeds.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import loss_map
import numpy as np
from loss_map import OnTask

from glojax import SearchConfig, Task, files, keep_programs
from glojax.discovery import generations, screening
from glojax.discovery.fitness import Fitness
from glojax.discovery.results import Known
from glojax.discovery.settings import FitnessConfig
from glojax.discovery.sieve import Screener
from glojax.expressions import programs
from glojax.expressions.trees import Tree
from glojax.records.run import BASELINE, Run
from glojax.seeds import named_random, named_seed
from glojax.training.candidates import Trained

BUDGET = 400_000
"""Candidate-steps of a search, beside those of its baseline."""

TOP = 0.01

STRATEGIES: dict[str, dict[str, Any]] = {
    "drawing": {"breeding": False, "pool": 0},
    "breeding": {"pool": 0},
    "default": {},
    "from zoo": {"start": ("zoo",)},
}
"""Settings of a search that differ from the defaults."""


class MapScreener(Screener):
    """Screens trees as a search does, where those are trainable whose gradients the map has."""

    def __init__(self, task: Task, config: FitnessConfig, trees: Sequence[Tree]):
        super().__init__(task, config, programs.room(SearchConfig().max_nodes - 1))
        examined = screening.examine(trees, self.settings)
        self.rows = {key.tobytes(): row for row, key in enumerate(examined.direction)}

    def trainable(self, trees: Sequence[Tree]) -> list[bool]:
        """Whether the map has a loss with the same gradient."""
        return [key in self.rows for key in self.keys(trees)]

    def row(self, tree: Tree) -> int:
        """The place of a trainable tree's loss in the map."""
        (key,) = self.keys([tree])
        return self.rows[key]


class _Asked(NamedTuple):
    """Candidates, as ``MapEvaluator`` takes them."""

    rows: np.ndarray
    seeds: np.ndarray
    rates: np.ndarray


@dataclasses.dataclass(frozen=True)
class MapEvaluator:
    """Trains candidates by looking up what was recorded of their losses.

    Attributes:
      task: that of the record.
      on: the record.
      screener: says which loss of the map a tree is.
      repeat: seeds are other ones of the record in every repeat.
    """

    task: Task
    on: OnTask
    screener: MapScreener
    repeat: int

    def candidates(
        self,
        population: Sequence[Tree],
        seeds: Sequence[int],
        coefficients: object = None,
        rates: Sequence[float] | None = None,
    ) -> Any:
        """What is to be looked up."""
        rows = np.array([self.screener.row(tree) for tree in population])
        tried = self.on.rates[rows]
        given = np.asarray(rates)[:, None]
        return _Asked(rows, np.array(seeds), np.abs(np.log(tried / given)).argmin(axis=1))

    def train(
        self,
        candidates: Any,
        stops: Sequence[int],
        *,
        keep: Callable[[np.ndarray], np.ndarray] | None = None,
        **_: Any,
    ) -> Trained:
        """The recorded scores, with as many steps as the trainings would have taken."""
        rows, seeds, rates = candidates
        found = self.on.rungs[rows, rates][:, :, -len(stops) :]
        first_seeds, every = found.shape[1], self.on.scores[rows]
        drawn = np.array([named_random(self.repeat, "replayed", seed).integers(2**31) for seed in seeds.tolist()])
        scores = found[np.arange(len(rows)), drawn % first_seeds]
        if len(stops) == 1:  # of the best losses, at their best rates, there is more
            is_known = (rates == self.on.best_rates[rows]) & ~np.isnan(every[:, -1])
            scores[is_known, 0] = every[np.arange(len(rows)), drawn % every.shape[1]][is_known]
        alive, steps = np.ones(len(rows), bool), np.zeros(len(rows), np.int64)
        for stop, (before, after) in enumerate(zip((0, *stops), stops, strict=False)):
            steps[alive] += after - before
            scores[~alive, stop] = scores[~alive, max(0, stop - 1)]
            if keep is not None and stop < len(stops) - 1:
                alive &= keep(scores[:, [stop]])
        return Trained(scores[..., None], steps)


class Replayed(NamedTuple):
    """One search."""

    steps: list[int]  # after each generation
    values: list[float]  # true value of the fittest loss then
    value: float  # true value of the loss that it ends with
    row: int  # its place in the map


@dataclasses.dataclass
class Replay:
    """The searches on one task of the map."""

    task: Task
    on: OnTask
    screener: MapScreener
    fitness: Fitness

    @classmethod
    def of(cls, found: loss_map.LossMap, name: str, screener: MapScreener | None = None) -> "Replay":
        """The searches on a task."""
        task = loss_map.TASKS[name]()
        config = SearchConfig()
        screener = MapScreener(task, config, found.trees) if screener is None else screener
        made = MapEvaluator(task, found.on[name], screener, 0)
        fitness = dataclasses.replace(
            Fitness.of(task, config, config.max_nodes, lambda *_, **__: made), screener=screener
        )
        return cls(task, found.on[name], screener, fitness)

    @property
    def values(self) -> np.ndarray:
        """float64[losses], the true value of each."""
        return np.nanmean(self.on.scores.astype(float), axis=1)

    def search(self, settings: dict[str, Any], repeat: int, budget: int) -> Replayed:
        """One search."""
        config = SearchConfig(
            **{"generations": 1000, "budget": budget, "seed": named_seed(repeat, "replay"), **settings}
        )
        evaluator = MapEvaluator(self.task, self.on, self.screener, repeat)
        fitness = dataclasses.replace(self.fitness, config=config, evaluator=evaluator)
        steps, fittest, last = [], [], None
        with Run(None, "search", self.task, config, False) as run:
            baseline = Known(
                self.task.problem.baseline.tree, self.on.baseline_rate, tuple(map(float, self.on.baseline)), True
            )
            run.save(BASELINE, [baseline.to_record("trained", 0, 0, 0.0)])
            for last in generations.states(fitness, config, run):
                steps.append(last.steps)
                fittest.append(self.screener.row(last.archive.ranking[0].tree))
            assert last is not None
            row = self.screener.row(fitness.finals(last.archive, run).tree)
        values = self.values
        return Replayed(steps, values[fittest].tolist(), float(values[row]), row)


# WHAT IS SHOWN


def summary(found: Sequence[Replayed], values: np.ndarray, budget: int) -> dict[str, Any]:
    """Steps until the fittest loss is one of the best, and regret, in the mean and the median of searches."""
    ranked = np.sort(values)[::-1]
    level = ranked[max(1, round(TOP * len(values))) - 1]
    reached = [
        next((steps for steps, value in zip(one.steps, one.values, strict=True) if value >= level), np.inf)
        for one in found
    ]
    regret = ranked[0] - np.array([one.value for one in found])
    return {
        "searches": len(found),
        "steps to the top 1%, median": float(np.median(reached)),
        "never there": float(np.mean(np.isinf(reached))),
        "regret": float(regret.mean()),
        "its standard error": float(regret.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else 0.0,
        "regret, median": float(np.median(regret)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", type=Path, default=Path(__file__).parent / "loss_map.parquet", help="the loss map")
    parser.add_argument("--repeats", type=int, default=20, help="searches of each strategy")
    parser.add_argument("--first", type=int, default=0, help="number of the first repeat")
    parser.add_argument("--budget", type=int, default=BUDGET, help="candidate-steps of each search")
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--tasks", nargs="+", choices=loss_map.TASKS, default=list(loss_map.TASKS))
    parser.add_argument("--output", type=Path, default=Path("results"), help="folder for the table")
    options = parser.parse_args()
    keep_programs()
    found = loss_map.read(options.map)
    rows, screener = [], None
    for name in options.tasks:
        replay = Replay.of(found, name, screener)
        screener = replay.screener
        for strategy in options.strategies:
            started = time.perf_counter()
            searches = [
                replay.search(STRATEGIES[strategy], repeat, options.budget)
                for repeat in range(options.first, options.first + options.repeats)
            ]
            row = {"task": name, "strategy": strategy, **summary(searches, replay.values, options.budget)}
            print(json.dumps({**row, "seconds": round(time.perf_counter() - started, 1)}), flush=True)
            rows.append({**row, "values": [one.value for one in searches]})
    options.output.mkdir(parents=True, exist_ok=True)
    files.write_atomically(options.output / "replay.json", json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
