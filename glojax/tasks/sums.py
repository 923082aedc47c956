"""Sums that stay right over millions of examples in 32 bits.

A plain float32 sum of ten million values loses three digits, and an int32 sum of counts overflows. ``total`` carries
the rounding error of every addition beside the sum, as float64 would, and ``total_of_counts`` adds the digits of
integers one by one. ``mean`` neither overflows nor loses small values. All run inside compiled programs, and need no
64-bit types.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

_Pair = tuple[jax.Array, jax.Array]


class Total(NamedTuple):
    """A sum as two floats: it is ``high + low``, and ``high`` is that sum in float32."""

    high: jax.Array  # float32[...]
    low: jax.Array  # float32[...], the rest, which ``high`` has no digits for


def total(values: jax.Array, where: jax.Array | None = None) -> Total:
    """Add floats along the first axis with about twice the digits of float32.

    Args:
      values: ``[examples, ...]``.
      where: which of them count, of the same shape. Defaults to all.

    Returns:
      Their sums, ``[...]``.
    """
    values = values if where is None else jnp.where(where, values, 0)
    return Total(*_total(values.astype(jnp.promote_types(values.dtype, jnp.float32))))


@jax.custom_jvp
def _total(values: jax.Array) -> _Pair:
    zero = jnp.zeros((), values.dtype)
    # XLA may add in any order and by any tree: the sum of two pairs is a pair, so the order does not matter.
    high, low = jax.lax.reduce((values, jnp.zeros_like(values)), (zero, zero), _add, (0,))
    return high, low


@_total.defjvp
def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[_Pair, _Pair]:
    high, low = _total(*primals)
    return (high, low), (jnp.sum(tangents[0], axis=0), jnp.zeros_like(low))


def _add(one: tuple[jax.Array, jax.Array], other: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Add two pairs (Knuth's two-sum, then the rests)."""
    high = one[0] + other[0]
    part = high - one[0]
    low = (one[0] - (high - part)) + (other[0] - part) + (one[1] + other[1])
    low = jnp.where(jnp.isfinite(high), low, 0)  # infinity less infinity
    kept = high + low
    return kept, jnp.where(jnp.isfinite(kept), low - (kept - high), 0)


def plus(one: Total, other: Total) -> Total:
    """Add two sums, with the digits of both."""
    return Total(*_add(one, other))


def total_of_counts(counts: jax.Array, most: int) -> jax.Array:
    """Add integers along the first axis, exactly, however large their sum is.

    Args:
      counts: int32 ``[examples, ...]``, from 0 to ``most``.
      most: the largest that any of them can be, below 2³¹.

    Returns:
      Their sums as float32 ``[...]``, right to its last digit or two.
    """
    chex.assert_type(counts, jnp.int32)
    width = 31 - len(counts).bit_length()  # of a digit, so that a sum of digits fits 31 bits
    found = jnp.zeros(counts.shape[1:], jnp.float32)
    for shift in reversed(range(0, most.bit_length(), width)):
        digit = (counts >> shift) & (2**width - 1)
        found = found * 2.0**width + jnp.sum(digit, axis=0, dtype=jnp.int32).astype(jnp.float32)
    return found


def mean(values: jax.Array, where: jax.Array) -> jax.Array:
    """Average floats over all axes; their sum may be beyond the largest number.

    Args:
      values: ``[examples, ...]``, at least float32.
      where: which of them count, of the same shape.

    Returns:
      Their mean, a scalar; NaN if none counts.
    """
    size = power_of_two(jnp.max(jnp.abs(values), initial=0, where=where))
    found = total(values / size, where).high
    while found.ndim:
        found = total(found).high
    return size * (found / jnp.sum(where).astype(found.dtype))


def power_of_two(size: jax.Array) -> jax.Array:
    """A power of two near a size, 1 for 0 and infinity: a division by it rounds nothing, and has no derivative."""
    size = jax.lax.stop_gradient(size)
    _, exponent = jnp.frexp(jnp.where(jnp.isfinite(size), size, 0))
    return jnp.where(size > 0, jnp.ldexp(jnp.ones_like(size), jnp.clip(exponent - 1, -125, 126)), 1)
