"""Reference networks, adapters for users' models, and convolutions that stay fast for a population.

May import ``distributed`` and below.
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
    "as_model",
    "local_response_normalization",
    "max_pool",
    "overlapping_max_pool",
    "shapes",
]
