"""Convolutions that stay fast for a population of networks, inside Flax's own layers too.

    nn.Conv(32, (3, 3), conv_general_dilated=glojax.convolution)  # in Linen and in NNX

A population trains inside a compiled loop, each network with its own kernels. There XLA on CPU uses a slow, naive
algorithm for a convolution that ``vmap`` has batched over kernels, and for the gradients of any convolution (jax issue
12868). Here the gradients are ordinary convolutions of operands that were transposed beforehand. Candidates run one
after another or, where they all share the input, as in a first layer, as one convolution with all their kernels.
The program of an accelerator has another form, also where a CPU compiles it. Accelerators differ from each other, so
where there is one several forms are timed once for each shape, and the fastest is remembered on disk (``autotune``);
a program for a device that is not there has one convolution for all, which takes the least memory.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from glojax import platforms
from glojax.models.autotune import Form, fastest

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_CACHE_BYTES = 320 * 2**10  # room for operands in a core's own cache, beside a convolution's working memory

Pair = tuple[int, int]  # of height and width


def convolution(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[Pair],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: jax.lax.ConvGeneralDilatedDimensionNumbers = None,
    feature_group_count: int = 1,
    **options: Any,
) -> jax.Array:
    """Drop-in replacement for ``jax.lax.conv_general_dilated`` that is fast for a population.

    It gives the same values and is meant for the argument ``conv_general_dilated`` of Flax's ``Conv``. Layers with two
    spatial dimensions are accelerated, with any strides, padding and kernel dilation. Everything else, such as other
    layouts, feature groups or an explicit precision, is passed on to JAX unchanged. There is no forward-mode
    derivative (``jax.jvp``).

    Args:
      lhs: inputs ``[batch, height, width, inputs]``.
      rhs: kernel ``[height, width, inputs, outputs]``.
      window_strides: steps of the window along height and width.
      padding: ``"SAME"``, ``"SAME_LOWER"``, ``"VALID"``, or a pair (before, after) for each dimension.
      lhs_dilation: dilation of the inputs; JAX computes any other than 1.
      rhs_dilation: dilation of the kernel. Defaults to 1.
      dimension_numbers: layout; ``("NHWC", "HWIO", "NHWC")``, which Flax passes, is accelerated.
      feature_group_count: number of feature groups; JAX computes any other than 1.
      **options: other arguments of ``conv_general_dilated``; JAX computes those that are not None.

    Returns:
      Outputs ``[batch, height, width, outputs]``.
    """
    dimensions = jax.lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    covered = lhs.ndim == 4 and dimensions == jax.lax.conv_dimension_numbers(lhs.shape, rhs.shape, _LAYOUT)
    dilated = any(step != 1 for step in lhs_dilation or ())
    if not covered or dilated or feature_group_count != 1 or any(value is not None for value in options.values()):
        return jax.lax.conv_general_dilated(
            lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, dimensions, feature_group_count, **options
        )
    dilation = _pair(rhs_dilation or (1, 1))
    if isinstance(padding, str):
        window = [_reach(size, step) for size, step in zip(rhs.shape[:2], dilation, strict=True)]
        padding = jax.lax.padtype_to_pads(lhs.shape[1:3], window, window_strides, padding)
    top, left = padding
    return _convolution(_Geometry(_pair(window_strides), (_pair(top), _pair(left)), (1, 1), dilation), lhs, rhs)


class _Geometry(NamedTuple):
    """Settings of a convolution along height and width."""

    strides: Pair
    padding: tuple[Pair, Pair]  # before and after, of each
    lhs_dilation: Pair
    rhs_dilation: Pair


def _pair(values: Sequence[int]) -> Pair:
    first, second = values
    return int(first), int(second)


def _reach(size: int, step: int) -> int:
    """Length spanned by ``size`` points at a distance of ``step``."""
    return (size - 1) * step + 1


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolution(geometry: _Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    chex.assert_rank([x, kernel], 4)
    return _batched("forward", geometry)(x, kernel)


def _with_residuals(
    geometry: _Geometry, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _convolution(geometry, x, kernel), (x, kernel)


def _gradients(
    geometry: _Geometry, residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    chex.assert_shape(dy, (len(x), None, None, kernel.shape[-1]))
    padding = []
    for axis in range(2):
        reach = _reach(kernel.shape[axis], geometry.rhs_dilation[axis])
        low = reach - 1 - geometry.padding[axis][0]
        high = x.shape[1 + axis] + reach - 1 - _reach(dy.shape[1 + axis], geometry.strides[axis]) - low
        padding.append((low, high))
    backward = _Geometry((1, 1), (padding[0], padding[1]), geometry.strides, geometry.rhs_dilation)
    flipped = jax.lax.optimization_barrier(kernel[::-1, ::-1].transpose(0, 1, 3, 2))
    window = _pair(kernel.shape[:2])
    dx, dkernel = _batched("forward", backward)(dy, flipped), _batched("kernel_gradient", geometry, window)(x, dy)
    chex.assert_trees_all_equal_shapes((dx, dkernel), (x, kernel))
    return dx, dkernel


_convolution.defvjp(_with_residuals, _gradients)


def _forward(geometry: _Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x, kernel, geometry.strides, geometry.padding, geometry.lhs_dilation, geometry.rhs_dilation, _LAYOUT
    )


def _forward_as_product(geometry: _Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _patches(geometry, _pair(kernel.shape[:2]), x) @ kernel.reshape(-1, kernel.shape[-1])


def _kernel_gradient(geometry: _Geometry, window: Pair, x: jax.Array, dy: jax.Array) -> jax.Array:
    # cuDNN and the TPU have an operation for this form.
    kernel = jax.ShapeDtypeStruct((*window, x.shape[-1], dy.shape[-1]), x.dtype)
    return jax.linear_transpose(partial(_forward, geometry, x), kernel)(dy)[0]


def _kernel_gradient_in_parts(geometry: _Geometry, window: Pair, x: jax.Array, dy: jax.Array) -> jax.Array:
    # Every example is read once for each point of the kernel, which is fastest for as many examples as the cache holds.
    size = min(len(x), max(1, _CACHE_BYTES * len(x) // (x.nbytes + dy.nbytes)))

    def of_part(first: jax.Array | int, size: int) -> jax.Array:
        part = [jax.lax.dynamic_slice_in_dim(each, first, size) for each in (x, dy)]
        return _kernel_gradient_by_convolution(geometry, window, *part)

    parts, rest = divmod(len(x), size)
    gradient = jax.lax.fori_loop(1, parts, lambda i, total: total + of_part(i * size, size), of_part(0, size))
    return gradient + of_part(parts * size, rest) if rest else gradient


def _kernel_gradient_by_convolution(geometry: _Geometry, window: Pair, x: jax.Array, dy: jax.Array) -> jax.Array:
    """Gradient of the kernel as a convolution in which the examples are the features."""
    padding = []
    for axis in range(2):
        low = geometry.padding[axis][0]
        covered = _reach(window[axis], geometry.rhs_dilation[axis]) - 1
        covered += _reach(dy.shape[1 + axis], geometry.strides[axis])
        padding.append((low, covered - x.shape[1 + axis] - low))
    # Without the barrier XLA moves the transpositions into the convolution, which then takes the naive algorithm.
    x, dy = jax.lax.optimization_barrier((x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3)))
    swapped = _Geometry(geometry.rhs_dilation, (padding[0], padding[1]), (1, 1), geometry.strides)
    return _forward(swapped, x, dy).transpose(1, 2, 0, 3)


def _kernel_gradient_as_product(geometry: _Geometry, window: Pair, x: jax.Array, dy: jax.Array) -> jax.Array:
    patches = _patches(geometry, window, x)
    product = patches.reshape(-1, patches.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
    return product.reshape(*window, x.shape[-1], dy.shape[-1])


def _patches(geometry: _Geometry, window: Pair, x: jax.Array) -> jax.Array:
    """Inputs in each output's window, ``[batch, height, width, window height * window width * inputs]``."""
    edges = [(*pads, step - 1) for pads, step in zip(geometry.padding, geometry.lhs_dilation, strict=True)]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
    counts = [
        (x.shape[1 + axis] - _reach(window[axis], geometry.rhs_dilation[axis])) // geometry.strides[axis] + 1
        for axis in range(2)
    ]

    def seen(axis: int, place: int) -> slice:
        first = place * geometry.rhs_dilation[axis]
        return slice(first, first + _reach(counts[axis], geometry.strides[axis]), geometry.strides[axis])

    slices = [x[:, seen(0, row), seen(1, column)] for row in range(window[0]) for column in range(window[1])]
    return jnp.concatenate(slices, axis=-1)


class _Operation(NamedTuple):
    """A part of a convolution as each platform computes it, of one network."""

    cpu: Callable[..., jax.Array]
    accelerator: Callable[..., jax.Array]
    as_product: Callable[..., jax.Array]


_OPERATIONS = {
    "forward": _Operation(_forward, _forward, _forward_as_product),
    "kernel_gradient": _Operation(_kernel_gradient_in_parts, _kernel_gradient, _kernel_gradient_as_product),
}


def accelerator_forms(operation: str, window: Pair, padding: tuple[Pair, Pair], *, shared: bool) -> dict[str, Form]:
    """The forms that an accelerator chooses from, of a convolution with strides of 1, of a population.

    Args:
      operation: ``"forward"``, a function of inputs and kernels, or ``"kernel_gradient"``, one of inputs and gradients
        of the outputs.
      window: height and width of the kernel.
      padding: before and after, of height and width.
      shared: whether all networks have the same inputs, ``[batch, height, width, inputs]``, as in a first layer.
        Otherwise they are ``[networks, batch, ...]``, as the other argument always is.

    Returns:
      The forms by name.
    """
    geometry, chosen = _Geometry((1, 1), padding, (1, 1), (1, 1)), _OPERATIONS[operation]
    static = (geometry,) if operation == "forward" else (geometry, window)
    in_axes = (None if shared else 0, 0)
    return _forms(_batched(operation, *static), chosen.accelerator, chosen.as_product, static, in_axes)


@lru_cache(maxsize=1024)
def _batched(name: str, *static: Hashable) -> Form:
    """The operation of this name as a function of two arrays, whose ``vmap`` takes the form of the platform."""
    operation = _OPERATIONS[name]

    @custom_vmap
    def function(a: jax.Array, b: jax.Array) -> jax.Array:
        if operation.cpu is operation.accelerator:
            return operation.cpu(*static, a, b)
        accelerator = partial(operation.accelerator, *static)
        return platforms.choose(a, b, cpu=partial(operation.cpu, *static), gpu=accelerator, tpu=accelerator)

    @function.def_vmap
    def rule(size: int, batched: Sequence[bool], a: jax.Array, b: jax.Array) -> tuple[jax.Array, bool]:
        chex.assert_tree_shape_prefix([each for each, mapped in zip((a, b), batched, strict=True) if mapped], (size,))
        in_axes = tuple(0 if each else None for each in batched)
        one = _batched(name, *static)
        on_cpu = _forms(one, operation.cpu, operation.as_product, static, in_axes)
        forms = _forms(one, operation.accelerator, operation.as_product, static, in_axes)

        def fastest_on(platform: str, a: jax.Array, b: jax.Array) -> jax.Array:
            if not platforms.has_device(platform):
                return forms["together"](a, b)
            key = " ".join([name, repr(static), *(f"{v.dtype}{v.shape}" for v in (a, b))])
            shapes = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in (a, b)]
            return forms[fastest(key, forms, shapes)](a, b)

        gpu, tpu = (partial(fastest_on, platform) for platform in ("gpu", "tpu"))
        return platforms.choose(a, b, cpu=on_cpu["one by one" if all(batched) else "together"], gpu=gpu, tpu=tpu), True

    return function


def _forms(
    one: Form,
    operation: Callable[..., jax.Array],
    as_product: Callable[..., jax.Array],
    static: Sequence[Hashable],
    in_axes: Sequence[int | None],
) -> dict[str, Form]:
    """Forms of the batched operation by name; ``one`` is that of a single network, with a ``vmap`` of its own."""

    def one_by_one(a: jax.Array, b: jax.Array) -> jax.Array:
        shared = [each if axis is None else None for each, axis in zip((a, b), in_axes, strict=True)]
        mapped = [each for each, axis in zip((a, b), in_axes, strict=True) if axis == 0]

        def network(values: list[jax.Array]) -> jax.Array:
            rest = iter(values)
            return one(*(next(rest) if each is None else each for each in shared))

        return jax.lax.map(network, mapped)

    return {
        # vmap makes one convolution: with all kernels side by side where x is shared, and in groups where it is not.
        "together": jax.vmap(partial(operation, *static), in_axes),
        "one by one": one_by_one,
        "products": jax.vmap(partial(as_product, *static), in_axes),
    }
