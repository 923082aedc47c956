"""Ray: candidates trained on machines that come and go (the extra ``glojax[ray]``).

    with RayExecutor("10.0.0.1:6379") as executor:
        found = glojax.search(task, config, executor=executor)

The search itself stays in this process. A population is divided into batches, which are handed to workers as these
become free (``scheduling`` has the rules); the results are those of one process.
"""

import dataclasses
import itertools
import os
import secrets
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from glojax import tasks
from glojax.distributed.devices import cores
from glojax.expressions.trees import Tree
from glojax.losses.loss import LossFunction
from glojax.tasks.task import Task
from glojax.training import grouping
from glojax.training.candidates import Candidates, PopulationProgress, Trained, check_stops, encode_candidates

BATCHES = 2
"""Batches of a population for each worker: more are better balanced, fewer fill their groups better after a rung."""

ANSWER = 5.0
"""Seconds in which a cluster must answer."""

_STORE = 100 * 2**20  # bytes of Ray's object store on this machine; the rest goes to the disk


class RayExecutor:
    """Makes evaluators whose candidates are trained by Ray's workers.

    It uses Ray's existing connection, or makes one and ends it with ``close``. Workers are processes with one device
    each: a GPU if the cluster has any, else a core, on all machines of the cluster and on those that join later. If
    this process shares a machine with GPUs, start it with ``JAX_PLATFORMS=cpu``, so that it leaves them to the workers.

    Args:
      address: ``HOST:PORT`` of a cluster's head, or ``"auto"`` for the cluster that this machine belongs to. Defaults
        to a new one on this machine alone, which listens on loopback only.
      workers: number of workers. Defaults to one for every GPU or core, as they come and go.

    Attributes:
      pool: the workers.

    Raises:
      ImportError: Ray is not installed.
      ValueError: ``workers`` is below 1, or ``address`` has another form.
      OSError: no cluster answers there, or one of another version of Ray or Python.
    """

    def __init__(self, address: str | None = None, workers: int | None = None):
        if workers is not None and workers < 1:
            raise ValueError(f"RayExecutor.workers is {workers}; it must be at least 1.")
        self._connected = _connect(address, workers)
        from glojax.executors.ray_workers import WorkerPool  # imports Ray, which reads its environment then

        self.pool = WorkerPool(workers)
        self._shipped: dict[int, tuple[Task, Any]] = {}

    def __call__(
        self,
        task: Task,
        *,
        instructions: int = 1,
        protected: bool = False,
        loss: LossFunction | tuple[LossFunction, ...] | None = None,
        group: int | None = None,
    ) -> "RayEvaluator":
        """An evaluator for a task, which is sent to the workers once; the arguments are ``protocol.Executor``'s.

        Raises:
          ValueError: the task or the loss cannot be sent to another process, or candidates are spread over devices.
        """
        if task.sharding is not None:
            raise ValueError(
                f"Task.sharding has {task.sharding.devices} devices for a candidate, and a worker of Ray has one; "
                "train in this process."
            )
        if id(task) not in self._shipped:
            # A new task has no compiled programs with it, and no executor.
            sent = dataclasses.replace(task, executor=None, group=None).with_parts(task.further_parts)
            self._shipped[id(task)] = task, _ship("the task", sent)
        _, reference = self._shipped[id(task)]
        options = {"instructions": instructions, "protected": protected, "loss": loss, "group": group}
        return RayEvaluator(self, task, (reference, _ship("the loss", options)), instructions, group)

    def __str__(self) -> str:
        return str(self.pool)

    def close(self) -> None:
        """End the workers, and the connection if this executor made it."""
        import ray

        if ray.is_initialized():
            self.pool.close()
            if self._connected:
                ray.shutdown()

    def __enter__(self) -> "RayExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RayEvaluator:
    """Trains candidates by Ray's workers (``protocol.Evaluator``); ``RayExecutor`` makes it.

    Args:
      executor: has the workers.
      task: what candidates are trained on.
      setup: Ray's references to the task and to the trainer's other arguments.
      instructions: room for each tree's inner nodes.
      group: candidates trained together on a device, at most. Defaults to as many as fit a core.
    """

    def __init__(
        self,
        executor: RayExecutor,
        task: Task,
        setup: tuple[Any, Any],
        instructions: int,
        group: int | None = None,
    ):
        grouping.check_group(group)
        self.task = task
        self._executor, self._setup, self._instructions = executor, setup, instructions
        self._group = group or grouping.group_that_fits(task, jax.local_devices(backend="cpu")[0])

    def candidates(
        self,
        population: Sequence[Tree],
        seeds: Sequence[int],
        coefficients: Sequence[Sequence[float] | None] | None = None,
        rates: Sequence[float] | None = None,
    ) -> Candidates:
        """A batch of candidates; the arguments are those of ``Trainer.candidates``."""
        return encode_candidates(population, seeds, coefficients, rates, self._instructions)

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
        """Train candidates and score them at every stop, as ``Trainer.train`` does, without checkpoints.

        Raises:
          ValueError: what ``Trainer.train`` refuses, or a directory: networks in training are with the workers.
          OSError: a batch whose workers were lost too often, or workers that do not start.
        """
        if directory is not None:
            raise ValueError(
                "Ray's workers keep no checkpoints of a training under way: leave out the run directory of train, or "
                "train in this process."
            )
        check_stops(self.task, stops, splits)
        parts, population = self._divide(candidates), secrets.token_hex(8)
        progress = PopulationProgress.start(len(candidates.seed), len(stops), len(splits))
        answers: list[np.ndarray] = []  # of each stop so far, which candidates go on
        for reached in range(1, len(stops) + 1) if keep or on_stop else (len(stops),):
            batches = {
                number: self._batch(candidates, part, (population, number), stops, splits, answers, reached)
                for number, part in enumerate(parts)
                if progress.alive[part].any()
            }
            for number, found in zip(batches, self._executor.pool.run(list(batches.values())), strict=True):
                progress = progress.with_part(parts[number], found)
            if reached < len(stops):
                kept = np.ones(len(progress.alive), bool) if keep is None else keep(progress.scores[:, reached - 1])
                progress = progress.drop(reached, kept)
                answers.append(kept)
            if on_stop is not None:
                on_stop(reached, progress.scores)
        return Trained(progress.scores, progress.steps)

    def _batch(
        self,
        candidates: Candidates,
        part: np.ndarray,
        name: tuple[str, int],
        stops: Sequence[int],
        splits: Sequence[str],
        answers: Sequence[np.ndarray],
        target: int,
    ) -> Any:
        from glojax.executors.ray_workers import Batch

        chosen = jax.tree.map(lambda leaf: leaf[part], candidates)
        known = tuple(answer[part] for answer in answers)
        return Batch(self._setup, name, chosen, tuple(stops), tuple(splits), known, target)

    def _divide(self, candidates: Candidates) -> list[np.ndarray]:
        """Places of the candidates of each batch: whole groups, as a worker forms them."""
        return list(divide(candidates.seed, self._group, BATCHES * self._executor.pool.wanted))


def divide(seeds: np.ndarray, group: int, most: int) -> Iterator[np.ndarray]:
    """Divide candidates with these seeds into at most ``most`` batches of whole groups, about equally many in each."""
    found = grouping.split(seeds, group)
    bounds = np.linspace(0, len(found), min(len(found), most) + 1).astype(int)
    return (np.concatenate(found[first:last]) for first, last in itertools.pairwise(bounds))


def _connect(address: str | None, workers: int | None) -> bool:
    """Connect to Ray unless this process is connected; whether it had to.

    Ray reads its environment when it is imported, so the settings here have no effect if the user imported it before.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it would warn
    if address is None:
        # On Windows and macOS Ray keeps to loopback by itself, elsewhere if it is told to.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    else:
        _check_address(address)
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ImportError(f"Ray is not installed ({error}); it comes with: pip install 'glojax[ray]'") from None
    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        with warnings.catch_warnings():
            # JAX warns of a fork; Ray's processes execute another program at once.
            warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
            ray.init("local", num_cpus=workers or cores(), include_dashboard=False, object_store_memory=_STORE, **quiet)
        return True
    try:
        ray.init(address, **quiet)
    except (ConnectionError, RuntimeError) as error:
        # A message of several lines, as with another version of Ray or Python, becomes one.
        raise OSError(f"no Ray cluster can be joined at {address}: {' '.join(str(error).split())}") from None
    return True


def _check_address(address: str) -> None:
    """Raise for an address of another form, or where nothing answers: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise ValueError(f"the address of a Ray cluster is {address!r}; HOST:PORT of its head, or auto, is allowed.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER).close()
    except OSError as error:
        raise OSError(f"no Ray cluster answers at {address}: {error}.") from None


def _ship(name: str, thing: object) -> Any:
    """Put an object into Ray's store; gives the reference to it."""
    import ray
    from ray import cloudpickle

    for module in tasks.FROM_FILES.values():
        cloudpickle.register_pickle_by_value(module)
    try:
        return ray.put(thing)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{name} cannot be sent to another process: {error}.") from error
