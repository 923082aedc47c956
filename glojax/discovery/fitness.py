"""Fitness: how trees come to it, and what is known of those that have it.

The searches differ in where their trees come from; what they share is here. A tree is trained once under its canonical
form and, with screening, once under its gradient. Its fitness is its mean validation score over seeds: at the task's
own learning rate as in arXiv 1905.11528, or, because that mostly finds learning rates, at the best of a few that suit
it.

``Fitness`` has what stays the same during a search. ``Archive`` is what a search knows; every function that learns
something takes one and returns the next.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from glojax import models, tasks
from glojax.discovery import allocation, finals, one_class, scoring
from glojax.discovery.results import Baseline, Known
from glojax.discovery.scoring import Measured, TrainedEach
from glojax.discovery.settings import FitnessConfig
from glojax.discovery.sieve import Screener
from glojax.distributed import processes
from glojax.executors.protocol import Evaluator, Executor
from glojax.expressions import parsing, programs
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.records.candidates import Record
from glojax.records.hall_of_fame import best_of_every_size, loss_parts, simplified
from glojax.records.run import BASELINE, FINALS, ONE_CLASS, Run
from glojax.seeds import named_seed
from glojax.statistics import winner_beside, with_handicaps
from glojax.tasks import optimizers
from glojax.tasks.priors import prior
from glojax.tasks.task import Task

BASELINE_SEEDS = 8
"""Trainings of the baseline at each rate; those at its best one tell how far one training scatters."""

MOST_TRAININGS = 32
"""Trainings of a tree during a search, after which it gets no more."""

FACTORS = (1 / 3, 1.0, 3.0)
"""Fair learning rates of a loss, in units of that at which its gradient is as large as the baseline's at its own."""


# WHAT A SEARCH KNOWS


class Archive(NamedTuple):
    """What a search knows of the trees it has trained."""

    known: Mapping[Tree, Known]  # by canonical form
    keys: frozenset[bytes]  # of the gradients of these trees (``sieve.Look.key``); empty without screening
    untuned: Mapping[Tree, Known] = {}  # without coefficients, where ``known`` has some

    def with_known(self, known: Sequence[Known], keys: Sequence[bytes] = ()) -> "Archive":
        """With these trees, in place of what was known of them, and the keys of their gradients."""
        added = {canonical(one.tree): one for one in known}
        return self._replace(known={**self.known, **added}, keys=self.keys.union(keys))

    @property
    def plain(self) -> list[Known]:
        """All trees as they are without coefficients."""
        return [self.untuned.get(form, one) for form, one in self.known.items()]

    @property
    def ranking(self) -> list[Known]:
        """All trees, the fittest first."""
        return sorted(self.known.values(), key=lambda known: -known.fitness)


EMPTY = Archive({}, frozenset())


# HOW TREES COME TO THEIR FITNESS


@dataclass(frozen=True)
class Fitness:
    """How the trees of one search are screened, trained and compared.

    Attributes:
      task: what they are trained on.
      config: of the search.
      executor: makes evaluators.
      evaluator: trains them.
      screener: screens them.
      growth: how updates of the task's optimizer grow with gradients (``optimizers.growth``).
    """

    task: Task
    config: FitnessConfig
    executor: Executor
    evaluator: Evaluator
    screener: Screener
    growth: float

    @classmethod
    def of(cls, task: Task, config: FitnessConfig, max_nodes: int, executor: Executor) -> "Fitness":
        """The fitness of trees of at most ``max_nodes`` nodes on a task.

        Raises:
          ValueError: what is no task, or has a metric that a search cannot maximize.
        """
        tasks.check(task)
        task.check_metric(for_search=True)
        if "prior" in config.vocabulary.leaves:
            for head in task.heads:
                prior(head)  # which a task without classes refuses
        room = programs.room(max_nodes - 1)
        evaluator = executor(config.ranked(task), instructions=room, protected=config.protected)
        params, _ = models.shapes(task.pure_model)
        growth = optimizers.growth(task.optimizer, params) if config.fair_rates else 1.0
        return cls(task, config, executor, evaluator, Screener(task, config, room), growth)

    def training_seeds(self, first: int, count: int) -> list[int]:
        """Seeds of a tree's trainings from the ``first`` on; the same for all trees, so that differences are paired."""
        return [named_seed(self.config.seed, "search", i) for i in range(first, first + count)]

    def seed_count(self, baseline: Baseline | None) -> int:
        """How many trainings a tree has at first: as the settings say, or as many as the noise needs.

        So many that the standard error of a mean is at most a tenth of what the baseline's score lacks to 1, from 1 to
        4; 2 where the noise is not known, or scores have no such bound.
        """
        if self.config.seeds is not None:
            return self.config.seeds
        lacking = 0 if baseline is None else 1 - baseline.fitness
        if baseline is None or lacking <= 0:
            return 2
        return int(np.clip(np.ceil((baseline.scatter / (lacking / 10)) ** 2), 1, 4))

    def find_baseline(self, run: Run) -> Baseline | None:
        """The baseline at its best learning rate, from the record if it is there; ``None`` if rates are not fair."""
        if not self.config.fair_rates:
            return None

        def train() -> list[Record]:
            started = time.perf_counter()
            # The name is part of what makes a search reproducible.
            seeds = [named_seed(self.config.seed, "control", i) for i in range(BASELINE_SEEDS)]
            tree, rates = self.task.problem.baseline.tree, np.array([scoring.RATES])
            found = scoring.measure(self.evaluator, [tree], seeds, rates=rates, halving=self.config.halving)
            known = Known(tree, float(found.rates[0]), tuple(found.scores[0].tolist()), True)
            return [known.to_record("trained", seeds[0], int(found.steps[0]), time.perf_counter() - started)]

        (kept,) = run.once(BASELINE, train)
        return Baseline(kept.rate, kept.scores, kept.steps)

    def train(
        self,
        archive: Archive,
        baseline: Baseline | None,
        new: Sequence[Tree],
        factors: Sequence[float] | None = None,
    ) -> tuple[Archive, Measured]:
        """Train trees that were not trained before.

        Args:
          archive: what is known.
          baseline: what their learning rates derive from; without one all train at the task's own.
          new: the trees, each with x and y.
          factors: the one fair rate of each, in units of ``FACTORS``; all are trained to the end then. Defaults to all
            ``FACTORS``, with halving.

        Returns:
          The archive with them, and what the trainings gave, in their order.
        """
        rates = None
        if baseline is not None:
            tried = np.array(FACTORS)[None] if factors is None else np.array(factors)[:, None]
            rates = self.fair_rates(baseline, new)[:, None] * tried
        seeds = self.training_seeds(0, self.seed_count(baseline))
        halving = self.config.halving if factors is None else 1
        measured = scoring.measure(self.evaluator, new, seeds, rates=rates, halving=halving)
        columns = zip(new, measured.rates, measured.scores, measured.finished, strict=True)
        known = [
            Known(tree, float(rate), tuple(scores.tolist()), bool(finished)) for tree, rate, scores, finished in columns
        ]
        return archive.with_known(known, self._keys(new)), measured

    def fair_rates(self, baseline: Baseline, trees: Sequence[Tree]) -> np.ndarray:
        """float64[trees], the rate at which each gradient is as large as the baseline's at its own."""
        sizes = np.array(self.screener.sizes(trees))
        # An optimizer that makes up for the size of gradients leaves nothing to divide by.
        return baseline.rate / np.where(np.isfinite(sizes), sizes, 1) ** self.growth

    def train_again(self, archive: Archive, trained: Sequence[Tree], count: int) -> tuple[Archive, TrainedEach]:
        """Train known trees over more of the common seeds, at the rates they have, those that may be the best most.

        Args:
          archive: what is known.
          trained: the trees.
          count: trainings to share out between them (``allocation.allocate``).

        Returns:
          The archive, where their fitness is the mean over all their trainings, and what the trainings gave.
        """
        known = [archive.known[canonical(tree)] for tree in trained]
        more = allocation.allocate([one.scores for one in known], count, MOST_TRAININGS)
        seeds = [
            # Those that halving stopped begin anew.
            self.training_seeds(len(one.scores), extra) if one.finished
            else self.training_seeds(0, len(one.scores) + extra) * bool(extra)
            for one, extra in zip(known, more, strict=True)
        ]  # fmt: skip
        # Coefficients are of the tree that they were found for; equal trees may be written otherwise.
        trees = [one.tree if one.coefficients else tree for one, tree in zip(known, trained, strict=True)]
        factors = [one._replace(tree=tree).factors for one, tree in zip(known, trees, strict=True)]
        found = scoring.train_each(self.evaluator, trees, seeds, [one.rate for one in known], factors)
        with_more = [one.with_more(row) if row else one for one, row in zip(known, found.scores, strict=True)]
        return archive.with_known(with_more), found

    def recall(self, archive: Archive, records: Sequence[Record]) -> Archive:
        """The archive with what the record of a round says."""
        population = [parsing.parse(record.expression) for record in records]
        if self.config.screening:
            self.screener.looks(population)  # all at once is much faster
        known, trained = dict(archive.known), []
        for record, tree in zip(records, population, strict=True):
            if record.fate in ("trained", "dropped"):
                known[canonical(tree)] = Known(tree, record.rate, record.scores, record.fate == "trained")
                trained.append(tree)
            elif record.scores:
                known[canonical(tree)] = known[canonical(tree)].with_more(record.scores)
        return archive._replace(known=known, keys=archive.keys.union(self._keys(trained)))

    def _keys(self, trained: Sequence[Tree]) -> list[bytes]:
        return self.screener.keys(trained) if self.config.screening else []

    def is_spent(self, steps: int, seconds: float) -> bool:
        """Whether a budget is used up: of optimizer steps, or of minutes by the first process's clock."""
        budget, minutes = self.config.budget, self.config.minutes
        if budget is not None and steps >= budget:
            return True
        return minutes is not None and processes.first(lambda: bool(seconds >= 60 * minutes))

    def ranking(self, archive: Archive) -> list[Known]:
        """All trees, those that are worth most first (``FitnessConfig.parsimony``)."""
        ranking = archive.ranking
        worth = self.config.worth([known.tree for known in ranking], [known.fitness for known in ranking])
        return [ranking[place] for place in np.argsort(-worth, kind="stable")]

    def finalists(self, archive: Archive) -> list[Known]:
        """The fittest trees and the best of every size, for the hall of fame; none where the settings have one."""
        ranking = self.ranking(archive)
        fittest = [known for known in ranking[: self.config.finalists] if known.fitness > 0]
        if self.config.finalists == 1 or not fittest:
            return []
        sound = [known for known in ranking if known.is_sound]
        of_each_size = best_of_every_size(sound, lambda known: known.tree.size)
        return fittest + [known for known in of_each_size if known not in fittest]

    def finals(self, archive: Archive, run: Run) -> Known:
        """The winner: the best finalist over fresh seeds or, without finals, the fittest tree."""
        finalists = self.finalists(archive)
        if not finalists:
            return self.ranking(archive)[0]
        handicaps = [self.config.parsimony * known.tree.size for known in finalists]

        def train() -> list[Record]:
            started = time.perf_counter()
            decided = finals.decide(
                self.evaluator,
                [known.tree for known in finalists],
                [known.rate for known in finalists],
                self.config.seed,
                self.config.final_seeds,
                [known.factors for known in finalists],
                handicaps=handicaps,
            )
            seconds = (time.perf_counter() - started) / len(finalists)
            seed = finals.seeds_of_finals(self.config.seed, 1)[0]
            return [
                known._replace(scores=scores).to_record("trained", seed, steps, seconds)
                for known, scores, steps in zip(finalists, decided.scores, decided.steps, strict=True)
            ]

        asked = [(str(known.tree), known.rate, known.coefficients) for known in finalists]
        kept = run.once(
            FINALS,
            train,
            lambda records: [(one.expression, one.rate, one.coefficients) for one in records] == asked,
        )
        decided = [
            one._replace(scores=record.scores, finished=True) for one, record in zip(finalists, kept, strict=True)
        ]
        return self._winner(decided, handicaps, run)

    def _winner(self, decided: Sequence[Known], handicaps: Sequence[float], run: Run) -> Known:
        """The best finalist whose networks do not answer one class for all examples; the best, where all do."""
        scores = with_handicaps([one.scores for one in decided], handicaps)
        compared = [str(one.tree) for one in decided]

        def judged() -> dict[str, Any]:
            over = one_class.passed_over(scores, lambda place: self.answers_one_class(decided[place]))
            return {"finalists": compared, "passed over": over}

        kept = run.once(ONE_CLASS, judged, lambda kept: kept["finalists"] == compared)
        return decided[winner_beside(scores, kept["passed over"])]

    def answers_one_class(self, known: Known) -> bool:
        """Whether a finalist's networks answer one class for all examples."""
        seeds = finals.seeds_of_finals(self.config.seed, len(known.scores))
        return one_class.answers_one_class(
            self.executor, self.task, self.config.rank_by, known.tree, known.factors, known.rate, known.scores, seeds,
            protected=self.config.protected,
        )  # fmt: skip


def simplified_loss(task: Task, config: FitnessConfig, finals: Sequence[Record]) -> Loss | None:
    """The loss of the simplest finalist that is as good as the winner (``records.hall_of_fame.simplified``)."""
    record = simplified(finals, config.parsimony)
    return None if record is None else task.loss(*loss_parts(record), protected=config.protected)
