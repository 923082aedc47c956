"""Data sets as arrays, split into training, validation and test parts: the embedded digits and diabetes, MNIST and
CIFAR-10.

The first two ship with scikit-learn, so they need no download. The other two are read through TensorFlow
Datasets (the extra ``tfds``), without TensorFlow.

    train, validation, test = glojax.data.digits()
    train.x.shape  # (1077, 8, 8, 1)
"""

import os

import numpy as np

from glojax.data.splits import Split, Splits


def digits() -> Splits:
    """1,797 handwritten digits of 8x8 pixels, in parts of 1,077 / 360 / 360.

    The split is stratified by class and always the same. Source: the test part of the UCI data set "Optical recognition
    of handwritten digits", as scikit-learn ships it.

    Returns:
      Images ``[examples, 8, 8, 1]``, float32 from 0 to 1, and their labels.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, classes = load_digits(return_X_y=True)
    x = (np.asarray(images) / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    labels = np.asarray(classes).astype(np.int32)
    rest, test = train_test_split(np.arange(len(x)), test_size=360, random_state=0, stratify=labels)
    train, validation = train_test_split(rest, test_size=360, random_state=0, stratify=labels[rest])
    return Splits(*(Split(x[places], labels[places]) for places in (train, validation, test)))


def diabetes() -> Splits:
    """442 patients: 10 measurements, and how far diabetes has come a year later; in parts of 264 / 89 / 89.

    The split is always the same. Source: Efron et al., "Least Angle Regression", Annals of Statistics 32 (2004), as
    scikit-learn ships it.

    Returns:
      Measurements ``[examples, 10]`` and targets ``[examples]``, float32, both with mean 0 and variance 1 in training.
    """
    from sklearn.datasets import load_diabetes
    from sklearn.model_selection import train_test_split

    x, y = (np.asarray(part) for part in load_diabetes(return_X_y=True))
    rest, test = train_test_split(np.arange(len(x)), test_size=89, random_state=0)
    train, validation = train_test_split(rest, test_size=89, random_state=0)
    x, y = ((part - part[train].mean(axis=0)) / part[train].std(axis=0) for part in (x, y))
    x, y = x.astype(np.float32), y.astype(np.float32)
    return Splits(*(Split(x[places], y[places]) for places in (train, validation, test)))


def mnist(data_dir: str | os.PathLike[str] | None = None, *, raw: bool = False) -> Splits:
    """70,000 handwritten digits of 28x28 pixels, in parts of 55,000 / 5,000 / 10,000.

    The validation part is the last 5,000 of the 60,000 training images, in the order of TensorFlow Datasets, which is
    shuffled and always the same.

    Args:
      data_dir: folder of TensorFlow Datasets. Defaults to ``$TFDS_DATA_DIR`` or ``~/tensorflow_datasets``. The first
        call prepares the data set there, from the four original ``.gz`` files in ``downloads/manual`` or from a
        download.
      raw: whether to keep the stored pixels, uint8 from 0 to 255, in a quarter of the memory. Defaults to False.

    Returns:
      Images ``[examples, 28, 28, 1]``, float32 from 0 to 1 unless ``raw``, and their labels.

    Raises:
      ImportError: the extra ``tfds`` is not installed.
      FileNotFoundError: the original files are not in the folder and cannot be downloaded.
      OSError: a download failed.
      ValueError: a file differs from the original, or the data set was prepared in a format that needs TensorFlow.
    """
    return _read_splits("mnist", data_dir, 12, raw)


def cifar10(data_dir: str | os.PathLike[str] | None = None, *, raw: bool = False) -> Splits:
    """60,000 colour images of 32x32 pixels, in parts of 45,000 / 5,000 / 10,000.

    The validation part is the last tenth of the training images, in the order of TensorFlow Datasets.

    Args:
      data_dir: as for ``mnist``; the original file is ``cifar-10-binary.tar.gz``.
      raw: as for ``mnist``.

    Returns:
      Images ``[examples, 32, 32, 3]``, float32 from 0 to 1 unless ``raw``, and their labels.

    Raises:
      ImportError, FileNotFoundError, OSError, ValueError: as for ``mnist``.
    """
    return _read_splits("cifar10", data_dir, 10, raw)


def _read_splits(name: str, data_dir: str | os.PathLike[str] | None, share: int, raw: bool) -> Splits:
    """Images of a data set, with one in ``share`` of its training images set aside for validation."""
    try:
        from glojax.data import images
    except ImportError as error:
        raise ImportError(f"{name} needs the extra tfds ({error}): pip install 'glojax[tfds]'") from error
    train, test = images.read_images(name, data_dir)
    last = len(train.x) - len(train.x) // share
    splits = Splits(Split(train.x[:last], train.labels[:last]), Split(train.x[last:], train.labels[last:]), test)
    return splits if raw else Splits(*(Split(x.astype(np.float32) / 255, labels) for x, labels in splits))
