"""Rows in three parts: sizes, proportions, and groups that stay together."""

import numpy as np
import pytest

from glojax.data.tables import parts


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_in_proportion_and_every_row_is_in_one_part(seed: int) -> None:
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    made = parts.split(np.arange(1000), labels, by_class=True, seed=seed)
    assert [np.bincount(labels[rows]).tolist() for rows in made] == [[540, 54, 6], [180, 18, 2], [180, 18, 2]]
    assert sorted(np.concatenate(made)) == list(range(1000))


@pytest.mark.parametrize("by_class", [True, False])
def test_rows_of_a_group_are_in_one_part(by_class: bool) -> None:
    random = np.random.default_rng(0)
    groups = random.integers(300, size=1000)
    labels = groups % 3 if by_class else groups * 0.5
    made = parts.split(groups, labels, by_class=by_class, seed=1)
    seen = [set(groups[rows]) for rows in made]
    assert not (seen[0] & seen[1]) | (seen[0] & seen[2]) | (seen[1] & seen[2])
    assert 500 < len(made[0]) < 700


def test_numbers_are_split_by_quantiles() -> None:
    labels = np.random.default_rng(0).lognormal(size=500)
    made = parts.split(np.arange(500), labels, by_class=False, seed=0)
    assert [len(rows) for rows in made] == [300, 100, 100]
    fifth = np.argsort(np.argsort(labels)) // 100
    assert [np.bincount(fifth[rows]).tolist() for rows in made] == [[60] * 5, [20] * 5, [20] * 5]


def test_a_class_of_one_large_and_two_small_groups_is_in_all_parts() -> None:
    groups = np.array([0, 1, *[2] * 50])
    for seed in range(5):
        made = parts.split(groups, np.zeros(52, int), by_class=True, seed=seed)
        assert sorted(map(len, made)) == [1, 1, 50]
        assert len(made[0]) == 50


def test_without_a_test_part_there_are_two() -> None:
    made = parts.split(np.arange(100), np.arange(100) % 2, by_class=True, seed=0, tested=False)
    assert [len(rows) for rows in made] == [80, 20]
