"""Random numbers by name."""

import zlib

import numpy as np
import pytest

from glojax.seeds import named_random, named_seed


def test_a_name_always_gives_the_same_numbers() -> None:
    assert named_seed(3, "search", 1) == named_seed(3, "search", 1)
    assert named_random(3, "search", 1).random(4).tolist() == named_random(3, "search", 1).random(4).tolist()


def test_seeds_differ_by_every_part_of_their_name() -> None:
    seeds = [
        named_seed(seed, name, number) for seed in range(5) for name in ("search", "finals") for number in range(9)
    ]
    assert len(set(seeds)) == len(seeds) == 90
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_a_name_is_hashed_by_crc32_and_numpys_seed_sequence() -> None:
    # Recorded runs depend on these numbers.
    assert named_seed(3, "a", 1) == 2365073788
    assert named_random(3, "b", 2).random() == pytest.approx(0.47877542545247687, rel=1e-15)
    sequence = np.random.SeedSequence([7, zlib.crc32(b"generation"), 3])
    assert named_random(7, "generation", 3).random() == np.random.default_rng(sequence).random()
    assert named_seed(7, "generation", 3) == sequence.generate_state(1)[0]
