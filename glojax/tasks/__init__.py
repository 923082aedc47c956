"""Tasks: the problems that a loss is scored on.

- ``task``: ``Task``, which takes a user's model, data and optimizer.
- ``problems``: kinds of problems, such as classification and regression.
- ``metrics``: metrics of a network's outputs, by name.
- ``metrics_of_choices``: accuracy, balanced accuracy, F1.
- ``metrics_of_ranks``: AUC, average precision.
- ``metrics_of_probabilities``: log loss, Brier score, calibration error.
- ``metrics_of_numbers``: R², RMSE, mean absolute error, quantile loss.
- ``metrics_of_targets``: the same of a table's target, where networks are trained with a transform of it.
- ``metric_inputs``: the outputs and labels that metrics are given.
- ``constant``: the metric of the best prediction that is the same for all examples.
- ``class_weights``: weights that make rare classes count as much as frequent ones.
- ``ranking``: what a search ranks candidates by where the metric is accuracy.
- ``optimizers``: optimizers by name, schedules and weight decay.
- ``inputs``: an array or a tree of arrays, in the types that a task keeps.
- ``labels``, ``dense``, ``heads``: labels as a task keeps them, of many positions, and of several outputs.
- ``targets``, ``scored``: what a loss and a metric are given.
- ``initial``: parameters that training starts from, and those that it leaves as they are.
- ``sharding``: networks that are spread over several devices.
- ``checks``: checks of what a task is given.
- ``metric_checks``: checks of its metric.
- ``fingerprints``: digests of a task's data and model.
- ``identity``: everything that a score depends on, to tell two tasks apart.
- ``probes``: what a task's functions compute, in a few numbers.
- ``ready_made``: digits, also with wrong labels, diabetes, MNIST, CIFAR-10 and tables.
- ``harder``: label noise, few examples, outliers and rare classes in any task.
- ``loading``: tasks by name, and from a user's own file.

May import ``data``, ``models``, ``losses``, ``expressions`` and the base modules.
"""

import warnings
from collections.abc import Callable

from glojax.tasks.constant import constant_metric, constant_name, of_constant, one_class_metrics, target_spread
from glojax.tasks.harder import harder
from glojax.tasks.loading import FROM_FILES, NAMED, check, task_by_name
from glojax.tasks.ranking import RANKINGS, ranked
from glojax.tasks.ready_made import cifar10, diabetes, digits, mnist, noisy_digits, table
from glojax.tasks.task import Task

__all__ = [
    "FROM_FILES",
    "NAMED",
    "RANKINGS",
    "Task",
    "check",
    "cifar10",
    "constant_metric",
    "constant_name",
    "diabetes",
    "digits",
    "harder",
    "mnist",
    "noisy_digits",
    "of_constant",
    "one_class_metrics",
    "ranked",
    "table",
    "target_spread",
    "task_by_name",
]


def __getattr__(name: str) -> Callable[..., Task]:
    if name == "named":
        warnings.warn("glojax.tasks.named is now task_by_name.", DeprecationWarning, stacklevel=2)
        return task_by_name
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
