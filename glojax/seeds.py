"""Randomness by name: every seed is derived from the run's seed and what it is for, never from the order of calls.

A run that was stopped and resumed, or that finds half of its candidates in the cache, draws the same numbers.
"""

import zlib

import numpy as np


def named_random(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for one purpose, for example ``named_random(seed, "generation", 3)``."""
    return np.random.default_rng(_sequence(seed, names))


def named_seed(seed: int, *names: str | int) -> int:
    """A 32-bit seed for one purpose: initialization, order of the data and dropout of a training."""
    return int(_sequence(seed, names).generate_state(1)[0])


def _sequence(seed: int, names: tuple[str | int, ...]) -> np.random.SeedSequence:
    numbers = [zlib.crc32(name.encode()) if isinstance(name, str) else name for name in names]
    return np.random.SeedSequence([seed, *numbers])
