"""What a run holds, read from its directory alone, also while it goes on: for reports and lists of runs."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glojax import statistics
from glojax.expressions.trees import parse
from glojax.losses import spaces
from glojax.losses.loss import Loss
from glojax.losses.outputs import OUTPUTS
from glojax.records.candidates import Record
from glojax.records.comparisons import Comparison, asked_of, comparisons
from glojax.records.directory import in_use, read_settings
from glojax.records.directory import read as read_run
from glojax.records.funnel import total
from glojax.records.store import Store
from glojax.tasks import metrics

SEARCHES = ("search", "exhaustive", "taylor")
"""Phases that find a loss, which ``tune`` may follow."""

_ORDER = (*SEARCHES, "tune", "random search")


@dataclass(frozen=True)
class Phase:
    """One phase of a run, as far as it came.

    Attributes:
      name: such as ``"search"``.
      config: its settings.
      generations: every candidate of each, in their places.
      funnel: how many trees came so far, by the names in ``funnel.FUNNEL``; empty where nobody counted.
      finals: the finalists, if it came to them.
      baseline: the usual loss at its best learning rate, if it was looked for.
      is_ended: whether it came to its result.
    """

    name: str
    config: dict[str, Any]
    generations: list[list[Record]]
    funnel: dict[str, int]
    finals: list[Record]
    baseline: Record | None
    is_ended: bool

    @property
    def planned(self) -> int:
        """Generations that its settings ask for; of CMA-ES the start is one more. 0 where another thing ends it."""
        asked = self.config.get("generations")
        if self.name == "random search" or not isinstance(asked, int):
            return 0
        return asked + (self.name in ("tune", "taylor"))

    @property
    def candidates(self) -> list[Record]:
        """Those of all generations."""
        return [record for records in self.generations for record in records]

    @property
    def ranking(self) -> list[Record]:
        """What is known last of each distinct candidate, the fittest first; of equals, the first that was there."""
        latest = {(record.canonical, record.coefficients): record for record in self.candidates}
        return sorted(latest.values(), key=lambda record: -record.fitness)

    @property
    def best(self) -> Record | None:
        """The winner of the finals, or else the fittest so far; none where nothing was trained."""
        if self.finals:
            return self.finals[statistics.winner([record.scores for record in self.finals])]
        ranking = self.ranking
        return ranking[0] if ranking and ranking[0].fitness > 0 else None

    @property
    def steps(self) -> int:
        """Optimizer steps of all trainings, the baseline's and the finals' included."""
        others = [*self.finals, *([self.baseline] if self.baseline else [])]
        return sum(record.steps for record in [*self.candidates, *others])


class About(NamedTuple):
    """The task, as its settings describe it."""

    name: str
    fingerprint: str
    score: str  # what fitness is
    metric: str
    baseline: str  # name of the usual loss
    output: str  # what makes predictions of outputs
    steps: int
    batch_size: int
    examples: dict[str, int]  # of each part of the data

    @property
    def is_error(self) -> bool:
        """Whether less of the metric is better."""
        return self.score != self.metric

    @property
    def has_known_output(self) -> bool:
        """Whether predictions are made of outputs by a function that has a name here."""
        return self.output in OUTPUTS


class FoundLoss(NamedTuple):
    """The loss that a run ended with, or the best so far."""

    loss: Loss
    rate: float  # scale of the task's learning rate
    fitness: float
    phase: Phase


class Entry(NamedTuple):
    """One loss of the comparison."""

    name: str
    own: Comparison  # at the task's learning rate
    best: Comparison  # at its own best one


class Sitting(NamedTuple):
    """A phase between its beginning and its end in one process, by the log."""

    phase: str
    begun: str  # time, ISO 8601
    ended: str  # of the last thing that is known
    how: str  # "ended", "stopped", or "" where nothing says


@dataclass(frozen=True)
class Overview:
    """A run.

    Attributes:
      directory: of the run.
      about: its task.
      phases: by name, in the order in which a search has them.
      compared: what ``comparison.compare`` kept, or nothing.
      sittings: what the log says of when each phase ran.
    """

    directory: Path
    about: About
    phases: dict[str, Phase]
    compared: dict[str, Any]
    sittings: list[Sitting]

    @cached_property
    def found(self) -> FoundLoss | None:
        """The loss of a tuning that is decided, or of the search; none where nothing was trained."""
        names = [name for name in SEARCHES if name in self.phases]
        if "tune" in self.phases and (self.phases["tune"].is_ended or not names):
            names.insert(0, "tune")
        phase = self.phases[names[0]] if names else None
        best = phase.best if phase else None
        if phase is None or best is None:
            return None
        return FoundLoss(self.loss(phase, best), best.rate, best.fitness, phase)

    def loss(self, phase: Phase, record: Record) -> Loss:
        """A candidate as a loss."""
        tree, vector = parse(record.expression), np.array(record.coefficients)
        coefficients: tuple[float, ...] = ()
        if phase.name in ("tune", "taylor"):
            space = spaces.coefficient_space(tree) if phase.name == "tune" else spaces.taylor_space()
            if len(vector) != len(space.start):
                raise ValueError(f"{record.expression} has {len(vector)} coefficients, {len(space.start)} are tuned")
            coefficients = space.coefficients(vector)
        output: Any = self.about.output if self.about.has_known_output else _unknown
        return Loss(tree, coefficients, bool(phase.config.get("protected")), output)

    @cached_property
    def entries(self) -> list[Entry]:
        """The losses of the comparison, the usual one first."""
        if not self.compared:
            return []
        rows = {row.name: row for row in comparisons(self.compared)}
        return [
            Entry(name, rows[name], rows.get(f"{name}, best rate", rows[name]))
            for name in self.compared["asked"]["losses"]
        ]

    @cached_property
    def entry(self) -> Entry | None:
        """The found loss in the comparison, which may be older than it and not have it."""
        found = self.found
        if found is None or not self.entries:
            return None
        ours = asked_of(found.loss)
        asked = self.compared["asked"]["losses"]
        # Random search may have found the same.
        entries = [entry for entry in self.entries[1:] if entry.name != "random search" and asked[entry.name] == ours]
        return entries[-1] if entries else None

    @property
    def steps(self) -> int:
        """Optimizer steps of all trainings of the phases that led to the found loss."""
        return sum(phase.steps for phase in self.phases.values() if phase.name != "random search")

    def as_metric(self, scores: Any) -> Any:
        """Scores as the task's metric."""
        return metrics.from_scores(scores, self.about.is_error)

    @property
    def state(self) -> str:
        """``"going on"``, ``"ended"`` after its last phase, ``"stopped"`` within it, or ``"unknown"`` without a log."""
        if in_use(self.directory):
            return "going on"
        if not self.sittings:
            return "unknown"
        return self.sittings[-1].how or "stopped"


def read(directory: str | os.PathLike[str]) -> Overview:
    """A run, which may be going on.

    Raises:
      ValueError: no run, or one whose files are damaged; the message names them.
      OSError: a file that is missing or cannot be read.
    """
    directory = Path(directory)
    if set(read_settings(directory)["phases"]) == {"train"}:
        raise ValueError(f"{directory} holds full trainings alone; curves.png in it shows them.")
    settings, store = read_run(directory)
    path, sittings = directory / "record.sqlite", list(_sittings(directory / "events.jsonl"))
    how = {sitting.phase: sitting.how for sitting in sittings}  # the last time
    with contextlib.closing(store):
        known = store.phases()
        names = [name for name in _ORDER if name in known or name in settings["phases"]]
        try:
            phases = {
                name: _phase(store, name, settings["phases"].get(name, {}), how.get(name) == "ended") for name in names
            }
            compared = store.result("comparison", "scores") or {}
            found = Overview(directory, _about(settings), phases, compared, sittings)
            found.entry  # noqa: B018 - whatever is damaged is met here
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise ValueError(f"{path} or settings.json beside it is damaged: {error}.") from None
    return found


def _phase(store: Store, name: str, config: dict[str, Any], is_ended: bool) -> Phase:
    funnel = total(store.funnels(name)) or store.result(name, "funnel") or {}
    return Phase(
        name, config, store.generations(name), funnel, store.finals(name), store.baseline(name), is_ended
    )  # fmt: skip


def _about(settings: dict[str, Any]) -> About:
    about = settings["about"]
    kinds = {**dict.fromkeys(("score", "metric", "baseline", "output"), str), "steps": int, "batch_size": int}
    kinds["examples"] = dict
    for field, kind in kinds.items():
        if not isinstance(about.get(field), kind):
            raise ValueError(f"about.{field} of the settings is missing or of another type")
    return About(settings["task"], settings["fingerprint"], *(about[field] for field in kinds))


def _sittings(path: Path) -> Iterator[Sitting]:
    """Pairs of the log's beginnings and ends; its other lines, which may be long, are not parsed but for the time."""
    if not path.exists():
        return
    phase, begun, last = "", "", ""
    with open(path, "rb") as lines:
        for line in lines:
            event = _event(line)
            if event is None:
                continue
            time, kind, name = event
            if kind == "begun":
                if phase:
                    yield Sitting(phase, begun, last, "")
                phase, begun = name, time
            elif kind in ("ended", "stopped") and phase:
                yield Sitting(phase, begun, time, kind)
                phase = ""
            last = time
    if phase:
        yield Sitting(phase, begun, last, "")


def _event(line: bytes) -> tuple[str, str, str] | None:
    """Time, event and phase of a line of the log; none where it is damaged."""
    head = line[:400]
    if b'"event": "generation"' in head or b'"event": "result"' in head:
        time = head.split(b'"')[3:4]
        return (time[0].decode(errors="replace"), "", "") if time else None
    try:
        entry = json.loads(line)
        return str(entry["time"]), str(entry["event"]), str(entry["phase"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _unknown(outputs: Any) -> Any:
    """Stands for a function that makes predictions of outputs, which no record holds."""
    raise ValueError("the predictions of this run's task are made by a function of its own, which no record holds")


def runs_in(folder: str | os.PathLike[str]) -> list[Path]:
    """The folders in a folder, those with a log in the order in which they began, before them the others by name."""

    def begun(path: Path) -> tuple[str, str]:
        try:
            with open(path / "events.jsonl", "rb") as lines:
                event = _event(lines.readline(10_000))
        except OSError:
            event = None
        return event[0] if event else "", path.name

    return sorted((path for path in Path(folder).iterdir() if path.is_dir()), key=begun)


def differing(configs: Sequence[dict[str, Any]]) -> list[str]:
    """Names of settings that are not the same in all of these."""
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if any(config.get(name) != configs[0].get(name) for config in configs)]
