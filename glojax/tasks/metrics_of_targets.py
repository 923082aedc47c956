"""Metrics of a table's target itself, where a network is trained with a transform of it."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp

from glojax.data.tables import TargetScale
from glojax.tasks.metrics import Metric


@dataclass(frozen=True)
class MetricOfTarget:
    """A metric of numbers that are turned back to the target's own, in units of its deviation.

    So it is what the same metric is of a target without a transform.

    Attributes:
      metric: the metric.
      scale: how labels were made.
      mean, std: of the target in the training part.
    """

    metric: Metric
    scale: TargetScale
    mean: float
    std: float

    def __call__(self, outputs: jax.Array, labels: jax.Array) -> jax.Array:
        return self.metric(self.standardized(outputs), self.standardized(labels))

    def standardized(self, labels: Any, module: ModuleType = jnp) -> Any:
        """Targets as labels would be without the transform, computed by NumPy or ``jax.numpy``."""
        return (self.scale.numbers(labels, module) - self.mean) / self.std

    @property
    def __name__(self) -> str:
        return str(getattr(self.metric, "__name__", "metric"))
