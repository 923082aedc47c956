"""Data sets as arrays: the embedded digits, split into train, validation and test.

Real handwritten digits ship with scikit-learn, so the default job needs no download.
"""

from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Inputs and integer labels."""

    x: np.ndarray  # float32[examples, ...]
    labels: np.ndarray  # int32[examples]


class Splits(NamedTuple):
    """A data set in three parts that share no example."""

    train: Split
    validation: Split
    test: Split


def digits() -> Splits:
    """1,797 handwritten digits of 8x8 pixels in [0, 1], as ``[examples, 8, 8, 1]``: 1,077 / 360 / 360.

    The split is stratified by class and always the same. Source: the UCI optical recognition of handwritten digits
    data set, test part, as scikit-learn ships it.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, classes = load_digits(return_X_y=True)
    x = (np.asarray(images) / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    labels = np.asarray(classes).astype(np.int32)
    rest, test = train_test_split(np.arange(len(x)), test_size=360, random_state=0, stratify=labels)
    train, validation = train_test_split(rest, test_size=360, random_state=0, stratify=labels[rest])
    return Splits(*(Split(x[places], labels[places]) for places in (train, validation, test)))
