"""Data made harder: exactly as much as was asked for, by the seed, and nothing else."""

import numpy as np
import pytest

from glojax.data import corruption

LABELS = np.random.default_rng(0).integers(0, 5, 1000).astype(np.int32)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 1.0])
def test_a_share_of_the_known_labels_becomes_wrong(share: float) -> None:
    labels = np.where(np.arange(1000) < 100, -1, LABELS)
    noisy = corruption.label_noise(labels, share, 5)
    assert (noisy != labels).sum() == round(900 * share)
    np.testing.assert_array_equal(noisy[:100], -1)
    assert noisy.dtype == labels.dtype
    assert noisy.max() < 5


def test_symmetric_noise_takes_every_other_class_alike_and_pairs_the_next() -> None:
    labels = np.full(40_000, 3)
    counts = np.bincount(corruption.label_noise(labels, 0.4, 5), minlength=5)
    np.testing.assert_allclose(counts, [4000, 4000, 4000, 24_000, 4000], rtol=0.06)
    labels = np.array([0, 1, 4] * 10)
    np.testing.assert_array_equal(corruption.label_noise(labels, 1.0, 5, noise="pairs"), [1, 2, 0] * 10)


def test_what_is_drawn_follows_from_the_seed() -> None:
    def made(seed: int) -> list[np.ndarray]:
        return [
            corruption.label_noise(LABELS, 0.3, 5, seed=seed), corruption.few(LABELS, 300, seed=seed),
            corruption.imbalanced(LABELS, 10, seed=seed),
            corruption.outliers(np.arange(100.0)[:, None], 0.2, seed=seed),
        ]  # fmt: skip

    for one, same, other in zip(made(1), made(1), made(2), strict=True):
        np.testing.assert_array_equal(one, same)
        assert one.shape != other.shape or (one != other).any()


def test_flipped_labels_are_the_other_of_two_and_nan_stays() -> None:
    labels = np.array([[0, 1], [1, np.nan], [0, 0]], np.float32).repeat(20, axis=0)
    noisy = corruption.flipped(labels, 0.25)
    known = ~np.isnan(labels)
    np.testing.assert_array_equal(np.isnan(noisy), ~known)
    assert (np.abs(noisy - labels)[known] == 1).sum() == 25
    assert set(noisy[known].tolist()) == {0, 1}


def test_outliers_lie_8_deviations_off_on_both_sides() -> None:
    targets = np.random.default_rng(0).normal(5, 2, (1000, 2)).astype(np.float32)
    moved = corruption.outliers(targets, 0.2)
    away = (moved - targets) / targets.std(axis=0)
    rows = np.flatnonzero(np.abs(away[:, 0]) > 1)
    assert len(rows) == 200
    np.testing.assert_allclose(np.abs(away[rows]), 8, rtol=1e-5)
    assert 60 < (away[rows, 0] > 0).sum() < 140
    np.testing.assert_array_equal(np.delete(moved, rows, axis=0), np.delete(targets, rows, axis=0))


@pytest.mark.parametrize("count", [5, 100, 999, 1000])
def test_few_examples_keep_the_proportions_of_classes(count: int) -> None:
    places = corruption.few(LABELS, count)
    assert len(np.unique(places)) == count
    shares = np.bincount(LABELS, minlength=5) * count / 1000
    assert np.abs(np.bincount(LABELS[places], minlength=5) - shares).max() <= 1


def test_few_examples_of_numbers_are_any() -> None:
    assert len(np.unique(corruption.few(np.zeros((50, 1)), 20))) == 20


def test_classes_become_rare_geometrically() -> None:
    labels = np.repeat(np.arange(5), [400, 300, 500, 300, 1000])
    counts = np.bincount(labels[corruption.imbalanced(labels, 16)])
    np.testing.assert_array_equal(counts, [300, 150, 75, 38, 19])
    assert (labels[corruption.imbalanced(np.where(labels == 1, -1, labels), 16)] != 1).all()
