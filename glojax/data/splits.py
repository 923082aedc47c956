"""A data set as arrays: inputs and labels, in three parts."""

from typing import Any, NamedTuple

import numpy as np


class Split(NamedTuple):
    """Inputs and labels of one part of a data set."""

    x: Any  # float32[examples, ...], uint8 for raw pixels, int32 for ids; or a dict, tuple or NamedTuple of such
    labels: np.ndarray  # int32[examples, ...] of classes, or float32[examples, ..., outputs] of targets


class Splits(NamedTuple):
    """A data set in three parts that share no example."""

    train: Split
    validation: Split
    test: Split
