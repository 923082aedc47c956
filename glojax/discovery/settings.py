"""Settings that searches share, and how they are checked."""

from dataclasses import dataclass

from glojax.discovery import screening


@dataclass(frozen=True)
class FitnessConfig:
    """Settings that every search has.

    Attributes:
      seeds: trainings a candidate, whose mean is its fitness.
      fair_rates: train every loss at three learning rates in place of the task's own: that at which its gradient is as
        large as the usual loss's is at the best of ``scoring.RATES``, a third of it, and three times it. Its fitness
        is that at its best.
      halving: one in so many of the new trainings, the best, goes on at each rung (``scoring.measure``).
      screening: stages of ``screening.STAGES`` that a tree must pass to be trained.
      finalists: so many of the fittest distinct trees are trained again, over fresh seeds, and the best of them by
        those trainings is the result: the fittest of thousands is often only the luckiest. 1 takes the fittest.
      final_seeds: trainings of a finalist; the best quarter has three times as many more, and of these the one with
        the best lower confidence bound is the result.
      protected: use the protected operators.
      budget: optimizer steps of all candidates together, after which nothing new is begun; the finals are beside it.
      minutes: of training, after which nothing new is begun; a result that depends on the machine.
      seed: from which all randomness derives.
    """

    seeds: int = 2
    fair_rates: bool = True
    halving: int = 3
    screening: tuple[str, ...] = screening.STAGES
    finalists: int = 24
    final_seeds: int = 8
    protected: bool = False
    budget: int | None = None
    minutes: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_bounds(
            self,
            {
                "seeds": (1, 1000), "finalists": (1, 10_000), "final_seeds": (1, 1000), "halving": (1, 100),
                "seed": (0, 2**63 - 1),
            },
        )  # fmt: skip
        if self.budget is not None:
            check_bounds(self, {"budget": (1, 2**63 - 1)})
        name = type(self).__name__
        minutes = self.minutes
        if minutes is not None and (isinstance(minutes, bool) or not 0 < minutes < float("inf")):
            raise ValueError(f"{name}.minutes is {minutes!r}; a number above 0 is allowed.")
        unknown = [stage for stage in self.screening if stage not in screening.STAGES]
        if unknown:
            raise ValueError(f"{name}.screening holds {unknown[0]!r}; allowed are {', '.join(screening.STAGES)}.")


def check_bounds(config: object, bounds: dict[str, tuple[int, int]]) -> None:
    """Raise ``ValueError`` for a field that is no integer or outside its inclusive bounds."""
    for field, (low, high) in bounds.items():
        value = getattr(config, field)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(
                f"{type(config).__name__}.{field} is {value!r}; an integer from {low} to {high} is allowed."
            )
