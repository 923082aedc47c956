"""Fitness: which trees are worth a training, how they are trained, and all that is known of them so far.

The searches differ in where their trees come from; what they share is here. A tree is trained once under its canonical
form and, with screening, once under its gradient. Its fitness is its mean validation score over seeds: at the task's
own learning rate as in arXiv 1905.11528, or, as that mostly finds learning rates, at the best of a few that suit it.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from glojax import models, tasks
from glojax.discovery import scoring, screening
from glojax.discovery.finals import decide, seeds_of_finals
from glojax.discovery.scoring import Measured
from glojax.discovery.settings import FitnessConfig
from glojax.distributed import processes
from glojax.executors import local
from glojax.expressions import programs, trees
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree
from glojax.records.candidates import Record, Rejected
from glojax.records.funnel import total
from glojax.records.run import Run
from glojax.seeds import named_seed
from glojax.statistics import winner
from glojax.tasks import optimizers
from glojax.tasks.task import Task

FACTORS = (1 / 3, 1.0, 3.0)
"""Fair rates of a loss, in those at which its gradient is as large as the usual loss's at its best rate."""

_MOST_LOOKS = 4096  # of a few KiB each
_CHUNK = 128  # trees that are screened together


class Known(NamedTuple):
    """What the trainings of a tree gave."""

    tree: Tree
    rate: float  # scale of the task's learning rate
    scores: tuple[float, ...]  # validation scores of its trainings at that rate
    finished: bool  # whether they went to the end

    @property
    def fitness(self) -> float:
        """Their mean."""
        return float(np.mean(self.scores))


class Baseline(NamedTuple):
    """The usual loss of the task's kind, cross-entropy for classes, at the best of ``scoring.RATES``."""

    rate: float
    fitness: float  # mean validation score
    steps: int  # optimizer steps that finding it took, of all trainings


class _Look(NamedTuple):
    """What screening says of a tree."""

    passed: frozenset[str]  # stages, without distinct
    key: bytes  # of its gradient; empty where it has none to compare
    size: float


class Fitness:
    """Screens trees, trains what is new, and remembers.

    Args:
      task: what they are trained on.
      config: of the search.
      max_nodes: of every tree.
      keep_rejected: for the record, until ``take_rejected``.
    """

    def __init__(self, task: Task, config: FitnessConfig, max_nodes: int, *, keep_rejected: bool = False):
        self.config = config
        self.known: dict[Tree, Known] = {}
        """By canonical form."""
        self.baseline: Baseline | None = None
        tasks.check(task)
        task.check_metric(for_search=True)
        self._task = task
        self._probe = screening.probe_of(task)
        self._room = programs.room(max_nodes - 1)
        self.evaluator = local.of(task, instructions=self._room, protected=config.protected)
        params, _ = models.shapes(task.pure_model)
        self._growth = optimizers.growth(task.optimizer, params) if config.fair_rates else 1.0
        self._looks: dict[Tree, _Look] = {}
        self._keys: set[bytes] = set()
        self._met: set[bytes] = set()
        self._counts: Counter[str] = Counter()
        self._rejected: dict[Tree, Rejected] | None = {} if keep_rejected else None

    @property
    def seeds(self) -> list[int]:
        """Of a tree's first trainings, the same for all."""
        return [named_seed(self.config.seed, "search", i) for i in range(self.config.seeds)]

    def choose(self, population: Sequence[Tree], wanted: int) -> list[int]:
        """Places of the first trees, at most so many, that pass the stages; all before are counted as drawn."""
        if len(self._looks) > _MOST_LOOKS:
            self._looks.clear()
        chosen: list[int] = []
        size = _CHUNK if wanted < len(population) else len(population)
        for first in range(0, len(population), size):
            chunk = population[first : first + size]
            self._look_at(chunk)
            for place, tree in enumerate(chunk, start=first):
                if len(chosen) == wanted:
                    return chosen
                if self._passes(tree):
                    chosen.append(place)
        return chosen

    def _passes(self, tree: Tree) -> bool:
        """Whether a tree passes the stages; it is counted in the funnel."""
        passed, form = ["drawn"], canonical(tree)
        if tree.has_x_and_y:
            look = self._looks[tree]
            passed.append("valid")
            for stage in screening.STAGES:
                if not (look.key not in self._met if stage == "distinct" else stage in look.passed):
                    break
                passed.append(stage)
            self._met.add(look.key)
        self._counts.update(passed)
        if "valid" not in passed or form in self.known:
            return False
        if not set(self.config.screening) - {*passed}:
            return True
        if self._rejected is not None and form not in self._rejected:
            stage = next(stage for stage in screening.STAGES if stage not in passed)
            self._rejected[form] = Rejected(str(form), str(tree), stage)
        return False

    def count(self, **counts: int) -> None:
        """Add to the funnel what ``choose`` does not see."""
        self._counts.update(counts)

    def take_funnel(self) -> dict[str, int]:
        """Counts since the last call."""
        counted = total([self._counts])
        self._counts.clear()
        return counted

    def take_rejected(self) -> list[Rejected]:
        """Trees that did not pass since the last call, one for each canonical form."""
        taken = list((self._rejected or {}).values())
        if self._rejected is not None:
            self._rejected.clear()
        return taken

    def forget_rejected(self) -> None:
        """Let a gradient that was met, but not trained, be distinct again: no generation depends on earlier draws."""
        self._met = set(self._keys)

    def train(self, new: Sequence[Tree]) -> Measured:
        """Train trees that were not trained before."""
        rates = None
        if self.config.screening or self.config.fair_rates:
            self._look_at(new)
        if self.config.fair_rates:
            assert self.baseline is not None
            sizes = np.array([self._looks[tree].size for tree in new])
            # With an optimizer that makes up for the size of gradients there is nothing to divide by.
            sizes = np.where(np.isfinite(sizes), sizes, 1) ** self._growth
            rates = self.baseline.rate / sizes[:, None] * np.array(FACTORS)
        measured = scoring.measure(self.evaluator, new, self.seeds, rates=rates, halving=self.config.halving)
        columns = zip(new, measured.rates, measured.scores, measured.finished, strict=True)
        for tree, rate, scores, finished in columns:
            self.remember(Known(tree, float(rate), tuple(scores.tolist()), bool(finished)))
        return measured

    def train_again(self, trained: Sequence[Tree], seeds: Sequence[int]) -> Measured:
        """Train known trees over more seeds, at the rate they had: fitness is the mean over all of them."""
        known = [self.known[canonical(tree)] for tree in trained]
        rates = np.array([[one.rate] for one in known])
        measured = scoring.measure(self.evaluator, trained, seeds, rates=rates)
        for one, scores in zip(known, measured.scores, strict=True):
            self.remember_more(one, scores.tolist())
        return measured

    def remember(self, known: Known) -> None:
        """Keep what was trained now or, read back, in an earlier run."""
        self.known[canonical(known.tree)] = known
        if self.config.screening:
            self._look_at([known.tree])
            self._keys.add(self._looks[known.tree].key)
            self._met.add(self._looks[known.tree].key)

    def remember_more(self, known: Known, scores: Sequence[float]) -> None:
        """Add scores to the end of training; they replace those of trainings that halving stopped."""
        before = known.scores if known.finished else ()
        self.known[canonical(known.tree)] = known._replace(scores=(*before, *scores), finished=True)

    def remember_all(self, records: Sequence[Record]) -> None:
        """Keep what a generation of the run's record says."""
        population = [trees.parse(record.expression) for record in records]
        if self.config.screening:
            self._look_at(population)  # all at once is much faster
        for record, tree in zip(records, population, strict=True):
            if record.fate in ("trained", "dropped"):
                self.remember(Known(tree, record.rate, record.scores, record.fate == "trained"))
            elif record.scores:
                self.remember_more(self.known[canonical(tree)], record.scores)

    def is_spent(self, steps: int, seconds: float) -> bool:
        """Whether the budget is; of the time, by the first process's clock."""
        budget, minutes = self.config.budget, self.config.minutes
        if budget is not None and steps >= budget:
            return True
        return minutes is not None and processes.first(lambda: bool(seconds >= 60 * minutes))

    def find_baseline(self, run: Run) -> int:
        """The baseline, if rates are to be fair, from the run's record if it has one; the steps that it took."""
        if not self.config.fair_rates:
            return 0
        kept = run.baseline()
        if kept is None:
            started = time.perf_counter()
            seeds = [named_seed(self.config.seed, "control", i) for i in range(self.config.final_seeds)]
            tree, rates = self._task.problem.baseline.tree, np.array([scoring.RATES])
            found = scoring.measure(self.evaluator, [tree], seeds, rates=rates, halving=self.config.halving)
            seconds = time.perf_counter() - started
            kept = record_of(
                Known(tree, float(found.rates[0]), tuple(found.scores[0].tolist()), True), "trained", seeds[0],
                int(found.steps[0]), seconds,
            )  # fmt: skip
            run.save_baseline(kept)
        self.baseline = Baseline(kept.rate, kept.fitness, kept.steps)
        return kept.steps

    def places_of(self, ranking: Sequence[Known], named: Mapping[str, Tree]) -> dict[str, int]:
        """Places in a ranking, from 1, of the trees that train like these; only with screening."""
        self._look_at([*named.values(), *(known.tree for known in ranking)])
        keys = [self._looks[known.tree].key for known in ranking]
        ours = {name: self._looks[tree].key for name, tree in named.items()}
        return {name: keys.index(key) + 1 for name, key in ours.items() if key in keys}

    def ranking(self) -> list[Known]:
        """All that is known, the fittest first."""
        return sorted(self.known.values(), key=lambda known: -known.fitness)

    def finals(self, run: Run) -> Known:
        """The winner: the best finalist over fresh seeds, or simply the fittest if there is one finalist."""
        finalists = [known for known in self.ranking()[: self.config.finalists] if known.fitness > 0]
        if self.config.finalists == 1 or not finalists:
            return self.ranking()[0]
        kept = run.finals()
        if [(record.expression, record.rate) for record in kept] != [(str(one.tree), one.rate) for one in finalists]:
            started = time.perf_counter()
            decided = decide(
                self.evaluator, [known.tree for known in finalists], [known.rate for known in finalists],
                self.config.seed, self.config.final_seeds,
            )  # fmt: skip
            seconds = (time.perf_counter() - started) / len(finalists)
            seed = seeds_of_finals(self.config.seed, 1)[0]
            kept = [
                record_of(known._replace(scores=scores), "trained", seed, taken, seconds)
                for known, scores, taken in zip(finalists, decided.scores, decided.steps, strict=True)
            ]
            run.save_finals(kept)
        best = winner([record.scores for record in kept])
        return finalists[best]._replace(scores=kept[best].scores, finished=True)

    def _look_at(self, population: Sequence[Tree]) -> None:
        """Screen the trees with x and y that were not screened yet.

        Each by itself, not one for its canonical form: what is cancelled there may be infinite here, and which of them
        comes first is another after a run was resumed.
        """
        fresh = list(dict.fromkeys(tree for tree in population if tree not in self._looks and tree.has_x_and_y))
        if not fresh:
            return
        found = screening.screen(
            fresh, None, self._probe, kind=self._task.problem, protected=self.config.protected, room=self._room
        )
        keys = found.direction if self.config.fair_rates else found.fingerprint
        for place, tree in enumerate(fresh):
            passed = [stage for stage in screening.STAGES if stage != "distinct" and getattr(found, stage)[place]]
            key = keys[place].tobytes() if found.guided[place] else b""
            self._looks[tree] = _Look(frozenset(passed), key, float(found.size[place]))


def record_of(known: Known, fate: str, seed: int, steps: int, seconds: float) -> Record:
    """What a run keeps of a tree that was trained."""
    return Record(
        str(known.tree), str(canonical(known.tree)), (), known.fitness, known.scores, known.rate, fate, (), seed,
        steps, seconds,
    )  # fmt: skip
