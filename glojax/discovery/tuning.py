"""Phase 2: CMA-ES on the identifiable coefficients of a tree (arXiv 1905.11528, section III-B).

Every node of the tree carries a factor, 1 at the start; only the factors that change training in independent ways
are tuned. The objective is phase 1's: the validation score after the shortened training, in the same program. The same
search over the coefficients of a Taylor polynomial needs no phase 1 (TaylorGLO, arXiv 2002.00059).
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from glojax import (
    tasks,
)
from glojax.discovery import scoring
from glojax.discovery.cma_es import maximize
from glojax.discovery.finals import decide, seeds_of_finals
from glojax.discovery.settings import check_bounds
from glojax.executors import local
from glojax.expressions import programs
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.losses.spaces import CoefficientSpace, coefficient_space, taylor_space
from glojax.records.candidates import Record
from glojax.records.run import Run
from glojax.seeds import named_seed
from glojax.statistics import winner
from glojax.tasks.task import Task


@dataclass(frozen=True)
class TuneConfig:
    """Settings of a tuning.

    Attributes:
      generations: of CMA-ES.
      population: vectors a generation; ``None`` for the usual 4 + floor(3 ln n).
      sigma: initial step size, in units of the coefficients.
      rate: scale of the task's learning rate for all trainings: that which the tree was found at.
      protected: use the protected operators.
      seeds: trainings a vector, whose mean is its fitness.
      finalists: so many of the fittest distinct vectors, and the start, are trained again over fresh seeds; the best of
        them by those trainings is the result (``finals.decide``). With 1, the fittest is.
      final_seeds: trainings of a finalist; the best quarter has three times as many more.
      seed: from which all randomness derives.

    Raises:
      ValueError: naming the field, its value and what is allowed.
    """

    generations: int = 20
    population: int | None = None
    sigma: float = 1.5
    rate: float = 1.0
    protected: bool = False
    seeds: int = 2
    finalists: int = 24
    final_seeds: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_bounds(
            self,
            {
                "generations": (1, 1_000_000), "seeds": (1, 1000), "finalists": (1, 10_000), "final_seeds": (1, 1000),
                "seed": (0, 2**63 - 1),
            },
        )  # fmt: skip
        if self.population is not None:
            check_bounds(self, {"population": (4, 100_000)})
        for field in ("sigma", "rate"):
            value = getattr(self, field)
            if not (isinstance(value, int | float) and 0 < value < math.inf):
                raise ValueError(f"TuneConfig.{field} is {value!r}; a number above 0 is allowed.")


class Tuned(NamedTuple):
    """What a tuning reached."""

    loss: Loss
    rate: float  # scale of the task's learning rate that goes with it
    fitness: float  # mean validation score: over fresh seeds if there were finals, else as in the tuning
    start_fitness: float  # of the start, on the same trainings
    vector: np.ndarray  # [n], what CMA-ES found
    history: list[np.ndarray]  # fitness [population] of each generation
    steps: int  # optimizer steps of all trainings without the finals


def tune(
    task: Task,
    tree: Tree | Loss | str,
    config: TuneConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    on_generation: Callable[[int, np.ndarray], None] | None = None,
) -> Tuned:
    """Tune the coefficients of a tree; the result is never worse, on the trainings that decide, than all of them 1.

    Args:
      task: what candidates are trained on.
      tree: the loss, or an expression; it must hold x and y. Of a ``Loss`` the tree is taken.
      config: the defaults if left out.
      run_dir: where the record is kept, beside that of a search; in memory only if left out.
      resume: go on with the tuning that ``run_dir`` holds; the result is that of a tuning never interrupted.
      on_generation: called with the number and the fitness ``[population]`` of each generation.

    Raises:
      ValueError: a tree without x or y, or a run directory that does not fit (``run.Run``).
    """
    tree = tree.tree if isinstance(tree, Loss) else Loss(tree).tree  # type: ignore[arg-type]
    config = TuneConfig() if config is None else config
    return _tune("tune", coefficient_space(tree), task, config, run_dir, resume, on_generation)


def search_taylor(
    task: Task,
    config: TuneConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    on_generation: Callable[[int, np.ndarray], None] | None = None,
) -> Tuned:
    """Search a loss among third-order Taylor polynomials by CMA-ES alone (TaylorGLO, arXiv 2002.00059).

    Its settings, where ``config`` is left out, are a population of 28 and a step size of 1.2. The scale of the
    polynomial is one of its parameters, so that its learning rate is searched as well. Other arguments as ``tune``'s.
    """
    config = TuneConfig(population=28, sigma=1.2) if config is None else config
    return _tune("taylor", taylor_space(), task, config, run_dir, resume, on_generation)


def _tune(
    phase: str,
    space: CoefficientSpace,
    task: Task,
    config: TuneConfig,
    run_dir: str | os.PathLike[str] | None,
    resume: bool,
    on_generation: Callable[[int, np.ndarray], None] | None,
) -> Tuned:
    tasks.check(task)
    task.check_metric(for_search=True)
    with Run(run_dir, phase, task, config, resume) as run:
        objective = _Objective(task, space, config, run, on_generation)
        # The start is a generation of its own, so that it is among the vectors the best is taken from.
        objective(space.start[None])
        if len(space.start):
            maximize(
                objective, space.start, sigma=config.sigma, population=config.population,
                generations=config.generations, seed=named_seed(config.seed, phase),
            )  # fmt: skip
        vectors, fitness = np.concatenate(objective.vectors), np.concatenate(objective.history)
        if config.finalists == 1:
            best, start_fitness = int(np.argmax(fitness)), float(fitness[0])
            reached = float(fitness[best])
        else:
            ranked = np.argsort(-fitness, kind="stable")[: config.finalists]
            vectors = vectors[np.concatenate([[0], ranked[ranked > 0]])]
            best, reached, start_fitness = objective.finals(vectors)
    loss = task.loss(space.tree, space.coefficients(vectors[best]), protected=config.protected)
    return Tuned(loss, config.rate, reached, start_fitness, vectors[best], objective.history, objective.steps)


class _Objective:
    """Fitness of vectors: read back while the record lasts, trained and recorded after it."""

    def __init__(
        self,
        task: Task,
        space: CoefficientSpace,
        config: TuneConfig,
        run: Run,
        report: Callable[[int, np.ndarray], None] | None,
    ):
        self.space, self.config, self.run, self.report = space, config, run, report
        self.recorded = run.generations()
        if self.recorded and self.recorded[0][0].expression != str(space.tree):
            raise ValueError(
                f"{run.directory} holds the tuning of {self.recorded[0][0].expression}, not of {space.tree}; "
                "choose another directory."
            )
        room = programs.room(programs.instructions_of(space.tree))
        self.evaluator = local.of(task, instructions=room, protected=config.protected)
        self.history: list[np.ndarray] = []
        self.vectors: list[np.ndarray] = []
        self.steps = 0

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Of vectors ``[population, n]``, the start first: the mean validation score of each."""
        number = len(self.history)
        if number < len(self.recorded):
            records = self.recorded[number]
            if not np.array_equal(vectors, [record.coefficients for record in records]):
                raise ValueError(
                    f"{self.run.directory} does not replay: generation {number} of its tuning was drawn otherwise, "
                    "perhaps by another version of evosax or JAX. Choose another run directory."
                )
        else:
            started = time.perf_counter()
            seeds = [named_seed(self.config.seed, "search", i) for i in range(self.config.seeds)]
            rates = np.full((len(vectors), 1), self.config.rate)
            factors = list(map(self.space.coefficients, vectors))
            measured = scoring.measure(self.evaluator, [self.space.tree] * len(vectors), seeds, factors, rates=rates)
            found = [tuple(scores) for scores in measured.scores.tolist()]
            records = self._records(vectors, found, measured.steps.tolist(), seeds[0], time.perf_counter() - started)
            self.run.save_generation(number, records)
        fitness = np.array([record.fitness for record in records])
        self.steps += sum(record.steps for record in records)
        self.history.append(fitness)
        self.vectors.append(vectors)
        if self.report is not None:
            self.report(number, fitness)
        return fitness

    def finals(self, vectors: np.ndarray) -> tuple[int, float, float]:
        """Place of the best of these vectors over fresh seeds, its score, and that of the first of them."""
        kept = self.run.finals()
        if [record.coefficients for record in kept] != list(map(tuple, vectors.tolist())):
            started = time.perf_counter()
            seed, count, factors = (
                self.config.seed,
                self.config.final_seeds,
                list(map(self.space.coefficients, vectors)),
            )
            decided = decide(
                self.evaluator, [self.space.tree] * len(vectors), [self.config.rate] * len(vectors), seed, count,
                factors, always=(0,),
            )  # fmt: skip
            seconds = time.perf_counter() - started
            kept = self._records(vectors, decided.scores, decided.steps, seeds_of_finals(seed, 1)[0], seconds)
            self.run.save_finals(kept)
        best = winner([record.scores for record in kept])
        return best, kept[best].fitness, kept[0].fitness

    def _records(
        self, vectors: np.ndarray, scores: Sequence[tuple[float, ...]], steps: Sequence[int], seed: int, seconds: float
    ) -> list[Record]:
        expression, form = str(self.space.tree), str(canonical(self.space.tree))
        return [
            Record(
                expression, form, tuple(map(float, vector)), float(np.mean(found)), found, self.config.rate, "trained",
                (), seed, taken, seconds / len(vectors),
            )
            for vector, found, taken in zip(vectors, scores, steps, strict=True)
        ]  # fmt: skip
