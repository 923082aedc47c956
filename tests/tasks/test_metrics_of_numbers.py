"""The quantile loss and the mean absolute error against scikit-learn; R², RMSE and more of it are in test_metrics."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as reference

from glojax.tasks import metrics

RANDOM = np.random.default_rng(0)
TARGETS = RANDOM.normal(size=(200, 3)).astype(np.float32)
OUTPUTS = (TARGETS + RANDOM.normal(size=(200, 3))).astype(np.float32)


@pytest.mark.few(1)
@pytest.mark.parametrize("of", [0.01, 0.5, 0.9])
@pytest.mark.parametrize(
    "examples", [10, 1000, *(pytest.param(count, marks=pytest.mark.slow) for count in (1_000_000, 3_000_000))]
)
def test_the_quantile_loss_is_that_of_scikit_learn(of: float, examples: int) -> None:
    random = np.random.default_rng(1)
    labels = random.normal(size=(examples, 1)).astype(np.float32)
    outputs = np.round(labels + random.normal(size=labels.shape), 1).astype(np.float32)
    expected = reference.mean_pinball_loss(labels.astype(float), outputs.astype(float), alpha=of)
    for call in (metrics.quantile_loss(of), jax.jit(metrics.quantile_loss(of))):
        assert float(call(outputs, labels)) == pytest.approx(expected, rel=1e-6)
        assert float(call(outputs[:, 0], labels)) == pytest.approx(expected, rel=1e-6)


def test_outputs_are_averaged_as_in_scikit_learn() -> None:
    assert float(metrics.mae(OUTPUTS, TARGETS)) == pytest.approx(
        reference.mean_absolute_error(TARGETS, OUTPUTS), rel=1e-6
    )
    assert float(metrics.quantile_loss(0.2)(OUTPUTS, TARGETS)) == pytest.approx(
        reference.mean_pinball_loss(TARGETS, OUTPUTS, alpha=0.2), rel=1e-6
    )
    assert float(metrics.quantile_loss(0.5)(OUTPUTS, TARGETS)) == pytest.approx(
        float(metrics.mae(OUTPUTS, TARGETS)) / 2, rel=1e-6
    )


@pytest.mark.parametrize("metric", [metrics.mae, metrics.quantile_loss(0.9)], ids=lambda metric: metric.__name__)
def test_unknown_targets_take_no_part(metric: Any) -> None:
    known = RANDOM.random(TARGETS.shape) < 0.7
    expected = float(metric(OUTPUTS[known], TARGETS[known]))
    for given in (np.where(known, OUTPUTS, np.nan), np.where(known, OUTPUTS, np.inf), jnp.asarray(OUTPUTS)):
        assert float(metric(given, np.where(known, TARGETS, np.nan))) == pytest.approx(expected, rel=1e-6)
    assert np.isnan(metric(OUTPUTS, np.full(TARGETS.shape, np.nan)))
    assert np.isnan(metric(np.where(known, OUTPUTS, np.nan), TARGETS))
    assert float(metric(np.full(TARGETS.shape, np.inf), TARGETS)) == np.inf


@pytest.mark.parametrize("scale", [1e-36, 1e25, 1e38])
def test_errors_neither_overflow_nor_vanish(scale: float) -> None:
    outputs, labels = (np.float32(scale) * np.clip(part, -1, 1) for part in (OUTPUTS, TARGETS))
    found = jax.jit(metrics.quantile_loss(0.9))(jnp.asarray(outputs), jnp.asarray(labels))
    expected = reference.mean_pinball_loss(labels.astype(float), outputs.astype(float), alpha=0.9)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_quantile_loss_is_mapped_over_candidates() -> None:
    several = jnp.stack([jnp.asarray(OUTPUTS), -jnp.asarray(OUTPUTS)])
    found = jax.jit(jax.vmap(metrics.quantile_loss(0.9), in_axes=(0, None)))(several, jnp.asarray(TARGETS))
    expected = [reference.mean_pinball_loss(TARGETS, sign * OUTPUTS, alpha=0.9) for sign in (1, -1)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("of", [0, 1, -0.1, 1.5, np.nan, np.inf, "0.9", None, True])
def test_a_quantile_is_between_0_and_1(of: Any) -> None:
    with pytest.raises(ValueError, match=r"quantile_loss is given .*; a number above 0 and below 1 is expected"):
        metrics.quantile_loss(of)


def test_the_same_quantile_is_the_same_metric() -> None:
    assert metrics.quantile_loss(0.9) == metrics.quantile_loss(np.float64(0.9))  # type: ignore[arg-type]
    assert metrics.quantile_loss(0.9) != metrics.quantile_loss(0.8)
    assert metrics.quantile_loss(0.9).__name__ == "quantile:0.9"


@pytest.mark.parametrize("metric", [metrics.mae, metrics.quantile_loss(0.9)], ids=lambda metric: metric.__name__)
def test_other_shapes_are_refused(metric: Any) -> None:
    with pytest.raises(ValueError, match=f"^{metric.__name__}: .*both .examples, outputs. are expected"):
        metric(np.zeros((5, 2)), np.zeros(5))
