"""glojax: discover loss functions by genetic programming and CMA-ES (arXiv 1905.11528), in JAX.

    import glojax

    task = glojax.tasks.digits()
    found = glojax.discover(task, run_dir="runs/digits")  # search, tuning, comparison, report
    found.loss(logits, labels)

The packages, each of which may import those before it:

- ``errors``, ``files``, ``seeds``, ``statistics``: the base.
- ``expressions``: loss trees, from text to compiled programs.
- ``losses``: losses as functions in optax's shape, and the known ones.
- ``distributed``: devices and processes.
- ``data``, ``models``: what tasks are made of.
- ``tasks``: a model, data, an optimizer and a length of training, on which losses are judged.
- ``training``, ``executors``: whole populations in one compiled program, here or on Ray's workers.
- ``records``: the record of a run, written and read.
- ``discovery``: searches, tuning and comparison.
- ``reporting``: reports of recorded runs.
- ``workflow``, ``notebooks``, ``benchmark``, ``cli``: all of it together.
"""

from importlib import import_module
from sys import modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glojax import data, losses, models, notebooks, tasks
    from glojax.data import augmentation, tables
    from glojax.discovery.evolution import search
    from glojax.discovery.exhaustive import ExhaustiveConfig, exhaust
    from glojax.discovery.full_training import TrainConfig, train
    from glojax.discovery.scoring import evaluate
    from glojax.discovery.search_config import SearchConfig
    from glojax.discovery.transfer import transfer
    from glojax.discovery.tuning import TaylorConfig, TuneConfig, search_taylor, tune
    from glojax.distributed import processes
    from glojax.distributed.devices import keep_programs, use_cores
    from glojax.expressions.parsing import parse
    from glojax.expressions.trees import Tree
    from glojax.losses.loss import Loss, load
    from glojax.models.convolutions import convolution
    from glojax.reporting.opened_run import open_run
    from glojax.tasks import metrics, optimizers
    from glojax.tasks.problems import Kind
    from glojax.tasks.sharding import Sharding
    from glojax.tasks.task import Task
    from glojax.workflow import Discovery, DiscoveryConfig, discover

__all__ = [
    "Discovery",
    "DiscoveryConfig",
    "ExhaustiveConfig",
    "Kind",
    "Loss",
    "SearchConfig",
    "Sharding",
    "Task",
    "TaylorConfig",
    "TrainConfig",
    "Tree",
    "TuneConfig",
    "augmentation",
    "convolution",
    "data",
    "discover",
    "evaluate",
    "exhaust",
    "keep_programs",
    "load",
    "losses",
    "metrics",
    "models",
    "notebooks",
    "open_run",
    "optimizers",
    "parse",
    "processes",
    "search",
    "search_taylor",
    "tables",
    "tasks",
    "train",
    "transfer",
    "tune",
    "use_cores",
]

# JAX and Flax take a second to import: what is named here is imported when it is first used.
_NAMES_OF_MODULES = {
    "discovery.evolution": ("search",),
    "discovery.exhaustive": ("ExhaustiveConfig", "exhaust"),
    "discovery.full_training": ("TrainConfig", "train"),
    "discovery.scoring": ("evaluate",),
    "discovery.search_config": ("SearchConfig",),
    "discovery.transfer": ("transfer",),
    "discovery.tuning": ("TaylorConfig", "TuneConfig", "search_taylor", "tune"),
    "distributed.devices": ("keep_programs", "use_cores"),
    "expressions.parsing": ("parse",),
    "expressions.trees": ("Tree",),
    "losses.loss": ("Loss", "load"),
    "models.convolutions": ("convolution",),
    "reporting.opened_run": ("open_run",),
    "tasks.problems": ("Kind",),
    "tasks.sharding": ("Sharding",),
    "tasks.task": ("Task",),
    "workflow": ("Discovery", "DiscoveryConfig", "discover"),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF_MODULES.items() for name in names}
_PACKAGE_OF = {
    "augmentation": "data",
    "tables": "data",
    "metrics": "tasks",
    "optimizers": "tasks",
    "processes": "distributed",
}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"glojax.{_MODULE_OF[name]}"), name)
    if name in _PACKAGE_OF:
        return import_module(f"glojax.{_PACKAGE_OF[name]}.{name}")
    if name in __all__:
        return import_module(f"glojax.{name}")
    if name == "__version__":
        return import_module("glojax.version").version()
    raise AttributeError(f"module 'glojax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


if "IPython" in modules:
    import_module("glojax.notebooks").register()
