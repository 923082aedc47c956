"""What a table allows: gradient-boosted trees of scikit-learn on the task's data, beside which networks are seen.

Where they are far better than every loss, the network is the limit and not the loss.
"""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glojax.records.run import Run
from glojax.tasks import metrics
from glojax.tasks.labels import known_of
from glojax.tasks.task import Task

MOST_ROWS = 100_000
"""Training rows that trees are grown on at most, the first ones."""

_SMALLEST = 1e-7  # probability


def boosted_trees(
    task: Task, *, run_dir: str | os.PathLike[str] | None = None, resume: bool = False
) -> dict[str, float]:
    """Grow gradient-boosted trees with scikit-learn's own settings, and judge them by the task's metric.

    Where that is balanced accuracy, or the task's classes are balanced, so are those of the trees.

    Args:
      task: of inputs ``[examples, features]`` with one label for each: a class, 0 or 1, or a number.
      run_dir: where the result is kept. Defaults to memory alone.
      resume: take what ``run_dir`` holds of this.

    Returns:
      The metric by the name of the part, validation and test; {} for another task.

    Raises:
      ValueError: a run directory that does not fit (``records.run.Run``).
    """
    if not _is_table(task):
        return {}
    with Run(run_dir, "boosted trees", task, {}, resume) as run:
        return run.once("metrics", lambda: _metrics(task), lambda kept: True)


def _is_table(task: Task) -> bool:
    one = task.problem.has_classes or task.outputs == 1
    return (
        not callable(task.problem.output)
        and one
        and all(getattr(part.x, "ndim", 0) == 2 for part in task.splits.values())
        and task.preprocess is None
        and (not task.problem.has_classes or task.splits["train"].labels.ndim == 1)
    )


def _metrics(task: Task) -> dict[str, float]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # threads that wait for busy cores take minutes for what one does in a second
        trees = _grown(task)
        return {
            name: float(task.metric_function(_outputs(task, trees, part.x), jnp.asarray(part.labels)))
            for name, part in task.splits.items()
            if name != "train"
        }


def _grown(task: Task) -> Any:
    """Trees of the training part."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x, labels = task.splits["train"]
    known = np.flatnonzero(known_of(labels).reshape(-1))[:MOST_ROWS]
    inputs, targets = np.asarray(x, float)[known], labels.reshape(-1)[known]
    if task.problem.output == "identity":
        return HistGradientBoostingRegressor(random_state=0).fit(inputs, targets)
    is_balanced = metrics.unbound(task.metric_function) is metrics.balanced_accuracy
    weights = "balanced" if is_balanced else task.class_weight
    made = HistGradientBoostingClassifier(random_state=0, class_weight=weights)
    return made.fit(inputs, targets.astype(int))


def _outputs(task: Task, made: Any, x: np.ndarray) -> jax.Array:
    """Predictions as the outputs of a network, float32 ``[examples, outputs]``."""
    x = np.asarray(x, float)
    if task.problem.output == "identity":
        return jnp.asarray(made.predict(x)[:, None], jnp.float32)
    shares = np.full((len(x), max(task.outputs, 2)), _SMALLEST)
    shares[:, made.classes_] = np.maximum(made.predict_proba(x), _SMALLEST)
    logits = np.log(shares)
    return jnp.asarray(logits if task.problem.has_classes else logits[:, 1:] - logits[:, :1], jnp.float32)
