"""Transforms of a target beside scikit-learn's, and their inverses."""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.preprocessing import QuantileTransformer

from glojax.data import tables
from glojax.data.tables import scaling

PRICES = np.random.default_rng(0).lognormal(3, 1.2, 400).round(2)


def test_labels_are_standardized_and_turn_back_into_numbers() -> None:
    for transform in ("", "log", "quantile"):
        scale = scaling.fit_scale(PRICES, transform)
        labels = scale.labels(PRICES)
        assert (labels.mean(), labels.std()) == pytest.approx((0, 1), abs=1e-9)
        np.testing.assert_allclose(scale.numbers(labels), PRICES, rtol=1e-9)
        np.testing.assert_allclose(scale.numbers(jnp.asarray(labels, jnp.float32), jnp), PRICES, rtol=2e-4, atol=2e-3)
        assert scaling.scale_from(dataclasses.asdict(scale)) == scale


def test_the_quantile_transform_is_scikit_learns_but_at_the_ends() -> None:
    reference = QuantileTransformer(n_quantiles=200, output_distribution="normal").fit(PRICES[:, None])
    scale = scaling.fit_scale(PRICES, "quantile")
    middle = np.sort(PRICES)[20:-20]
    scores = scale.labels(middle) * scale.std + scale.mean
    np.testing.assert_allclose(scores, reference.transform(middle[:, None])[:, 0], atol=0.02)
    assert scale.labels(np.array([-5.0, 1e9])) == pytest.approx(scale.labels(np.array([PRICES.min(), PRICES.max()])))


def test_equal_targets_have_one_score() -> None:
    numbers = np.array([0.0] * 50 + list(range(1, 51)))
    scale = scaling.fit_scale(numbers, "quantile")
    assert len({number for number, _ in scale.points}) == len(scale.points)
    np.testing.assert_allclose(scale.numbers(scale.labels(numbers)), numbers, atol=1e-9)


def test_skewness_is_scipys() -> None:
    assert scaling.skewness(PRICES) == pytest.approx(scipy.stats.skew(PRICES))


def write(path: Path, prices: np.ndarray) -> Path:
    pd.DataFrame({"size": np.arange(len(prices)) % 17, "price": prices}).to_csv(path, index=False)
    return path


def test_a_skewed_target_is_offered_a_transform_and_may_have_it(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", PRICES)
    plain = tables.read(path, "price")
    assert "--target-transform log or quantile may suit it" in " ".join(plain.about.split())
    table = tables.read(path, "price", target_transform="log")
    assert "trained as its logarithm; metrics are of the target itself" in " ".join(table.about.split())
    numbers = np.concatenate([table.transform.numbers(split.labels) for split in table.splits])
    np.testing.assert_allclose(np.sort(numbers), np.sort(PRICES), rtol=1e-5)
    assert (table.target_mean, table.target_std) == (plain.target_mean, plain.target_std)
    table.transform.save(tmp_path / "table.json")
    assert tables.load_transform(tmp_path / "table.json") == table.transform
    even = tables.read(write(tmp_path / "even.csv", np.arange(100.0)), "price")
    assert "may suit" not in even.about


def test_the_logarithm_of_0_takes_half_of_the_smallest_number_and_less_is_refused(tmp_path: Path) -> None:
    with_zeros = tables.read(write(tmp_path / "zeros.csv", np.repeat([0.0, 1, 2, 4, 100, 7], 20)), "price",
                             kind="regression", target_transform="log")  # fmt: skip
    assert with_zeros.transform.target_scale.offset == 0.5
    below = write(tmp_path / "below.csv", np.append(PRICES, -1.5))
    with pytest.raises(ValueError, match=r"is -1\.5 in line 402; the logarithm needs numbers of at least 0"):
        tables.read(below, "price", target_transform="log")
    tables.read(below, "price", target_transform="quantile")
    with pytest.raises(ValueError, match="target_transform is 'sqrt'; allowed are log, quantile"):
        tables.read(below, "price", target_transform="sqrt")
    with pytest.raises(ValueError, match="is classes; target_transform is for a regression"):
        tables.read(write(tmp_path / "c.csv", np.repeat([1.0, 2, 3], 20)), "price", target_transform="log")
