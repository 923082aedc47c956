"""What the training of a population takes and gives, as NumPy arrays on the host.

``Candidates`` go in, ``Trained`` comes out, and ``PopulationProgress`` is what is known in between. All three have the
leading axis ``[candidates]``. None of them ever changes: methods return new objects.
"""

import hashlib
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from glojax.expressions import context, programs
from glojax.expressions.context import InContext
from glojax.expressions.programs import Program
from glojax.expressions.trees import Tree
from glojax.tasks.task import Task


class Candidates(NamedTuple):
    """Candidates to train: NumPy arrays with leading axis ``[candidates]``.

    A candidate's scores depend on the task and on its own entries alone, whatever else is trained beside it.
    """

    program: Program | InContext
    rate: np.ndarray  # float32[candidates], scale of the optimizer's updates: 1 is the task's own learning rate
    seed: np.ndarray  # uint32[candidates], of initialization, minibatches, augmentation and dropout


class Trained(NamedTuple):
    """The result of training candidates."""

    scores: np.ndarray  # float32[candidates, stops, splits]
    steps: np.ndarray  # int64[candidates], optimizer steps that each was trained for


class PopulationProgress(NamedTuple):
    """How far each candidate of a population has come."""

    scores: np.ndarray  # float32[candidates, stops, splits], 0 where not yet known
    alive: np.ndarray  # bool[candidates], whether it is still trained
    steps: np.ndarray  # int64[candidates], optimizer steps so far

    @classmethod
    def start(cls, candidates: int, stops: int, splits: int) -> "PopulationProgress":
        """The progress of ``candidates`` candidates before their first step."""
        scores = np.zeros((candidates, stops, splits), np.float32)
        return cls(scores, np.ones(candidates, bool), np.zeros(candidates, np.int64))

    def after_steps(self, members: np.ndarray, count: int, finite: np.ndarray) -> "PopulationProgress":
        """The progress after ``count`` more steps of some candidates.

        Args:
          members: the candidates that took the steps, by place, int ``[members]``.
          count: number of steps.
          finite: bool ``[candidates]``, whether a candidate's losses and gradients were finite so far; read for the
            members alone, and one that was not is trained no further.
        """
        steps, alive = self.steps.copy(), self.alive.copy()
        steps[members] += count
        alive[members] = finite[members]
        return self._replace(steps=steps, alive=alive)

    def with_scores(self, members: np.ndarray, stop: int, scores: np.ndarray) -> "PopulationProgress":
        """The progress with some candidates' scores at a stop.

        Args:
          members: the candidates that were scored, by place, int ``[members]``.
          stop: number of the stop, from 0.
          scores: float32 ``[candidates, splits]``, read for the members alone.
        """
        found = self.scores.copy()
        found[members, stop] = scores[members]
        return self._replace(scores=found)

    def drop(self, reached: int, kept: np.ndarray) -> "PopulationProgress":
        """The progress where candidates that are not kept end their training.

        Args:
          reached: number of stops so far, at least 1. A dropped candidate keeps its score there at all later stops.
          kept: bool ``[candidates]``.
        """
        scores = self.scores.copy()
        scores[~kept, reached:] = scores[~kept, reached - 1, None]
        return self._replace(scores=scores, alive=self.alive & kept)

    def with_part(self, places: np.ndarray, part: "PopulationProgress") -> "PopulationProgress":
        """The progress with that of the candidates at ``places``, int ``[part]``, replaced by ``part``."""
        replaced = [whole.copy() for whole in self]
        for whole, new in zip(replaced, part, strict=True):
            whole[places] = new
        return PopulationProgress(*replaced)


def encode_candidates(
    population: Sequence[Tree],
    seeds: Sequence[int],
    coefficients: Sequence[Sequence[float] | None] | None,
    rates: Sequence[float] | None,
    instructions: int,
) -> Candidates:
    """Encode trees as candidates.

    Args:
      population: trees, one for each candidate.
      seeds: one for each candidate, below 2³².
      coefficients: for each tree the factor of each of its nodes in pre-order; None stands for all 1.
      rates: scales of the task's learning rate; None stands for all 1.
      instructions: room for each tree's inner nodes.

    Raises:
      ValueError: a tree does not fit, or has another number of coefficients than nodes.
    """
    program = context.prepared(population, programs.encode(population, coefficients, instructions), len(population))
    rate = np.ones(len(population)) if rates is None else np.asarray(rates)
    return Candidates(program, rate.astype(np.float32), np.asarray(seeds, np.uint32))


def check_stops(task: Task, stops: Sequence[int], splits: Sequence[str]) -> None:
    """Raise ``ValueError`` for stops that do not rise from 1, or for a split that the task lacks."""
    if not stops or any(later <= earlier for earlier, later in itertools.pairwise((0, *stops))):
        raise ValueError(f"Trainer: the stops are {list(stops)}; numbers of steps that rise from 1 are needed.")
    missing = [split for split in splits if split not in task.splits]
    if missing:
        raise ValueError(f"Trainer: splits holds {missing[0]!r}; the task has {', '.join(task.splits)}.")


def identity_of(task: Task, candidates: Candidates, stops: Sequence[int], splits: Sequence[str]) -> str:
    """A digest of what is trained, for how long and how it is scored; equal digests mean equal scores."""
    digest = hashlib.sha256(repr((task.fingerprint, list(stops), list(splits))).encode())
    for leaf in jax.tree.leaves(candidates):
        digest.update(leaf.tobytes())
    return digest.hexdigest()
