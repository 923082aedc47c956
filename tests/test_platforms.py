"""The form of a computation that a program carries, by the platform it is lowered for."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from glojax import platforms

FORMS = {"cpu": jnp.sin, "gpu": jnp.tanh, "tpu": jnp.exp}
WRITTEN = {"cpu": "stablehlo.sine", "cuda": "stablehlo.tanh", "rocm": "stablehlo.tanh", "tpu": "stablehlo.exponential"}


@pytest.mark.parametrize("platform", WRITTEN)
def test_a_program_made_on_a_cpu_carries_the_form_of_the_platform_it_is_for(platform: str) -> None:
    chosen = jax.jit(lambda x: platforms.choose(x, **FORMS))
    text = jax.export.export(chosen, platforms=[platform])(jax.ShapeDtypeStruct((3,), jnp.float32)).mlir_module()
    assert {operation for operation in WRITTEN.values() if operation in text} == {WRITTEN[platform]}


@pytest.mark.parametrize("compiled", [False, True])
def test_this_machine_computes_its_own_form(compiled: bool) -> None:
    x = np.linspace(0, 1, 5, dtype=np.float32)
    chosen = jax.vmap(lambda x: platforms.choose(x, **FORMS))
    form = FORMS[jax.default_backend()]
    np.testing.assert_array_equal((jax.jit(chosen) if compiled else chosen)(x), jax.jit(form)(x))


def test_devices_of_other_platforms_are_not_here() -> None:
    assert [platforms.has_device(name) for name in FORMS] == [name == jax.default_backend() for name in FORMS]
