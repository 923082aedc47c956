"""Whether a loss makes networks that answer one class for all examples: such a loss does not win.

Where one class is frequent, that answer has a good accuracy, and says nothing.
"""

from collections.abc import Callable, Sequence

import numpy as np

from glojax import statistics, tasks
from glojax.discovery import scoring
from glojax.executors.protocol import Executor
from glojax.expressions import programs
from glojax.expressions.trees import Tree
from glojax.tasks.task import Task

_SMOOTH = 0.26
"""How far margins may be above the accuracy of one class: half of the examples on the wrong side nearly by 0, and what
is left of the others (``tasks.ranking``)."""


def answers_one_class(
    executor: Executor,
    task: Task,
    rank_by: str,
    tree: Tree,
    factors: Sequence[float],
    rate: float,
    scores: Sequence[float],
    seeds: Sequence[int],
    *,
    protected: bool = False,
) -> bool:
    """Whether at least half of the trainings end with one answer for all validation examples.

    Args:
      executor: trains the loss again where scores do not tell.
      task: with the metric of the result.
      rank_by: what ``scores`` are of (``SharedSettings.rank_by``).
      tree, factors, rate: the loss, and the scale of the task's learning rate.
      scores: of its trainings.
      seeds: of these trainings.
      protected: whether the loss uses the protected operators.
    """
    values = tasks.one_class_metrics(task, "validation")
    if not values:
        return False
    if tasks.ranked(task, rank_by) is task:
        return bool(statistics.mostly_among(task.as_metric(np.asarray(scores)), values))
    if np.mean(scores) > max(values) + _SMOOTH:
        return False
    room = programs.room(programs.instructions_of(tree))
    evaluator = executor(task, instructions=room, protected=protected)
    found = scoring.train_each(evaluator, [tree], [seeds[: len(scores)]], [rate], [factors]).scores[0]
    return bool(statistics.mostly_among(task.as_metric(np.asarray(found)), values))


def passed_over(scores: Sequence[Sequence[float]], answers: Callable[[int], bool]) -> list[int]:
    """Places of finalists that would win if their networks did not answer one class; none where those of all do.

    Args:
      scores: of each finalist, as ``statistics.winner`` compares them.
      answers: whether the networks of the finalist at a place answer one class; asked of as few as needed.
    """
    found: list[int] = []
    while answers(best := statistics.winner_beside(scores, found)):
        found.append(best)
        if len(found) == len(scores):
            return []
    return found
