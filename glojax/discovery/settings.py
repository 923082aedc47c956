"""The settings that searches share, and how they are checked.

``SharedSettings`` has what every search and every tuning has; ``FitnessConfig`` adds what all searches of trees have.
A search's own configuration extends one of them: ``evolution.SearchConfig``, ``exhaustive.ExhaustiveConfig``,
``tuning.TuneConfig``.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from glojax import tasks
from glojax.discovery import screening
from glojax.expressions import grammar
from glojax.expressions.trees import Tree
from glojax.tasks import checks
from glojax.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class SharedSettings:
    """Settings that every search and every tuning has.

    Attributes:
      seeds: trainings of a candidate; their mean score is its fitness.
      finalists: how many of the fittest distinct candidates are trained again over fresh seeds. The best of them by
        those trainings is the result, because the fittest of thousands is often only the luckiest. With 1 the fittest
        itself is the result.
      final_seeds: trainings of every finalist at first. Those that may still be the best get more, up to
        ``finals.MOST`` times as many, until it is settled (``finals.decide``).
      protected: use the protected operators (``grammar.PROTECTED_OPERATORS``).
      seed: all randomness derives from it.
      rank_by: what candidates are ranked by: ``"margins"`` where the task's metric is accuracy, which is too coarse to
        tell the best apart on a few hundred examples (``tasks.ranking``), or always the ``"metric"``. Comparisons are
        of the metric. Defaults to ``"margins"``.
      averaging: in place of the task's own (``Task.averaging``); 0 scores the last weights. Defaults to the task's.

    Raises:
      ValueError: a setting out of range; the message names the field, its value and what is allowed.
    """

    seeds: int = 2
    finalists: int = 24
    final_seeds: int = 2
    protected: bool = False
    seed: int = 0
    averaging: float | None = None
    rank_by: str = "margins"

    def __post_init__(self) -> None:
        if self.seeds is not None:
            check_bounds(self, seeds=(1, 1000))
        check_bounds(self, finalists=(1, 10_000), final_seeds=(1, 1000), seed=(0, 2**63 - 1))
        if self.averaging is not None:
            checks.share(f"{type(self).__name__}.averaging", self.averaging)
        if self.rank_by not in tasks.RANKINGS:
            allowed = ", ".join(tasks.RANKINGS)
            raise ValueError(f"{type(self).__name__}.rank_by is {self.rank_by!r}; allowed are {allowed}.")

    def applied_to(self, task: Task) -> Task:
        """The task, with the averaging of these settings if they have one.

        Raises:
          ValueError: what is no task.
        """
        tasks.check(task)
        if self.averaging is None or self.averaging == task.averaging:
            return task
        return dataclasses.replace(task, averaging=self.averaging)

    def ranked(self, task: Task) -> Task:
        """The task whose metric is what candidates are ranked by."""
        return tasks.ranked(task, self.rank_by)


@dataclass(frozen=True, kw_only=True)
class FitnessConfig(SharedSettings):
    """Settings that every search of trees has, beside the shared ones.

    Attributes:
      seeds: trainings of a candidate at first. Defaults to 1 to 4, by how far the baseline's score scatters over seeds
        (``fitness.Fitness.seed_count``), or 2 without fair rates.
      fair_rates: train every loss at three learning rates instead of the task's own: the rate at which its gradient is
        as large as the baseline's at the best of ``scoring.RATES``, a third of it, and three times it. Its fitness is
        its score at the best of the three.
      halving: one in ``halving`` of the new trainings, the best, goes on at each rung (``scoring.measure``). With 1 all
        are trained to the end, as those are that a search chooses from a pool (``SearchConfig.pool``).
      screening: the stages of ``screening.STAGES`` that a tree must pass to be trained.
      operators: what trees are made of (``grammar.Vocabulary``): symbols, ``"paper"`` for those of arXiv 1905.11528, or
        ``"all"``. Defaults to the paper's.
      parsimony: what a node must add to a tree's fitness to be worth having, at least 0. Elites, parents, finalists and
        the winner are chosen by fitness less so much for each node.
      budget: optimizer steps of all candidates together, after which nothing new begins. Finals come on top.
      minutes: minutes of training, after which nothing new begins. The result then depends on the machine.
    """

    seeds: int | None = None  # type: ignore[assignment]  # chosen by the noise
    fair_rates: bool = True
    halving: int = 3
    screening: tuple[str, ...] = screening.STAGES
    operators: tuple[str, ...] = grammar.OF_PAPER.operators
    parsimony: float = 0.0
    budget: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds(self, halving=(1, 100))
        if self.budget is not None:
            check_bounds(self, budget=(1, 2**63 - 1))
        name, minutes = type(self).__name__, self.minutes
        if not (_is_finite(self.parsimony) and self.parsimony >= 0):
            raise ValueError(f"{name}.parsimony is {self.parsimony!r}; a number of at least 0 is allowed.")
        if minutes is not None and not (_is_finite(minutes) and minutes > 0):
            raise ValueError(f"{name}.minutes is {minutes!r}; a number above 0 is allowed.")
        try:
            object.__setattr__(self, "operators", grammar.Vocabulary(self.operators).operators)
        except ValueError as error:
            raise ValueError(f"{name}.{error}") from None
        unknown = [stage for stage in self.screening if stage not in screening.STAGES]
        if unknown:
            raise ValueError(f"{name}.screening holds {unknown[0]!r}; allowed are {', '.join(screening.STAGES)}.")

    @property
    def vocabulary(self) -> grammar.Vocabulary:
        """What trees are made of."""
        return grammar.Vocabulary(self.operators)

    def worth(self, trees: Sequence[Tree], fitness: Sequence[float] | np.ndarray) -> np.ndarray:
        """float64[trees], fitness less what their nodes must add to it; at least 0."""
        return np.maximum(np.asarray(fitness, float) - self.parsimony * np.array([tree.size for tree in trees]), 0.0)


def _is_finite(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def check_bounds(config: object, **bounds: tuple[int, int]) -> None:
    """Raise ``ValueError`` for a field that is not an integer or lies outside its inclusive bounds."""
    for field, (low, high) in bounds.items():
        value = getattr(config, field)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(
                f"{type(config).__name__}.{field} is {value!r}; an integer from {low} to {high} is allowed."
            )
