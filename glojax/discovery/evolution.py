"""Phase 1: genetic programming over loss trees (arXiv 1905.11528, section III-A).

Python breeds the trees between calls of one compiled program that trains them. How a tree comes to its fitness is in
``fitness``; a training that meets NaN or infinity scores 0.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from glojax.discovery import genetics
from glojax.discovery.fitness import Baseline, Fitness, Known
from glojax.discovery.genetics import NothingToTrain, Offspring, Variation
from glojax.discovery.scoring import Measured
from glojax.discovery.settings import FitnessConfig, check_bounds
from glojax.expressions import trees
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree
from glojax.records.candidates import Record
from glojax.records.funnel import total
from glojax.records.run import Run
from glojax.seeds import named_random, named_seed
from glojax.tasks.task import Task

MAX_POPULATION = 100_000


@dataclass(frozen=True)
class SearchConfig(FitnessConfig):
    """Settings of a search; ``SearchConfig.paper()`` has those of arXiv 1905.11528.

    Attributes:
      population: candidates a generation.
      generations: how many, the initial one included.
      elites: best candidates that are carried over unchanged.
      elite_seeds: fresh trainings of every elite in each generation; the mean of all it had is its fitness.
      breeding: breed every generation from the one before; otherwise each is drawn anew, which is random search
        (``evolution.random_search``).
      selection: how parents are drawn, a key of ``genetics.SELECTIONS``.
      variation: probabilities of crossover and of each mutation.
      max_depth: of the initial trees.
      max_nodes: bound on every tree; an offspring over it is drawn anew.
      both_variables: give every tree x and y; otherwise one without is kept with fitness 0.

    The others are those of ``FitnessConfig``.

    Raises:
      ValueError: naming the field, its value and what is allowed.
    """

    population: int = 80
    generations: int = 20
    elites: int = 6
    elite_seeds: int = 2
    breeding: bool = True
    selection: str = "tournament"
    variation: Variation = dataclasses.field(default_factory=Variation)
    max_depth: int = 3
    max_nodes: int = 32
    both_variables: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.elites, int) and isinstance(self.population, int) and self.elites >= self.population > 1:
            raise ValueError(
                f"SearchConfig.elites is {self.elites}, population is {self.population}; "
                "elites must be smaller than the population."
            )
        check_bounds(
            self,
            {
                "population": (2, MAX_POPULATION), "generations": (1, 1_000_000), "elites": (0, MAX_POPULATION),
                "elite_seeds": (0, 1000), "max_depth": (1, 10), "max_nodes": (3, trees.MAX_NODES),
            },
        )  # fmt: skip
        if self.selection not in genetics.SELECTIONS:
            raise ValueError(
                f"SearchConfig.selection is {self.selection!r}; allowed are {', '.join(genetics.SELECTIONS)}."
            )

    @classmethod
    def paper(cls, **changes: object) -> "SearchConfig":
        """The paper's settings, everything beyond them off: any tree is drawn, and one training decides."""
        paper = cls(
            generations=100, selection="roulette", max_depth=2, both_variables=False, elite_seeds=0, seeds=1,
            fair_rates=False, halving=1, screening=(), finalists=1,
        )  # fmt: skip
        return dataclasses.replace(paper, **changes)  # type: ignore[arg-type]


class Generation(NamedTuple):
    """One generation, evaluated."""

    number: int
    trees: tuple[Tree, ...]
    fitness: np.ndarray  # [population]
    rates: np.ndarray  # [population], scale of the task's learning rate at which each has its fitness
    fates: tuple[str, ...]  # of each: trained, dropped by halving, cached, elite or invalid
    steps: np.ndarray  # int64[population], optimizer steps of all its trainings in this generation
    funnel: dict[str, int]  # how many trees came so far, by the names in ``funnel.FUNNEL``
    seconds: float  # spent on training; 0 for a generation read back from the record

    @property
    def best(self) -> Tree:
        """The fittest tree, the first of equals."""
        return self.trees[int(np.argmax(self.fitness))]


class SearchResult(NamedTuple):
    """What a search found."""

    best: Tree
    rate: float  # scale of the task's learning rate that goes with it
    fitness: float  # its mean validation score: over fresh seeds if there were finals, else as in the search
    generations: list[Generation]
    baseline: Baseline | None  # what the rates were derived from, if they are fair

    @property
    def steps(self) -> int:
        """Optimizer steps of all candidates and of the baseline, without the finals."""
        bred = int(sum(generation.steps.sum() for generation in self.generations))
        return bred + (self.baseline.steps if self.baseline else 0)

    @property
    def funnel(self) -> dict[str, int]:
        """How many trees came so far in all generations."""
        return total(generation.funnel for generation in self.generations)


def search(
    task: Task,
    config: SearchConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    on_generation: Callable[[Generation], None] | None = None,
) -> SearchResult:
    """Search a loss for a task.

    Args:
      task: what candidates are trained on.
      config: the defaults if left out.
      run_dir: where the record is kept; in memory only if left out.
      resume: go on with the search that ``run_dir`` holds; the result is that of a search never interrupted.
      on_generation: called after each generation, those read back included.

    Raises:
      ValueError: a run directory that does not fit (``run.Run``), or screening that nothing passed.
    """
    config = SearchConfig() if config is None else config
    fitness = Fitness(task, config, config.max_nodes, keep_rejected=run_dir is not None)
    # Beside a search, a directory may hold the random search that it is compared with.
    with Run(run_dir, "search" if config.breeding else "random search", task, config, resume) as run:
        history = []
        for generation in _generations(fitness, config, run):
            history.append(generation)
            if on_generation is not None:
                on_generation(generation)
        best = fitness.finals(run)
    return SearchResult(best.tree, best.rate, best.fitness, history, fitness.baseline)


def _generations(fitness: Fitness, config: SearchConfig, run: Run) -> Iterator[Generation]:
    spent, seconds = fitness.find_baseline(run), 0.0
    generation: Generation | None = None
    read_back = list(zip(run.generations(), run.funnels(), strict=True))[: config.generations]
    for number, (records, funnel) in enumerate(read_back):
        generation = _read_back(number, records, funnel)
        fitness.remember_all(records)
        spent += int(generation.steps.sum())
        seconds += sum(record.seconds for record in records)
        yield generation
    while generation is None or generation.number + 1 < config.generations:
        if fitness.is_spent(spent, seconds):
            return
        number = 0 if generation is None else generation.number + 1
        fitness.forget_rejected()
        try:
            offspring = _breed(fitness, config, generation)
        except NothingToTrain:
            if generation is None:
                raise
            return  # all that may be trained has been: draws from nothing alone can end so
        generation, records = _evaluate(fitness, config, number, offspring)
        run.save_generation(number, records, generation.funnel, fitness.take_rejected())
        spent += int(generation.steps.sum())
        seconds += generation.seconds
        yield generation


def _breed(fitness: Fitness, config: SearchConfig, last: Generation | None) -> list[Offspring]:
    random = named_random(config.seed, "search", 0 if last is None else last.number + 1)
    choose = fitness.choose if config.screening else None
    if last is None or not config.breeding:
        initial = genetics.initial_population(
            random, config.population, max_depth=config.max_depth, max_nodes=config.max_nodes,
            both_variables=config.both_variables, choose=choose,
        )  # fmt: skip
        return [Offspring(tree, ()) for tree in initial]
    return genetics.next_generation(
        random, last.trees, last.fitness, elites=config.elites, variation=config.variation, selection=config.selection,
        max_nodes=config.max_nodes, both_variables=config.both_variables, choose=choose,
    )  # fmt: skip


def _evaluate(
    fitness: Fitness, config: SearchConfig, number: int, offspring: Sequence[Offspring]
) -> tuple[Generation, list[Record]]:
    """Train what is new, and the elites again."""
    population = [child.tree for child in offspring]
    forms = [canonical(tree) for tree in population]
    elites = config.elites if number and config.breeding else 0
    fates: list[str] = []
    new: dict[Tree, int] = {}
    for place, (tree, form) in enumerate(zip(population, forms, strict=True)):
        if not tree.has_x_and_y:
            fates.append("invalid")
        elif form in fitness.known or form in new:
            fates.append("elite" if place < elites else "cached")
        else:
            new[form] = place
            fates.append("trained")

    started = time.perf_counter()
    steps = np.zeros(len(offspring), np.int64)
    scores: list[tuple[float, ...]] = [()] * len(offspring)
    seeds = fitness.seeds

    def take(places: Sequence[int], measured: Measured) -> None:
        steps[places] = measured.steps
        for place, row in zip(places, measured.scores.tolist(), strict=True):
            scores[place] = tuple(row)

    if new:
        measured = fitness.train([population[place] for place in new.values()])
        take(list(new.values()), measured)
        for place, finished in zip(new.values(), measured.finished, strict=True):
            fates[place] = "trained" if finished else "dropped"
    # Two elites may be equal.
    again = {forms[place]: place for place in range(elites) if fates[place] == "elite"}
    if again and config.elite_seeds:
        fresh = [named_seed(config.seed, "elites", number, i) for i in range(config.elite_seeds)]
        take(list(again.values()), fitness.train_again([population[place] for place in again.values()], fresh))
    seconds = time.perf_counter() - started

    if not config.screening:
        fitness.count(drawn=len(population) - elites, valid=len(population) - elites - fates[elites:].count("invalid"))
        fitness.count(distinct=len(new))
    fitness.count(trained=len(new), finished=fates.count("trained"))
    known = [Known(tree, 1.0, (0.0,), True) if fate == "invalid" else fitness.known[form]
             for tree, form, fate in zip(population, forms, fates, strict=True)]  # fmt: skip
    generation = Generation(
        number, tuple(population), np.array([one.fitness for one in known]), np.array([one.rate for one in known]),
        tuple(fates), steps, fitness.take_funnel(), seconds,
    )  # fmt: skip
    records = [
        Record(
            str(child.tree), str(form), (), one.fitness, found, one.rate, fate, child.parents, seeds[0], int(taken),
            seconds * taken / max(1, steps.sum()),
        )
        for child, form, one, found, fate, taken in zip(offspring, forms, known, scores, fates, steps, strict=True)
    ]  # fmt: skip
    return generation, records


def _read_back(number: int, records: Sequence[Record], funnel: dict[str, int]) -> Generation:
    return Generation(
        number, tuple(trees.parse(record.expression) for record in records),
        np.array([record.fitness for record in records]), np.array([record.rate for record in records]),
        tuple(record.fate for record in records), np.array([record.steps for record in records]), funnel, 0.0,
    )  # fmt: skip


def random_search(
    task: Task,
    config: SearchConfig,
    budget: int,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    on_generation: Callable[[Generation], None] | None = None,
) -> SearchResult:
    """What drawing trees at random finds with the same settings and the same number of optimizer steps.

    Args:
      task: what candidates are trained on.
      config: of the search that it is held against; its seed gives draws of its own.
      budget: ``Found.steps`` of that search. The last generation may exceed it; a hundred times as many generations
        are drawn at most.
      run_dir: where the record is kept, beside that of the search; in memory only if left out.
      resume: go on with what ``run_dir`` holds.
      on_generation: called after each generation.
    """
    drawn = dataclasses.replace(
        config, breeding=False, budget=budget, generations=100 * config.generations,
        seed=named_seed(config.seed, "random search"),
    )  # fmt: skip
    return search(task, drawn, run_dir, resume=resume, on_generation=on_generation)
