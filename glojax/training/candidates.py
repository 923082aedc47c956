"""What a population training takes and gives, as NumPy arrays on the host."""

import hashlib
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from glojax.expressions import programs
from glojax.expressions.programs import Program
from glojax.expressions.trees import Tree
from glojax.tasks.task import Task


class Candidates(NamedTuple):
    """What is trained: NumPy arrays with leading axis ``[candidates]``.

    A result depends on nothing but the task and these, whatever else is trained beside it.
    """

    program: Program
    rate: np.ndarray  # float32[candidates], scale of the optimizer's updates: 1 is the task's own learning rate
    seed: np.ndarray  # uint32[candidates], of initialization, minibatches and dropout


class Trained(NamedTuple):
    """What the training of candidates gave."""

    scores: np.ndarray  # float32[candidates, stops, splits]
    steps: np.ndarray  # int64[candidates], optimizer steps that each was trained for


class PopulationProgress(NamedTuple):
    """How far candidates have come; what is changed in place as they train."""

    scores: np.ndarray  # float32[candidates, stops, splits]
    alive: np.ndarray  # bool[candidates]
    steps: np.ndarray  # int64[candidates]

    @classmethod
    def start(cls, candidates: int, stops: int, splits: int) -> "PopulationProgress":
        """Of so many candidates, before the first step."""
        scores = np.zeros((candidates, stops, splits), np.float32)
        return cls(scores, np.ones(candidates, bool), np.zeros(candidates, np.int64))

    def drop(self, reached: int, kept: np.ndarray) -> None:
        """Train those that are not kept, bool ``[candidates]``, no further than to the stop of this number, from 1."""
        self.scores[~kept, reached:] = self.scores[~kept, reached - 1, None]
        self.alive[~kept] = False


def check_stops(task: Task, stops: Sequence[int], splits: Sequence[str]) -> None:
    """Raise ``ValueError`` for stops that do not rise from 1, or a split that the task lacks."""
    if not stops or any(later <= earlier for earlier, later in itertools.pairwise((0, *stops))):
        raise ValueError(f"Trainer: the stops are {list(stops)}; numbers of steps that rise from 1 are needed.")
    missing = [split for split in splits if split not in task.splits]
    if missing:
        raise ValueError(f"Trainer: splits holds {missing[0]!r}; the task has {', '.join(task.splits)}.")


def encoded(
    population: Sequence[Tree],
    seeds: Sequence[int],
    coefficients: Sequence[Sequence[float] | None] | None,
    rates: Sequence[float] | None,
    instructions: int,
) -> Candidates:
    """As ``Trainer.candidates``, with room for so many instructions."""
    program = programs.encode(population, coefficients, instructions)
    rate = np.ones(len(population)) if rates is None else np.asarray(rates)
    return Candidates(program, rate.astype(np.float32), np.asarray(seeds, np.uint32))


def identity_of(task: Task, candidates: Candidates, stops: Sequence[int], splits: Sequence[str]) -> str:
    digest = hashlib.sha256(repr((task.fingerprint, list(stops), list(splits))).encode())
    for leaf in jax.tree.leaves(candidates):
        digest.update(leaf.tobytes())
    return digest.hexdigest()
