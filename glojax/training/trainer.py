"""Train and score a whole population: every candidate's network in one compiled program.

A candidate is data: its loss as a ``Program``, a scale of its learning rate, and a seed. So one program serves a whole
search, however many trees it meets. Candidates run in groups. A group shares its seed, hence its initialization,
minibatches, augmentation and dropout masks, and takes ``blocks.CHUNK`` steps while its parameters lie in the cache.
Groups are spread over a mesh of devices; how many there are is data too, so a small generation costs little and
compiles nothing. Between chunks, groups are formed anew from the candidates that are still alive.

``Trainer`` never changes once it is built. A training under way is a ``TrainingState``: ``Trainer.begin`` gives the
first, ``advance`` the next. ``Trainer.train`` runs one from start to end.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from glojax.distributed import jax_settings, processes
from glojax.distributed.devices import all_devices
from glojax.expressions.trees import Tree
from glojax.losses.loss import LossFunction
from glojax.tasks.task import Task
from glojax.training import blocks, gradients, grouping
from glojax.training.blocks import Block
from glojax.training.candidates import (
    Candidates,
    PopulationProgress,
    Trained,
    check_stops,
    encode_candidates,
    identity_of,
)
from glojax.training.compiled import CompiledKernels, compile_kernels
from glojax.training.grouping import GroupPlan
from glojax.training.learner import Learner


class TrainingRequest(NamedTuple):
    """What a training was asked to do."""

    candidates: Candidates  # [candidates]
    stops: tuple[int, ...]  # steps after which candidates are scored, rising
    splits: tuple[str, ...]  # parts of the data that are scored
    members: tuple[np.ndarray, ...]  # int64[members], places of the candidates of each block
    identity: str  # digest of all that the scores depend on


class TrainingState(NamedTuple):
    """A training between two stops; ``Trainer.advance`` gives the next state and consumes the networks of this one."""

    request: TrainingRequest
    reached: int  # stops so far
    progress: PopulationProgress  # [candidates]
    blocks: Mapping[int, Block]  # networks on the devices, by the number of their block

    @property
    def is_complete(self) -> bool:
        """Whether the last stop was reached."""
        return self.reached == len(self.request.stops)

    @property
    def scores(self) -> np.ndarray:
        """Scores at the stop that was reached last, ``float32[candidates, splits]``."""
        return self.progress.scores[:, self.reached - 1]

    def drop(self, kept: np.ndarray) -> "TrainingState":
        """The state where only candidates that are kept, bool ``[candidates]``, go on; others keep their last score."""
        return self._replace(progress=self.progress.drop(self.reached, kept))


@dataclass(frozen=True, eq=False, repr=False)
class Trainer:
    """Trains candidates on a task and scores them; compiled once, whatever their number and the number of steps.

    Args:
      task: what candidates are trained on.
      instructions: room for each tree's inner nodes.
      loss: one fixed loss for all candidates instead of their own programs, or a tuple of several, of which a
        candidate's tree, a leaf, chooses by its coefficient: 0 for the first. Defaults to None.
      protected: whether losses use the protected operators.
      group: candidates trained together on a device, at most. Defaults to as many as fit
        (``grouping.group_that_fits``). Scores do not depend on it.
      devices: the devices to train on. Defaults to all (``distributed.devices.all_devices``).

    Attributes:
      plan: the shapes of groups.
      compiled: the programs that run on the devices.
      wide: whether 64 bits stay enabled in them (``Task.is_wide``, or a fixed loss that asks for it).

    Raises:
      ValueError: a metric or loss that does not fit the task, or a ``group`` that is not a whole number of at least 1.

    Example:
      trainer = Trainer(task, instructions=31)
      scores = trainer.scores(trainer.candidates([parse("x * log(y)")], seeds=[0]))
    """

    task: Task
    _: KW_ONLY
    instructions: int = 1
    loss: LossFunction | tuple[LossFunction, ...] | None = None
    protected: bool = False
    group: int | None = None
    devices: InitVar[Sequence[Any] | None] = None
    plan: GroupPlan = field(init=False)
    compiled: CompiledKernels = field(init=False)
    wide: bool = field(init=False)

    def __post_init__(self, devices: Sequence[Any] | None) -> None:
        chosen = list(all_devices() if devices is None else devices)
        for head in self.task.heads:
            head.check_metric()
        object.__setattr__(self, "wide", self.task.is_wide or gradients.is_wide(self.task, self.loss))
        if self.loss is None:
            gradient = gradients.program_gradient(self.protected, self.task.problem.output)
        else:
            fixed = self.loss if isinstance(self.loss, tuple) else (self.loss,)
            for loss in fixed:
                for head in self.task.heads:
                    gradients.check_loss(head, loss)
            gradient = (
                gradients.chosen_gradient(fixed) if isinstance(self.loss, tuple) else gradients.fixed_gradient(*fixed)
            )
        with self._settings():
            # The plan of the first process is the plan of all, even where their devices have unlike memory.
            count, sizes, rows = processes.first(lambda: grouping.plan(self.task, chosen, self.group))
            plan = GroupPlan(count, tuple(sizes), tuple(rows))
            object.__setattr__(self, "plan", plan)
            object.__setattr__(self, "compiled", compile_kernels(self.task, gradient, chosen, plan))

    def _settings(self) -> AbstractContextManager[None]:
        """JAX's settings for all that the trainer traces and runs; a function that is called back has the user's."""
        return jax_settings.standard(wide=self.wide, products=self.task.precision)

    @property
    def compilations(self) -> int:
        """How many programs were compiled so far."""
        return self.compiled.compilations

    def candidates(
        self,
        population: Sequence[Tree],
        seeds: Sequence[int],
        coefficients: Sequence[Sequence[float] | None] | None = None,
        rates: Sequence[float] | None = None,
    ) -> Candidates:
        """Encode trees as candidates.

        Args:
          population: trees, one for each candidate.
          seeds: one for each candidate, below 2³².
          coefficients: for each tree the factor of each of its nodes in pre-order; None stands for all 1.
          rates: scales of the task's learning rate. Defaults to 1.

        Raises:
          ValueError: a tree has more inner nodes than ``instructions``, or another number of coefficients than nodes.
        """
        return encode_candidates(population, seeds, coefficients, rates, self.instructions)

    def scores(
        self, candidates: Candidates, *, splits: Sequence[str] = ("validation",), steps: int | None = None
    ) -> np.ndarray:
        """Train candidates and score them once.

        Args:
          candidates: what is trained.
          splits: parts of the data that are scored.
          steps: optimizer steps. Defaults to the task's.

        Returns:
          Scores ``float32[candidates, splits]``; 0 for a candidate that met NaN or infinity.
        """
        return self.train(candidates, [self.task.steps if steps is None else steps], splits=splits).scores[:, -1]

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
        """Train candidates, and score them at every stop.

        A candidate that meets NaN or infinity scores 0 from then on and is trained no further; nor is one that is not
        kept. The scores of the others are what they would be if all were trained to the end.

        Args:
          candidates: what is trained.
          stops: numbers of optimizer steps, rising; training ends at the last.
          splits: parts of the data that are scored.
          keep: called at every stop but the last with scores ``[candidates, splits]``; gives which candidates go on,
            bool ``[candidates]``. The others keep that score at all later stops.
          directory: folder of a checkpoint, written at every stop. If it holds one already, training goes on from
            there, also on another number of devices.
          on_stop: called after every stop with the number of stops so far and scores ``[candidates, stops, splits]``.

        Returns:
          Scores at every stop, and the steps that each candidate was trained for.

        Raises:
          ValueError: stops that do not rise from 1, an unknown split, or a checkpoint of another training.
        """
        state, checkpoint = self.begin(candidates, stops, splits), None
        if directory is not None:
            from glojax.training.checkpoints import Checkpoint  # Orbax takes most of a second to import

            checkpoint = Checkpoint(directory, state.request.identity)
            if (saved := checkpoint.restore(self.host_arrays(state))) is not None:
                state = self.restore(state, *saved)
                if on_stop is not None:
                    on_stop(state.reached, state.progress.scores)
        while not state.is_complete:
            state = self.advance(state, hold=checkpoint is not None)
            if keep is not None and not state.is_complete:
                state = state.drop(keep(state.scores))
            if checkpoint is not None:
                checkpoint.save(state.reached, self.on_host(state))
            if on_stop is not None:
                on_stop(state.reached, state.progress.scores)
        return Trained(state.progress.scores, state.progress.steps)

    def begin(self, candidates: Candidates, stops: Sequence[int], splits: Sequence[str]) -> TrainingState:
        """The state of a training before its first step; the arguments are those of ``train``.

        Raises:
          ValueError: stops that do not rise from 1, or an unknown split.
          SharedError: processes that joined were given different candidates.
        """
        check_stops(self.task, stops, splits)
        identity = identity_of(self.task, candidates, stops, splits)
        processes.agree("candidates", identity)
        members = tuple(grouping.blocks(self.plan, candidates.seed))
        request = TrainingRequest(candidates, tuple(stops), tuple(splits), members, identity)
        progress = PopulationProgress.start(len(candidates.seed), len(stops), len(splits))
        return TrainingState(request, 0, progress, {})

    def advance(self, state: TrainingState, *, hold: bool = False) -> TrainingState:
        """Train to the next stop and score there.

        The networks of ``state`` are consumed: their buffers are donated to the compiled steps, so a state can be
        advanced only once. Its progress remains valid.

        Args:
          state: the training so far.
          hold: keep the networks on the devices even after the last stop, for ``on_host``.

        Returns:
          The training at the next stop.
        """
        with self._settings():
            return self._advanced(state, hold)

    def _advanced(self, state: TrainingState, hold: bool) -> TrainingState:
        request, progress, stop = state.request, state.progress, state.reached
        first, last = (0, *request.stops)[stop : stop + 2]
        held: dict[int, Block] = {}
        for number, members in enumerate(request.members):
            if not progress.alive[members].any():
                continue
            block = state.blocks.get(number) or blocks.start_block(self.compiled, request.candidates, members)
            block, progress = blocks.train_block(
                self.compiled, block, request.candidates, members, progress, first, last
            )
            scores = blocks.score_block(self.compiled, block, request.splits, len(progress.alive))
            progress = progress.with_scores(members[progress.alive[members]], stop, scores)
            if hold or last < request.stops[-1]:
                held[number] = block
        return TrainingState(request, stop + 1, progress, held)

    def on_host(self, state: TrainingState) -> tuple[PopulationProgress, Learner]:
        """All that a training needs to go on, as NumPy arrays ``[candidates, ...]``."""
        with self._settings():
            return state.progress, blocks.on_host(self.compiled, state.blocks.values(), len(state.progress.alive))

    def host_arrays(self, state: TrainingState) -> tuple[PopulationProgress, Learner]:
        """Arrays of the shapes and types that ``on_host`` gives; their values mean nothing."""
        with self._settings():
            return state.progress, blocks.host_arrays(self.compiled, len(state.progress.alive))

    def restore(self, state: TrainingState, reached: int, saved: tuple[PopulationProgress, Learner]) -> TrainingState:
        """The training that ``on_host`` copied to the host.

        Args:
          state: a state of the same training, such as ``begin`` gives.
          reached: number of stops when it was copied.
          saved: what ``on_host`` gave.
        """
        progress, learners = saved
        held = {}
        with self._settings():
            for number, members in enumerate(state.request.members):
                if len(living := members[progress.alive[members]]):
                    held[number] = blocks.restore_block(self.compiled, state.request.candidates, living, learners)
        return TrainingState(state.request, reached, progress, held)
