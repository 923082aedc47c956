"""Exhaustive search: every tree up to a depth is screened, and each loss that trains differently is trained.

There are few such losses: of the 25,844 trees of depth at most 2, some dozens. The ranking shows what a genetic search
can find in so small a space, and what it misses.
"""

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from glojax import losses
from glojax.deprecation import renamed_argument, renamed_attribute
from glojax.discovery import sieve
from glojax.discovery.fitness import EMPTY, Archive, Fitness
from glojax.discovery.results import Baseline, Event, Known, OnEvent, Result
from glojax.discovery.settings import FitnessConfig, check_bounds
from glojax.discovery.sieve import Sieve
from glojax.executors import local
from glojax.executors.protocol import Executor
from glojax.expressions import trees
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.records.candidates import Record
from glojax.records.funnel import total
from glojax.records.run import Run
from glojax.tasks.task import Task

_CHUNK = 4096  # trees that are screened between two looks at how many wait for training


@dataclass(frozen=True, kw_only=True)
class ExhaustiveConfig(FitnessConfig):
    """Settings of an exhaustive search.

    Attributes:
      depth: largest depth of the trees. There are 2.7 billion of depth 3, which wants a budget.
      batch: losses that are trained and recorded together.

    The other settings are those of ``FitnessConfig`` and ``SharedSettings``. A ranking is wanted, so by default there
    are 5 seeds and no halving.

    Raises:
      ValueError: a setting out of range; the message names the field, its value and what is allowed.
    """

    seeds: int = 5
    halving: int = 1
    depth: int = 2
    batch: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds(self, depth=(1, 4), batch=(1, 100_000))


@dataclass(frozen=True, eq=False)
class ExhaustiveResult(Result):
    """What an exhaustive search ends with.

    Attributes:
      ranking: every loss that was trained, the fittest first.
      places_of_known: places in the ranking, from 1, of known losses by name. A loss that trains like a known one
        stands for it.
      tree_count: how many trees there are up to that depth. As many were drawn unless the budget ended first.

    The others are those of ``Result``.
    """

    ranking: list[Known] = field(repr=False)
    places_of_known: dict[str, int]
    tree_count: int

    known = renamed_attribute("known", "places_of_known")
    trees = renamed_attribute("trees", "tree_count")


@renamed_argument("on_batch", "on_event", lambda call: lambda event: call(event.funnel, event.ranking))
def exhaust(
    task: Task,
    config: ExhaustiveConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    on_event: OnEvent | None = None,
    executor: Executor | None = None,
    group: int | None = None,
) -> ExhaustiveResult:
    """Rank every loss up to a depth.

    Trees are drawn and screened in chunks. What is kept in memory grows with the number of distinct gradients alone,
    so the record has only counts of the trees that are not trained.

    Args:
      task: what candidates are trained on.
      config: the settings. Defaults to ``ExhaustiveConfig()``.
      run_dir: where the record is kept. Defaults to memory alone.
      resume: go on with what ``run_dir`` holds: trees are screened again, but none is trained again.
      on_event: called after each batch.
      executor: what trains the candidates. Defaults to this process.
      group: how many candidates are trained together on a device at most. Defaults to as many as fit its memory.

    Returns:
      The best loss and the whole ranking.

    Raises:
      ValueError: a run directory that does not fit (``records.run.Run``), or nothing to train.

    Example:
      found = glojax.exhaust(glojax.tasks.digits(), glojax.ExhaustiveConfig(depth=1))
      [str(known.tree) for known in found.ranking[:3]]
    """
    config = ExhaustiveConfig() if config is None else config
    task = config.applied_to(task)
    fitness = Fitness.of(task, config, 2 ** (config.depth + 1) - 1, local.resolve(task, executor, group))
    with Run(run_dir, "exhaustive", task, config, resume) as run:
        baseline = fitness.find_baseline(run)
        state = _State(EMPTY, Sieve.fresh(), 0, {}, baseline.steps if baseline else 0, 0.0)
        for following in _states(fitness, config, baseline, state, run):
            state = following
            if on_event is not None and state.trained:
                on_event(_event(state))
        run.once("funnel", lambda: state.funnel, lambda kept: kept == state.funnel)
        if not state.archive.known:
            raise ValueError(f"exhaust: no tree of depth {config.depth} may be trained.")
        best, ranking = fitness.finals(state.archive, run), state.archive.ranking
        record = run.generations()[: state.batches]
    return ExhaustiveResult(
        phase="exhaustive",
        loss=task.loss(best.tree, protected=config.protected),
        rate=best.rate,
        scores=np.array(best.scores),
        record=record,
        funnel=state.funnel,
        baseline=baseline,
        steps=state.steps,
        ranking=ranking,
        places_of_known=_places_of_known(fitness, ranking),
        tree_count=trees.count_trees(config.depth),
    )


class _State(NamedTuple):
    """An exhaustive search after a batch."""

    archive: Archive
    sieve: Sieve
    batches: int  # how many were trained so far
    funnel: dict[str, int]  # of all trees so far
    steps: int  # optimizer steps so far, the baseline's included
    seconds: float  # spent on training so far
    trained: Sequence[Record] = ()  # the last batch
    is_new: bool = True  # whether the last batch was trained now


def _states(
    fitness: Fitness, config: ExhaustiveConfig, baseline: Baseline | None, state: _State, run: Run
) -> Iterator[_State]:
    """The search after each batch and at its end."""
    stream, waiting = trees.enumerate_trees(config.depth), []
    for chunk in iter(lambda: list(itertools.islice(stream, _CHUNK)), []):
        sifted, places = sieve.choose(
            state.sieve, fitness.screener, config.screening, state.archive.known, chunk, len(chunk)
        )
        state = state._replace(sieve=sifted)
        waiting = _first_of_each_form([*waiting, *(chunk[place] for place in places)])
        is_last = len(chunk) < _CHUNK
        while len(waiting) >= config.batch or (is_last and waiting):
            batch, waiting = waiting[: config.batch], waiting[config.batch :]
            state = _train(fitness, baseline, state, run, batch)
            yield state
            if fitness.is_spent(state.steps, state.seconds):
                break
        if fitness.is_spent(state.steps, state.seconds):
            break
    yield state._replace(funnel=total([state.funnel, state.sieve.funnel]), trained=())


def _first_of_each_form(chosen: Sequence[Tree]) -> list[Tree]:
    """Trees without those whose canonical form came before: without the stage "distinct", equal trees are chosen."""
    first: dict[Tree, Tree] = {}
    for tree in chosen:
        first.setdefault(canonical(tree), tree)
    return list(first.values())


def _train(fitness: Fitness, baseline: Baseline | None, state: _State, run: Run, batch: list[Tree]) -> _State:
    """The search after a batch, which is trained unless it is on record."""
    trained: list[Archive] = []

    def train() -> list[Record]:
        started = time.perf_counter()
        archive, measured = fitness.train(state.archive, baseline, batch)
        seconds = (time.perf_counter() - started) / len(batch)
        trained.append(archive)
        known = [archive.known[canonical(tree)] for tree in batch]
        seed = fitness.training_seeds(0, 1)[0]
        return [
            one.to_record("trained" if one.finished else "dropped", seed, steps, seconds)
            for one, steps in zip(known, measured.steps.tolist(), strict=True)
        ]

    def is_this_batch(records: list[Record]) -> bool:
        if [record.expression for record in records] != [str(tree) for tree in batch]:
            raise ValueError(
                f"{run.directory} does not replay: batch {state.batches} was chosen otherwise, perhaps by another "
                "version of glojax. Choose another run directory."
            )
        return True

    records = run.once(state.batches, train, is_this_batch)
    archive = trained[0] if trained else fitness.recall(state.archive, records)
    counts = {"trained": len(records), "finished": sum(record.fate == "trained" for record in records)}
    return _State(
        archive=archive,
        sieve=state.sieve._replace(funnel={}),
        batches=state.batches + 1,
        funnel=total([state.funnel, state.sieve.funnel, counts]),
        steps=state.steps + sum(record.steps for record in records),
        seconds=state.seconds + sum(record.seconds for record in records),
        trained=records,
        is_new=bool(trained),
    )


def _event(state: _State) -> Event:
    ranking = state.archive.ranking
    return Event(
        phase="exhaustive",
        number=state.batches - 1,
        planned=None,
        fitness=np.array([known.fitness for known in ranking]),
        best=str(ranking[0].tree),
        trained=len(state.trained),
        funnel=state.funnel,
        is_new=state.is_new,
        records=state.trained,
        ranking=ranking,
    )


def _places_of_known(fitness: Fitness, ranking: Sequence[Known]) -> dict[str, int]:
    """Places in a ranking, from 1, of the known losses without tuned coefficients, up to losses that train alike."""
    zoo = {name: loss.tree for name, loss in losses.ZOO.items() if isinstance(loss, Loss) and not loss.tuned}
    fitness.screener.looks([*zoo.values(), *(known.tree for known in ranking)])
    keys = fitness.screener.keys([known.tree for known in ranking])
    ours = dict(zip(zoo, fitness.screener.keys([*zoo.values()]), strict=True))
    return {name: keys.index(key) + 1 for name, key in ours.items() if key in keys}
