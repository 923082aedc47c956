"""Forms of one computation timed on a device; the fastest is remembered on disk."""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from glojax import files
from glojax.distributed import processes

_SCHEMA = 1
_TIMED_CALLS = 5
Function = Callable[[jax.Array, jax.Array], jax.Array]


def fastest(key: str, forms: dict[str, Function], shapes: Sequence[Any]) -> str:
    """The name of the form that takes least time on this kind of device: timed once, then remembered on disk.

    Of several processes that joined, the first one's is taken by all.

    Args:
      key: what the forms compute.
      forms: by name.
      shapes: of the arguments.
    """
    # The caller is being traced; another thread is not.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(processes.first, lambda: _fastest(key, forms, shapes)).result()


def _fastest(key: str, forms: dict[str, Function], shapes: Sequence[Any]) -> str:
    key = f"{jax.devices()[0].device_kind}, jax {jax.__version__}: {key}"
    known = _remembered()
    if known.get(key) not in tuple(forms):
        seconds = {name: _seconds(form, shapes) for name, form in forms.items()}
        known = _remembered() | {key: min(seconds, key=seconds.__getitem__)}
        content = json.dumps({"schema": _SCHEMA, "fastest": known}, indent=1, sort_keys=True) + "\n"
        with contextlib.suppress(OSError):  # where nothing can be kept, it is timed again
            files.write_atomically(_path(), content)
    return known[key]


def _seconds(form: Function, shapes: Sequence[Any]) -> float:
    """The least time of a few calls; infinite if the form needs more memory than there is."""
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
    """What the file holds; nothing if it is damaged or of another version, for it can be made again."""
    try:
        content = json.loads(_path().read_text())
        known = content["fastest"] if content["schema"] == _SCHEMA else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return known if isinstance(known, dict) else {}
