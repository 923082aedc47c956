"""Random numbers by name: each seed derives from the run's seed and its purpose, never from the order of calls.

A run that is stopped and resumed, or that finds half of its candidates in the cache, therefore draws the same numbers.
A name is a sequence of strings and integers, such as ``"generation", 3``; it is hashed by NumPy's ``SeedSequence``.
"""

import zlib

import numpy as np


def named_random(seed: int, *names: str | int) -> np.random.Generator:
    """NumPy generator for one purpose.

    Args:
      seed: the run's seed, at least 0.
      *names: the purpose, strings and integers from 0.

    Example:
        random = named_random(seed, "generation", 3)
    """
    return np.random.default_rng(_sequence(seed, names))


def named_seed(seed: int, *names: str | int) -> int:
    """32-bit seed of one training, for its initialization, order of examples and dropout.

    Args:
      seed: the run's seed, at least 0.
      *names: the purpose, strings and integers from 0.

    Example:
        seeds = [named_seed(seed, "finals", number) for number in range(8)]
    """
    return int(_sequence(seed, names).generate_state(1)[0])


def _sequence(seed: int, names: tuple[str | int, ...]) -> np.random.SeedSequence:
    numbers = [zlib.crc32(name.encode()) if isinstance(name, str) else name for name in names]
    return np.random.SeedSequence([seed, *numbers])
