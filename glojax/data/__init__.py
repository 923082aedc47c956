"""Data sets, images, tables and augmentation.

May import ``errors`` and ``files``.
"""

from glojax.data.datasets import Split, Splits, cifar10, digits, mnist

__all__ = ["Split", "Splits", "cifar10", "digits", "mnist"]
