"""The identity of a task: everything that a score depends on, kept with a run so that no other task resumes it.

``identity`` describes a task in JSON-able values, and ``differences`` names what differs between two of them. Data,
shapes, types and numbers are exact. Functions (the model, the optimizer, ``preprocess``, ...) are told apart by what
they compute on fixed inputs, never by a name or an address: two optimizers that act alike are one. What a function
computes is kept as rows of a few floats, its probe, and compared with a tolerance, because another machine computes a
little differently.
"""

import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from glojax.distributed import jax_settings
from glojax.tasks import class_weights, probes
from glojax.tasks.task import Task
from glojax.version import version

MAX_HORIZON = 10_000_000
"""Largest number of steps over which an optimizer is probed."""

_TOLERANCE = 1e-3  # of the largest value in a row
_LOW_PRECISION_TOLERANCE = 0.05  # where a model computes with 16 bits or fewer


class _Trait(NamedTuple):
    words: str  # for a difference in it
    after: tuple[str, ...] = ()  # what must be the same for it to be comparable


_TRAITS = {
    "train": _Trait("other training data"),
    "validation": _Trait("other validation data"),
    "test": _Trait("other test data"),
    "batch_size": _Trait("another batch size"),
    "steps": _Trait("another number of steps"),
    "averaging": _Trait("another averaging of weights"),
    "class_weights": _Trait("other class weights"),
    "sown_weight": _Trait("another weight of its own losses"),
    "initial": _Trait("other initial parameters"),
    "preprocess": _Trait("another preprocess", ("train",)),
    "augment": _Trait("another augment", ("train", "preprocess")),
    "optimizer": _Trait("another optimizer", ("arrays", "horizon")),
    "arrays": _Trait("another model"),
    "low_precision": _Trait("another model", ("arrays",)),
    "initialization": _Trait("another model", ("arrays", "low_precision", "train", "preprocess", "initial")),
    "model": _Trait("another model", ("arrays", "low_precision", "train", "preprocess")),
    "output": _Trait("another output of its kind", ("arrays",)),
    "targets": _Trait("other targets of its kind", ("arrays", "train")),
    "baseline": _Trait("another baseline of its kind", ("arrays", "train", "output", "targets")),
    "metric": _Trait("another metric", ("arrays", "validation")),
    "minimize": _Trait("another value of minimize"),
    "precision": _Trait("another numerical precision"),
    "random_numbers": _Trait("another random number generator of JAX"),
    "horizon": _Trait("another horizon of its optimizer"),
}

_known: weakref.WeakKeyDictionary[Task, dict[str, Any]] = weakref.WeakKeyDictionary()


def identity(task: Task, horizon: int | None = None) -> dict[str, Any]:
    """Describe everything that a score of a task depends on.

    The first call for a task takes about a second: it compiles and runs the task's functions.

    Args:
      task: the task.
      horizon: steps over which the optimizer is probed. Defaults to the steps of the task.

    Returns:
      JSON-able values: strings and numbers for what is exact, lists of rows of at most 16 floats for what a function
      computes (``None`` where it is not finite).

    Raises:
      ValueError: a function of the task raises; the message names the field.
    """
    horizon = task.steps if horizon is None else horizon
    exact = {
        **task.contents,
        **_environment(task),
        "batch_size": int(task.batch_size),
        "steps": int(task.steps),
        "horizon": int(horizon),
        "averaging": float(task.averaging),
        "class_weights": class_weights.as_given(task.class_weight, task.class_weights),
        "minimize": task.is_error,
    }
    known = _known.setdefault(task, {})
    with probes.fixed_precision(task.is_wide):
        if "model" not in known:
            known |= (
                probes.inputs_probe(task)
                | probes.model_probe(task)
                | probes.kind_probe(task)
                | {"metric": probes.metric_probe(task)}
            )
        if known.get("horizon") != horizon:
            known |= {"horizon": horizon, "optimizer": probes.optimizer_probe(task, horizon)}
    return exact | known


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what differs between two identities.

    Args:
      before, now: from ``identity``; ``before`` may come from a file.

    Returns:
      Phrases such as ``"another optimizer"``, each once; empty if the two are the same. What follows from another
      difference is not named: with other training data, outputs of the model are not compared.
    """
    found: dict[str, None] = {}
    different = {key for key in _TRAITS if not _alike(before.get(key), now.get(key), _tolerance(key, now))}
    for key, trait in _TRAITS.items():
        if key in different and different.isdisjoint(trait.after):
            found[trait.words] = None
    return list(found)


def versions() -> dict[str, str]:
    """The versions of glojax and JAX; a difference in them is worth a warning."""
    return {"glojax": version(), "jax": jax.__version__}


def _tolerance(key: str, now: Mapping[str, Any]) -> float:
    low = key in ("model", "initialization") and now.get("low_precision")
    return _LOW_PRECISION_TOLERANCE if low else _TOLERANCE


def _alike(before: Any, now: Any, tolerance: float) -> bool:
    """Whether two values are equal, or two probes close."""
    if not (_is_probe(before) and _is_probe(now)):
        return bool(before == now)
    if [len(row) for row in before] != [len(row) for row in now]:
        return False
    for row, new in zip(before, now, strict=True):
        allowed = tolerance * max(_largest(row), _largest(new))
        for value, other in zip(row, new, strict=True):
            if (value is None) != (other is None) or (value is not None and abs(value - other) > allowed):
                return False
    return True


def _is_probe(value: Any) -> bool:
    def is_number(entry: Any) -> bool:
        return entry is None or (isinstance(entry, int | float) and abs(entry) < 1e300)

    return isinstance(value, list) and all(isinstance(row, list) and all(map(is_number, row)) for row in value)


def _largest(row: list[float | None]) -> float:
    return max((abs(value) for value in row if value is not None), default=0.0)


def _environment(task: Task) -> dict[str, Any]:
    """What JAX is told of precision and random numbers."""
    config: Any = jax.config  # whose attributes are made at run time
    products = jax_settings.PRECISIONS.get(task.precision or "", config.jax_default_matmul_precision)
    return {
        "precision": {"x64": task.is_wide, "matmul": str(products)},
        "random_numbers": f"{config.jax_default_prng_impl}, partitionable: {config.jax_threefry_partitionable}",
    }
