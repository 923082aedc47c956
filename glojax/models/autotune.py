"""Timing several forms of one computation on a device, and remembering the fastest on disk.

A form is a function of two arrays. All forms of a computation give the same values; which is fastest depends on the
device and the shapes, and is kept in ``convolutions.json`` in the folder ``files.cache_directory()``.
"""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp

from glojax import files
from glojax.distributed import jax_settings, processes

_SCHEMA = 1
_TIMED_CALLS = 5

Form = Callable[[jax.Array, jax.Array], jax.Array]


def fastest(key: str, forms: dict[str, Form], shapes: Sequence[jax.ShapeDtypeStruct]) -> str:
    """Name of the form that takes the least time on this kind of device.

    It is timed once for a key and then remembered on disk. When several processes have joined, all use the choice of
    the first. It may be called while a program is being traced.

    Args:
      key: text that identifies the computation, including its shapes and types.
      forms: forms by name, at least one.
      shapes: shapes and types of the two arguments.

    Returns:
      A key of ``forms``. A form that runs out of memory is never chosen unless all do.
    """
    products = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]  # another thread has its own
    # The caller may be tracing a program; another thread is not.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(processes.first, lambda: _fastest(key, forms, shapes, products)).result()


def _fastest(key: str, forms: dict[str, Form], shapes: Sequence[jax.ShapeDtypeStruct], products: str | None) -> str:
    key = f"{jax.devices()[0].device_kind}, jax {jax.__version__}: {key}" + (f", {products}" if products else "")
    known = _remembered()
    if known.get(key) not in tuple(forms):
        with jax_settings.standard(), jax.default_matmul_precision(products):
            seconds = {name: seconds_of(form, shapes) for name, form in forms.items()}
        known = _remembered() | {key: min(seconds, key=seconds.__getitem__)}
        content = json.dumps({"schema": _SCHEMA, "fastest": known}, indent=1, sort_keys=True) + "\n"
        with contextlib.suppress(OSError):  # where nothing can be written, it is timed again in the next run
            files.write_atomically(_path(), content)
    return known[key]


def seconds_of(form: Form, shapes: Sequence[jax.ShapeDtypeStruct]) -> float:
    """Shortest time of a few calls in seconds; infinite if the device's memory does not suffice."""
    try:
        arguments = [jnp.ones(shape.shape, shape.dtype) for shape in shapes]
        run = jax.jit(form).lower(*arguments).compile()
        times = []
        for _ in range(1 + _TIMED_CALLS):
            started = time.perf_counter()
            jax.block_until_ready(run(*arguments))
            times.append(time.perf_counter() - started)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return float("inf")
    return min(times[1:])


def _path() -> Path:
    return files.cache_directory() / "convolutions.json"


def _remembered() -> dict[str, str]:
    """Fastest forms by key; empty if the file is missing, damaged or of another schema, since it can be made again."""
    try:
        content = json.loads(_path().read_text())
        known = content["fastest"] if content["schema"] == _SCHEMA else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return known if isinstance(known, dict) else {}
