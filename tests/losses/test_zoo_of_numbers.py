"""The known losses of a regression: against optax and SciPy, over axes and masks, and by name."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special

from glojax import losses
from glojax.losses.zoo_of_numbers import ZOO_OF_NUMBERS

RANDOM = np.random.default_rng(0)
OUTPUTS = RANDOM.normal(scale=3, size=(6, 3)).astype(np.float32)
TARGETS = RANDOM.normal(scale=3, size=(6, 3)).astype(np.float32)
GAPS = OUTPUTS - TARGETS
EXPECTED = {
    "absolute_error": np.abs(GAPS),
    "huber": special.huber(1.0, GAPS),
    "log_cosh": np.log(np.cosh(GAPS.astype(float))),
    "quantile": np.abs(GAPS) / 2,
}


@pytest.mark.parametrize("name", ZOO_OF_NUMBERS)
def test_a_loss_of_numbers_is_its_formula_over_any_axis_and_mask(name):
    loss, expected = ZOO_OF_NUMBERS[name], EXPECTED[name]
    assert getattr(losses, name) is loss
    np.testing.assert_allclose(loss(OUTPUTS, TARGETS), expected.sum(1), rtol=1e-5)
    np.testing.assert_allclose(loss(OUTPUTS, TARGETS, axis=0), expected.sum(0), rtol=1e-5)
    np.testing.assert_allclose(loss(OUTPUTS, TARGETS, axis=()), expected, rtol=1e-5, atol=1e-7)
    where = RANDOM.random(OUTPUTS.shape) < 0.5
    hidden = jnp.where(where, TARGETS, jnp.nan)
    np.testing.assert_allclose(loss(OUTPUTS, hidden, where=where), (expected * where).sum(1), rtol=1e-5, atol=1e-6)


def test_the_coefficients_of_losses_of_numbers():
    np.testing.assert_allclose(
        losses.huber(OUTPUTS, TARGETS, delta=0.5), optax.huber_loss(OUTPUTS, TARGETS, delta=0.5).sum(1), rtol=1e-6
    )
    np.testing.assert_allclose(
        losses.log_cosh(OUTPUTS, TARGETS, scale=2.0), 4 * np.log(np.cosh(GAPS.astype(float) / 2)).sum(1), rtol=1e-5
    )
    # The best constant prediction of a quantile loss is the quantile.
    targets = np.sort(RANDOM.normal(size=1001)).astype(np.float32)[:, None]
    values = [
        float(jnp.mean(losses.quantile(jnp.full_like(targets, c), targets, share=0.8))) for c in targets[700:900, 0]
    ]
    assert np.argmin(values) == 100


@pytest.mark.parametrize("name", ZOO_OF_NUMBERS)
def test_gradients_are_finite_where_the_residual_is_nothing_or_huge(name):
    outputs = jnp.array([[0.0], [1e30], [-1e30]])
    gradient = jax.grad(lambda z: jnp.sum(ZOO_OF_NUMBERS[name](z, jnp.zeros((3, 1)))))(outputs)
    assert np.isfinite(gradient).all()
    assert np.sign(gradient[1:, 0]).tolist() == [1, -1]


def test_losses_of_numbers_are_found_by_name_and_refused_for_classes():
    assert losses.loss_by_name("huber", "identity") is losses.huber
    positive = losses.loss_by_name("absolute_error", jax.nn.softplus)
    np.testing.assert_allclose(
        positive(OUTPUTS, TARGETS), np.abs(np.log1p(np.exp(OUTPUTS)) - TARGETS).sum(1), rtol=1e-5
    )
    assert losses.output_of(positive) == "identity"
    with pytest.raises(ValueError, match="huber is a loss of numbers, whose output is the identity, not of 'softmax'"):
        losses.loss_by_name("huber")
    with pytest.raises(ValueError, match=r"Known losses are cross_entropy.*log_cosh, quantile\."):
        losses.loss_by_name("hubert")
