"""Whether tuned coefficients are better than those they started from by more than chance.

All trainings are scored on the same validation examples, and hundreds of vectors were compared by them. The vector that
suits these examples best may be worse on any others, and more seeds do not tell. So both losses are scored over fresh
seeds, again without each of some groups of examples, and the gain must be beyond what the choice of so many
coefficients can make of the noise of these examples (``statistics.chosen_gain``).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from glojax import tasks
from glojax.data.splits import Split
from glojax.discovery.one_class import answers_one_class
from glojax.executors.protocol import Executor
from glojax.expressions import programs
from glojax.expressions.trees import Tree
from glojax.records.run import GAIN, Run
from glojax.seeds import named_seed
from glojax.statistics import Gain, chosen_gain
from glojax.tasks import inputs
from glojax.tasks.task import Task

SEEDS = 16
"""Fresh trainings of each of the two losses."""

GROUPS = 16
"""Groups of validation examples, of which each is left out once."""

_BYTES = 2**30  # what the validation examples may take on a device, over and over; at least 4 groups


def measured(
    executor: Executor,
    task: Task,
    rank_by: str,
    tree: Tree,
    factors: Sequence[Sequence[float]],
    coefficients: int,
    rate: float,
    seed: int,
    *,
    protected: bool = False,
) -> Gain:
    """Train two losses over fresh seeds, and measure the gain of the second.

    Args:
      executor: trains them.
      task: with the metric of the result.
      rank_by: what candidates are ranked by (``SharedSettings.rank_by``).
      tree: the tree of both.
      factors: the factors of its nodes for the start and for the tuned loss.
      coefficients: how many of them were tuned.
      rate: scale of the task's learning rate.
      seed: of the tuning.
      protected: whether losses use the protected operators.
    """
    parts = without_groups(Split(*task.validation), seed)  # type: ignore[arg-type]  # as the task keeps it
    room = programs.room(programs.instructions_of(tree))
    ranked = tasks.ranked(task, rank_by).with_parts(parts)
    evaluator = executor(ranked, instructions=room, protected=protected)
    seeds = [named_seed(seed, "tuned", i) for i in range(SEEDS)]
    candidates = evaluator.candidates(
        [tree] * (2 * SEEDS), seeds * 2, [one for one in factors for _ in seeds], [rate] * (2 * SEEDS)
    )
    trained = evaluator.train(candidates, [task.steps], splits=("validation", *parts))
    scores = trained.scores[:, -1].reshape(2, SEEDS, -1)
    gain = chosen_gain(scores, coefficients)
    one_class = gain.is_kept and answers_one_class(
        executor, task, rank_by, tree, factors[1], rate, scores[1, :, 0].tolist(), seeds, protected=protected
    )
    return gain._replace(one_class=one_class)


def recorded(run: Run, coefficients: list[float], measure: Callable[[], Gain]) -> Gain:
    """The gain of these coefficients as the run has it, or measured now."""

    def content() -> dict[str, Any]:
        return {"coefficients": coefficients, **measure()._asdict()}

    kept = run.once(GAIN, content, lambda kept: kept["coefficients"] == coefficients)
    return Gain.of(kept)


def without_groups(whole: Split, seed: int) -> dict[str, Split]:
    """The examples without each of some groups, by name; groups have their share of every class or range of targets."""
    count = inputs.count(whole.labels)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(tuple(whole)))
    groups = min(count, max(4, min(GROUPS, _BYTES // max(1, size))))
    first = jax.tree.leaves(whole.labels)[0].reshape(count, -1)[:, 0]
    shuffled = np.random.default_rng(named_seed(seed, "groups")).random(count)
    group = np.empty(count, np.int64)
    group[np.lexsort([shuffled, first])] = np.arange(count) % groups
    return {
        f"validation without {number}": Split(*inputs.taken(tuple(whole), np.flatnonzero(group != number)))
        for number in range(groups if groups > 1 else 0)
    }
