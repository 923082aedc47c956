"""The training examples of the next steps, read while the device computes those before.

Of the inputs of a task that are ``data.Fed`` a device holds those of a few steps alone. Places of minibatches are those
in what it holds, so its programs are those of any task, and so are the scores.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from glojax.data.fed import Fed
from glojax.tasks import inputs
from glojax.tasks.task import Task
from glojax.training import learner

_BYTES = 2**28
"""What the inputs of some steps of one seed may take on a device."""

SCORED = 10_000
"""Training examples of fed inputs that are scored, at most: the first."""


class Portion(NamedTuple):
    """The training examples of some steps."""

    batch: tuple[Any, Any]  # inputs and labels [room, ...], NumPy arrays
    places: dict[int, np.ndarray]  # of each seed, int32[steps, batch], in ``batch``


def held(task: Task) -> dict[str, tuple[Any, Any]]:
    """Inputs and labels that the devices hold throughout, by the name of their split."""
    found = {}
    for name, (x, labels) in task.splits.items():
        part = slice(SCORED) if isinstance(x, Fed) else slice(None)
        found[name] = (inputs.taken(x, part), inputs.taken(labels, part))
    return found


class Feeder:
    """Reads examples of a task whose training inputs are fed."""

    def __init__(self, task: Task):
        self._task = task
        self._ready: tuple[Any, Portion] | None = None

    def steps(self, most: int) -> int:
        """How many steps are fed at once, at most ``most``: what they read takes little of a device's memory."""
        one = inputs.shapes(self._task.splits["train"].x, self._task.batch_size)
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(one))
        return max(1, min(most, _BYTES // size))

    def prepare(self, seeds: Sequence[int], first: int, last: int, room: int) -> None:
        """Read what ``take`` will be asked for next."""
        wanted = (tuple(seeds), first, last, room)
        self._ready = (wanted, self._read(*wanted))

    def take(self, seeds: Sequence[int], first: int, last: int, room: int) -> Portion:
        """The examples of some steps.

        Args:
          seeds: of the trainings.
          first: the first step, from 0.
          last: the step after the last.
          room: steps for which there is room, so that arrays of few shapes are made.

        Raises:
          ValueError: inputs that are not finite; the message has the example.
        """
        wanted = (tuple(seeds), first, last, room)
        ready, self._ready = self._ready, None
        return ready[1] if ready is not None and ready[0] == wanted else self._read(*wanted)

    def _read(self, seeds: tuple[int, ...], first: int, last: int, room: int) -> Portion:
        task, (x, labels) = self._task, self._task.splits["train"]
        drawn = [learner.minibatches(seed, inputs.count(labels), task.batch_size, first, last) for seed in seeds]
        wanted, places = np.unique(np.stack(drawn), return_inverse=True)
        read = x[wanted]
        _check_finite(read, wanted)
        size = min(inputs.count(labels), 2 ** (len(seeds) - 1).bit_length() * room * task.batch_size)
        filled = np.resize(np.arange(len(wanted)), size)
        batch = inputs.taken((read, inputs.taken(labels, wanted)), filled)
        of_each = places.reshape(len(seeds), last - first, task.batch_size).astype(np.int32)
        return Portion(batch, dict(zip(seeds, of_each, strict=True)))


def _check_finite(read: Any, places: np.ndarray) -> None:
    for leaf in jax.tree.leaves(read):
        if np.issubdtype(leaf.dtype, np.floating) and not np.isfinite(leaf).all():
            place = int((~np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1)).argmax())
            raise ValueError(f"Task.train: inputs of example {places[place]} are NaN or infinite.")
