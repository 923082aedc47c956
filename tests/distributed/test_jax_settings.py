"""JAX's settings while glojax's own programs run: set inside, left as they were, and 64 bits only where asked for."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glojax.distributed.jax_settings import asks_for_64_bits, precision, standard

config: Any = jax.config  # whose attributes are made at run time
NAMES = ("jax_debug_nans", "jax_debug_infs", "jax_numpy_rank_promotion", "jax_numpy_dtype_promotion")


def settings() -> list[Any]:
    return [getattr(config, name) for name in NAMES] + [config.jax_enable_x64]


def test_inside_nothing_stops_and_afterwards_all_is_as_it_was() -> None:
    with jax.debug_nans(True), jax.debug_infs(True), jax.numpy_rank_promotion("raise"):
        before = settings()
        with standard():
            assert settings() == [False, False, "allow", "standard", False]
            assert np.isnan(jax.jit(jnp.log)(jnp.ones((2, 3)) - 2 * jnp.ones(3))).all()
        assert settings() == before
        with pytest.raises(FloatingPointError):
            jax.jit(jnp.log)(-jnp.ones(2))
        with pytest.raises(ZeroDivisionError), standard():
            raise ZeroDivisionError
        assert settings() == before


@pytest.mark.parametrize("wide", [False, True])
def test_64_bits_stay_only_where_they_are_asked_for(wide: bool) -> None:
    with jax.enable_x64(True):
        for context in (standard(wide=wide), precision(wide)):
            with context:
                assert jnp.asarray(np.ones(2)).dtype == (np.float64 if wide else np.float32)
        assert jnp.asarray(np.ones(2)).dtype == np.float64


@pytest.mark.parametrize(
    ("function", "asks"),
    [
        (lambda x: x.astype(jnp.float64), True),
        (lambda x: jnp.zeros(3, jnp.float64).sum() + x.sum(), True),
        (lambda x: 2.0 * x + jnp.ones(3), False),
        (lambda x: jnp.argmax(x), False),
    ],
)
def test_a_function_asks_for_64_bits_by_naming_them(function: Any, asks: bool) -> None:
    def trace() -> Any:
        return jax.eval_shape(function, jax.ShapeDtypeStruct((3,), jnp.float32))

    with jax.enable_x64(True):
        assert asks_for_64_bits(trace) is asks
    assert asks_for_64_bits(trace) is False
