"""Reference networks, adapters for users' models, and convolutions that stay fast for a population.

Modules:
  networks: the reference networks in Flax Linen, and their pooling and normalization.
  tabular: a strong network for tables.
  adapters: a Linen module, an NNX constructor or a pair of functions, as one pair of pure functions.
  convolutions: ``glojax.convolution``, for Flax's own layers too.
  autotune: times forms of a computation on an accelerator and remembers the fastest.

May import ``distributed``, ``errors`` and ``files``.
"""

from glojax.models.adapters import Model, as_model, shapes
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
from glojax.models.tabular import TabularMLP

__all__ = [
    "CNN",
    "MLP",
    "AllCNN",
    "CifarCNN",
    "Linear",
    "Model",
    "PaperCNN",
    "ResNet20",
    "ResidualUnit",
    "TabularMLP",
    "as_model",
    "local_response_normalization",
    "max_pool",
    "overlapping_max_pool",
    "shapes",
]
