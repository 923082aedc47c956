"""Data sets as arrays, tables read from files, and augmentation of images.

Modules:
  datasets: the embedded digits and diabetes, MNIST and CIFAR-10, split into training, validation and test parts.
  splits: inputs and labels in three parts.
  fed: inputs that stay on the host, in files or elsewhere, until minibatches need them.
  images: reads MNIST and CIFAR-10 through TensorFlow Datasets (the extra ``tfds``).
  tables: a package that reads a CSV or Parquet file as standardized and one-hot encoded arrays.
  corruption: label noise, outliers, few examples and rare classes.
  augmentation: random crops, flips, brightness and contrast, as pure functions of a key.

May import ``errors`` and ``files``.
"""

from glojax.data.datasets import cifar10, diabetes, digits, mnist
from glojax.data.fed import Fed, from_source, spooled
from glojax.data.splits import Split, Splits

__all__ = ["Fed", "Split", "Splits", "cifar10", "diabetes", "digits", "from_source", "mnist", "spooled"]
