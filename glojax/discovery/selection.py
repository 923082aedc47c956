"""Selection: which candidates become parents, drawn by their fitness."""

from collections.abc import Callable

import numpy as np

TOURNAMENT = 3
"""Entrants of a tournament; the fittest is selected."""


def roulette(random: np.random.Generator, fitness: np.ndarray, count: int) -> np.ndarray:
    """Draw places with probability proportional to fitness, with replacement (arXiv 1905.11528, section III-A).

    If all fitness is 0, every place is equally likely.

    Args:
      random: source of the draws.
      fitness: ``[population]``, finite and at least 0.
      count: number of draws.

    Returns:
      Places ``int64[count]``.

    Raises:
      ValueError: no fitness, or one that is negative, infinite or NaN.
    """
    fitness = checked_fitness(fitness)
    if fitness.min() < 0:
        raise ValueError(f"roulette: fitness holds {fitness.min()}; it must be at least 0. Use 'tournament' instead.")
    if fitness.max() == 0:
        return random.integers(len(fitness), size=count)
    # Relative to the best, so that the sum can neither overflow nor vanish.
    shares = fitness / fitness.max()
    return random.choice(len(fitness), size=count, p=shares / shares.sum())


def tournament(random: np.random.Generator, fitness: np.ndarray, count: int) -> np.ndarray:
    """Draw places by tournaments: the fittest of ``TOURNAMENT`` uniformly random entrants, of equals the first drawn.

    Only the order of fitness counts, so the pressure is kept where all candidates are about equally fit.

    Args:
      random: source of the draws.
      fitness: ``[population]``, finite, of any sign.
      count: number of draws.

    Returns:
      Places ``int64[count]``.

    Raises:
      ValueError: no fitness, or one that is infinite or NaN.
    """
    fitness = checked_fitness(fitness)
    entrants = random.integers(len(fitness), size=(count, TOURNAMENT))
    return entrants[np.arange(count), fitness[entrants].argmax(axis=1)]


Selection = Callable[[np.random.Generator, np.ndarray, int], np.ndarray]

SELECTIONS: dict[str, Selection] = {"roulette": roulette, "tournament": tournament}
"""Ways to draw parents by name: ``(random, fitness, count) -> places``."""


def checked_fitness(fitness: np.ndarray) -> np.ndarray:
    """Fitness as ``float64[population]``; raises ``ValueError`` where it is not one finite number for each."""
    fitness = np.asarray(fitness, dtype=float)
    if fitness.ndim != 1 or fitness.size == 0:
        raise ValueError(f"fitness has shape {fitness.shape}; one number for each candidate is expected.")
    if not np.isfinite(fitness).all():
        place = int(np.argmin(np.isfinite(fitness)))
        raise ValueError(f"fitness[{place}] is {fitness[place]}; fitness must be finite.")
    return fitness
