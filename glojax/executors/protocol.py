"""The seam between a search and what trains for it: batches of candidates in, scores out.

A search asks ``of`` for an evaluator, gives it batches, and knows nothing else of it. Which one it is given is
``Task.executor``: ``local`` if left out, in this process or in several that joined (``processes``).
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

    What it gives depends on the task and the candidate alone, not on what is trained beside it, where, or how often it
    had to be begun again. So a batch may be divided in any way, and a part that was lost is trained anew.
    """

    @property
    def task(self) -> Task:
        """What candidates are trained on."""
        ...

    def candidates(
        self,
        population: Sequence[Tree],
        seeds: Sequence[int],
        coefficients: Sequence[Sequence[float] | None] | None = None,
        rates: Sequence[float] | None = None,
    ) -> Candidates:
        """A batch, as NumPy arrays: trees with one seed each, as ``Trainer.candidates``."""
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
        """Train a batch and score it at every stop, as ``Trainer.train``.

        ``keep`` and ``on_stop`` are the search's own, and are called where it runs. ``keep`` compares candidates, so it
        needs the scores of the whole batch: an evaluator that divides it has every part trained to a stop and its
        networks held there, calls ``keep`` once with all scores, and sends each part the answer for its candidates. A
        part that is begun again is given the answers of the stops before, which are known.
        """
        ...


class Executor(Protocol):
    """Makes evaluators."""

    def __call__(
        self, task: Task, *, instructions: int = 1, protected: bool = False, loss: LossFunction | None = None
    ) -> Evaluator:
        """An evaluator for a task; the other arguments are ``Trainer``'s."""
        ...
