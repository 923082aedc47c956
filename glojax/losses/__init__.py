"""Losses: functions in optax's form, made of a tree and its coefficients, and the known losses.

- ``loss``: ``Loss``, ``apply``, and loss files.
- ``outputs``: from a network's outputs to predictions that keep a loss and its gradient finite.
- ``zoo``: the known losses, and losses by name.
- ``spaces``: vectors of coefficients for tuning: of any tree, and of Taylor polynomials.

May import ``expressions`` and the base modules.
"""

import warnings
from collections.abc import Callable

from glojax.losses.loss import MAX_FILE_BYTES, SCHEMA, Loss, LossFunction, apply, load
from glojax.losses.zoo import (
    ZOO,
    baikal,
    baikal_cma,
    brier,
    cross_entropy,
    focal,
    generalized_cross_entropy,
    label_smoothed_cross_entropy,
    loss_by_name,
    mean_absolute_error,
    next_generation,
    output_of,
    poly,
    symmetric_cross_entropy,
    taylor,
    taylor_mnist,
)

__all__ = [
    "MAX_FILE_BYTES",
    "SCHEMA",
    "ZOO",
    "Loss",
    "LossFunction",
    "apply",
    "baikal",
    "baikal_cma",
    "brier",
    "cross_entropy",
    "focal",
    "generalized_cross_entropy",
    "label_smoothed_cross_entropy",
    "load",
    "loss_by_name",
    "mean_absolute_error",
    "next_generation",
    "output_of",
    "poly",
    "symmetric_cross_entropy",
    "taylor",
    "taylor_mnist",
]


def __getattr__(name: str) -> Callable[..., LossFunction]:
    if name == "named":
        warnings.warn("glojax.losses.named is now loss_by_name.", DeprecationWarning, stacklevel=2)
        return loss_by_name
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
