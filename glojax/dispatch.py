"""Which batch a free worker is given: the rules for workers that are lost, late or new, with nothing of Ray in them."""

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
      holders: workers that have a batch's networks and are free: it waits for its own, unless that is lost or late.
    """

    def __init__(self, batches: Iterable[int], holders: Mapping[int, Worker] | None = None):
        self.waiting = list(batches)
        self.done: set[int] = set()
        self._holders = dict(holders or {})
        self._running: list[_Run] = []  # the oldest first
        self._took: list[float] = []
        self._losses: Counter[int] = Counter()
        self._count = len(self.waiting)

    @property
    def is_complete(self) -> bool:
        """Whether all are done."""
        return len(self.done) == self._count

    def next(self, worker: Worker, now: float) -> int | None:
        """The batch that a free worker begins now, if there is one for it.

        That is one whose networks it has; or else one whose networks nobody has, or only a worker that was lost or that
        is late with another batch; or else the oldest that runs on one worker alone, if it is late.
        """
        late = {run.worker for place, run in enumerate(self._running) if self._is_overtaken(place)}
        holders = {batch: self._holders.get(batch) for batch in self.waiting}
        suited = [batch for batch, holder in holders.items() if holder is worker]
        suited += [batch for batch, holder in holders.items() if holder is None or holder in late]
        batch = suited[0] if suited else self._late(now)
        if batch is not None:
            self._running.append(_Run(batch, worker, now))
            if batch in self.waiting:
                self.waiting.remove(batch)
        return batch

    def finished(self, batch: int, worker: Worker, now: float) -> bool:
        """Note the result of a batch; whether it is the first."""
        run = self._ended(batch, worker)
        if batch in self.done:
            return False
        self.done.add(batch)
        self._took.append(now - run.started)
        return True

    def lost(self, worker: Worker, batch: int | None = None) -> bool:
        """Note that a worker was lost, with the batch that it had; whether that was lost too often."""
        self._holders = {held: holder for held, holder in self._holders.items() if holder is not worker}
        if batch is None:
            return False
        self._ended(batch, worker)
        self._losses[batch] += 1
        if batch not in self.done and not any(run.batch == batch for run in self._running):
            self.waiting.insert(0, batch)
        return batch not in self.done and self._losses[batch] > RETRIES

    def _ended(self, batch: int, worker: Worker) -> _Run:
        run = next(run for run in self._running if run.batch == batch and run.worker is worker)
        self._running.remove(run)
        return run

    def _is_overtaken(self, place: int) -> bool:
        """Whether a run's batch is done, or begun again by another worker."""
        batch = self._running[place].batch
        return batch in self.done or any(run.batch == batch for run in self._running[place + 1 :])

    def _late(self, now: float) -> int | None:
        counts = Counter(run.batch for run in self._running)
        alone = [run for run in self._running if counts[run.batch] == 1 and run.batch not in self.done]
        if not alone or not self._took:
            return None
        return alone[0].batch if now - alone[0].started > max(LATE * float(np.median(self._took)), LEAST) else None
