"""glojax: discover loss functions by genetic programming and CMA-ES (arXiv 1905.11528), in JAX.

    import glojax

    task = glojax.tasks.digits()
    found = glojax.search(task, glojax.SearchConfig(generations=20))
    tuned = glojax.tune(task, found.best)
    tuned.loss(logits, labels)

Read the modules in this order: ``grammar``, ``trees``, ``canonical``, ``programs``, ``losses``, ``tasks``,
``populations``, ``genetics``, ``search``, ``tuning``, ``controls``.
"""

from glojax import data, losses, models, tasks
from glojax.evaluation import evaluate
from glojax.losses import Loss, load
from glojax.search import SearchConfig, search
from glojax.tasks import Task
from glojax.trees import Tree, parse
from glojax.tuning import TuneConfig, tune

__all__ = [
    "Loss",
    "SearchConfig",
    "Task",
    "Tree",
    "TuneConfig",
    "data",
    "evaluate",
    "load",
    "losses",
    "models",
    "parse",
    "search",
    "tasks",
    "tune",
]
