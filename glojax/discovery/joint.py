"""A joint search: one loss for several tasks.

Every task has its own ``Fitness``: its own program, baseline, fair rates and record. What they share is the choice of
trees: a tree must pass screening on all tasks, and is bred and chosen by its joint fitness (``aggregates``). So a round
of a joint search is one generation of each task, of the same trees. Its unit of learning rates is each task's own fair
rate.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from glojax import tasks
from glojax.discovery import aggregates, finals, generations, one_class, scoring
from glojax.discovery.aggregates import Worth
from glojax.discovery.fitness import EMPTY, Archive, Fitness
from glojax.discovery.generations import Generation, State
from glojax.discovery.genetics import NothingToTrain
from glojax.discovery.joint_screening import JointScreener
from glojax.discovery.proposals import Proposals, proposed
from glojax.discovery.results import Baseline, Known
from glojax.discovery.scoring import TrainedEach
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.start import start_trees
from glojax.executors import local
from glojax.executors.protocol import Executor
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree
from glojax.records.candidates import Record
from glojax.records.run import FINALS, Run
from glojax.statistics import winner_beside, with_handicaps
from glojax.tasks.task import Task

FINALISTS = "joint finals"
"""The name under which a task's record keeps the finalists with their scores on this task."""

PASSED_OVER = "joint one class"
"""The name under which it keeps which of them answer one class on some task."""


def check(together: Sequence[Task]) -> None:
    """Raise ``ValueError`` for tasks that cannot share a loss; the message names two of them."""
    for task in together:
        tasks.check(task)
    if len(together) < 2:
        raise ValueError(f"tasks holds {len(together)}; give at least 2, or one task by itself.")
    first = together[0]
    for place, task in enumerate(together):
        if task.problem.output != first.problem.output:
            raise ValueError(
                f"tasks {first.name!r} and {task.name!r} cannot share a loss: it is made for one output, theirs are "
                f"{_output(first)} and {_output(task)}."
            )
        for other in together[:place]:
            if task.fingerprint == other.fingerprint:
                raise ValueError(f"tasks {other.name!r} and {task.name!r} are the same; give each task once.")


def _output(task: Task) -> str:
    output = task.problem.output
    return output if isinstance(output, str) else getattr(output, "__name__", "a function")


@dataclass(frozen=True)
class JointFitness:
    """How trees come to their fitness on several tasks.

    Attributes:
      parts: the fitness on each task.
      chooser: what chooses trees, by joint fitness.
      config: of the search.
    """

    parts: tuple[Fitness, ...]
    chooser: Fitness
    config: SearchConfig

    @classmethod
    def of(
        cls, together: Sequence[Task], config: SearchConfig, executor: Executor | None, group: int | None
    ) -> "JointFitness":
        """The fitness of a search's trees on tasks.

        Raises:
          ValueError: tasks that cannot share a loss, or gains over a baseline that the settings do not train.
        """
        check(together)
        if config.aggregate == "gains" and not config.fair_rates:
            raise ValueError(
                "SearchConfig.aggregate is 'gains', over baselines that fair_rates=False does not train; 'ranks' is "
                "allowed."
            )
        parts = tuple(
            Fitness.of(task, config, config.max_nodes, local.resolve(task, executor, group)) for task in together
        )
        screener = JointScreener([one.screener for one in parts])
        # Without growth the fair rate of every tree is that of ``_UNIT``: rates are in units of fair ones.
        return cls(parts, dataclasses.replace(parts[0], screener=screener, growth=0.0), config)

    @property
    def tasks(self) -> list[Task]:
        """The tasks, in their order."""
        return [part.task for part in self.parts]

    @property
    def baseline(self) -> Baseline | None:
        """What the chooser's rates derive from."""
        return _UNIT if self.config.fair_rates else None

    def worths(self, archives: Sequence[Archive], baselines: Sequence[Baseline | None]) -> list[Worth]:
        """What scores on each task are worth."""
        if self.config.aggregate == "gains":
            return [aggregates.gains(baseline) for baseline in baselines if baseline is not None]
        return [aggregates.ranks([one.fitness for one in archive.known.values()]) for archive in archives]

    def shown_baseline(self, archives: Sequence[Archive], baselines: Sequence[Baseline | None]) -> Baseline | None:
        """The baselines as one loss, with joint scores, whose rate is the unit; ``None`` where rates are not fair."""
        found = [baseline for baseline in baselines if baseline is not None]
        if not found:
            return None
        columns = zip(self.worths(archives, baselines), found, strict=True)
        scores = aggregates.together([worth(np.array(baseline.scores)) for worth, baseline in columns])
        return _UNIT._replace(scores=tuple(scores.tolist()), steps=sum(baseline.steps for baseline in found))


_UNIT = Baseline(1.0, (), 0)


class JointState(NamedTuple):
    """A joint search after a generation."""

    generation: Generation  # with joint fitness, and rates in units of fair ones
    archive: Archive  # the same of all trees so far
    parts: tuple[State, ...]  # the search on each task

    @property
    def records(self) -> list[Record]:
        """The candidates of this generation, with joint fitness; their scores are with the tasks' own."""
        joint = self.generation
        columns = zip(
            self.parts[0].records,
            joint.fitness.tolist(),
            joint.rates.tolist(),
            joint.fates,
            joint.steps.tolist(),
            strict=True,
        )
        return [
            record._replace(fitness=fitness, scores=(), rate=rate, fate=fate, steps=steps)
            for record, fitness, rate, fate, steps in columns
        ]

    @property
    def steps(self) -> int:
        """Optimizer steps so far on all tasks, the baselines' included."""
        return sum(part.steps for part in self.parts)

    @property
    def seconds(self) -> float:
        """Spent on training so far."""
        return sum(part.seconds for part in self.parts)


def states(fitness: JointFitness, runs: Sequence[Run], proposals: Proposals | None = None) -> Iterator[JointState]:
    """The search after each generation: those on record, then new ones, which are recorded on every task.

    A generation that was recorded on some tasks alone is trained again. The first task's record has the proposals.
    """
    config = fitness.config
    pairs = list(zip(fitness.parts, runs, strict=True))
    baselines = [part.find_baseline(run) for part, run in pairs]
    before: list[State | None] = [None] * len(pairs)
    state: JointState | None = None
    read_back = zip(*(zip(run.generations(), run.funnels(), strict=True) for run in runs), strict=False)
    for number, of_tasks in zip(range(config.generations), read_back, strict=False):
        for place, (part, (records, funnel)) in enumerate(zip(fitness.parts, of_tasks, strict=True)):
            archive = part.recall(generations.archive_of(before[place]), records)
            generation = Generation.recalled(number, records, funnel)
            seconds = sum(record.seconds for record in records)
            before[place] = State.after(before[place], archive, baselines[place], generation, records, seconds)
        state = _joined(fitness, before)
        yield state
    while state is None or state.generation.number + 1 < config.generations:
        spent = sum(baseline.steps for baseline in baselines if baseline) if state is None else state.steps
        if fitness.chooser.is_spent(spent, 0.0 if state is None else state.seconds):
            if state is None:
                raise ValueError(
                    f"SearchConfig: the budget is used up before the first generation; to find the baselines' learning "
                    f"rates took {spent:,} candidate-steps."
                )
            return
        last, archive = (None, EMPTY) if state is None else (state.generation, state.archive)
        number = 0 if last is None else last.number + 1
        joint_baseline = fitness.shown_baseline([generations.archive_of(part) for part in before], baselines)
        ahead = proposed(proposals, runs[0], number, fitness.tasks, config, archive, joint_baseline)
        if last is None:
            ahead = [*start_trees(fitness.parts[0].task, config), *ahead]
        try:
            offspring, sifted = generations.next_offspring(
                fitness.chooser, config, archive, fitness.baseline, last, ahead, runs[0].directory is not None
            )
        except NothingToTrain:
            if state is None:
                raise
            return
        rejected = generations.rejected_by(sifted, archive.known, ahead)
        for place, (part, run) in enumerate(pairs):
            archive, generation, records = generations.evaluate(
                part, config, generations.archive_of(before[place]), baselines[place], number, offspring, sifted
            )
            run.save_generation(number, records, generation.funnel, rejected)
            seconds = generation.seconds
            before[place] = State.after(before[place], archive, baselines[place], generation, records, seconds)
        state = _joined(fitness, before)
        yield state


def _joined(fitness: JointFitness, given: Sequence[State | None]) -> JointState:
    """The joint state of the search on every task."""
    parts = tuple(part for part in given if part is not None)
    archive = _joint_archive(fitness, parts)
    generation = parts[0].generation
    forms = [canonical(tree) for tree in generation.trees]
    known = [archive.known.get(form, Known(form, 1.0, (0.0,), True)) for form in forms]  # without x or y none is
    fates = [_joint_fate(fates) for fates in zip(*(part.generation.fates for part in parts), strict=True)]
    trained = {"finished": fates.count("trained")} if "finished" in generation.funnel else {}
    joint = Generation(
        generation.number,
        generation.trees,
        np.array([one.fitness for one in known]),
        np.array([one.rate for one in known]),
        tuple(fates),
        np.sum([part.generation.steps for part in parts], axis=0),
        generation.funnel | trained,
        sum(part.generation.seconds for part in parts),
    )
    return JointState(joint, archive, parts)


def _joint_fate(fates: Sequence[str]) -> str:
    return "dropped" if "dropped" in fates else fates[0]


def _joint_archive(fitness: JointFitness, parts: Sequence[State]) -> Archive:
    """What is known of every tree: its joint fitness, and the mean factor by which its rates are above fair ones."""
    forms = list(parts[0].archive.known)
    if not forms:
        return EMPTY
    known = [[part.archive.known[form] for form in forms] for part in parts]
    worths = fitness.worths([part.archive for part in parts], [part.baseline for part in parts])
    scores = [worth(np.array([one.fitness for one in row])) for worth, row in zip(worths, known, strict=True)]
    factors = [_factors(part, state, row) for part, state, row in zip(fitness.parts, parts, known, strict=True)]
    columns = zip(
        known[0],
        np.exp(np.mean(np.log(factors), axis=0)).tolist(),
        aggregates.together(scores).tolist(),
        [all(one.finished for one in column) for column in zip(*known, strict=True)],
        strict=True,
    )
    joint = [Known(one.tree, factor, (score,), finished) for one, factor, score, finished in columns]
    keys = fitness.chooser.screener.keys([one.tree for one in joint]) if fitness.config.screening else []
    return EMPTY.with_known(joint, keys)


def _factors(part: Fitness, state: State, known: Sequence[Known]) -> np.ndarray:
    """The rates of trees in units of the task's fair ones."""
    rates = np.array([one.rate for one in known])
    return rates if state.baseline is None else rates / part.fair_rates(state.baseline, [one.tree for one in known])


# FINALS


class Winner(NamedTuple):
    """The loss that a joint search ends with."""

    tree: Tree
    scores: tuple[float, ...]  # joint, of the trainings that decided
    parts: tuple[Known, ...]  # its rate and its scores on every task
    finals: list[Record]  # the finalists, with joint scores and rates in units of fair ones; none without finals


def decide(fitness: JointFitness, state: JointState, runs: Sequence[Run]) -> Winner:
    """The winner: the best finalist over fresh seeds or, without finals, the fittest tree."""
    config = fitness.config
    finalists = fitness.chooser.finalists(state.archive)
    chosen = finalists or fitness.chooser.ranking(state.archive)[:1]
    handicaps = [config.parsimony * known.tree.size for known in chosen]
    forms = [canonical(known.tree) for known in chosen]
    known = [[part.archive.known[form] for form in forms] for part in state.parts]
    if not finalists:
        return Winner(chosen[0].tree, chosen[0].scores, tuple(row[0] for row in known), [])
    train = functools.cache(lambda: _trained(fitness, state, known, handicaps))
    for place, (run, row) in enumerate(zip(runs, known, strict=True)):
        asked = [[str(one.tree), one.rate] for one in row]
        kept = run.once(
            FINALISTS,
            lambda place=place, asked=asked: {"asked": asked, **train()[place]},
            lambda kept, asked=asked: kept["asked"] == asked,
        )
        known[place] = [
            one._replace(scores=tuple(scores), finished=True) for one, scores in zip(row, kept["scores"], strict=True)
        ]
    joint = _joint_scores(fitness, state, [[one.scores for one in row] for row in known])
    best = _best(fitness, runs, known, with_handicaps(joint, handicaps))
    seed = finals.seeds_of_finals(config.seed, 1)[0]
    steps = [run.once(FINALISTS, dict)["steps"] for run in runs]
    for run, row, spent in zip(runs, known, steps, strict=True):
        record = row[best].to_record("trained", seed, spent[best], 0.0)
        # The report of a task shows the winner of all, not the best on this task.
        run.once(FINALS, lambda record=record: [record], lambda kept, record=record: kept == [record])
    compared = [
        one._replace(scores=scores).to_record("trained", seed, sum(spent), 0.0)
        for one, scores, *spent in zip(chosen, joint, *steps, strict=True)
    ]
    return Winner(chosen[best].tree, tuple(joint[best]), tuple(row[best] for row in known), compared)


def _best(
    fitness: JointFitness, runs: Sequence[Run], known: Sequence[Sequence[Known]], scores: Sequence[Sequence[float]]
) -> int:
    """The place of the best finalist whose networks answer one class on no task; the best, where those of all do."""
    compared = [str(one.tree) for one in known[0]]

    def answers(place: int) -> bool:
        return any(part.answers_one_class(row[place]) for part, row in zip(fitness.parts, known, strict=True))

    @functools.cache
    def judged() -> dict[str, Any]:
        return {"finalists": compared, "passed over": one_class.passed_over(scores, answers)}

    kept = [run.once(PASSED_OVER, judged, lambda kept: kept["finalists"] == compared) for run in runs]
    return winner_beside(scores, kept[0]["passed over"])


def _trained(
    fitness: JointFitness, state: JointState, known: Sequence[Sequence[Known]], handicaps: Sequence[float]
) -> list[dict[str, list[Any]]]:
    """Scores and steps of the finalists on every task, as the records keep them."""
    kept = [{"scores": [[] for _ in row], "steps": [0 for _ in row]} for row in known]

    def train(seeds: Sequence[Sequence[int]]) -> TrainedEach:
        found = [
            scoring.train_each(part.evaluator, [one.tree for one in row], seeds, [one.rate for one in row])
            for part, row in zip(fitness.parts, known, strict=True)
        ]
        for one, of_task in zip(kept, found, strict=True):
            one["scores"] = [[*row, *new] for row, new in zip(one["scores"], of_task.scores, strict=True)]
            one["steps"] = [spent + taken for spent, taken in zip(one["steps"], of_task.steps, strict=True)]
        joint = _joint_scores(fitness, state, [of_task.scores for of_task in found])
        return TrainedEach(joint, [sum(steps) for steps in zip(*(one.steps for one in found), strict=True)])

    finals.decide_by(train, len(known[0]), fitness.config.seed, fitness.config.final_seeds, handicaps=handicaps)
    return kept


def _joint_scores(
    fitness: JointFitness, state: JointState, scores: Sequence[Sequence[Sequence[float]]]
) -> list[tuple[float, ...]]:
    """Joint scores of finalists over seeds, from their scores ``[tasks][finalists][seeds]``."""
    worths = fitness.worths([part.archive for part in state.parts], [part.baseline for part in state.parts])
    return [
        tuple(aggregates.together([worth(np.array(row)) for worth, row in zip(worths, of_one, strict=True)]).tolist())
        for of_one in zip(*scores, strict=True)
    ]
