"""Losses: functions in optax's form, made of a tree and its coefficients, and the known losses.

- ``loss``: ``Loss``, ``apply``, and loss files.
- ``outputs``: from a network's outputs to predictions that keep a loss and its gradient finite.
- ``zoo``, ``zoo_of_numbers``: the known losses, of classes and of a regression, and losses by name.
- ``known``: the known losses that fit an output, each with several values of its coefficient.
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
    class_weighted_cross_entropy,
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
from glojax.losses.zoo_of_numbers import ZOO_OF_NUMBERS, absolute_error, huber, log_cosh, quantile

__all__ = [
    "MAX_FILE_BYTES",
    "SCHEMA",
    "ZOO",
    "ZOO_OF_NUMBERS",
    "Loss",
    "LossFunction",
    "absolute_error",
    "apply",
    "baikal",
    "baikal_cma",
    "brier",
    "class_weighted_cross_entropy",
    "cross_entropy",
    "focal",
    "generalized_cross_entropy",
    "huber",
    "label_smoothed_cross_entropy",
    "load",
    "log_cosh",
    "loss_by_name",
    "mean_absolute_error",
    "next_generation",
    "output_of",
    "poly",
    "quantile",
    "symmetric_cross_entropy",
    "taylor",
    "taylor_mnist",
]


def __getattr__(name: str) -> Callable[..., LossFunction]:
    if name == "named":
        warnings.warn("glojax.losses.named is now loss_by_name.", DeprecationWarning, stacklevel=2)
        return loss_by_name
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
