"""Phase 1: genetic programming over loss trees (arXiv 1905.11528, section III-A), and the random search beside it.

Python breeds the trees between calls of one compiled program that trains them. ``fitness`` says how a tree comes to
its fitness. A training that meets NaN or infinity scores 0.

``generations`` has what happens from one generation to the next.
"""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Unpack, overload

import numpy as np

from glojax.deprecation import renamed_argument
from glojax.discovery import generations, joint, joint_runs
from glojax.discovery.fitness import Fitness, simplified_loss
from glojax.discovery.generations import Generation, State
from glojax.discovery.proposals import Proposals
from glojax.discovery.results import Event, Known, OnEvent, Outcome, Result, SearchOptions
from glojax.discovery.search_config import SearchConfig
from glojax.executors import local
from glojax.executors.protocol import Executor
from glojax.losses.loss import Loss
from glojax.records.candidates import Record
from glojax.records.funnel import total
from glojax.records.hall_of_fame import Famous, hall_of_fame
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


@dataclass(frozen=True, eq=False)
class JointResult(Outcome):
    """What a search on several tasks ends with.

    Attributes:
      phase: the search, as the records name it.
      loss: the best loss.
      scores: joint scores ``float64[seeds]`` of the trainings that decided (``SearchConfig.aggregate``).
      results: by the tasks' names, the search on each: the same loss with its own rate, scores and record.
      generations: every generation, with joint fitness, and rates in units of each task's fair ones.
      hall_of_fame: the best loss of every size by its joint scores over the seeds of the finals, the smallest first.
        Empty where there were no finals.
      simplified: the loss of the smallest finalist that is within one standard error of the winner; ``None`` where
        there were no finals.
    """

    phase: str
    loss: Loss
    scores: np.ndarray
    results: dict[str, SearchResult]
    generations: list[Generation] = field(repr=False)
    hall_of_fame: list[Famous] = field(default_factory=list, repr=False, kw_only=True)
    simplified: Loss | None = field(default=None, repr=False, kw_only=True)

    @property
    def rates(self) -> dict[str, float]:
        """By the tasks' names, the scale of each task's learning rate that goes with the loss."""
        return {name: result.rate for name, result in self.results.items()}

    @property
    def steps(self) -> int:
        """The cost on all tasks, as ``Result.steps``."""
        return sum(result.steps for result in self.results.values())


@overload
def search(
    task: Task,
    config: SearchConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    proposals: Proposals | None = None,
    **options: Unpack[SearchOptions],
) -> SearchResult: ...


@overload
def search(
    task: Sequence[Task],
    config: SearchConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    proposals: Proposals | None = None,
    **options: Unpack[SearchOptions],
) -> JointResult: ...


@renamed_argument("on_generation", "on_event")
def search(
    task: Task | Sequence[Task],
    config: SearchConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    on_event: OnEvent | None = None,
    executor: Executor | None = None,
    group: int | None = None,
    proposals: Proposals | None = None,
) -> SearchResult | JointResult:
    """Search a loss for a task, or one loss for several.

    Args:
      task: what candidates are trained on, or several of one output: then the fitness of a loss is joint
        (``SearchConfig.aggregate``), and it has a rate of its own on each.
      config: the settings. Defaults to ``SearchConfig()``.
      run_dir: where the record is kept, of several tasks in a folder for each. Defaults to memory alone.
      resume: go on with the search that ``run_dir`` holds. The result is that of a search never interrupted.
      on_event: called after each generation, those read back included.
      executor: what trains the candidates. Defaults to this process.
      group: how many candidates are trained together on a device at most, and so the memory that a step takes.
        Defaults to as many as fit. Scores do not depend on it.
      proposals: shown the best losses before each generation (``proposals.outlook``), it answers with expressions of
        others, of which at most ``proposals.MOST`` are read. A program does with ``proposals.Command``.

    Returns:
      The best loss, how it was found, and every generation; of several tasks a ``JointResult``.

    Raises:
      ValueError: a run directory that does not fit (``records.run.Run``), screening that nothing passed, or several
        tasks that cannot share a loss.

    Example:
      found = glojax.search(glojax.tasks.digits(), glojax.SearchConfig(generations=5))
      found.loss, found.rate, found.fitness
    """
    config = SearchConfig() if config is None else config
    if isinstance(task, list | tuple):
        return _search_jointly(task, config, run_dir, resume, on_event, executor, group, proposals)
    task = config.applied_to(task)  # type: ignore[arg-type]  # anything else is refused here
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
    funnel = total(generation.funnel for generation in history)
    found = _result(phase, task, config, best, last, history, record, funnel)
    famous, simplified = hall_of_fame(record, decided), simplified_loss(task, config, decided)
    return dataclasses.replace(found, hall_of_fame=famous, simplified=simplified)


def _result(
    phase: str,
    task: Task,
    config: SearchConfig,
    best: Known,
    last: State,
    history: list[Generation],
    record: list[list[Record]],
    funnel: dict[str, int],
) -> SearchResult:
    """What the search on one task ends with, whose best loss is known."""
    return SearchResult(
        phase=phase,
        loss=task.loss(best.tree, best.factors, protected=config.protected),
        rate=best.rate,
        scores=np.array(best.scores),
        record=record,
        funnel=funnel,
        baseline=last.baseline,
        steps=last.steps,
        generations=history,
    )


def _search_jointly(
    together: Sequence[Task],
    config: SearchConfig,
    run_dir: str | os.PathLike[str] | None,
    resume: bool,
    on_event: OnEvent | None,
    executor: Executor | None,
    group: int | None,
    proposals: Proposals | None,
) -> JointResult:
    """``search`` of several tasks."""
    if config.coefficient_samples:
        raise ValueError(
            f"SearchConfig.coefficient_samples is {config.coefficient_samples}; of several tasks 0 is allowed."
        )
    together = [config.applied_to(task) for task in together]
    fitness = joint.JointFitness.of(together, config, executor, group)
    phase = "search" if config.breeding else "random search"
    with joint_runs.opened(run_dir, phase, together, config, resume) as runs:
        history: list[Generation] = []
        of_tasks: list[list[Generation]] = [[] for _ in runs]
        last: joint.JointState | None = None
        for last in joint.states(fitness, runs, proposals):
            history.append(last.generation)
            for one, part in zip(of_tasks, last.parts, strict=True):
                one.append(part.generation)
            if on_event is not None:
                on_event(_event(phase, config, last))
        assert last is not None  # the first generation is there or has raised
        best = joint.decide(fitness, last, runs)
        records = [run.generations()[: len(history)] for run in runs]
    funnel = total(generation.funnel for generation in history)
    columns = zip(joint_runs.names_of(together), together, best.parts, last.parts, of_tasks, records, strict=True)
    results = {
        name: _result(phase, task, config, known, part, own, record, funnel)
        for name, task, known, part, own, record in columns
    }
    loss = next(iter(results.values())).loss
    return JointResult(
        phase=phase,
        loss=loss,
        scores=np.array(best.scores),
        results=results,
        generations=history,
        hall_of_fame=hall_of_fame([], best.finals),
        simplified=simplified_loss(together[0], config, best.finals),
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
    return search(task, drawn(config, budget), run_dir, **options)


def drawn(config: SearchConfig, budget: int) -> SearchConfig:
    """The settings of the random search that a search with this cost is compared with."""
    return dataclasses.replace(
        config,
        breeding=False,
        pool=0,
        start=(),
        coefficient_samples=0,
        budget=budget,
        generations=100 * config.generations,
        seed=named_seed(config.seed, "random search"),
    )


def _event(phase: str, config: SearchConfig, state: State | joint.JointState) -> Event:
    generation = state.generation
    return Event(
        phase=phase,
        number=generation.number,
        planned=config.generations if config.breeding else None,
        fitness=generation.fitness,
        best=str(generation.best),
        trained=generation.fresh,
        funnel=generation.funnel,
        is_new=generation.seconds > 0,
        records=state.records,
    )
