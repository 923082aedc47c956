"""How the numbers of a target become labels that a network is trained with, and back."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from scipy import special

TRANSFORMS = ("log", "quantile")
"""Allowed values of ``target_transform``: the logarithm, or the normal score of the target's rank."""

SKEWED = 1.0
"""Skewness from which a transform is offered."""

_MOST_POINTS = 200  # quantiles that are kept


@dataclass(frozen=True)
class TargetScale:
    """From a target's numbers to labels, of mean 0 and deviation 1 in the training part.

    Attributes:
      transform: one of ``TRANSFORMS``, or "" for none.
      offset: what is added before the logarithm.
      points: numbers and their normal scores, both rising, between which a quantile transform is linear; numbers beyond
        have the score of the first or last.
      mean, std: of the transformed numbers of the training part.
    """

    transform: str = ""
    offset: float = 0.0
    points: tuple[tuple[float, float], ...] = ()
    mean: float = 0.0
    std: float = 1.0

    def labels(self, numbers: np.ndarray) -> np.ndarray:
        """Labels of numbers, float64 of the same shape."""
        return (_forward(self, numbers) - self.mean) / self.std

    def numbers(self, labels: Any, module: ModuleType = np) -> Any:
        """Numbers in the target's own units of labels, or of a network's outputs.

        Args:
          labels: an array.
          module: ``numpy``, or ``jax.numpy`` within a compiled program.
        """
        moved = labels * self.std + self.mean
        if self.transform == "log":
            return module.exp(moved) - self.offset
        if self.transform == "quantile":
            numbers, scores = (np.array(column) for column in zip(*self.points, strict=True))
            return module.interp(moved, scores, numbers)
        return moved


def fit_scale(numbers: np.ndarray, transform: str) -> TargetScale:
    """Learn the scale of a training part's numbers, float64 ``[rows]``, which are not all the same.

    Args:
      numbers: the numbers, at least 0 for the logarithm; where some are 0, half of the smallest other is added to all.
      transform: one of ``TRANSFORMS``, or "" for none.
    """
    made = TargetScale(transform)
    if transform == "log" and numbers.min() <= 0:
        made = TargetScale(transform, offset=float(numbers[numbers > 0].min() / 2))
    elif transform == "quantile":
        made = TargetScale(transform, points=_points(numbers))
    moved = _forward(made, numbers)
    return TargetScale(made.transform, made.offset, made.points, float(moved.mean()), float(moved.std()))


def scale_from(entry: dict[str, Any]) -> TargetScale:
    """The scale that ``dataclasses.asdict`` made JSON of.

    Raises:
      ValueError, TypeError, KeyError: it is damaged.
    """
    points = tuple((float(number), float(score)) for number, score in entry["points"])
    numbers = {field: float(entry[field]) for field in ("offset", "mean", "std")}
    if entry["transform"] not in ("", *TRANSFORMS) or not np.isfinite([*numbers.values(), *np.ravel(points)]).all():
        raise ValueError("target_scale")
    return TargetScale(str(entry["transform"]), points=points, **numbers)


def skewness(numbers: np.ndarray) -> float:
    """The third standardized moment of numbers that are not all the same."""
    return float(np.mean(((numbers - numbers.mean()) / numbers.std()) ** 3))


def _forward(scale: TargetScale, numbers: np.ndarray) -> np.ndarray:
    if scale.transform == "log":
        return np.log(numbers + scale.offset)
    if scale.transform == "quantile":
        known, scores = zip(*scale.points, strict=True)
        return np.interp(numbers, known, scores)
    return numbers


def _points(numbers: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Quantiles with the normal scores of their places; equal ones have the mean of their scores."""
    count = min(_MOST_POINTS, len(numbers))
    places = np.arange(count) / (count - 1)
    scores = special.ndtri((places * (len(numbers) - 1) + 0.5) / len(numbers))
    known, group = np.unique(np.quantile(numbers, places), return_inverse=True)
    means = np.bincount(group, scores) / np.bincount(group)
    return tuple(zip(known.tolist(), means.tolist(), strict=True))
