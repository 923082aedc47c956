"""Data sets as arrays, split into train, validation and test: the embedded digits, MNIST and CIFAR-10.

Real handwritten digits ship with scikit-learn, so the default job needs no download. The other two come through
TensorFlow Datasets, the extra ``tfds``, and without TensorFlow.
"""

import os
from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Inputs and integer labels."""

    x: np.ndarray  # float32[examples, ...], or uint8 of raw pixels
    labels: np.ndarray  # int32[examples]; float32[examples] of targets


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


def mnist(data_dir: str | os.PathLike[str] | None = None, *, raw: bool = False) -> Splits:
    """70,000 handwritten digits of 28x28 pixels in [0, 1], as ``[examples, 28, 28, 1]``: 55,000 / 5,000 / 10,000.

    The validation images are the last 5,000 of the 60,000 training images in the order of TensorFlow Datasets, which
    is shuffled and always the same.

    Args:
      data_dir: where TensorFlow Datasets keeps its data; ``$TFDS_DATA_DIR`` or ``~/tensorflow_datasets`` if left out.
        The first call prepares the set there, from the four original ``.gz`` files in ``downloads/manual`` or from a
        download.
      raw: leave the pixels as they are stored, 0 to 255 as uint8: a quarter of the memory.

    Raises:
      ImportError: the extra ``tfds`` is not installed.
      FileNotFoundError: the files are neither there nor to be had.
      OSError: a download failed.
      ValueError: a file is not the original one, or the set is there in a format that needs TensorFlow.
    """
    return _images("mnist", data_dir, 12, raw)


def cifar10(data_dir: str | os.PathLike[str] | None = None, *, raw: bool = False) -> Splits:
    """60,000 colour images of 32x32 pixels in [0, 1], as ``[examples, 32, 32, 3]``: 45,000 / 5,000 / 10,000.

    The validation images are the last tenth of the training images in the order of TensorFlow Datasets. Arguments
    and errors are those of ``mnist``; the original file is ``cifar-10-binary.tar.gz``.
    """
    return _images("cifar10", data_dir, 10, raw)


def _images(name: str, data_dir: str | os.PathLike[str] | None, share: int, raw: bool) -> Splits:
    """The images of a set; one in ``share`` of its training images is for validation."""
    try:
        from glojax.data import images
    except ImportError as error:
        raise ImportError(f"{name} needs the extra tfds ({error}): pip install 'glojax[tfds]'") from error
    (x, labels), test = images.load(name, data_dir)
    last = len(x) - len(x) // share
    splits = Splits(Split(x[:last], labels[:last]), Split(x[last:], labels[last:]), Split(*test))
    return splits if raw else Splits(*(Split(x.astype(np.float32) / 255, labels) for x, labels in splits))
