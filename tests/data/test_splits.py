"""Splits: parts that are taken apart as pairs."""

import numpy as np

from glojax.data.datasets import digits
from glojax.data.splits import Split, Splits


def test_a_split_is_a_pair_and_splits_are_three() -> None:
    x, labels = np.zeros((2, 3)), np.zeros(2)
    split = Split(x, labels)
    assert (split.x is x, split.labels is labels, len(split)) == (True, True, 2)
    assert Splits._fields == ("train", "validation", "test")


def test_the_parts_of_the_digits_share_no_example() -> None:
    parts = [{image.tobytes() for image in part.x} for part in digits()]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
