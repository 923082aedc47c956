"""How JAX uses this machine: its CPU cores as devices, and compiled programs kept between processes.

Importing glojax changes no setting of JAX.
"""

import contextlib
import os
from collections import Counter
from typing import Any

import jax

from glojax import files
from glojax.distributed import processes

_MOST_BYTES = 2**30
_settings: Any = jax.config


def all_devices() -> list[Any]:
    """The devices that populations are trained on, as ``jax.Device`` objects.

    Returns:
      All accelerators of this machine or, on CPU, its cores (``use_cores``). If several processes have joined, the
      devices of all.

    Raises:
      ValueError: the processes have unlike numbers of devices.
    """
    with contextlib.suppress(RuntimeError):  # JAX has started already, and its devices are as they are
        use_cores()
    if processes.count() == 1:
        return jax.local_devices()
    found = jax.devices()
    counts = Counter(device.process_index for device in found)
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"processes have {dict(counts)} devices; each needs as many as the others (--devices, on CPU)."
        )
    return found


def use_cores(count: int | None = None) -> None:
    """Make CPU cores devices of their own.

    A population is split over devices, and on CPU several small devices do more than the threads of one. The first
    training calls this. Call it yourself, before any JAX computation, for another count or if JAX starts earlier.

    Args:
      count: number of devices. Defaults to one for every core that this process may use, unless the user has set
        another in ``XLA_FLAGS`` or by JAX's ``jax_num_cpu_devices``.

    Raises:
      ValueError: ``count`` is below 1.
      RuntimeError: JAX has started already.
    """
    if count is None:
        flagged = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
        if flagged or _settings.jax_num_cpu_devices > 0:
            return
        count = cores()
    if count < 1:
        raise ValueError(f"devices is {count}; it must be at least 1.")
    jax.config.update("jax_num_cpu_devices", count)


def cores() -> int:
    """The number of CPU cores that this process may use; all of the machine's where the system cannot tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_programs() -> None:
    """Keep compiled programs in ``files.cache_directory()``, at most 1 GiB, so that the next process starts at once.

    The ``glojax`` command calls this, and so may a script. It changes nothing if the user has set
    ``jax_compilation_cache_dir``.
    """
    if _settings.jax_compilation_cache_dir is not None:
        return
    jax.config.update("jax_compilation_cache_dir", str(files.cache_directory() / "programs"))
    jax.config.update("jax_compilation_cache_max_size", _MOST_BYTES)
    # By default JAX keeps nothing that compiles within a second, which is most programs.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
