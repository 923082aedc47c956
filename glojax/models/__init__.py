"""Reference networks, adapters for users' models, and convolutions that stay fast for a population.

Modules:
  networks: the reference networks in Flax Linen, and their pooling and normalization.
  tabular: a strong network for tables.
  adapters: a Linen module, an NNX constructor or a pair of functions, as one pair of pure functions.
  auxiliary: what a model gives beside its outputs: an auxiliary value, and losses of its own.
  other_libraries: networks of Equinox and Haiku, each an extra.
  convolutions: ``glojax.convolution``, for Flax's own layers too.
  autotune: times forms of a computation on an accelerator and remembers the fastest.

May import ``distributed``, ``errors`` and ``files``.
"""

from glojax.models.adapters import FromExample, Model, OneOutput, as_model, shapes
from glojax.models.networks import (
    CNN,
    MLP,
    AllCNN,
    CifarCNN,
    Linear,
    PaperCNN,
    ResidualUnit,
    ResNet20,
    local_response_normalization,
    max_pool,
    overlapping_max_pool,
)
from glojax.models.other_libraries import equinox, haiku
from glojax.models.tabular import TabularMLP

__all__ = [
    "CNN",
    "MLP",
    "AllCNN",
    "CifarCNN",
    "FromExample",
    "Linear",
    "Model",
    "OneOutput",
    "PaperCNN",
    "ResNet20",
    "ResidualUnit",
    "TabularMLP",
    "as_model",
    "equinox",
    "haiku",
    "local_response_normalization",
    "max_pool",
    "overlapping_max_pool",
    "shapes",
]
