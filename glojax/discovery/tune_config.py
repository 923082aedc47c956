"""The settings of a tuning of coefficients."""

import math
from dataclasses import dataclass

from glojax.discovery.settings import SharedSettings, check_bounds

METHODS = ("cma-es", "gradient")
"""Allowed values of ``TuneConfig.method``."""


@dataclass(frozen=True, kw_only=True)
class TuneConfig(SharedSettings):
    """Settings of a tuning.

    Attributes:
      generations: of CMA-ES, or steps of the ascent.
      population: vectors in a generation. Defaults to the usual 4 + floor(3 ln n).
      sigma: initial step size of CMA-ES, in units of the coefficients, or how far the starts of an ascent scatter.
      rate: scale of the task's learning rate for all trainings: the one the tree was found at.
      method: ``"cma-es"``, or ``"gradient"``: ascent along the derivatives of the score by the coefficients, through
        the training itself (``training.sensitivities``), from ``population`` starts at once (``ascent``). What is
        ranked by needs a derivative, as margins have, and the model one in forward mode. Trainings are then in this
        process. A training with n derivatives counts as 1 + n in steps.
      horizon: optimizer steps that the ascent trains for before each of its steps; fewer cost less, and say less of
        the score at the end. Finals are of all steps. Defaults to the task's steps; only for ``"gradient"``.
      ascent_step: length of the first step along each coefficient; only for ``"gradient"``.

    The other settings are those of ``SharedSettings``; a candidate is a vector, and the start is always a finalist.

    Raises:
      ValueError: a setting out of range; the message names the field, its value and what is allowed.
    """

    generations: int = 20
    population: int | None = None
    sigma: float = 1.5
    rate: float = 1.0
    method: str = "cma-es"
    horizon: int | None = None
    ascent_step: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in METHODS:
            raise ValueError(f"{type(self).__name__}.method is {self.method!r}; allowed are {', '.join(METHODS)}.")
        if self.horizon is not None:
            check_bounds(self, horizon=(1, 2**31 - 1))
            if self.method != "gradient":
                raise ValueError(
                    f"{type(self).__name__}.horizon is {self.horizon}, and method is {self.method!r}; a horizon goes "
                    "with 'gradient'."
                )
        check_bounds(self, generations=(1, 1_000_000))
        if self.population is not None:
            check_bounds(self, population=(4, 100_000))
        for field in ("sigma", "rate", "ascent_step"):
            value = getattr(self, field)
            if not (isinstance(value, int | float) and 0 < value < math.inf):
                raise ValueError(f"{type(self).__name__}.{field} is {value!r}; a number above 0 is allowed.")


@dataclass(frozen=True, kw_only=True)
class TaylorConfig(TuneConfig):
    """Settings of a search of Taylor polynomials: those of ``TuneConfig``, with defaults of its own."""

    population: int | None = 28
    sigma: float = 1.2
