"""The embedded digits and their split, and what ``mnist`` and ``cifar10`` make of the images they are given."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import SmallSets
from sklearn.datasets import load_digits

from glojax import data


@pytest.fixture(scope="module")
def splits() -> data.Splits:
    return data.digits()


def test_digits_are_1077_360_and_360_images_from_0_to_1(splits: data.Splits) -> None:
    assert [split.x.shape for split in splits] == [(1077, 8, 8, 1), (360, 8, 8, 1), (360, 8, 8, 1)]
    for split in splits:
        assert (split.x.dtype, split.labels.dtype) == (np.float32, np.int32)
        assert (split.x.min(), split.x.max()) == (0, 1)


def test_the_parts_hold_every_digit_of_scikit_learn_once(splits: data.Splits) -> None:
    images, classes = load_digits(return_X_y=True)
    rows = np.concatenate([np.c_[split.x.reshape(-1, 64) * 16, split.labels] for split in splits])
    assert sorted(map(tuple, rows)) == sorted(map(tuple, np.c_[images, classes]))
    assert len({row.tobytes() for split in splits for row in split.x}) == 1797


def test_every_part_holds_all_classes_in_the_shares_of_the_whole(splits: data.Splits) -> None:
    whole = np.bincount(np.concatenate([split.labels for split in splits]))
    assert len(whole) == 10
    for split in splits:
        expected = whole * len(split.labels) / 1797
        assert np.abs(np.bincount(split.labels, minlength=10) - expected).max() < 1.5


def test_digits_are_the_same_every_time(splits: data.Splits) -> None:
    for first, second in zip(splits, data.digits(), strict=True):
        np.testing.assert_array_equal(first.x, second.x)
        np.testing.assert_array_equal(first.labels, second.labels)


# BY TENSORFLOW DATASETS


@pytest.mark.slow
@pytest.mark.parametrize("load", [data.mnist, data.cifar10])
def test_pixels_are_from_0_to_1_and_the_same_every_time(
    small_sets: SmallSets, load: Callable[..., data.Splits]
) -> None:
    for split, raw in zip(load(small_sets.data_dir), load(small_sets.data_dir, raw=True), strict=True):
        assert (split.x.dtype, split.labels.dtype) == (np.float32, np.int32)
        assert (split.x.min(), split.x.max()) == (0, 1)
        np.testing.assert_array_equal(split.x, raw.x.astype(np.float32) / np.float32(255))
        np.testing.assert_array_equal(split.labels, raw.labels)


@pytest.mark.parametrize("module", ["tensorflow_datasets", "PIL", "array_record"])
def test_without_the_extra_the_error_is_immediate_and_says_how_to_install_it(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name == "glojax.data.images" or name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("glojax.data.images", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"mnist needs the extra tfds \(.*\): pip install 'glojax\[tfds\]'"):
        data.mnist(tmp_path)
