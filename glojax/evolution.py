"""Phase 1: genetic programming over loss trees (arXiv 1905.11528, section III-A).

Python breeds the trees between calls of one compiled program that trains them. A candidate's fitness is the mean
validation score of its trainings, is 0 where a training met NaN or infinity, and is kept under the tree's
canonical form, so that equal trees are trained once.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from glojax import evaluation, genetics, populations, trees
from glojax.canonical import canonical
from glojax.genetics import Offspring, Rates
from glojax.populations import Trainer
from glojax.runs import Record, Run
from glojax.seeds import named_random, named_seed
from glojax.tasks import Task
from glojax.trees import Tree

MAX_POPULATION = 100_000


@dataclass(frozen=True)
class SearchConfig:
    """Settings of a search; ``SearchConfig.paper()`` has those of arXiv 1905.11528.

    Attributes:
      population: candidates a generation.
      generations: how many, the initial one included.
      elites: best candidates that are carried over unchanged.
      breeding: breed every generation from the one before; otherwise each is drawn anew, which is random search
        (``controls.random_search``).
      selection: how parents are drawn, a key of ``genetics.SELECTIONS``.
      rates: probabilities of crossover and of each mutation.
      max_depth: of the initial trees.
      max_nodes: bound on every tree; an offspring over it is drawn anew.
      both_variables: draw only trees that hold x and y; otherwise such a tree is kept with fitness 0.
      protected: use the protected operators.
      seeds: trainings a candidate, whose mean is its fitness.
      halving: one in so many of a generation's new trees, the best, is trained on after each of two rungs, at
        1 / halving² and 1 / halving of the steps (successive halving, arXiv 1502.07943); the score at its rung is
        the fitness of another. 1 trains all to the end.
      finalists: so many of the fittest distinct trees are trained again, over fresh seeds, and the best of them by
        those trainings is the result: the fittest of thousands is often only the luckiest.
      final_seeds: trainings of a finalist.
      budget: optimizer steps of all candidates together, after which no generation is begun; the finals are beside it.
        Without it, all generations are.
      seed: from which all randomness derives.

    Raises:
      ValueError: naming the field, its value and what is allowed.
    """

    population: int = 80
    generations: int = 20
    elites: int = 6
    breeding: bool = True
    selection: str = "roulette"
    rates: Rates = dataclasses.field(default_factory=Rates)
    max_depth: int = 2
    max_nodes: int = 32
    both_variables: bool = True
    protected: bool = False
    seeds: int = 2
    halving: int = 3
    finalists: int = 24
    final_seeds: int = 8
    budget: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        bounds = {
            "population": (2, MAX_POPULATION), "generations": (1, 1_000_000), "elites": (0, MAX_POPULATION),
            "max_depth": (1, 10), "max_nodes": (3, trees.MAX_NODES), "seeds": (1, 1000), "finalists": (1, 10_000),
            "final_seeds": (1, 1000), "halving": (1, 100), "seed": (0, 2**63 - 1),
        }  # fmt: skip
        if isinstance(self.elites, int) and isinstance(self.population, int) and self.elites >= self.population > 1:
            raise ValueError(
                f"SearchConfig.elites is {self.elites}, population is {self.population}; "
                "elites must be smaller than the population."
            )
        check_bounds(self, bounds)
        if self.budget is not None:
            check_bounds(self, {"budget": (1, 2**63 - 1)})
        if self.selection not in genetics.SELECTIONS:
            raise ValueError(
                f"SearchConfig.selection is {self.selection!r}; allowed are {', '.join(genetics.SELECTIONS)}."
            )

    @classmethod
    def paper(cls, **changes: object) -> "SearchConfig":
        """The paper's settings, everything beyond them off: any tree is drawn, and one training decides."""
        paper = cls(generations=100, both_variables=False, seeds=1, halving=1, finalists=1)
        return dataclasses.replace(paper, **changes)  # type: ignore[arg-type]


def check_bounds(config: object, bounds: dict[str, tuple[int, int]]) -> None:
    """Raise ``ValueError`` for a field that is no integer or outside its inclusive bounds."""
    for field, (low, high) in bounds.items():
        value = getattr(config, field)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(
                f"{type(config).__name__}.{field} is {value!r}; an integer from {low} to {high} is allowed."
            )


class Generation(NamedTuple):
    """One generation, evaluated."""

    number: int
    trees: tuple[Tree, ...]
    fitness: np.ndarray  # [population]
    fates: tuple[str, ...]  # of each: trained, dropped by halving, cached, elite or invalid
    steps: np.ndarray  # int64[population], optimizer steps of all its trainings; 0 for what was not trained now
    seconds: float  # spent on training; 0 for a generation read back from the record

    @property
    def best(self) -> Tree:
        """The fittest tree, the first of equals."""
        return self.trees[int(np.argmax(self.fitness))]


class Found(NamedTuple):
    """What a search found."""

    best: Tree
    fitness: float  # its mean validation score: over fresh seeds if there were finals, else as in the search
    generations: list[Generation]

    @property
    def steps(self) -> int:
        """Optimizer steps of all candidates, without the finals."""
        return int(sum(generation.steps.sum() for generation in self.generations))


def search(
    task: Task,
    config: SearchConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    on_generation: Callable[[Generation], None] | None = None,
) -> Found:
    """Search a loss for a task.

    Args:
      task: what candidates are trained on.
      config: the defaults if left out.
      run_dir: where the record is kept; in memory only if left out.
      resume: go on with the search that ``run_dir`` holds; the result is that of a search never interrupted.
      on_generation: called after each generation, those read back included.

    Raises:
      ValueError: a run directory that does not fit (``runs.Run``).
    """
    config = SearchConfig() if config is None else config
    with Run(run_dir, "search", task, config, resume) as run:
        history = []
        for generation in _generations(task, config, run):
            history.append(generation)
            if on_generation is not None:
                on_generation(generation)
        best, fitness = _finals(task, config, run, history)
    return Found(best, fitness, history)


def _generations(task: Task, config: SearchConfig, run: Run) -> Iterator[Generation]:
    fitness_of: dict[Tree, float] = {}  # by canonical form: the fitness cache
    generation: Generation | None = None
    spent = 0
    for records in run.generations()[: config.generations]:
        generation = _read_back(0 if generation is None else generation.number + 1, records)
        for record, tree in zip(records, generation.trees, strict=True):
            if record.fate in ("trained", "dropped"):
                fitness_of[canonical(tree)] = record.fitness
        spent += int(generation.steps.sum())
        yield generation
    trainer = populations.trainer(task, populations.room(config.max_nodes - 1), config.protected)
    while generation is None or generation.number + 1 < config.generations:
        if config.budget is not None and spent >= config.budget:
            return
        offspring = _breed(config, generation)
        number = 0 if generation is None else generation.number + 1
        generation, records = _evaluate(trainer, config, number, offspring, fitness_of)
        run.save_generation(number, records)
        spent += int(generation.steps.sum())
        yield generation


def _breed(config: SearchConfig, last: Generation | None) -> list[Offspring]:
    random = named_random(config.seed, "search", 0 if last is None else last.number + 1)
    if last is None or not config.breeding:
        initial = genetics.initial_population(
            random, config.population, max_depth=config.max_depth, max_nodes=config.max_nodes,
            both_variables=config.both_variables,
        )  # fmt: skip
        return [Offspring(tree, ()) for tree in initial]
    return genetics.next_generation(
        random, last.trees, last.fitness, elites=config.elites, rates=config.rates, selection=config.selection,
        max_nodes=config.max_nodes, both_variables=config.both_variables,
    )  # fmt: skip


def _evaluate(
    trainer: Trainer, config: SearchConfig, number: int, offspring: Sequence[Offspring], fitness_of: dict[Tree, float]
) -> tuple[Generation, list[Record]]:
    """Train what is new; ``fitness_of`` gains it."""
    keys = [canonical(child.tree) for child in offspring]
    elites = config.elites if number and config.breeding else 0
    fates: list[str] = []
    new: dict[Tree, Tree] = {}
    for place, (child, key) in enumerate(zip(offspring, keys, strict=True)):
        if not child.tree.has_x_and_y:
            fates.append("invalid")
        elif key in fitness_of or key in new:
            fates.append("elite" if place < elites else "cached")
        else:
            new[key] = child.tree
            fates.append("trained")

    started = time.perf_counter()
    seeds = [named_seed(config.seed, "search", i) for i in range(config.seeds)]
    steps = np.zeros(len(offspring), np.int64)
    if new:
        finished = np.ones(len(new), bool)
        rungs = [max(1, trainer.task.steps // config.halving**power) for power in (2, 1)]
        keep = _halving(config.halving, finished)
        found, taken = evaluation.over_seeds(trainer, list(new.values()), seeds, rungs=rungs, keep=keep)
        fitness_of |= dict(zip(new, map(float, found), strict=True))
        places = np.flatnonzero([fate == "trained" for fate in fates])
        steps[places] = taken
        for place in places[~finished]:
            fates[place] = "dropped"
    seconds = time.perf_counter() - started

    fitness = np.array([0.0 if fate == "invalid" else fitness_of[key] for fate, key in zip(fates, keys, strict=True)])
    generation = Generation(number, tuple(child.tree for child in offspring), fitness, tuple(fates), steps, seconds)
    records = [
        Record(
            str(child.tree), str(key), (), float(score), fate, child.parents, seeds[0], int(taken),
            seconds * taken / max(1, steps.sum()),
        )
        for child, key, score, fate, taken in zip(offspring, keys, fitness, fates, steps, strict=True)
    ]  # fmt: skip
    return generation, records


def _halving(one_in: int, kept: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Successive halving: of scores ``[trees]`` the best among those ``kept`` so far, which it updates."""

    def keep(scores: np.ndarray) -> np.ndarray:
        ranked = np.argsort(-np.where(kept, scores, -np.inf), kind="stable")
        kept[ranked[-(-int(kept.sum()) // one_in) :]] = False
        return kept

    return keep


def _finals(task: Task, config: SearchConfig, run: Run, history: Sequence[Generation]) -> tuple[Tree, float]:
    """The winner and its score: the best finalist over fresh seeds, or simply the fittest if there is one finalist."""
    fitness_of: dict[Tree, tuple[float, Tree]] = {}
    for generation in history:
        for tree, fitness in zip(generation.trees, generation.fitness, strict=True):
            fitness_of.setdefault(canonical(tree), (float(fitness), tree))
    ranked = sorted(fitness_of.items(), key=lambda item: -item[1][0])[: config.finalists]
    if config.finalists == 1 or ranked[0][1][0] == 0:
        fitness, tree = ranked[0][1]
        return tree, fitness
    finalists = [tree for _, (fitness, tree) in ranked if fitness > 0]
    trainer = populations.trainer(task, populations.room(config.max_nodes - 1), config.protected)
    started = time.perf_counter()
    seeds = final_seeds(config.seed, config.final_seeds)
    scores, steps = evaluation.over_seeds(trainer, finalists, seeds)
    seconds = (time.perf_counter() - started) / len(finalists)
    run.save_finals(
        [
            Record(str(tree), str(key), (), float(score), "trained", (), seeds[0], int(taken), seconds)
            for (key, (_, tree)), score, taken in zip(ranked, scores, steps, strict=False)
        ]
    )
    best = int(np.argmax(scores))
    return finalists[best], float(scores[best])


def final_seeds(seed: int, count: int) -> list[int]:
    """Seeds of the trainings that decide between the best, which neither phase uses elsewhere."""
    return [named_seed(seed, "finals", i) for i in range(count)]


def _read_back(number: int, records: Sequence[Record]) -> Generation:
    return Generation(
        number, tuple(trees.parse(record.expression) for record in records),
        np.array([record.fitness for record in records]), tuple(record.fate for record in records),
        np.array([record.steps for record in records]), 0.0,
    )  # fmt: skip
