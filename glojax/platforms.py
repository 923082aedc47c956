"""One computation in several forms, of which a program carries the one of the platform that runs it.

A program may be compiled for a device that this machine does not have, so the platform is known when it is lowered and
not yet when it is traced.
"""

from collections.abc import Callable
from typing import Any

import jax


def choose(*arguments: Any, cpu: Callable[..., Any], gpu: Callable[..., Any], tpu: Callable[..., Any]) -> Any:
    """Compute a function in the form of the platform that runs it.

    All forms are traced; only that of the platform is compiled.

    Args:
      *arguments: arrays, or trees of arrays, that every form takes.
      cpu: the form for a CPU, and for a platform that is not named here.
      gpu: the form for a GPU, of NVIDIA's or AMD's platform.
      tpu: the form for a TPU.

    Returns:
      The form's result; all forms give results of the same shapes and types.
    """
    return jax.lax.platform_dependent(*arguments, cuda=gpu, rocm=gpu, tpu=tpu, default=cpu)


def has_device(platform: str) -> bool:
    """Whether JAX computes here on devices of a platform, ``"cpu"``, ``"gpu"`` or ``"tpu"``, and so can time them."""
    return jax.default_backend() == platform
