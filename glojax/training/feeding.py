"""The training examples of the next steps, and the next examples to be judged by, read while the device computes.

Of the inputs of a task that are ``data.Fed`` a device holds those of a few steps alone. Places of minibatches are those
in what it holds, so its programs are those of any task, and so are the scores.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from glojax.data.fed import Fed
from glojax.tasks import inputs
from glojax.tasks.labels import unknown_label
from glojax.tasks.task import Task
from glojax.training import judging, learner
from glojax.training.judging import Judged, Portions

_BYTES = 2**28
"""What the inputs of some steps of one seed, or those of a portion, may take on a device."""


class Portion(NamedTuple):
    """The training examples of some steps."""

    batch: tuple[Any, Any]  # inputs and labels [room, ...], NumPy arrays
    places: dict[int, np.ndarray]  # of each seed, int32[steps, batch], in ``batch``


def held(task: Task) -> dict[str, tuple[Any, Any]]:
    """Inputs and labels that the devices hold throughout, by the name of their split."""
    return {name: (split.x, split.labels) for name, split in task.splits.items() if not isinstance(split.x, Fed)}


def divided(task: Task) -> dict[str, Portions]:
    """The portions of the parts that are fed, by name; as many examples as take little of a device's memory."""
    found = {}
    for name, (x, labels) in task.splits.items():
        if isinstance(x, Fed):
            examples = inputs.count(labels)
            most = max(1, _BYTES // _bytes(inputs.shapes(x, 1)))
            whole = most // learner.EVALUATION_BATCH * learner.EVALUATION_BATCH  # so that no batch is cut in two
            found[name] = Portions(examples, min(examples, whole or most))
    return found


def unseen(task: Task, name: str) -> list[Judged]:
    """What is known of a network by a part that is fed before its first portion, as ``jax.ShapeDtypeStruct`` leaves."""
    (x, labels), divided_so = task.splits[name], divided(task)[name]
    size = divided_so.size
    return judging.unseen(task, divided_so, inputs.shapes(x, size), inputs.shapes(labels, size))


def judged_bytes(task: Task) -> int:
    """What a device keeps of a network while it is judged by a part that is fed, at most; parts take turns."""
    return max((_bytes(unseen(task, name)) for name in divided(task)), default=0)


def portions(task: Task, name: str) -> Iterator[tuple[int, tuple[Any, Any]]]:
    """Read a part from its first example to its last.

    Yields:
      The place of a portion's first example, and inputs and labels ``[size, ...]``. The last is filled with examples
      whose labels are unknown.

    Raises:
      ValueError: inputs that are not finite; the message has the example.
    """
    (x, labels), (examples, size) = task.splits[name], divided(task)[name]
    for first in range(0, examples, size):
        places = np.arange(first, min(first + size, examples))
        read = x[places]
        _check_finite(name, read, places)
        filled = inputs.taken((read, inputs.taken(labels, places)), np.resize(np.arange(len(places)), size))
        for leaf in jax.tree.leaves(filled[1]):
            leaf[len(places) :] = unknown_label(leaf.dtype)
        yield first, filled


class Feeder:
    """Reads examples of a task whose training inputs are fed."""

    def __init__(self, task: Task):
        self._task = task
        self._ready: tuple[Any, Portion] | None = None

    def steps(self, most: int) -> int:
        """How many steps are fed at once, at most ``most``: what they read takes little of a device's memory."""
        one = inputs.shapes(self._task.splits["train"].x, self._task.batch_size)
        return max(1, min(most, _BYTES // _bytes(one)))

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
        _check_finite("train", read, wanted)
        size = min(inputs.count(labels), 2 ** (len(seeds) - 1).bit_length() * room * task.batch_size)
        filled = np.resize(np.arange(len(wanted)), size)
        batch = inputs.taken((read, inputs.taken(labels, wanted)), filled)
        of_each = places.reshape(len(seeds), last - first, task.batch_size).astype(np.int32)
        return Portion(batch, dict(zip(seeds, of_each, strict=True)))


def _bytes(arrays: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arrays))


def _check_finite(name: str, read: Any, places: np.ndarray) -> None:
    for leaf in jax.tree.leaves(read):
        if np.issubdtype(leaf.dtype, np.floating) and not np.isfinite(leaf).all():
            place = int((~np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1)).argmax())
            raise ValueError(f"Task.{name}: inputs of example {places[place]} are NaN or infinite.")
