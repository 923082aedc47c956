"""Randomness by name."""

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
