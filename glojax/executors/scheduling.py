"""Which batch a free worker gets: the rules for workers that are lost, late or new, without anything of Ray.

``Dispatch`` is told what happens (a worker is free, a batch is finished, a worker is lost) and when, and says which
batch to start. It never looks at a clock itself.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np

WorkerT = TypeVar("WorkerT")

RETRIES = 3
"""How often a batch whose worker was lost is started again."""

LATE = 2.0
"""A batch that has run for this multiple of the median, and for ``LEAST`` seconds, is started on a second worker."""

LEAST = 1.0


class _Run(NamedTuple):
    batch: int
    worker: object
    started: float  # seconds


class Dispatch(Generic[WorkerT]):
    """Hands out batches, each of which must be done once.

    Args:
      batches: numbers of the batches, in the order in which they are started.
      holders: the workers that already hold the networks of a batch, so that it need not be started from the beginning.
      expected: seconds that a batch is expected to take, before one is done.

    Attributes:
      waiting: batches that no worker has.
      done: batches that are finished.
      took: seconds that each finished batch took.
    """

    def __init__(
        self, batches: Iterable[int], holders: Mapping[int, WorkerT] | None = None, expected: float = math.inf
    ):
        self.waiting = list(batches)
        self.done: set[int] = set()
        self.took: list[float] = []
        self._holders, self._expected = dict(holders or {}), expected
        self._running: list[_Run] = []  # the oldest first
        self._losses: Counter[int] = Counter()
        self._count = len(self.waiting)

    @property
    def is_complete(self) -> bool:
        """Whether all batches are done."""
        return len(self.done) == self._count

    def next(self, worker: WorkerT, now: float) -> int | None:
        """Choose the batch that a free worker starts at time ``now``, in seconds.

        Prefer a waiting batch that this worker already holds, then one that nobody holds, then the last one that
        another worker holds. If none is waiting, take the oldest that runs on one worker alone, if it is late.

        Returns:
          The number of the batch; None if there is nothing to do.
        """
        own = [batch for batch in self.waiting if self._holders.get(batch) == worker]
        unheld = [batch for batch in self.waiting if self._holders.get(batch) is None]
        batch = next(iter(own + unheld + self.waiting[::-1]), None)
        if batch is None:
            batch = self._late_batch(now)
        else:
            self.waiting.remove(batch)
        if batch is not None:
            self._running.append(_Run(batch, worker, now))
        return batch

    def finished(self, batch: int, worker: WorkerT, now: float) -> bool:
        """Note that a worker has finished a batch; whether this is the batch's first result."""
        run = self._end(batch, worker)
        if batch in self.done:
            return False
        self.done.add(batch)
        self.took.append(now - run.started)
        return True

    def lost(self, worker: WorkerT, batch: int | None = None) -> bool:
        """Note that a worker was lost, with the batch that it had; whether that batch was lost too often."""
        self._holders = {held: holder for held, holder in self._holders.items() if holder != worker}
        if batch is None:
            return False
        self._end(batch, worker)
        if batch in self.done or any(run.batch == batch for run in self._running):
            return False
        self._losses[batch] += 1
        self.waiting.insert(0, batch)
        return self._losses[batch] > RETRIES

    def _end(self, batch: int, worker: WorkerT) -> _Run:
        run = next(run for run in self._running if run.batch == batch and run.worker == worker)
        self._running.remove(run)
        return run

    def _late_batch(self, now: float) -> int | None:
        counts = Counter(run.batch for run in self._running)
        alone = [run for run in self._running if counts[run.batch] == 1 and run.batch not in self.done]
        if not alone:
            return None
        typical = float(np.median(self.took)) if self.took else self._expected
        return alone[0].batch if now - alone[0].started > max(LATE * typical, LEAST) else None
