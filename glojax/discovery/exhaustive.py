"""Exhaustive search: each loss up to a depth that trains differently is trained.

Of the 25,844 trees of depth at most 2 these are some dozens, of the 2.7 billion of depth at most 3 some ten thousands:
``distinct`` finds them. The ranking shows what a genetic search can find in such a space, and what it misses.
"""

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from glojax import losses
from glojax.deprecation import renamed_argument, renamed_attribute
from glojax.discovery import distinct, screening
from glojax.discovery.distinct import Distinct, Progress
from glojax.discovery.fitness import EMPTY, Archive, Fitness, simplified_loss
from glojax.discovery.results import Baseline, Event, Known, OnEvent, Result
from glojax.discovery.settings import FitnessConfig, check_bounds
from glojax.executors import local
from glojax.executors.protocol import Executor
from glojax.expressions import parsing, trees
from glojax.expressions.canonical import canonical
from glojax.expressions.functions import MAX_DEPTH
from glojax.expressions.grammar import OF_PAPER
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.records.candidates import Record
from glojax.records.funnel import total
from glojax.records.hall_of_fame import hall_of_fame
from glojax.records.run import Run
from glojax.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class ExhaustiveConfig(FitnessConfig):
    """Settings of an exhaustive search.

    Attributes:
      depth: largest depth of the trees. To train all losses of depth 3 takes hours; a budget ends it with the losses
        of the smallest trees.
      batch: losses that are trained and recorded together.
      soft_labels: tell losses apart by labels between 0 and 1 too, of classes that have such labels.

    The other settings are those of ``FitnessConfig`` and ``SharedSettings``. A ranking is wanted, so by default there
    are 5 seeds and no halving.

    Raises:
      ValueError: a setting out of range; the message names the field, its value and what is allowed.
    """

    seeds: int = 5
    halving: int = 1
    depth: int = 2
    batch: int = 64
    soft_labels: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds(self, depth=(1, MAX_DEPTH), batch=(1, 100_000))
        beyond = [symbol for symbol in self.operators if symbol not in OF_PAPER.operators]
        if self.depth > 2 and beyond:
            raise ValueError(
                f"ExhaustiveConfig.depth is {self.depth} with the operator {beyond[0]!r}; depth {self.depth} is for "
                f"{', '.join(OF_PAPER.operators)} alone: with more there are too many functions."
            )


@dataclass(frozen=True, eq=False)
class ExhaustiveResult(Result):
    """What an exhaustive search ends with.

    Attributes:
      ranking: every loss that was trained, the fittest first.
      places_of_known: places in the ranking, from 1, of known losses by name. A loss that trains like a known one
        stands for it.
      tree_count: how many trees there are up to that depth.
      coverage: what they compute: how many finite ``"functions"`` of x and y, how many different ``"gradients"`` they
        have that labels change, how many ``"directions"`` of gradients, and how many ``"losses"`` passed the stages.

    The others are those of ``Result``.
    """

    ranking: list[Known] = field(repr=False)
    places_of_known: dict[str, int]
    tree_count: int
    coverage: dict[str, int]

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
    on_screening: Progress | None = None,
    executor: Executor | None = None,
    group: int | None = None,
) -> ExhaustiveResult:
    """Rank every loss up to a depth, those of the smallest trees first.

    At depth 3 it takes some minutes and about a gigabyte, with soft labels twice as much, to find which losses are
    worth training; they are recorded, and not looked for again when the run is resumed. Of trees that are not trained
    the record has only counts.

    Args:
      task: what candidates are trained on.
      config: the settings. Defaults to ``ExhaustiveConfig()``.
      run_dir: where the record is kept. Defaults to memory alone.
      resume: go on with what ``run_dir`` holds.
      on_event: called after each batch.
      on_screening: called with a stage of screening, how many losses have passed through it, and how many there are.
      executor: what trains the candidates. Defaults to this process.
      group: how many candidates are trained together on a device at most. Defaults to as many as fit its memory.

    Returns:
      The best loss and the whole ranking.

    Raises:
      ValueError: a run directory that does not fit (``records.run.Run``), soft labels where labels are no classes, or
        nothing to train.

    Example:
      found = glojax.exhaust(glojax.tasks.digits(), glojax.ExhaustiveConfig(depth=1))
      [str(known.tree) for known in found.ranking[:3]]
    """
    config = ExhaustiveConfig() if config is None else config
    task = config.applied_to(task)
    fitness = Fitness.of(task, config, 2 ** (config.depth + 1) - 1, local.resolve(task, executor, group))
    settings = _settings(fitness, config)
    with Run(run_dir, "exhaustive", task, config, resume) as run:
        baseline = fitness.find_baseline(run)
        chosen = _losses(settings, config, run, on_screening)
        funnel, steps = chosen.funnel | {"trained": 0, "finished": 0}, baseline.steps if baseline else 0
        state = start = _State(EMPTY, 0, funnel, steps, 0.0)
        for state in _states(fitness, config, baseline, start, run, chosen.trees):
            if on_event is not None:
                on_event(_event(state))
        if not state.archive.known:
            raise ValueError(f"exhaust: no tree of depth {config.depth} may be trained.")
        run.once("funnel", lambda: state.funnel, lambda kept: kept == state.funnel)
        best, ranking = fitness.finals(state.archive, run), state.archive.ranking
        record, decided = run.generations()[: state.batches], run.finals()
    return ExhaustiveResult(
        phase="exhaustive",
        loss=task.loss(best.tree, protected=config.protected),
        rate=best.rate,
        scores=np.array(best.scores),
        record=record,
        funnel=state.funnel,
        baseline=baseline,
        steps=state.steps,
        hall_of_fame=hall_of_fame(record, decided),
        simplified=simplified_loss(task, config, decided),
        ranking=ranking,
        places_of_known=_places_of_known(fitness, ranking),
        tree_count=trees.count_trees(config.depth, config.vocabulary),
        coverage=chosen.coverage,
    )


def _settings(fitness: Fitness, config: ExhaustiveConfig) -> screening.Settings:
    """How trees are screened, by soft labels if they are asked for."""
    settings = fitness.screener.settings
    if not config.soft_labels:
        return settings
    if not settings.kind.has_classes:
        raise ValueError("ExhaustiveConfig.soft_labels is True; it is for labels of classes alone.")
    return dataclasses.replace(settings, given=screening.softened(settings.given))


def _losses(
    settings: screening.Settings, config: ExhaustiveConfig, run: Run, on_screening: Progress | None
) -> Distinct:
    """The losses that are worth training, from the record if it is there."""

    def found() -> dict[str, Any]:
        chosen = distinct.distinct(
            config.depth,
            settings,
            config.screening,
            fair_rates=config.fair_rates,
            soft_labels=config.soft_labels,
            vocabulary=config.vocabulary,
            progress=on_screening or (lambda *_: None),
        )
        return chosen._replace(trees=[str(tree) for tree in chosen.trees])._asdict()  # type: ignore[list-item]

    kept = run.once("losses", found)
    return Distinct([parsing.parse(text) for text in kept["trees"]], kept["coverage"], kept["funnel"])


class _State(NamedTuple):
    """An exhaustive search after a batch."""

    archive: Archive
    batches: int  # how many were trained so far
    funnel: dict[str, int]  # how many trees and losses passed each stage
    steps: int  # optimizer steps so far, the baseline's included
    seconds: float  # spent on training so far
    trained: Sequence[Record] = ()  # the last batch
    is_new: bool = True  # whether the last batch was trained now


def _states(
    fitness: Fitness,
    config: ExhaustiveConfig,
    baseline: Baseline | None,
    state: _State,
    run: Run,
    population: Sequence[Tree],
) -> Iterator[_State]:
    """The search after each batch."""
    for first in range(0, len(population), config.batch):
        state = _train(fitness, baseline, state, run, population[first : first + config.batch])
        yield state
        if fitness.is_spent(state.steps, state.seconds):
            return


def _train(fitness: Fitness, baseline: Baseline | None, state: _State, run: Run, batch: Sequence[Tree]) -> _State:
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
        batches=state.batches + 1,
        funnel=total([state.funnel, counts]),
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
