"""The interface between a search and what trains for it: batches of candidates go in, scores come out.

A search is given an ``Executor``, asks it for an ``Evaluator`` of its task, hands that batches of candidates, and knows
nothing else of it. ``local.resolve`` chooses the executor: this process, several that joined
(``distributed.processes``), or Ray's workers (``ray_executor``).
"""

import os
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from glojax.expressions.trees import Tree
from glojax.losses.loss import LossFunction
from glojax.tasks.task import Task
from glojax.training.candidates import Candidates, Trained


class Evaluator(Protocol):
    """Trains candidates on one task and scores them.

    A score depends on the task and the candidate alone: not on what is trained beside it, nor on where, nor on how
    often its training was started again. So a batch may be divided in any way, and a part that was lost can be trained
    again.
    """

    @property
    def task(self) -> Task:
        """The task that candidates are trained on."""
        ...

    def candidates(
        self,
        population: Sequence[Tree],
        seeds: Sequence[int],
        coefficients: Sequence[Sequence[float] | None] | None = None,
        rates: Sequence[float] | None = None,
    ) -> Candidates:
        """A batch of candidates as NumPy arrays; the arguments are those of ``Trainer.candidates``."""
        ...

    def train(
        self,
        candidates: Candidates,
        stops: Sequence[int],
        *,
        splits: Sequence[str] = ("validation",),
        keep: Callable[[np.ndarray], np.ndarray] | None = None,
        directory: str | os.PathLike[str] | None = None,
        on_stop: Callable[[int, np.ndarray], None] | None = None,
    ) -> Trained:
        """Train a batch and score it at every stop; arguments and result are those of ``Trainer.train``.

        ``keep`` and ``on_stop`` belong to the search and are called in its process. ``keep`` compares candidates, so it
        needs the scores of the whole batch. An evaluator that divides a batch trains every part to the stop, holds the
        networks where they are, calls ``keep`` once with all scores, and sends each part the answer for its own
        candidates. A part that is trained again is given the answers of the earlier stops, which are known by then.
        """
        ...


class Executor(Protocol):
    """Makes evaluators."""

    def __call__(
        self,
        task: Task,
        *,
        instructions: int = 1,
        protected: bool = False,
        loss: LossFunction | tuple[LossFunction, ...] | None = None,
        group: int | None = None,
    ) -> Evaluator:
        """An evaluator for a task.

        Args:
          task: what candidates are trained on.
          instructions: room for each tree's inner nodes.
          protected: whether losses use the protected operators.
          loss: one fixed loss for all candidates instead of their own programs, or a tuple of several, of which a
            candidate's tree, a leaf, chooses by its coefficient: 0 for the first. Defaults to None.
          group: candidates trained together on a device, at most. Defaults to as many as fit.
        """
        ...
