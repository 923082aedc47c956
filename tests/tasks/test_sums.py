"""Sums against float64 and Python's integers, where float32 and int32 lose what is added."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glojax.tasks import sums

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "values",
    [
        np.full(300_000, 0.1),
        1e6 + RANDOM.normal(size=300_000),
        RANDOM.normal(size=300_000) * np.exp(4 * RANDOM.normal(size=300_000)),
        np.array([1e30, 1.0, -1e30, 3.0]),
        np.array([5.0]),
    ],
    ids=["alike", "far from 0", "heavy tails", "cancelled", "one"],
)
def test_a_sum_has_the_digits_of_float64(values: np.ndarray) -> None:
    given = values.astype(np.float32)
    found = jax.jit(sums.total)(given)
    exact = given.sum(dtype=np.float64)
    largest = np.abs(given).max().astype(float)
    assert abs(float(found.high) + float(found.low) - exact) <= 1e-11 * (abs(exact) + largest)
    assert float(found.high) == np.float32(float(found.high) + float(found.low))


def test_sums_are_of_columns_and_of_what_counts() -> None:
    values = RANDOM.normal(size=(1000, 3)).astype(np.float32)
    where = RANDOM.random(values.shape) < 0.5
    hidden = np.where(where, values, np.nan)
    np.testing.assert_allclose(
        sums.total(jnp.asarray(hidden), jnp.asarray(where)).high, (values * where).sum(axis=0, dtype=float), rtol=1e-6
    )
    mapped = jax.vmap(sums.total)(jnp.asarray(values[None]))
    np.testing.assert_allclose(mapped.high[0], values.sum(axis=0, dtype=float), rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "expected"), [(np.inf, np.inf), (-np.inf, -np.inf), (np.nan, np.nan), (3e38, np.inf)]
)
def test_infinity_stays_infinity_and_nan_nan(value: float, expected: float) -> None:
    found = sums.total(jnp.array([1.0, value, 2.0, value, 3.0], jnp.float32))
    np.testing.assert_equal(float(found.high), expected)


@pytest.mark.parametrize("count", [1, 10, 5000, 3_000_000])
def test_counts_are_added_without_overflow(count: int) -> None:
    most = 2**31 - 1
    counts = RANDOM.integers(0, most, count, endpoint=True).astype(np.int32)
    exact = int(counts.sum(dtype=object)) if count < 10_000 else int(counts.astype(np.int64).sum())
    assert float(jax.jit(lambda counts: sums.total_of_counts(counts, most))(counts)) == pytest.approx(exact, rel=3e-7)


def test_small_sums_of_counts_are_exact() -> None:
    assert float(sums.total_of_counts(jnp.array([3, 0, 4], jnp.int32), 4)) == 7
    np.testing.assert_array_equal(sums.total_of_counts(jnp.array([[3, 1], [4, 1]], jnp.int32), 9), [7, 2])


@pytest.mark.parametrize("scale", [1e-38, 1.0, 1e38])
def test_a_mean_is_that_of_float64_however_large_the_values_are(scale: float) -> None:
    values = (scale * RANDOM.uniform(0.5, 3, size=(100_000, 2))).astype(np.float32)
    where = RANDOM.random(values.shape) < 0.5
    hidden = np.where(where, values, np.nan)
    found = jax.jit(sums.mean)(jnp.asarray(hidden), jnp.asarray(where))
    assert found.shape == ()
    assert float(found) == pytest.approx(values[where].mean(dtype=float), rel=2e-7)
    assert np.isnan(sums.mean(jnp.asarray(values), jnp.zeros(values.shape, bool)))
    assert float(sums.mean(jnp.array([1.0, np.inf]), jnp.ones(2, bool))) == np.inf


def test_a_power_of_two_is_near_a_size() -> None:
    found = sums.power_of_two(jnp.array([1.0, 1.5, 3.0, 1e-30, 0.0, 1e38]))
    np.testing.assert_array_equal(found, [1, 1, 2, 2.0**-100, 1, 2.0**126])


def test_sums_and_means_have_the_derivatives_of_plain_ones() -> None:
    values = jnp.asarray(np.random.default_rng(0).normal(size=(40, 3)), jnp.float32)
    where = values > -1
    mean = jax.grad(lambda values: sums.mean(jnp.sin(values), where))(values)
    plain = jax.grad(lambda values: jnp.sum(jnp.where(where, jnp.sin(values), 0)) / where.sum())(values)
    np.testing.assert_allclose(mean, plain, rtol=1e-5)
    along = jax.jvp(lambda values: sums.total(values**2).high, (values,), (values,))[1]
    np.testing.assert_allclose(along, 2 * (values**2).sum(axis=0), rtol=1e-5)
