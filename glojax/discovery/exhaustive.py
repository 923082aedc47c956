"""Every tree up to a depth: screened, and each loss that trains differently trained over several seeds.

There are few: of the 25,844 trees of depth at most 2 some dozens. What the genetic search can find in so small a space
is thereby known, and what it misses.
"""

import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from glojax import losses
from glojax.discovery.fitness import Baseline, Fitness, Known, record_of
from glojax.discovery.settings import FitnessConfig, check_bounds
from glojax.expressions import trees
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree
from glojax.records.candidates import Record
from glojax.records.funnel import total
from glojax.records.run import Run
from glojax.tasks.task import Task

_CHUNK = 4096  # trees that are screened between two looks at how many wait for training


@dataclass(frozen=True)
class ExhaustiveConfig(FitnessConfig):
    """Settings of an exhaustive search.

    Attributes:
      depth: of the trees, at most; 3, of which there are 2.7 billion, wants a budget.
      batch: losses that are trained together, after which they are on record.

    The others are those of ``FitnessConfig``; by default there are 5 seeds and no halving, as it is a ranking that is
    wanted.

    Raises:
      ValueError: naming the field, its value and what is allowed.
    """

    seeds: int = 5
    halving: int = 1
    depth: int = 2
    batch: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds(self, {"depth": (1, 4), "batch": (1, 100_000)})


class Exhausted(NamedTuple):
    """What an exhaustive search found."""

    best: Tree
    rate: float  # scale of the task's learning rate that goes with it
    fitness: float  # its mean validation score: over fresh seeds if there were finals
    ranking: list[Known]  # every loss that was trained, the fittest first
    known: dict[str, int]  # places, from 1, of known losses in the ranking, up to what training cannot tell apart
    funnel: dict[str, int]  # how many trees came so far, by the names in ``funnel.FUNNEL``
    trees: int  # of that depth; as many as were drawn unless the budget ended first
    baseline: Baseline | None
    steps: int  # optimizer steps of all candidates and of the baseline, without the finals


def exhaust(
    task: Task,
    config: ExhaustiveConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    on_batch: Callable[[dict[str, int], list[Known]], None] | None = None,
) -> Exhausted:
    """Rank every loss up to a depth.

    Trees are drawn and screened one chunk at a time; what is kept grows with the number of distinct gradients alone, so
    that of those which are not trained the record has numbers only.

    Args:
      task: what candidates are trained on.
      config: the defaults if left out.
      run_dir: where the record is kept; in memory only if left out.
      resume: go on with what ``run_dir`` holds: trees are screened again, but none is trained again.
      on_batch: called with the funnel and the ranking so far, after each batch.

    Raises:
      ValueError: a run directory that does not fit (``run.Run``), or nothing to train.
    """
    config = ExhaustiveConfig() if config is None else config
    fitness = Fitness(task, config, 2 ** (config.depth + 1) - 1)
    counted: dict[str, int] = {}
    with Run(run_dir, "exhaustive", task, config, resume) as run:
        spent, seconds, recorded = fitness.find_baseline(run), 0.0, run.generations()
        stream, waiting, number = trees.enumerate_trees(config.depth), [], 0
        for chunk in iter(lambda: list(itertools.islice(stream, _CHUNK)), []):
            waiting += [chunk[place] for place in fitness.choose(chunk, len(chunk))]
            is_last = len(chunk) < _CHUNK
            while len(waiting) >= config.batch or (is_last and waiting):
                batch, waiting = waiting[: config.batch], waiting[config.batch :]
                records = recorded[number] if number < len(recorded) else []
                records = _train(fitness, run, number, batch, records)
                number += 1
                spent += sum(record.steps for record in records)
                seconds += sum(record.seconds for record in records)
                counted = total([counted, fitness.take_funnel()])
                if on_batch is not None:
                    on_batch(counted, fitness.ranking())
                if fitness.is_spent(spent, seconds):
                    break
            if fitness.is_spent(spent, seconds):
                break
        counted = total([counted, fitness.take_funnel()])
        run.save_result("funnel", counted)
        if not fitness.known:
            raise ValueError(f"exhaust: no tree of depth {config.depth} may be trained.")
        best, ranking = fitness.finals(run), fitness.ranking()
    zoo = {name: loss.tree for name, loss in losses.ZOO.items() if isinstance(loss, losses.Loss) and not loss.tuned}
    return Exhausted(
        best.tree, best.rate, best.fitness, ranking, fitness.places_of(ranking, zoo), counted,
        trees.count_trees(config.depth), fitness.baseline, spent,
    )  # fmt: skip


def _train(fitness: Fitness, run: Run, number: int, batch: list[Tree], recorded: list[Record]) -> list[Record]:
    if recorded:
        if [record.expression for record in recorded] != [str(tree) for tree in batch]:
            raise ValueError(
                f"{run.directory} does not replay: batch {number} was chosen otherwise, perhaps by another version of "
                "glojax. Choose another run directory."
            )
        fitness.remember_all(recorded)
        records = recorded
    else:
        started = time.perf_counter()
        measured = fitness.train(batch)
        seconds = (time.perf_counter() - started) / len(batch)
        known = [fitness.known[canonical(tree)] for tree in batch]
        records = [
            record_of(one, "trained" if one.finished else "dropped", fitness.seeds[0], taken, seconds)
            for one, taken in zip(known, measured.steps.tolist(), strict=True)
        ]
        run.save_generation(number, records)
    fitness.count(trained=len(records), finished=sum(record.fate == "trained" for record in records))
    return records
