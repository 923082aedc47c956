"""What every search says while it goes on, and what it ends with.

A round is what a search trains together and records as one: a generation of a search or of CMA-ES, a batch of an
exhaustive search.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict

import numpy as np

from glojax.deprecation import renamed_attribute
from glojax.executors.protocol import Executor
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.losses.spaces import coefficient_space
from glojax.records.candidates import Record
from glojax.records.hall_of_fame import Famous
from glojax.statistics import summarize


class Known(NamedTuple):
    """What the trainings of a tree gave."""

    tree: Tree
    rate: float  # scale of the task's learning rate
    scores: tuple[float, ...]  # validation scores of its trainings at that rate
    finished: bool  # whether they went to the end
    coefficients: tuple[float, ...] = ()  # of its identifiable ones, where other than 1 were found to be better

    @property
    def factors(self) -> tuple[float, ...]:
        """The factor of each node in pre-order."""
        if not self.coefficients:
            return (1.0,) * self.tree.size
        return coefficient_space(self.tree).coefficients(np.array(self.coefficients))

    @property
    def fitness(self) -> float:
        """The mean of the scores."""
        return float(np.mean(self.scores))

    @property
    def is_sound(self) -> bool:
        """Whether its trainings went to the end and did not fail."""
        return self.finished and self.fitness > 0

    def with_more(self, scores: Sequence[float]) -> "Known":
        """With scores of further trainings to the end; they replace those of trainings that halving stopped."""
        return self._replace(scores=(*(self.scores if self.finished else ()), *scores), finished=True)

    def to_record(self, fate: str, seed: int, steps: int, seconds: float) -> Record:
        """What a run keeps of a tree that was trained.

        Args:
          fate: ``"trained"``, or ``"dropped"`` if halving stopped it.
          seed: the first seed of its trainings.
          steps: optimizer steps of all its trainings.
          seconds: its share of the time that they took.
        """
        form, own = str(canonical(self.tree)), self.coefficients
        return Record(str(self.tree), form, own, self.fitness, self.scores, self.rate, fate, (), seed, steps, seconds)


class Event(NamedTuple):
    """A round of a search that has just ended, or was read back from the record."""

    phase: str  # "search", "random search", "exhaustive", "taylor" or "tune"
    number: int  # of the round, from 0
    planned: int | None  # how many rounds there will be, if that is known
    fitness: np.ndarray  # float64[candidates]; of an exhaustive search, of all losses so far
    best: str  # expression of the fittest of them
    trained: int  # how many candidates were trained in this round
    funnel: Mapping[str, int]  # how many trees passed each stage, by the names in ``funnel.FUNNEL``; empty for CMA-ES
    is_new: bool  # whether it was trained now
    records: Sequence[Record] = ()  # the candidates of this round, as the record keeps them
    ranking: Sequence[Known] = ()  # of an exhaustive search, all losses so far, the fittest first


OnEvent = Callable[[Event], None]
"""What a search calls after each round, rounds read back from the record included."""


class SearchOptions(TypedDict, total=False):
    """What every search takes beside its task, its settings and its run directory."""

    resume: bool  # go on with what the run directory holds
    on_event: OnEvent | None  # called after each round
    executor: Executor | None  # what trains the candidates; this process if it is None
    group: int | None  # candidates trained together on a device at most; as many as fit if it is None


class Baseline(NamedTuple):
    """The task's baseline, cross-entropy for classes, at the best of ``scoring.RATES``."""

    rate: float  # scale of the task's learning rate
    scores: tuple[float, ...]  # validation scores of its trainings at that rate
    steps: int  # optimizer steps of all trainings that it took to find the rate

    @property
    def fitness(self) -> float:
        """The mean of the scores."""
        return float(np.mean(self.scores))

    @property
    def scatter(self) -> float:
        """The noise: how far the score of one training scatters over seeds, as a standard deviation."""
        return summarize(np.array(self.scores)).std


class Outcome:
    """What a search ends with, on one task or on several: a loss, and the scores that decided for it."""

    loss: Loss
    scores: np.ndarray

    @property
    def fitness(self) -> float:
        """The mean of the scores."""
        return float(np.mean(self.scores))

    @property
    def best(self) -> Tree:
        """The tree of the best loss."""
        return self.loss.tree


@dataclass(frozen=True, eq=False)
class Result(Outcome):
    """What every search on one task ends with.

    Attributes:
      phase: the search, as the record names it.
      loss: the best loss.
      rate: the scale of the task's learning rate that goes with it.
      scores: validation scores ``float64[seeds]`` of the trainings that decided: those of the finals or, without
        finals, those of the search itself.
      record: every candidate of every round, as a run directory keeps them.
      funnel: how many trees passed each stage, by the names in ``funnel.FUNNEL``. Empty for CMA-ES.
      baseline: the loss that the candidates' learning rates derive from, if they are fair.
      steps: the cost, optimizer steps of all candidates and of the baseline, without the finals.
      hall_of_fame: the best loss of every size over the seeds of the finals, the smallest first. Empty where
        coefficients were searched and not trees.
      simplified: the loss of the smallest finalist that is within one standard error of the winner, paired over the
        seeds that both have; ``None`` where there were no finals of trees.
    """

    phase: str
    loss: Loss
    rate: float
    scores: np.ndarray
    record: list[list[Record]] = field(repr=False)
    funnel: dict[str, int]
    baseline: Baseline | None
    steps: int
    hall_of_fame: list[Famous] = field(default_factory=list, repr=False, kw_only=True)
    simplified: Loss | None = field(default=None, repr=False, kw_only=True)

    control = renamed_attribute("control", "baseline")
