"""Convolutions for a population, against JAX's own in float64."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from glojax import platforms
from glojax.models import autotune, convolutions

LAYOUT = ("NHWC", "HWIO", "NHWC")
NETWORKS = 3
GEOMETRIES = {
    "plain": {"padding": "SAME"},
    "strides": {"window_strides": (2, 3), "padding": "VALID"},
    "strides and padding": {"window_strides": (3, 2), "padding": [(2, 0), (1, 3)]},
    "dilation": {"padding": "SAME", "rhs_dilation": (2, 1)},
    "all": {"window_strides": (2, 1), "padding": "SAME_LOWER", "rhs_dilation": (1, 3)},
    "cropped": {"padding": [(-1, 0), (0, -2)]},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("GLOJAX_CACHE_DIR", str(tmp_path / "cache"))
    yield tmp_path / "cache" / "convolutions.json"
    convolutions._batched.cache_clear()


def values_and_gradients(convolve: Callable[..., jax.Array], in_axes: Any, x: Any, kernel: Any) -> list[np.ndarray]:
    """Of a sum of sines, for one network or, mapped over the axes, for several; inside a loop, as in training."""

    def one(x: jax.Array, kernel: jax.Array) -> Any:
        def total(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
            y = convolve(x, kernel)
            return jnp.sum(jnp.sin(y)), y

        return jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(x, kernel)

    mapped = one if in_axes is None else jax.vmap(one, in_axes)
    found = jax.jit(lambda x, kernel: jax.lax.map(lambda scale: mapped(scale * x, kernel), jnp.array([0.0, 1.0])))
    return [np.asarray(leaf)[1] for leaf in jax.tree.leaves(found(x, kernel))]


def arrays(in_axes: Any, size: tuple[int, int] = (3, 2), batch: int = 2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x_axes, kernel_axes = ((NETWORKS,) if axis == 0 else () for axis in in_axes or (None, None))
    return random.normal(size=(*x_axes, batch, 8, 7, 3)), random.normal(size=(*kernel_axes, *size, 3, 4))


def convolve(function: Callable[..., jax.Array], **geometry: Any) -> Callable[..., jax.Array]:
    options = {"window_strides": (1, 1), "dimension_numbers": LAYOUT} | geometry
    return lambda x, kernel: function(x, kernel, **options)


@pytest.mark.few(2)
@pytest.mark.parametrize("in_axes", [None, (0, 0), (0, None), (None, 0)], ids=["one", "both", "inputs", "kernels"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_values_and_gradients_equal_those_of_jax(geometry: str, in_axes: Any) -> None:
    with jax.enable_x64(True):
        both = [
            values_and_gradients(convolve(function, **GEOMETRIES[geometry]), in_axes, *arrays(in_axes))
            for function in (convolutions.convolution, jax.lax.conv_general_dilated)
        ]
    for found, expected in zip(*both, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def on_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute the forms of a GPU on this CPU, as if it were one."""
    convolutions._batched.cache_clear()
    monkeypatch.setattr(platforms, "has_device", lambda platform: platform == "gpu")
    monkeypatch.setattr(platforms, "choose", lambda *arguments, cpu, gpu, tpu: gpu(*arguments))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["together", "one by one", "products"])
@pytest.mark.parametrize("geometry", ["plain", "all", "cropped"])
def test_every_form_of_an_accelerator_equals_jax(
    form: str, geometry: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    on_accelerator(monkeypatch)
    monkeypatch.setattr(convolutions, "fastest", lambda *_: form)
    for in_axes in [(0, 0), (None, 0)]:
        convolutions._batched.cache_clear()
        with jax.enable_x64(True):
            both = [
                values_and_gradients(convolve(function, **GEOMETRIES[geometry]), in_axes, *arrays(in_axes))
                for function in (convolutions.convolution, jax.lax.conv_general_dilated)
            ]
        for found, expected in zip(*both, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_a_population_of_populations_equals_jax() -> None:
    random = np.random.default_rng(0)
    x, kernel = random.normal(size=(2, 3, 2, 5, 5, 2)), random.normal(size=(2, 3, 3, 3, 2, 4))
    with jax.enable_x64(True):
        found, expected = (
            jax.jit(jax.vmap(jax.vmap(convolve(function, padding="SAME"))))(x, kernel)
            for function in (convolutions.convolution, jax.lax.conv_general_dilated)
        )
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def convolutions_of(function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Parameters of the convolutions in what a function is lowered to, those inside loops too."""

    def walk(jaxpr: Any) -> Iterator[Any]:
        for equation in jaxpr.eqns:
            if equation.primitive.name == "conv_general_dilated":
                yield equation
            parts = equation.params
            if "branches_platforms" in parts and parts["branches_platforms"] is not None:
                (place,) = (i for i, names in enumerate(parts["branches_platforms"]) if names is None or "cpu" in names)
                parts = parts["branches"][place]
            for part in jax.tree.leaves(parts):
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    yield from walk(inner)

    return list(walk(jax.make_jaxpr(function)(*arguments).jaxpr))


@pytest.mark.few(1)
@pytest.mark.parametrize("in_axes", [None, (0, 0), (None, 0)], ids=["one", "both", "kernels"])
@pytest.mark.parametrize(("at_once", "parts"), [(1, {1}), (3, {3, 1}), (4, {4, 3}), (9, {7})], ids=str)
def test_a_kernel_s_gradient_is_summed_over_parts_of_a_batch_that_a_cache_holds(
    at_once: int, parts: set[int], in_axes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_example = 8 * (8 * 7 * 3 + 8 * 7 * 4)
    monkeypatch.setattr(convolutions, "_CACHE_BYTES", at_once * one_example)
    x, kernel = arrays(in_axes, batch=7)
    with jax.enable_x64(True):
        found, expected = (
            values_and_gradients(convolve(function, padding="SAME"), in_axes, x, kernel)
            for function in (convolutions.convolution, jax.lax.conv_general_dilated)
        )
        one = convolve(convolutions.convolution, padding="SAME")
        gradient = jax.grad(lambda kernel: jnp.sum(jnp.sin(one(arrays(None, batch=7)[0], kernel))))
        used = convolutions_of(gradient, arrays(None)[1])
    for each, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(each, other, rtol=1e-10, atol=1e-10)
    # In the gradient examples are the features; it begins with the inputs.
    assert {equation.invars[0].aval.shape[-1] for equation in used if equation.outvars[0].aval.shape[0] == 3} == parts


def test_a_first_layer_is_one_convolution_with_the_kernels_of_all() -> None:
    x, kernel = (jnp.asarray(array, jnp.float32) for array in arrays((None, 0)))
    layer = jax.vmap(convolve(convolutions.convolution, padding="SAME"), (None, 0))
    (equation,) = convolutions_of(layer, x, kernel)
    assert equation.outvars[0].aval.shape[-1] == NETWORKS * 4
    assert equation.params["feature_group_count"] == 1


def test_no_convolution_of_a_population_is_grouped_on_cpu() -> None:
    x, kernel = (jnp.asarray(array, jnp.float32) for array in arrays((0, 0)))

    def gradient(function: Callable[..., jax.Array]) -> Any:
        one = convolve(function, padding="SAME")
        return jax.vmap(jax.grad(lambda x, kernel: jnp.sum(jnp.sin(one(x, kernel))), argnums=(0, 1)))

    def groups(function: Callable[..., jax.Array]) -> set[int]:
        found = convolutions_of(gradient(function), x, kernel)
        return {n for equation in found for n in (equation.params["feature_group_count"],)} | {
            equation.params["batch_group_count"] for equation in found
        }

    assert groups(convolutions.convolution) == {1}
    assert groups(jax.lax.conv_general_dilated) == {1, NETWORKS}  # what it is for


class LinenConvolutions(nn.Module):
    """Two layers of what Flax's Conv offers."""

    convolution: Callable[..., jax.Array] | None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        options = {"conv_general_dilated": self.convolution}
        x = nn.relu(nn.Conv(4, (3, 3), strides=2, **options)(x))
        return nn.Conv(5, (2, 2), kernel_dilation=2, padding="CIRCULAR", **options)(x)


class NnxConvolutions(nnx.Module):
    """The same in NNX."""

    def __init__(self, convolution: Callable[..., jax.Array], rngs: nnx.Rngs):
        options = {"conv_general_dilated": convolution, "rngs": rngs}
        self.first = nnx.Conv(3, 4, (3, 3), strides=2, **options)
        self.second = nnx.Conv(4, 5, (2, 2), kernel_dilation=2, padding="CIRCULAR", **options)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.second(nnx.relu(self.first(x)))


def layers_of_linen(convolution: Callable[..., jax.Array]) -> tuple[Any, Callable[..., jax.Array]]:
    module = LinenConvolutions(convolution)
    return module.init(jax.random.key(0), jnp.ones((1, 8, 8, 3))), module.apply


def layers_of_nnx(convolution: Callable[..., jax.Array]) -> tuple[Any, Callable[..., jax.Array]]:
    graph, params = nnx.split(NnxConvolutions(convolution, nnx.Rngs(0)))
    return params, lambda params, x: nnx.merge(graph, params)(x)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [layers_of_linen, layers_of_nnx], ids=["linen", "nnx"])
def test_flax_layers_take_it(layers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(NETWORKS, 2, 8, 8, 3)).astype(np.float32)
    used: list[Any] = []
    inner = convolutions._convolution
    monkeypatch.setattr(convolutions, "_convolution", lambda *a: used.append(a[0]) or inner(*a))
    results = []
    for function in (convolutions.convolution, jax.lax.conv_general_dilated):
        params, apply = layers(function)
        gradient = jax.vmap(jax.grad(lambda p, x, apply=apply: jnp.mean(apply(p, x) ** 2)), (None, 0))
        results.append(jax.tree.leaves(gradient(params, x)))
    assert used  # the layers reached it, and not JAX's own behind it
    assert len(results[0]) == 4
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"lhs_dilation": (2, 1)},
        {"dimension_numbers": ("NCHW", "OIHW", "NCHW")},
        {"dimension_numbers": None},
        {"precision": jax.lax.Precision.HIGHEST},
        {"preferred_element_type": jnp.float32},
    ],
    ids=str,
)
def test_what_is_not_covered_is_jax_unchanged(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(convolutions, "_convolution")
    random = np.random.default_rng(0)
    x, kernel = (random.normal(size=(4, 4, 4, 4)).astype(np.float32) for _ in range(2))
    found, expected = (
        convolve(function, padding=[(1, 1), (0, 1)], **options)(x, kernel)
        for function in (convolutions.convolution, jax.lax.conv_general_dilated)
    )
    np.testing.assert_array_equal(found, expected)


def test_groups_of_features_and_one_dimension_are_jax_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(convolutions, "_convolution")
    grouped = nn.Conv(4, (3, 3), feature_group_count=2, conv_general_dilated=convolutions.convolution)
    assert grouped.init_with_output(jax.random.key(0), jnp.ones((1, 4, 4, 2)))[0].shape == (1, 4, 4, 4)
    line = nn.Conv(4, (3,), conv_general_dilated=convolutions.convolution)
    assert line.init_with_output(jax.random.key(0), jnp.ones((1, 4, 2)))[0].shape == (1, 4, 4)


@pytest.mark.slow
def test_an_accelerator_times_each_operation_and_takes_what_it_remembers(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_accelerator(monkeypatch)
    in_axes = (0, 0)
    x, kernel = (array.astype(np.float32) for array in arrays(in_axes))
    found, expected = (
        values_and_gradients(convolve(function, padding="SAME"), in_axes, x, kernel)
        for function in (convolutions.convolution, jax.lax.conv_general_dilated)
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    known = json.loads(cache.read_text())["fastest"]
    operations = sorted(key.split(": ")[1].split()[0] for key in known)
    assert operations == ["forward", "forward", "kernel_gradient"]  # the second forward is the gradient by the input
    assert set(known.values()) <= {"together", "one by one", "products"}
    monkeypatch.setattr(autotune, "seconds_of", lambda *_: pytest.fail("timed again"))
    again = values_and_gradients(convolve(convolutions.convolution, padding="SAME"), in_axes, x, kernel)
    for first, second in itertools.zip_longest(found, again):
        np.testing.assert_array_equal(first, second)
