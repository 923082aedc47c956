"""Which batch a free worker is given: the rules for workers that are lost, late or new, with nothing of Ray in them."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np

Worker = TypeVar("Worker")

RETRIES = 3
"""A batch whose worker was lost is begun again so many times."""

LATE = 2.0
"""A batch that has run for so many times the median, and for ``LEAST`` seconds, is begun a second time."""

LEAST = 1.0


class _Run(NamedTuple):
    batch: int
    worker: object
    started: float


class Dispatch(Generic[Worker]):
    """Batches, each of which is to be done once.

    Args:
      batches: their numbers, in the order in which they are begun.
      holders: who has the networks of a batch, and so need not begin it anew.
      expected: seconds that a batch takes, as far as known before one is done.
    """

    def __init__(self, batches: Iterable[int], holders: Mapping[int, Worker] | None = None, expected: float = math.inf):
        self.waiting = list(batches)
        self.done: set[int] = set()
        self.took: list[float] = []  # seconds
        self._holders, self._expected = dict(holders or {}), expected
        self._running: list[_Run] = []  # the oldest first
        self._losses: Counter[int] = Counter()
        self._count = len(self.waiting)

    @property
    def is_complete(self) -> bool:
        """Whether all are done."""
        return len(self.done) == self._count

    def next(self, worker: Worker, now: float) -> int | None:
        """The batch that a free worker begins now, if there is one for it.

        That is the first that waits of those whose networks it has; else of those whose networks nobody has; else the
        last of the others' own. Where none waits it is the oldest that runs on one worker alone, if it is late.
        """
        own = [batch for batch in self.waiting if self._holders.get(batch) == worker]
        nobodys = [batch for batch in self.waiting if self._holders.get(batch) is None]
        batch = next(iter(own + nobodys + self.waiting[::-1]), None)
        if batch is None:
            batch = self._late(now)
        else:
            self.waiting.remove(batch)
        if batch is not None:
            self._running.append(_Run(batch, worker, now))
        return batch

    def finished(self, batch: int, worker: Worker, now: float) -> bool:
        """Note the result of a batch; whether it is the first."""
        run = self._ended(batch, worker)
        if batch in self.done:
            return False
        self.done.add(batch)
        self.took.append(now - run.started)
        return True

    def lost(self, worker: Worker, batch: int | None = None) -> bool:
        """Note that a worker was lost, with the batch that it had; whether that was lost too often."""
        self._holders = {held: holder for held, holder in self._holders.items() if holder != worker}
        if batch is None:
            return False
        self._ended(batch, worker)
        if batch in self.done or any(run.batch == batch for run in self._running):
            return False
        self._losses[batch] += 1
        self.waiting.insert(0, batch)
        return self._losses[batch] > RETRIES

    def _ended(self, batch: int, worker: Worker) -> _Run:
        run = next(run for run in self._running if run.batch == batch and run.worker == worker)
        self._running.remove(run)
        return run

    def _late(self, now: float) -> int | None:
        counts = Counter(run.batch for run in self._running)
        alone = [run for run in self._running if counts[run.batch] == 1 and run.batch not in self.done]
        if not alone:
            return None
        typical = float(np.median(self.took)) if self.took else self._expected
        return alone[0].batch if now - alone[0].started > max(LATE * typical, LEAST) else None
