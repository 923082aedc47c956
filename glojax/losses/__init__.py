"""Losses as functions in optax's shape, and the zoo of known ones.

May import ``expressions`` and below.
"""

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
    "poly",
    "symmetric_cross_entropy",
    "taylor",
    "taylor_mnist",
]
