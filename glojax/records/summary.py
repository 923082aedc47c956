"""Everything a run directory holds, read for reports and lists of runs; the run may be going on."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from glojax import statistics
from glojax.expressions.parsing import parse
from glojax.losses import spaces
from glojax.losses.loss import Loss
from glojax.losses.outputs import OUTPUTS
from glojax.records.candidates import Record
from glojax.records.comparisons import NOT_FOUND, Comparison, best_rows, loss_identity, rows_of
from glojax.records.directory import in_use, read_settings
from glojax.records.directory import read as read_run
from glojax.records.funnel import total
from glojax.records.hall_of_fame import Famous, hall_of_fame, simplified
from glojax.records.log import Session, read_sessions, start_time
from glojax.records.phases import COEFFICIENTS, SEARCHES
from glojax.records.run import GAIN, ONE_CLASS
from glojax.records.store import Store
from glojax.statistics import Gain
from glojax.tasks import metrics

_ORDER = (*SEARCHES, "tune", "random search")


@dataclass(frozen=True)
class PhaseSummary:
    """One phase of a run so far.

    Attributes:
      name: such as ``"search"``.
      config: its settings.
      generations: every candidate of each generation, in their places.
      funnel: how many trees passed each stage, by the names in ``funnel.FUNNEL``; empty if they were not counted.
      finals: the finalists; empty if the phase has none yet.
      baseline: the baseline at its best learning rate; None if it was not measured.
      is_finished: whether the phase finished.
      coverage: of an exhaustive search, ``ExhaustiveResult.coverage``; empty if there is none.
      measured: of a tuning, the gain of the best coefficients and these, as the record keeps them; empty if there is
        none.
      passed_over: places of finalists whose networks answer one class for all examples, and that do not win.
    """

    name: str
    config: dict[str, Any]
    generations: list[list[Record]]
    funnel: dict[str, int]
    finals: list[Record]
    baseline: Record | None
    is_finished: bool
    coverage: dict[str, int] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    passed_over: list[int] = field(default_factory=list)

    @property
    def planned_generations(self) -> int:
        """How many generations the settings ask for, CMA-ES's start included; 0 where something else ends the phase."""
        count = self.config.get("generations")
        if self.name == "random search" or not isinstance(count, int):
            return 0
        return count + self.has_coefficients

    @property
    def has_coefficients(self) -> bool:
        """Whether its candidates are vectors of coefficients and not trees."""
        return self.name in COEFFICIENTS

    @property
    def candidates(self) -> list[Record]:
        """The candidates of all generations."""
        return [record for records in self.generations for record in records]

    @property
    def ranking(self) -> list[Record]:
        """The latest record of each distinct candidate, the fittest first; of equals, the earlier one first."""
        latest = {(record.canonical, record.coefficients): record for record in self.candidates}
        return sorted(latest.values(), key=lambda record: -record.fitness)

    @property
    def best(self) -> Record | None:
        """The winner, or the start of a tuning whose gain is not kept; None if nothing was trained."""
        if self.gain is not None and not self.gain.is_kept:
            return (self.finals or self.candidates)[0]
        return self.winner

    @property
    def gain(self) -> Gain | None:
        """How far the winner of a tuning is ahead of its start; None where that was not measured."""
        found = self.winner if self.measured else None
        if found is None or list(found.coefficients) != self.measured["coefficients"]:
            return None
        return Gain.of(self.measured)

    @cached_property
    def winner(self) -> Record | None:
        """The winner of the finals or, before them, the fittest so far; None if nothing was trained."""
        if self.finals:
            parsimony = float(self.config.get("parsimony") or 0)
            handicaps = [parsimony * parse(record.expression).size for record in self.finals] if parsimony else []
            scores = statistics.with_handicaps([record.scores for record in self.finals], handicaps)
            return self.finals[statistics.winner_beside(scores, self.passed_over)]
        ranking = self.ranking
        return ranking[0] if ranking and ranking[0].fitness > 0 else None

    @property
    def compared(self) -> Sequence[Record]:
        """The finalists, where several were; in a search on several tasks each task has the joint winner alone."""
        return self.finals if len(self.finals) > 1 else ()

    @cached_property
    def hall_of_fame(self) -> list[Famous]:
        """The best loss of every size, the smallest first; none where coefficients were searched and not trees."""
        return [] if self.has_coefficients else hall_of_fame(self.generations, self.compared)

    @property
    def simplified(self) -> Famous | None:
        """The smallest finalist that is as good as the winner, where that is another one (``simplified``)."""
        compared = () if self.has_coefficients else self.compared
        found = simplified(compared, float(self.config.get("parsimony") or 0))
        if found is None or found == self.best:
            return None
        return Famous(parse(found.expression).size, found, len(found.scores), is_leading=False)

    @property
    def steps(self) -> int:
        """Optimizer steps of all trainings, those of the baseline and the finals included."""
        others = [*self.finals, *([self.baseline] if self.baseline else [])]
        return sum(record.steps for record in [*self.candidates, *others])


class TaskSummary(NamedTuple):
    """The task, as the settings of a run describe it."""

    name: str
    fingerprint: str
    score: str  # name of what is maximized: the fitness
    metric: str
    baseline: str  # name of the baseline
    output: str  # name of the function that turns outputs into predictions
    steps: int
    batch_size: int
    examples: dict[str, int]  # number of examples in each split
    margins: str = ""  # name of what candidates are ranked by with ``rank_by="margins"``; "" in records of before
    constant: float | None = None  # metric of the best constant prediction on the judged split, where it is known
    spread: float | None = None  # deviation of a regression's one target there, in units of the training part's
    one_class: tuple[float, ...] = ()  # what the metric may be there where one class is the answer to all examples

    @property
    def is_error(self) -> bool:
        """Whether a smaller metric is better."""
        return self.score != self.metric

    @property
    def has_known_output(self) -> bool:
        """Whether predictions are made by one of ``outputs.OUTPUTS``, and not by a function of the task's own."""
        return self.output in OUTPUTS


class FoundLoss(NamedTuple):
    """The loss that a run ended with, or the best so far."""

    loss: Loss
    rate: float  # scale of the task's learning rate
    fitness: float
    phase: PhaseSummary


class ComparedLoss(NamedTuple):
    """One loss of the comparison over fresh seeds."""

    name: str
    own: Comparison  # at the task's learning rate
    best: Comparison  # the row that stands for it, at its best learning rate (``comparisons.best_rows``)


@dataclass(frozen=True)
class RunSummary:
    """A run.

    Attributes:
      directory: the run directory.
      task: what the run is about.
      phases: by name, in the order in which a search has them.
      comparison: the JSON that the comparison over fresh seeds keeps; empty if there was none.
      sessions: when each phase ran, from the log.
      known: what the known losses were worth (``best_known.BestKnown.tried``); empty if they were not tried.
      full: the JSON that the comparison of full trainings keeps; empty if there was none.
      boosted: the metric of gradient-boosted trees by part; empty if there are none.
      transferred: the JSON that a transfer keeps of the loss that was found elsewhere; empty if this is none.
    """

    directory: Path
    task: TaskSummary
    phases: dict[str, PhaseSummary]
    comparison: dict[str, Any]
    sessions: list[Session]
    known: list[dict[str, Any]] = field(default_factory=list)
    full: dict[str, Any] = field(default_factory=dict)
    transferred: dict[str, Any] = field(default_factory=dict)
    boosted: dict[str, float] = field(default_factory=dict)

    @property
    def searched(self) -> PhaseSummary | None:
        """The search that the run began with; None if it tunes a given loss."""
        return next((self.phases[name] for name in SEARCHES if name in self.phases), None)

    @cached_property
    def found(self) -> FoundLoss | None:
        """The loss of the tuning if that has finished, else of the search; None if nothing was trained.

        Of a transfer it is the loss that was found elsewhere, at its fair rate.
        """
        if self.transferred:
            (row,) = rows_of(self.transferred)
            expression, coefficients, protected = self.transferred["loss"]
            loss = Loss(parse(expression), tuple(coefficients), protected, self._output)
            nothing = PhaseSummary("transfer", {}, [], {}, [], None, True)
            return FoundLoss(loss, row.rate, float(row.validation.mean()), nothing)
        names = [name for name in SEARCHES if name in self.phases]
        if "tune" in self.phases and (self.phases["tune"].is_finished or not names):
            names.insert(0, "tune")
        phase = self.phases[names[0]] if names else None
        best = phase.best if phase else None
        if phase is None or best is None:
            return None
        return FoundLoss(self.loss_of(phase, best), best.rate, best.fitness, phase)

    def loss_of(self, phase: PhaseSummary, record: Record) -> Loss:
        """The loss that a candidate of a phase stands for."""
        tree, vector = parse(record.expression), np.array(record.coefficients)
        coefficients: tuple[float, ...] = ()
        if phase.has_coefficients or len(vector):  # a search of trees has sampled those of some
            space = spaces.taylor_space() if phase.name == "taylor" else spaces.coefficient_space(tree)
            if len(vector) != len(space.start):
                raise ValueError(f"{record.expression} has {len(vector)} coefficients, {len(space.start)} are tuned")
            coefficients = space.coefficients(vector)
        return Loss(tree, coefficients, bool(phase.config.get("protected")), self._output)

    @property
    def _output(self) -> Any:
        return self.task.output if self.task.has_known_output else _unknown_output

    @cached_property
    def compared(self) -> list[ComparedLoss]:
        """The losses of the comparison, the baseline first."""
        if not self.comparison:
            return []
        every = rows_of(self.comparison)
        rows, best = {row.name: row for row in every}, best_rows(every)
        return [ComparedLoss(name, rows[name], best[name]) for name in self.comparison["asked"]["losses"]]

    @cached_property
    def found_in_comparison(self) -> ComparedLoss | None:
        """The found loss among the compared ones; None if the comparison is older than it."""
        found = self.found
        if found is None or not self.compared:
            return None
        identities, identity = self.comparison["asked"]["losses"], loss_identity(found.loss)
        # Random search may have found the same loss.
        same = [loss for loss in self.compared[1:] if loss.name not in NOT_FOUND and identities[loss.name] == identity]
        return same[-1] if same else None

    @cached_property
    def fully_trained(self) -> dict[str, Comparison]:
        """The rows of the comparison of full trainings by name: the baseline, the found loss, the best known one."""
        return {row.name: row for row in rows_of(self.full)} if self.full else {}

    @property
    def known_score(self) -> str:
        """The name of what known losses were ranked by."""
        return self.known[0].get("score", self.task.score) if self.known else ""

    @property
    def best_known(self) -> str:
        """The best known loss in words; "" if it is not on record."""
        finals = [one for one in self.known if one["final"]]
        return max(finals, key=lambda one: np.mean(one["scores"]))["label"] if finals else ""

    def ranking_of(self, phase: PhaseSummary) -> str:
        """The name of what the candidates of a phase are ranked by: their fitness."""
        return self.task.margins if phase.config.get("rank_by") == "margins" else self.task.score

    @property
    def steps(self) -> int:
        """Optimizer steps of all trainings of the phases that led to the found loss."""
        return sum(phase.steps for phase in self.phases.values() if phase.name != "random search")

    def as_metric(self, scores: np.ndarray) -> np.ndarray:
        """Scores converted to the task's metric."""
        return metrics.from_scores(scores, self.task.is_error)

    @property
    def state(self) -> str:
        """``"running"``, ``"finished"``, ``"stopped"`` within a phase, or ``"unknown"`` without a log."""
        if in_use(self.directory):
            return "running"
        if not self.sessions:
            return "unknown"
        return self.sessions[-1].outcome or "stopped"


def read(directory: str | os.PathLike[str]) -> RunSummary:
    """Read a run, which may be going on.

    Raises:
      ValueError: not a run, or one with damaged files; the message names them.
      OSError: a file is missing or cannot be read.
    """
    directory = Path(directory)
    if set(read_settings(directory)["phases"]) == {"train"}:
        raise ValueError(f"{directory} holds only full trainings; its curves.png shows them.")
    settings, store = read_run(directory)
    sessions = read_sessions(directory / "events.jsonl")
    finished = {session.phase: session.outcome == "finished" for session in sessions}  # in the latest session
    with contextlib.closing(store):
        known, configs = store.phases(), settings["phases"]
        names = [name for name in _ORDER if name in known or name in configs]
        try:
            phases = {name: _phase(store, name, configs.get(name, {}), finished.get(name, False)) for name in names}
            comparison = store.result("comparison", "scores") or {}
            known = (store.result("known losses", "scores") or {"tried": []})["tried"]
            full = store.result("full training", "scores") or {}
            transferred = store.result("transfer", "loss") or {}
            boosted = {name: float(value) for name, value in (store.result("boosted trees", "metrics") or {}).items()}
            task = _task(settings)
            run = RunSummary(directory, task, phases, comparison, sessions, known, full, transferred, boosted)
            _ = run.found_in_comparison, run.fully_trained, run.best_known  # so that all damage is met here
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            path = directory / "record.sqlite"
            raise ValueError(f"{path} or settings.json beside it is damaged: {error}.") from None
    return run


def _phase(store: Store, name: str, config: dict[str, Any], is_finished: bool) -> PhaseSummary:
    funnel = total(store.funnels(name)) or store.result(name, "funnel") or {}
    generations, finals, baseline = store.generations(name), store.finals(name), store.baseline(name)
    covered = (store.result(name, "losses") or {}).get("coverage", {})
    coverage = {key: int(count) for key, count in covered.items()}
    measured, passed_over = store.result(name, GAIN) or {}, (store.result(name, ONE_CLASS) or {}).get("passed over", [])
    return PhaseSummary(
        name, config, generations, funnel, finals, baseline, is_finished, coverage, measured, passed_over
    )


def _task(settings: Mapping[str, Any]) -> TaskSummary:
    about = settings["about"]
    types: dict[str, type] = dict.fromkeys(("score", "metric", "baseline", "output"), str)
    types |= {"steps": int, "batch_size": int, "examples": dict}
    for name, kind in types.items():
        if not isinstance(about.get(name), kind):
            raise ValueError(f"about.{name} of the settings is missing or of another type")
    constant, spread = about.get("constant"), about.get("spread")  # not there in records of before
    for name in ("constant", "spread"):
        if about.get(name) is not None and not isinstance(about[name], int | float):
            raise ValueError(f"about.{name} of the settings is no number")
    margins, one_class = str(about.get("ranked", "")), tuple(map(float, about.get("one_class", ())))
    about_task = settings["task"], settings["fingerprint"], *(about[name] for name in types)
    return TaskSummary(*about_task, margins=margins, constant=constant, spread=spread, one_class=one_class)


def _unknown_output(outputs: object) -> NoReturn:
    """Stands for a task's own function from outputs to predictions, which no record holds."""
    raise ValueError("this run's task makes predictions by a function of its own, which no record holds")


def runs_in(folder: str | os.PathLike[str]) -> list[Path]:
    """The folders in a folder: first those without a log, by name, then those with one, by the time they began."""
    folders = [path for path in Path(folder).iterdir() if path.is_dir()]
    return sorted(folders, key=lambda path: (start_time(path / "events.jsonl"), path.name))


def differing(configs: Sequence[Mapping[str, object]]) -> list[str]:
    """Names of the settings in which configurations differ."""
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if any(config.get(name) != configs[0].get(name) for config in configs)]
