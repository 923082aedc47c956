"""Phase 1: genetic programming over loss trees (arXiv 1905.11528, section III-A), and the random search beside it.

Python breeds the trees between calls of one compiled program that trains them. ``fitness`` says how a tree comes to
its fitness. A training that meets NaN or infinity scores 0.

``generations`` has what happens from one generation to the next.
"""

import dataclasses
import os
from dataclasses import dataclass, field
from typing import Unpack

import numpy as np

from glojax.deprecation import renamed_argument
from glojax.discovery import generations
from glojax.discovery.fitness import Fitness
from glojax.discovery.generations import Generation, State
from glojax.discovery.proposals import Proposals
from glojax.discovery.results import Event, OnEvent, Result, SearchOptions
from glojax.discovery.search_config import SearchConfig
from glojax.executors import local
from glojax.executors.protocol import Executor
from glojax.records.funnel import total
from glojax.records.hall_of_fame import hall_of_fame
from glojax.records.run import Run
from glojax.seeds import named_seed
from glojax.tasks.task import Task


@dataclass(frozen=True, eq=False)
class SearchResult(Result):
    """What a search ends with.

    Attributes:
      generations: every generation.

    The others are those of ``Result``.
    """

    generations: list[Generation] = field(repr=False)


@renamed_argument("on_generation", "on_event")
def search(
    task: Task,
    config: SearchConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    on_event: OnEvent | None = None,
    executor: Executor | None = None,
    group: int | None = None,
    proposals: Proposals | None = None,
) -> SearchResult:
    """Search a loss for a task.

    Args:
      task: what candidates are trained on.
      config: the settings. Defaults to ``SearchConfig()``.
      run_dir: where the record is kept. Defaults to memory alone.
      resume: go on with the search that ``run_dir`` holds. The result is that of a search never interrupted.
      on_event: called after each generation, those read back included.
      executor: what trains the candidates. Defaults to this process.
      group: how many candidates are trained together on a device at most, and so the memory that a step takes.
        Defaults to as many as fit. Scores do not depend on it.
      proposals: shown the best losses before each generation (``proposals.outlook``), it answers with expressions of
        others, of which at most ``proposals.MOST`` are read. A program does with ``proposals.Command``.

    Returns:
      The best loss, how it was found, and every generation.

    Raises:
      ValueError: a run directory that does not fit (``records.run.Run``), or screening that nothing passed.

    Example:
      found = glojax.search(glojax.tasks.digits(), glojax.SearchConfig(generations=5))
      found.loss, found.rate, found.fitness
    """
    config = SearchConfig() if config is None else config
    task = config.applied_to(task)
    fitness = Fitness.of(task, config, config.max_nodes, local.resolve(task, executor, group))
    # A directory may hold the random search beside the search that it is compared with.
    phase = "search" if config.breeding else "random search"
    with Run(run_dir, phase, task, config, resume) as run:
        history: list[Generation] = []
        last: State | None = None
        for last in generations.states(fitness, config, run, proposals):
            history.append(last.generation)
            if on_event is not None:
                on_event(_event(phase, config, last))
        assert last is not None  # the first generation is there or has raised
        best = fitness.finals(last.archive, run)
        record, decided = run.generations()[: len(history)], run.finals()
    return SearchResult(
        phase=phase,
        loss=task.loss(best.tree, protected=config.protected),
        rate=best.rate,
        scores=np.array(best.scores),
        record=record,
        funnel=total(generation.funnel for generation in history),
        baseline=last.baseline,
        steps=last.steps,
        generations=history,
        hall_of_fame=hall_of_fame(record, decided),
    )


def random_search(
    task: Task,
    config: SearchConfig,
    budget: int,
    run_dir: str | os.PathLike[str] | None = None,
    **options: Unpack[SearchOptions],
) -> SearchResult:
    """Search by growing trees at random, with the settings of a search and as many optimizer steps.

    Args:
      task: what candidates are trained on.
      config: of the search that it is compared with. Its seed gives draws of its own.
      budget: the cost of that search, ``SearchResult.steps``. The last generation may exceed it. At most a hundred
        times as many generations are drawn.
      run_dir: where the record is kept, beside that of the search. Defaults to memory alone.
      **options: the other arguments of ``search``.

    Returns:
      As ``search``.
    """
    drawn = dataclasses.replace(
        config,
        breeding=False,
        pool=0,
        start=(),
        budget=budget,
        generations=100 * config.generations,
        seed=named_seed(config.seed, "random search"),
    )
    return search(task, drawn, run_dir, **options)


def _event(phase: str, config: SearchConfig, state: State) -> Event:
    generation, fates = state.generation, state.generation.fates
    return Event(
        phase=phase,
        number=generation.number,
        planned=config.generations if config.breeding else None,
        fitness=generation.fitness,
        best=str(generation.best),
        trained=fates.count("trained") + fates.count("dropped"),
        funnel=generation.funnel,
        is_new=generation.seconds > 0,
        records=state.records,
    )
