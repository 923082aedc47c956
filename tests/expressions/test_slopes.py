"""Value and slope of one traced tree, compared with the interpreter and with ``jax.grad``."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from expression_samples import RANDOM_LOSSES

from glojax.expressions import programs
from glojax.expressions.parsing import parse
from glojax.expressions.slopes import value_and_slope
from glojax.expressions.trees import evaluate

Y = jnp.asarray(np.random.default_rng(0).uniform(0.05, 0.95, 24), jnp.float32)
X = jnp.arange(24.0) % 2


@pytest.mark.slow
@pytest.mark.parametrize("protected", [False, True])
def test_it_is_what_the_interpreter_gives(protected: bool) -> None:
    chosen = RANDOM_LOSSES[::4]
    encoded = programs.encode([loss.tree for loss in chosen], [loss.coefficients for loss in chosen])
    values, slopes = jax.vmap(lambda program: programs.value_and_slope(program, X, Y, protected=protected))(encoded)
    for loss, *expected in zip(chosen, values, slopes, strict=True):
        factors = jnp.array(loss.coefficients)
        for found, right in zip(value_and_slope(loss.tree, X, Y, jnp, factors, protected), expected, strict=True):
            np.testing.assert_allclose(np.broadcast_to(found, Y.shape), right, rtol=2e-4, atol=1e-4, err_msg=str(loss))


@pytest.mark.slow
def test_the_slope_can_be_differentiated_by_the_factors() -> None:
    tree, factors = parse("log(y) - x / y"), jnp.array([1.2, 0.8, 1.0, 1.0, 0.5, 1.1])

    def slope(factors: jax.Array) -> jax.Array:
        return value_and_slope(tree, X, Y, jnp, factors)[1]

    def by_grad(factors: jax.Array) -> jax.Array:
        return jax.vmap(jax.grad(lambda y, x: evaluate(tree, x, y, jnp, False, list(factors))))(Y, X)

    np.testing.assert_allclose(jax.jacfwd(slope)(factors), jax.jacfwd(by_grad)(factors), rtol=1e-4, atol=1e-4)


def test_a_tree_without_y_is_flat() -> None:
    value, slope = value_and_slope(parse("x + 1"), X, Y, jnp, jnp.ones(3))
    np.testing.assert_array_equal(value, X + 1)
    np.testing.assert_array_equal(slope, np.zeros_like(Y))
