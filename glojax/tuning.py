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
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glojax import evaluation, evaluators, losses, programs, tasks
from glojax.canonical import canonical, identifiable_coefficients
from glojax.fitness import check_bounds, decide, final_seeds, winner
from glojax.losses import Loss
from glojax.records import Record
from glojax.runs import Run
from glojax.seeds import named_seed
from glojax.tasks import Task
from glojax.trees import Tree

MIN_STEP_SIZE = 1e-7
"""Lower bound on CMA-ES's step size: evosax's own, 0, ends in NaN some time after convergence."""


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
        them by those trainings is the result (``fitness.decide``). With 1, the fittest is.
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


class Space(NamedTuple):
    """Vectors, and the losses that they stand for: one tree with different coefficients."""

    tree: Tree
    start: np.ndarray  # [n]
    coefficients: Callable[[np.ndarray], tuple[float, ...]]


def coefficient_space(tree: Tree) -> Space:
    """The identifiable coefficients of a tree, all of them 1 at the start."""
    nodes = list(identifiable_coefficients(tree))

    def coefficients(vector: np.ndarray) -> tuple[float, ...]:
        factors = np.ones(tree.size)
        factors[nodes] = vector
        return tuple(map(float, factors))

    return Space(tree, np.ones(len(nodes)), coefficients)


def taylor_space() -> Space:
    """Third-order Taylor polynomials by their 8 parameters, all 0 at the start (arXiv 2002.00059, section 3)."""

    def loss(vector: np.ndarray) -> Loss:
        return losses.taylor((float(vector[0]), float(vector[1])), vector[2:].tolist())

    start = np.zeros(8)
    return Space(loss(start).tree, start, lambda vector: loss(vector).coefficients)


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
      ValueError: a tree without x or y, or a run directory that does not fit (``runs.Run``).
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
    space: Space,
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
        self, task: Task, space: Space, config: TuneConfig, run: Run, report: Callable[[int, np.ndarray], None] | None
    ):
        self.space, self.config, self.run, self.report = space, config, run, report
        self.recorded = run.generations()
        if self.recorded and self.recorded[0][0].expression != str(space.tree):
            raise ValueError(
                f"{run.directory} holds the tuning of {self.recorded[0][0].expression}, not of {space.tree}; "
                "choose another directory."
            )
        room = programs.room(programs.instructions_of(space.tree))
        self.evaluator = evaluators.of(task, instructions=room, protected=config.protected)
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
            measured = evaluation.measure(self.evaluator, [self.space.tree] * len(vectors), seeds, factors, rates=rates)
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
            kept = self._records(vectors, decided.scores, decided.steps, final_seeds(seed, 1)[0], seconds)
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


def default_population(dimensions: int) -> int:
    """The usual number of vectors a generation, 4 + floor(3 ln n)."""
    return 4 + math.floor(3 * math.log(dimensions))


def maximize(
    objective: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    sigma: float,
    generations: int,
    population: int | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, float]:
    """Maximize an objective by CMA-ES; the best vector met and its value.

    A generation whose values are all equal says nothing about a direction, yet would shrink the step size: after
    it the search starts anew from the best vector so far.

    Args:
      objective: values ``[population]`` of vectors ``[population, n]``; NaN counts as the worst.
      start: initial mean ``[n]``, n at least 1.
      sigma: initial step size.
      generations: how many are drawn.
      population: vectors a generation, ``default_population`` if left out.
      seed: of the vectors drawn.
    """
    size = default_population(len(start)) if population is None else population
    ask, nothing = _cma_es(size, len(start))
    best, best_value = np.asarray(start, float), -math.inf
    told: Any = None
    for generation in range(generations):
        asked, state = ask(
            np.uint32(seed), np.int32(generation), np.float32(sigma), np.asarray(best, np.float32),
            told is None, *(nothing if told is None else told),
        )  # fmt: skip
        vectors = np.asarray(asked, float)
        values = np.asarray(objective(vectors), float)
        values = np.where(np.isnan(values), -np.inf, values)
        if values.max() > best_value:
            best, best_value = vectors[values.argmax()], float(values.max())
        if values.max() == values.min():
            told = None
            continue
        finite = np.where(np.isfinite(values), values, values[np.isfinite(values)].min() - 1)
        told = (asked, np.asarray(-finite, np.float32), state)
    return best, best_value


@lru_cache
def _cma_es(population: int, dimensions: int) -> tuple[Any, Any]:
    """Evosax's CMA-ES as one compiled function that draws a generation, and what it is told before the first.

    ``ask(seed, generation, sigma, mean, anew, asked, fitness, state) -> (vectors, state)`` starts anew about the mean,
    or goes on from what was asked last.
    """
    # Importing evosax starts JAX, after which devices can no longer be configured: not before it is needed.
    from evosax.algorithms import CMA_ES

    def strategy(sigma: jax.Array) -> tuple[Any, Any]:
        """Made while JAX traces: outside, each of evosax's operations would be compiled by itself."""
        made = CMA_ES(population_size=population, solution=np.zeros(dimensions, np.float32))
        return made, made.default_params.replace(std_init=sigma, std_min=MIN_STEP_SIZE)

    def start(key: jax.Array, mean: jax.Array, sigma: jax.Array) -> Any:
        made, params = strategy(sigma)
        return made.init(key, mean, params)

    def keys(seed: jax.Array, generation: jax.Array) -> jax.Array:
        return jax.random.split(jax.random.fold_in(jax.random.key(seed), generation), 3)

    @jax.jit
    def ask(
        seed: jax.Array, generation: jax.Array, sigma: jax.Array, mean: jax.Array, anew: jax.Array,
        asked: jax.Array, fitness: jax.Array, state: Any,
    ) -> tuple[Any, Any]:  # fmt: skip
        made, params = strategy(sigma)
        ask_key, _, start_key = keys(seed, generation)
        _, tell_key, _ = keys(seed, generation - 1)
        following, _ = made.tell(tell_key, asked, fitness, state, params)
        started = start(start_key, mean, sigma)
        state = jax.tree.map(lambda new, old: jnp.where(anew, new, old), started, following)
        return made.ask(ask_key, state, params)

    vectors, fitness = np.zeros((population, dimensions), np.float32), np.zeros(population, np.float32)
    state = jax.eval_shape(lambda: start(jax.random.key(0), jnp.zeros(dimensions), jnp.float32(1)))
    return ask, (vectors, fitness, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state))
