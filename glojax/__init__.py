"""glojax: discover loss functions by genetic programming and CMA-ES (arXiv 1905.11528), in JAX.

    import glojax

    task = glojax.tasks.digits()
    found = glojax.search(task, glojax.SearchConfig(generations=20))
    tuned = glojax.tune(task, found.best)
    tuned.loss(logits, labels)

Read the modules in this order: ``grammar``, ``trees``, ``canonical``, ``programs``, ``losses``, ``kinds``, ``tasks``,
``populations``, ``evaluators``, ``evaluation``, ``screening``, ``fitness``, ``genetics``, ``evolution``,
``exhaustive``, ``tuning``, ``controls``, ``overview``, ``report``, ``page``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glojax import augmentation, data, losses, metrics, models, processes, tables, tasks
    from glojax.convolutions import convolution
    from glojax.curves import TrainConfig, train
    from glojax.devices import keep_programs, use_cores
    from glojax.evaluation import evaluate
    from glojax.evolution import SearchConfig, search
    from glojax.exhaustive import ExhaustiveConfig, exhaust
    from glojax.kinds import Kind
    from glojax.losses import Loss, load
    from glojax.tasks import Task
    from glojax.trees import Tree, parse
    from glojax.tuning import TuneConfig, search_taylor, tune

__all__ = [
    "ExhaustiveConfig",
    "Kind",
    "Loss",
    "SearchConfig",
    "Task",
    "TrainConfig",
    "Tree",
    "TuneConfig",
    "augmentation",
    "convolution",
    "data",
    "evaluate",
    "exhaust",
    "keep_programs",
    "load",
    "losses",
    "metrics",
    "models",
    "parse",
    "processes",
    "search",
    "search_taylor",
    "tables",
    "tasks",
    "train",
    "tune",
    "use_cores",
]

# JAX and Flax take a second to import: what is named here is imported when it is first used.
_NAMES_OF_MODULES = {
    "convolutions": ("convolution",),
    "curves": ("TrainConfig", "train"),
    "devices": ("keep_programs", "use_cores"),
    "evaluation": ("evaluate",),
    "evolution": ("SearchConfig", "search"),
    "exhaustive": ("ExhaustiveConfig", "exhaust"),
    "kinds": ("Kind",),
    "losses": ("Loss", "load"),
    "tasks": ("Task",),
    "trees": ("Tree", "parse"),
    "tuning": ("TuneConfig", "search_taylor", "tune"),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF_MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"glojax.{_MODULE_OF[name]}"), name)
    if name in __all__:
        return import_module(f"glojax.{name}")
    raise AttributeError(f"module 'glojax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
