"""Phase 2: the identifiable coefficients of a tree, by CMA-ES (arXiv 1905.11528, section III-B) or along derivatives.

Every node of the tree carries a factor, 1 at the start; only the factors that change training in independent ways
are tuned. The objective is that of phase 1: the validation score after the shortened training, in the same program.
The same search over the coefficients of a Taylor polynomial needs no phase 1 (TaylorGLO, arXiv 2002.00059). With
``method="gradient"`` the score is differentiated by the coefficients, and they follow it uphill.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Unpack

import numpy as np

from glojax.deprecation import renamed_argument
from glojax.discovery import ascent, cma_es, finals, scoring, tuning_gain
from glojax.discovery.results import Event, OnEvent, Result, SearchOptions
from glojax.discovery.tune_config import TaylorConfig, TuneConfig
from glojax.executors import local
from glojax.executors.protocol import Evaluator, Executor
from glojax.expressions import programs
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.losses.spaces import CoefficientSpace, coefficient_space, taylor_space
from glojax.records.candidates import Record
from glojax.records.run import FINALS, Run
from glojax.seeds import named_seed
from glojax.statistics import Gain, winner
from glojax.tasks.task import Task
from glojax.training.sensitivities import SensitivityTrainer, sensitivity_trainer


@dataclass(frozen=True, eq=False)
class TuningResult(Result):
    """What a tuning ends with.

    Attributes:
      start_fitness: mean validation score of the start, on the seeds of the trainings that decided.
      vector: ``float64[n]``, the coefficients that were found, or those of the start.
      gain: how far the best vector was ahead of the start; ``None`` where the start was best, and of polynomials. One
        that is no more than the validation examples leave to chance is not kept: the result is the start.

    The others are those of ``Result``.
    """

    start_fitness: float
    vector: np.ndarray
    gain: Gain | None = None

    @property
    def history(self) -> list[np.ndarray]:
        """Fitness ``float64[population]`` of every generation, the start first."""
        return [np.array([record.fitness for record in records]) for records in self.record]


_old_callback = renamed_argument(
    "on_generation", "on_event", lambda call: lambda event: call(event.number, event.fitness)
)


@_old_callback
def tune(
    task: Task,
    tree: Tree | Loss | str | CoefficientSpace,
    config: TuneConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    on_event: OnEvent | None = None,
    executor: Executor | None = None,
    group: int | None = None,
) -> TuningResult:
    """Tune the coefficients of a tree.

    The result is the tree with all coefficients 1 unless others are better by more than chance: that of the seeds, and
    that of the validation examples, of which a few tell little of hundreds of vectors (``tuning_gain``).

    Args:
      task: what candidates are trained on.
      tree: a tree or an expression with x and y, or a loss, whose tree is taken; or a space of coefficients.
      config: the settings. Defaults to ``TuneConfig()``.
      run_dir: where the record is kept, beside that of a search. Defaults to memory alone.
      resume: go on with the tuning that ``run_dir`` holds. The result is that of a tuning never interrupted.
      on_event: called after each generation.
      executor: what trains the candidates. Defaults to this process.
      group: how many candidates are trained together on a device at most. Defaults to as many as fit its memory.

    Returns:
      The loss with its best coefficients, and how it was found.

    Raises:
      ValueError: a tree without x or y, a loss for another output than the task's, or a run directory that does not
        fit (``records.run.Run``). Of derivatives: a task that has none (``sensitivity_trainer``), an
        executor, or a space that is no tree's.

    Example:
      tuned = glojax.tune(task, "log(y) - x / y", glojax.TuneConfig(generations=10))
      tuned.loss.coefficients
    """
    config = TuneConfig() if config is None else config
    task = config.applied_to(task)
    if isinstance(tree, Loss):
        scoring.check_losses(task, [tree])
    if not isinstance(tree, CoefficientSpace):
        tree = coefficient_space(tree.tree if isinstance(tree, Loss) else Loss(tree).tree)  # type: ignore[arg-type]
    if config.method == "gradient" and (executor or vars(task)["executor"]):
        raise ValueError("tune: derivatives (method 'gradient') are computed in this process; leave out executor.")
    if config.method == "gradient" and len(tree.start) and not tree.nodes:
        raise ValueError(f"TuneConfig.method is 'gradient'; for {tree.phase} 'cma-es' is allowed.")
    tuner = _Tuner.of(tree, task, config, local.resolve(task, executor, group), group)
    with Run(run_dir, tree.phase, task, config, resume) as run:
        _check_tree(tuner, run)
        history: list[_Generation] = []
        for generation in _generations(tuner, run):
            history.append(generation)
            if on_event is not None:
                on_event(_event(tuner, generation))
        vectors, decided, best = _decided(tuner, run, history)
        gain = _gain(tuner, run, vectors, best)
    if gain is not None and not gain.is_kept:
        best = 0
    return TuningResult(
        phase=tree.phase,
        loss=task.loss(tree.tree, tree.coefficients(vectors[best]), protected=config.protected),
        rate=config.rate,
        scores=np.array(decided[best].scores),
        record=[generation.records for generation in history],
        funnel={},
        baseline=None,
        steps=sum(record.steps for generation in history for record in generation.records),
        start_fitness=float(np.mean(decided[0].scores[: len(decided[best].scores)])),  # on the same seeds
        vector=vectors[best],
        gain=gain,
    )


@_old_callback
def search_taylor(
    task: Task,
    config: TuneConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    **options: Unpack[SearchOptions],
) -> TuningResult:
    """Search a loss among third-order Taylor polynomials by CMA-ES alone (TaylorGLO, arXiv 2002.00059).

    The scale of the polynomial is one of its parameters, so its learning rate is searched as well.

    Args:
      task: what candidates are trained on.
      config: the settings. Defaults to ``TaylorConfig()``.
      run_dir: where the record is kept. Defaults to memory alone.
      **options: the other arguments of ``tune``.

    Returns:
      The best polynomial as a loss, and how it was found.

    Raises:
      ValueError: a run directory that does not fit (``records.run.Run``).
    """
    return tune(task, taylor_space(), TaylorConfig() if config is None else config, run_dir, **options)


# GENERATION AFTER GENERATION


@dataclass(frozen=True)
class _Tuner:
    """What stays the same during a tuning."""

    space: CoefficientSpace
    task: Task
    config: TuneConfig
    executor: Executor
    evaluator: Evaluator
    sensitive: SensitivityTrainer | None  # where derivatives are followed

    @classmethod
    def of(
        cls, space: CoefficientSpace, task: Task, config: TuneConfig, executor: Executor, group: int | None
    ) -> "_Tuner":
        task.check_metric(for_search=True)
        room, ranked = programs.room(programs.instructions_of(space.tree)), config.ranked(task)
        evaluator, sensitive = executor(ranked, instructions=room, protected=config.protected), None
        if config.method == "gradient" and len(space.start):
            sensitive = sensitivity_trainer(ranked, space.tree, space.nodes, protected=config.protected, group=group)
        return cls(space, task, config, executor, evaluator, sensitive)

    @property
    def seeds(self) -> list[int]:
        """Seeds of a vector's trainings, the same for all."""
        return [named_seed(self.config.seed, "search", i) for i in range(self.config.seeds)]

    def losses(self, vectors: np.ndarray) -> tuple[list[Tree], list[tuple[float, ...]]]:
        """The trees and the coefficients that vectors ``[population, n]`` stand for."""
        return [self.space.tree] * len(vectors), list(map(self.space.coefficients, vectors))

    def records(
        self, vectors: np.ndarray, scores: Sequence[tuple[float, ...]], steps: Sequence[int], seed: int, seconds: float
    ) -> list[Record]:
        """What the run keeps of vectors that were trained in so many seconds."""
        expression, form = str(self.space.tree), str(canonical(self.space.tree))
        return [
            Record(
                expression=expression,
                canonical=form,
                coefficients=tuple(map(float, vector)),
                fitness=float(np.mean(found)),
                scores=found,
                rate=self.config.rate,
                fate="trained",
                parents=(),
                seed=seed,
                steps=taken,
                seconds=seconds / len(vectors),
            )
            for vector, found, taken in zip(vectors, scores, steps, strict=True)
        ]


class _Generation(NamedTuple):
    """The vectors of one generation, evaluated."""

    number: int
    vectors: np.ndarray  # float64[population, n]
    records: list[Record]
    is_new: bool  # whether it was trained now

    @property
    def fitness(self) -> np.ndarray:
        """Mean validation scores ``float64[population]``."""
        return np.array([record.fitness for record in self.records])


def _decided(tuner: _Tuner, run: Run, history: Sequence[_Generation]) -> tuple[np.ndarray, list[Record], int]:
    """Vectors, the first of them the start, the trainings that decide between them, and the place of the best."""
    vectors = np.concatenate([generation.vectors for generation in history])
    records = [record for generation in history for record in generation.records]
    fitness = np.array([record.fitness for record in records])
    if tuner.config.finalists == 1:
        return vectors, records, int(np.argmax(fitness))
    ranked = np.argsort(-fitness, kind="stable")[: tuner.config.finalists]
    vectors = vectors[np.concatenate([[0], ranked[ranked > 0]])]
    records = _finals(tuner, run, vectors)
    return vectors, records, winner([record.scores for record in records])


def _gain(tuner: _Tuner, run: Run, vectors: np.ndarray, best: int) -> Gain | None:
    """How far the best vector is ahead of the start, the first; a polynomial's start is no loss to compare with."""
    config, space = tuner.config, tuner.space
    if best == 0 or not space.nodes:
        return None
    trees, factors = tuner.losses(vectors[[0, best]])
    measure = partial(
        tuning_gain.measured, tuner.executor, tuner.task, config.rank_by, trees[0], factors, len(space.start),
        config.rate, config.seed, protected=config.protected,
    )  # fmt: skip
    return tuning_gain.recorded(run, vectors[best].tolist(), measure)


def _check_tree(tuner: _Tuner, run: Run) -> None:
    recorded = run.generations()
    if recorded and recorded[0][0].expression != str(tuner.space.tree):
        raise ValueError(
            f"{run.directory} holds the tuning of {recorded[0][0].expression}, not of {tuner.space.tree}; "
            "choose another directory."
        )


def _generations(tuner: _Tuner, run: Run) -> Iterator[_Generation]:
    """The start as a generation of its own, so that it is among the vectors the best is taken from; then CMA-ES's.

    An ascent begins with all its starts, of which it is the first.
    """
    config, start = tuner.config, tuner.space.start
    population = cma_es.default_population(max(1, len(start))) if config.population is None else config.population
    if tuner.sensitive is not None:
        yield from _ascent(tuner, tuner.sensitive, run, population)
        return
    yield _recorded(tuner, run, 0, start[None], lambda: _measured(tuner, start[None]))
    if not len(start):
        return
    settings = cma_es.Settings(config.sigma, population, named_seed(config.seed, tuner.space.phase))
    state = cma_es.start(start)
    for number in range(1, config.generations + 1):
        asked = cma_es.ask(settings, state)
        generation = _recorded(tuner, run, number, asked.vectors, lambda asked=asked: _measured(tuner, asked.vectors))
        yield generation
        state = cma_es.tell(state, asked, generation.fitness)


def _ascent(tuner: _Tuner, sensitive: SensitivityTrainer, run: Run, population: int) -> Iterator[_Generation]:
    config = tuner.config
    vectors = ascent.starts(tuner.space.start, config.sigma, population, named_seed(config.seed, tuner.space.phase))
    state = ascent.begin(vectors, config.ascent_step)
    for number in range(config.generations + 1):
        # Derivatives are on record too, as the next vectors derive from them.
        found = run.once(f"derivatives {number}", lambda state=state: _sensitivities(tuner, sensitive, state.vectors))
        trained = _Trainings(found["scores"], found["steps"], found["seconds"])
        generation = _recorded(tuner, run, number, state.vectors, lambda trained=trained: trained)
        yield generation
        # JSON knows no NaN: what is not finite is None.
        state = ascent.follow(state, generation.fitness, np.array(found["derivatives"], float))


class _Trainings(NamedTuple):
    """What the trainings of some vectors gave."""

    scores: list[list[float]]  # of each vector, over the seeds
    steps: list[int]  # optimizer steps of each vector
    seconds: float  # that all took together


def _measured(tuner: _Tuner, vectors: np.ndarray) -> _Trainings:
    started = time.perf_counter()
    rates = np.full((len(vectors), 1), tuner.config.rate)
    trees, factors = tuner.losses(vectors)
    found = scoring.measure(tuner.evaluator, trees, tuner.seeds, factors, rates=rates)
    return _Trainings(found.scores.tolist(), found.steps.tolist(), time.perf_counter() - started)


def _sensitivities(tuner: _Tuner, sensitive: SensitivityTrainer, vectors: np.ndarray) -> dict[str, Any]:
    """``_Trainings`` by name, and the derivatives of each vector's mean score, ``"derivatives"``."""
    started, config, seeds = time.perf_counter(), tuner.config, tuner.seeds
    steps = tuner.task.steps if config.horizon is None else config.horizon
    _, factors = tuner.losses(np.repeat(vectors, len(seeds), axis=0))
    rates = [config.rate] * len(factors)
    found = sensitive.sensitivities(np.array(factors), [*seeds] * len(vectors), rates, steps)
    slopes = found.derivatives.reshape(len(vectors), len(seeds), -1).astype(float).mean(axis=1)
    return {
        "scores": found.scores.reshape(len(vectors), -1).tolist(),
        "steps": [steps * len(seeds) * (1 + vectors.shape[1])] * len(vectors),
        "derivatives": [[value if np.isfinite(value) else None for value in row] for row in slopes.tolist()],
        "seconds": time.perf_counter() - started,
    }


def _recorded(
    tuner: _Tuner, run: Run, number: int, vectors: np.ndarray, train: Callable[[], _Trainings]
) -> _Generation:
    """A generation, trained unless it is on record."""
    trained: list[Record] = []

    def compute() -> list[Record]:
        found = train()
        scores = [tuple(row) for row in found.scores]
        trained.extend(tuner.records(vectors, scores, found.steps, tuner.seeds[0], found.seconds))
        return trained

    def is_this_generation(records: list[Record]) -> bool:
        if not np.array_equal(vectors, [record.coefficients for record in records]):
            raise ValueError(
                f"{run.directory} does not replay: generation {number} of its tuning was drawn otherwise, perhaps by "
                "another version of evosax or JAX. Choose another run directory."
            )
        return True

    records = run.once(number, compute, is_this_generation)
    return _Generation(number, vectors, records, is_new=bool(trained))


def _finals(tuner: _Tuner, run: Run, vectors: np.ndarray) -> list[Record]:
    """These vectors, of which the first is the start, over fresh seeds."""

    def train() -> list[Record]:
        started = time.perf_counter()
        config = tuner.config
        trees, factors = tuner.losses(vectors)
        rates = [config.rate] * len(vectors)
        decided = finals.decide(tuner.evaluator, trees, rates, config.seed, config.final_seeds, factors, always=(0,))
        seed = finals.seeds_of_finals(config.seed, 1)[0]
        return tuner.records(vectors, decided.scores, decided.steps, seed, time.perf_counter() - started)

    asked = list(map(tuple, vectors.tolist()))
    return run.once(FINALS, train, lambda kept: [record.coefficients for record in kept] == asked)


def _event(tuner: _Tuner, generation: _Generation) -> Event:
    best = tuner.task.loss(
        tuner.space.tree,
        tuner.space.coefficients(generation.vectors[int(generation.fitness.argmax())]),
        protected=tuner.config.protected,
    )
    return Event(
        phase=tuner.space.phase,
        number=generation.number,
        planned=tuner.config.generations + 1,
        fitness=generation.fitness,
        best=str(best),
        trained=len(generation.vectors),
        funnel={},
        is_new=generation.is_new,
        records=generation.records,
    )
