"""Ray's workers, and the pool that hands them batches. Ray places, starts and watches the processes.

A ``Batch`` holds all that a worker needs, so it may go to any worker, or to two. What a worker keeps between calls,
which is compiled programs and networks between two stops, saves time and changes no result.
"""

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np
import ray
from ray.exceptions import RayError, RayTaskError

from glojax.distributed.devices import keep_programs
from glojax.executors.scheduling import RETRIES, Dispatch
from glojax.training.candidates import Candidates, PopulationProgress
from glojax.training.trainer import Trainer, TrainingState

STARTING = 300
"""Seconds in which the first worker must have started."""

_LOOK = 1.0  # seconds between two looks at what the cluster has


class Batch(NamedTuple):
    """One call of a worker: train these candidates to a stop."""

    setup: tuple[Any, Any]  # Ray's references to the task and to the trainer's other arguments
    name: tuple[str, int]  # of the population, and of the batch in it
    candidates: Candidates
    stops: tuple[int, ...]
    splits: tuple[str, ...]
    answers: tuple[np.ndarray, ...]  # bool[candidates] for each earlier stop, which candidates went on
    target: int  # number of the stop to be reached, from 1

    @property
    def steps_left(self) -> int:
        """Optimizer steps from the previous stop to the target."""
        return self.stops[self.target - 1] - (0, *self.stops)[len(self.answers)]


def train_to(trainer: Trainer, state: TrainingState, batch: Batch) -> TrainingState:
    """Train a batch from ``state`` to its target; the candidates that its answers leave out are dropped on the way."""
    while state.reached < batch.target:
        if 0 < state.reached <= len(batch.answers):
            state = state.drop(batch.answers[state.reached - 1])
        state = trainer.advance(state)
    return state


class Worker:
    """The object that runs in one of Ray's processes, on one device.

    Args:
      accelerator: whether the device is the accelerator that Ray gave this process; otherwise it is a core.
    """

    def __init__(self, accelerator: bool):
        if not accelerator:
            jax.config.update("jax_platforms", "cpu")
            # One thread a core: the other cores are other workers'.
            flags = os.environ.get("XLA_FLAGS", "")
            if "xla_cpu_multi_thread_eigen" not in flags:
                os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
        keep_programs()
        self._held: dict[tuple[str, int], TrainingState] = {}

    def start(self) -> int:
        """The number of the worker's process, once it runs."""
        return os.getpid()

    def train(self, batch: Batch) -> PopulationProgress:
        """Train a batch to its target; if there are more stops, its networks stay here."""
        self._held = {name: kept for name, kept in self._held.items() if name[0] == batch.name[0]}
        trainer = _trainer(*batch.setup)
        state = self._held.pop(batch.name, None) or trainer.begin(batch.candidates, batch.stops, batch.splits)
        state = train_to(trainer, state, batch)
        if not state.is_complete:
            self._held[batch.name] = state
        return state.progress


@lru_cache(maxsize=8)
def _trainer(task: Any, options: Any) -> Trainer:
    """The trainer of a task and options that these references stand for."""
    given: Any = ray.get([task, options])
    return Trainer(given[0], **given[1], devices=jax.local_devices()[:1])


@dataclass(eq=False)
class _Hired:
    """A worker as the pool sees it."""

    actor: Any
    process: int | None = None  # once it runs


class _Call(NamedTuple):
    """A call under way; the call that starts a worker has no batch."""

    hired: _Hired
    batch: Batch | None


class WorkerPool:
    """As many workers as the cluster has room for, now and later.

    Args:
      workers: number of workers. Defaults to one for every GPU of the cluster or, if it has none, for every core.
    """

    def __init__(self, workers: int | None):
        self._fixed = workers
        self._accelerator = ray.cluster_resources().get("GPU", 0) >= 1
        self._hired: list[_Hired] = []
        self._calls: dict[Any, _Call] = {}  # by the reference to their result
        self._holders: dict[tuple[str, int], _Hired] = {}  # who has the networks of a batch
        self._pace = math.inf  # seconds for an optimizer step of a batch, in the latest run
        self._looked = -math.inf
        self._failed_starts = 0
        self._grow()

    @property
    def wanted(self) -> int:
        """How many workers there should be by now."""
        return self._fixed or max(1, int(ray.cluster_resources().get(self.device, 0)))

    @property
    def device(self) -> str:
        """What a worker trains on, as Ray names it."""
        return "GPU" if self._accelerator else "CPU"

    @property
    def processes(self) -> list[int]:
        """Process numbers of the workers that run, on any machine."""
        return [hired.process for hired in self._hired if hired.process is not None]

    def run(self, batches: Sequence[Batch]) -> list[PopulationProgress]:
        """Train batches, each on whichever worker is free.

        Returns:
          The progress of each batch, in the order given.

        Raises:
          OSError: a batch whose workers were lost more than ``scheduling.RETRIES`` times, or workers that do not start.
          Exception: what a worker raised.
        """
        numbers = {id(batch): number for number, batch in enumerate(batches)}
        steps = max((batch.steps_left for batch in batches), default=0)
        dispatch = Dispatch(range(len(batches)), self._holders_among_free(batches), steps * self._pace)
        found: dict[int, PopulationProgress] = {}
        self._holders = {}
        begun = time.monotonic()
        while not dispatch.is_complete:
            self._grow()
            for hired in self._free():
                if (number := dispatch.next(hired, time.monotonic())) is not None:
                    batch = batches[number]
                    self._calls[hired.actor.train.remote(batch)] = _Call(hired, batch)
            self._check_started(begun)
            for call, given in self._ended():
                number = numbers.get(id(call.batch))  # None for a worker's start, and for a batch of an earlier run
                if call.hired not in self._hired:
                    if dispatch.lost(call.hired, number):
                        raise OSError(f"a batch was lost with each of {RETRIES + 1} workers of Ray's.") from given
                elif number is not None and dispatch.finished(number, call.hired, time.monotonic()):
                    found[number] = given
                    self._holders[batches[number].name] = call.hired
        if dispatch.took:
            self._pace = float(np.median(dispatch.took)) / steps
        return [found[number] for number in range(len(batches))]

    def wait(self) -> None:
        """Wait until all workers run that there should be; for measurements.

        Raises:
          OSError: none starts.
        """
        begun = time.monotonic()
        while len(self.processes) < self.wanted:
            self._grow()
            self._check_started(begun)
            for _ in self._ended():
                pass

    def ask(self) -> None:
        """Make an empty call of every worker, one after another; for measurements."""
        for hired in self._hired:
            ray.get(hired.actor.start.remote())

    def close(self) -> None:
        """End the workers."""
        for hired in self._hired:
            ray.kill(hired.actor)

    def __str__(self) -> str:
        workers = f"{self.wanted} worker{'s' * (self.wanted > 1)} of Ray's, "
        return workers + ("one GPU each" if self._accelerator else "one core each")

    def _holders_among_free(self, batches: Sequence[Batch]) -> dict[int, _Hired]:
        free = self._free()
        held = {number: self._holders.get(batch.name) for number, batch in enumerate(batches)}
        return {number: hired for number, hired in held.items() if hired in free}

    def _check_started(self, begun: float) -> None:
        if not self.processes and time.monotonic() - begun > STARTING:
            raise OSError(f"no worker of Ray's has started within {STARTING} seconds ({self}).")

    def _ended(self) -> Iterator[tuple[_Call, Any]]:
        """Calls that have ended, each with its result."""
        for reference in ray.wait(list(self._calls), timeout=_LOOK)[0]:
            call = self._calls.pop(reference)
            yield call, self._result(reference, call)

    def _free(self) -> list[_Hired]:
        busy = [call.hired for call in self._calls.values()]
        return [hired for hired in self._hired if hired not in busy]

    def _result(self, reference: Any, call: _Call) -> Any:
        """The result of a call; if it is an error of Ray's, the worker was lost and leaves the pool."""
        try:
            given: Any = ray.get(reference)
        except RayTaskError as error:
            raise error.cause from error
        except RayError as error:  # the process or its machine has ended, does not answer, or was out of memory
            ray.kill(call.hired.actor)
            self._hired.remove(call.hired)
            self._failed_starts += call.batch is None
            if self._failed_starts > RETRIES:
                reason = str(error).strip().splitlines()[-1]
                raise OSError(f"workers of Ray's do not start: {reason}") from None
            return error
        if call.batch is None:
            call.hired.process = given
            self._failed_starts = 0
        return given

    def _grow(self) -> None:
        """Start the workers that are missing, if it is time to look."""
        if time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        for _ in range(self.wanted - len(self._hired)):
            actor = ray.remote(Worker).options(num_cpus=1, num_gpus=int(self._accelerator), max_restarts=0)
            hired = _Hired(actor.remote(self._accelerator))
            self._hired.append(hired)
            self._calls[hired.actor.start.remote()] = _Call(hired, None)
