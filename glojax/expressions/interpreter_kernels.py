"""The interpreter as one kernel of an accelerator: by Pallas, through Triton on a GPU and Mosaic on a TPU.

One instance of the kernel takes one candidate and a block of points. It walks through the candidate's own instructions
and branches on their opcodes, which are scalars there; all slots, values and slopes, are values of the kernel and never
arrays in memory. So a step of training has one kernel for the losses of all candidates, whatever their length.
A JAX without Pallas takes ``without_pallas``, in which every instruction is a few kernels.

The arithmetic is that of the interpreter of a CPU (``programs``), operation by operation. Types of 16 bits are computed
in 32.
"""

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from glojax.expressions import grammar
from glojax.expressions.slopes import operate

pl: Any = None
mosaic: Any = None
triton: Any = None
with contextlib.suppress(ImportError):
    pl, mosaic, triton = (import_module(f"jax.experimental.pallas{part}") for part in ("", ".tpu", ".triton"))

HAS_PALLAS: bool = pl is not None
"""Whether this JAX has Pallas for both platforms; without it ``without_pallas`` stands for both kernels."""

_POINTS = 256  # of a block on a GPU; slots of a candidate then fit the registers of its threads
_LANES, _MOST_ROWS = 128, 16  # of a block on a TPU
_SLOT_BITS, _OPCODE_BITS = 5, 8  # of a field of an instruction

CONTEXT_SLOTS = {str(row.symbol): 2**_SLOT_BITS - 1 - place for place, row in enumerate(grammar.CONTEXT_LEAVES)}
"""The slots of the leaves of a context, beyond all registers."""

Pair = tuple[jax.Array, jax.Array]
"""Value and slope."""

Swept = tuple[jax.Array, jax.Array, jax.Array]
"""Value and slope ``[candidates, points]``, and ``[candidates, blocks, 2]``, the sums of both over blocks of points."""

Fields = Sequence[jax.Array]
"""The fields of programs ``[candidates, ...]`` (``programs.Program``)."""


class Instructions(NamedTuple):
    """The instructions of a population, ready for a kernel."""

    word: jax.Array  # int32[candidates, instructions], all whole numbers of an instruction
    scale: jax.Array  # float32 or float64[candidates, 2 * instructions]
    length: jax.Array  # int32[candidates, 1]
    output_scale: jax.Array  # of the type of scale, [candidates, 1]


def pack(
    opcode: jax.Array,
    operand: jax.Array,
    scale: jax.Array,
    depends: jax.Array,
    result: jax.Array,
    length: jax.Array,
    output_scale: jax.Array,
) -> Instructions:
    """Put the fields of programs ``[candidates, ...]`` (``programs.Program``) together, as a kernel reads them."""
    width = jnp.promote_types(scale.dtype, jnp.float32)
    fields = (
        (opcode, _OPCODE_BITS),
        (operand[..., 0], _SLOT_BITS),
        (operand[..., 1], _SLOT_BITS),
        (result, _SLOT_BITS),
        (depends[..., 0], 1),
        (depends[..., 1], 1),
    )
    word, shift = jnp.zeros(opcode.shape, jnp.int32), 0
    for field, bits in fields:
        word |= field.astype(jnp.int32) << shift
        shift += bits
    return Instructions(
        word,
        scale.astype(width).reshape(len(opcode), -1),
        length.astype(jnp.int32)[:, None],
        output_scale.astype(width)[:, None],
    )


def _unpack(word: jax.Array) -> list[jax.Array]:
    """Opcode, slots of both operands and of the result, and whether each operand depends on y."""
    fields = []
    for bits in (_OPCODE_BITS, _SLOT_BITS, _SLOT_BITS, _SLOT_BITS, 1, 1):
        fields.append(word & (2**bits - 1))
        word = word >> bits
    return fields


# THE WALK THROUGH A PROGRAM


def _walk(
    operators: Sequence[grammar.Node],
    registers: int,
    length: jax.Array | int,
    fields_at: Callable[[Any], Sequence[jax.Array]],
    scale_at: Callable[[Any, int], jax.Array],
    x: jax.Array,
    y: jax.Array,
    leaves: Sequence[jax.Array],
) -> Pair:
    """Value and slope of one program at a block of points; slots are x, y, 1, the registers, and a context's leaves."""
    zero, one = jnp.zeros_like(y), jnp.ones_like(y)
    values, slopes = (x, y, one), (zero, one, zero)
    more = list(zip(CONTEXT_SLOTS.values(), leaves, strict=False))

    def instruction(i: Any, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        opcode, first, second, result, first_depends, second_depends = fields_at(i)
        held = (*values, *state[:registers]), (*slopes, *state[registers:])
        beyond = more, [(slot, zero) for slot, _ in more]
        scales = [scale_at(i, place).astype(y.dtype) for place in range(2)]
        read = [
            [scale * _slot(slots, others, slot) for scale, slot in zip(scales, (first, second), strict=True)]
            for slots, others in zip(held, beyond, strict=True)
        ]
        depends = (first_depends == 1, second_depends == 1)
        branches = [partial(operate, node, jnp, depends) for node in operators]
        found = _branch(opcode, branches, read[0], read[1])
        return tuple(
            jnp.where(result == len(values) + register, new, old)
            for new, olds in zip(found, (state[:registers], state[registers:]), strict=True)
            for register, old in enumerate(olds)
        )

    state = jax.lax.fori_loop(0, length, instruction, (zero,) * (2 * registers))
    return state[0], state[registers]  # a tree's own value is always in the first register


def _branch(place: jax.Array, branches: Sequence[Callable[..., Pair]], *operands: Any) -> Pair:
    """A switch by halves: one after another nests so deep that Mosaic's compiler runs out of stack."""
    if len(branches) == 1:
        return branches[0](*operands)
    half = len(branches) // 2
    return jax.lax.cond(
        place < half,
        partial(_branch, place, branches[:half]),
        partial(_branch, place - half, branches[half:]),
        *operands,
    )


def _slot(slots: Sequence[jax.Array], others: Sequence[tuple[int, jax.Array]], slot: jax.Array) -> jax.Array:
    found = slots[0]
    for place, each in (*enumerate(slots[1:], start=1), *others):
        found = jnp.where(slot == place, each, found)
    return found


def _registers(room: int) -> int:
    return (room + 1).bit_length() - 1


# WITHOUT PALLAS


def without_pallas(
    operators: tuple[grammar.Node, ...],
    program: Fields,
    x: jax.Array,
    y: jax.Array,
    leaves: Sequence[jax.Array] = (),
) -> Swept:
    """Run programs in plain JAX, without loops of a length that is data; arguments and results as of ``on_gpu``."""
    instructions = pack(*program)
    size, room = instructions.word.shape
    wide = jnp.promote_types(y.dtype, jnp.float32)

    def one(given: Instructions, x: jax.Array, y: jax.Array, *leaves: jax.Array) -> Pair:
        def fields_at(i: jax.Array) -> list[jax.Array]:
            return _unpack(jnp.where(i < given.length[0], given.word[i], 0))  # of which no register is the result

        def scale_at(i: jax.Array, place: int) -> jax.Array:
            return given.scale[2 * i + place]

        found = _walk(operators, _registers(room), room, fields_at, scale_at, x, y, leaves)
        return given.output_scale[0] * found[0], given.output_scale[0] * found[1]

    points = (jnp.broadcast_to(array, (size, y.shape[1])).astype(wide) for array in (x, y, *leaves))
    value, slope = (each.astype(y.dtype) for each in jax.vmap(one)(instructions, *points))
    return value, slope, summed(value, slope)


def summed(value: jax.Array, slope: jax.Array) -> jax.Array:
    """The sums of values and slopes ``[candidates, points]``, of the shape in which ``on_gpu`` gives them."""
    sums = jnp.stack([each.astype(jnp.promote_types(each.dtype, jnp.float32)).sum(axis=1) for each in (value, slope)])
    return jnp.pad(sums.T[:, None], ((0, 0), (0, _blocks(value.shape[1]) - 1), (0, 0)))


def _blocks(points: int) -> int:
    return max(1, -(-points // _POINTS))


# GPU


def _gpu_kernel(
    operators: Sequence[grammar.Node], size: int, room: int, points: int, block: int, wide: Any
) -> Callable[..., None]:
    """What one instance does, of ``size`` candidates of ``room`` instructions, computed as ``wide``."""

    def kernel(
        opcode: Any, operand: Any, scale: Any, depends: Any, result: Any, length: Any, output_scale: Any, *more: Any
    ) -> None:  # fmt: skip
        *given, value, slope, sums = more
        candidate = pl.program_id(0)
        places = pl.program_id(1) * block + jnp.arange(block)
        mask = places < points

        def load(points: Any) -> jax.Array:
            row = candidate if points.shape[0] == size else 0
            return triton.load(points.at[row, places], mask=mask, other=1).astype(wide)

        def fields_at(i: jax.Array) -> list[jax.Array]:
            both = [field[candidate, i, place] for field in (operand, depends) for place in range(2)]
            return [opcode[candidate, i], *both[:2], result[candidate, i], *both[2:]]

        def scale_at(i: jax.Array, place: int) -> jax.Array:
            return scale[candidate, i, place]

        x, y, *context = map(load, given)
        found = _walk(operators, _registers(room), length[candidate], fields_at, scale_at, x, y, context)
        factor = output_scale[candidate].astype(wide)
        for place, (each, to) in enumerate(zip(found, (value, slope), strict=True)):
            scaled = (factor * each).astype(to.dtype)
            triton.store(to.at[candidate, places], scaled, mask=mask)
            sums[candidate, pl.program_id(1), place] = jnp.where(mask, scaled.astype(wide), 0).sum()

    return kernel


def on_gpu(
    operators: tuple[grammar.Node, ...],
    program: Fields,
    x: jax.Array,
    y: jax.Array,
    leaves: Sequence[jax.Array] = (),
    *,
    interpret: bool = False,
) -> Swept:
    """Run programs as one Triton kernel.

    Args:
      operators: by their opcodes.
      program: the fields of programs ``[candidates, ...]`` (``programs.Program``), which the kernel reads as they are:
        to pack them would be one more kernel in every step.
      x: labels ``[candidates, points]``, or ``[1, points]`` if all candidates share them.
      y: predictions, of either shape.
      leaves: those of a context, of either shape, or none.
      interpret: compute on any device what the kernel would. Defaults to False.

    Returns:
      Value and slope, ``[candidates, points]``, of the type of ``y``, and their sums over each block of points.
    """
    (size, room), points = program[0].shape, y.shape[1]
    wide = jnp.promote_types(y.dtype, jnp.float32)
    if points == 0:
        return jnp.zeros((size, 0), y.dtype), jnp.zeros((size, 0), y.dtype), jnp.zeros((size, 1, 2), wide)
    block = min(_POINTS, pl.next_power_of_2(points))

    kernel = _gpu_kernel(operators, size, room, points, block, wide)
    whole = pl.BlockSpec(memory_space=pl.ANY)
    shape = jax.ShapeDtypeStruct((size, points), y.dtype)
    return pl.pallas_call(
        kernel,
        out_shape=(shape, shape, jax.ShapeDtypeStruct((size, _blocks(points), 2), wide)),
        grid=(size, pl.cdiv(points, block)),
        in_specs=[whole] * (9 + len(leaves)),
        out_specs=(whole,) * 3,
        compiler_params=triton.CompilerParams(num_warps=4, num_stages=1),
        interpret=interpret,
        name="losses",
    )(*program, x, y, *leaves)


# TPU


def _tpu_kernel(operators: Sequence[grammar.Node], room: int, wide: Any) -> Callable[..., None]:
    """What one instance does with one candidate of ``room`` instructions and one block."""

    def kernel(word: Any, scale: Any, length: Any, output_scale: Any, *points_and_results: Any) -> None:
        *given, value, slope = points_and_results
        x, y, *context = (points[0] for points in given)
        found = _walk(
            operators,
            _registers(room),
            length[0, 0, 0],
            lambda i: _unpack(word[0, 0, i]),
            lambda i, place: scale[0, 0, 2 * i + place],
            x,
            y,
            context,
        )
        factor = output_scale[0, 0, 0].astype(wide)
        value[0], slope[0] = factor * found[0], factor * found[1]

    return kernel


def on_tpu(
    operators: tuple[grammar.Node, ...],
    program: Fields,
    x: jax.Array,
    y: jax.Array,
    leaves: Sequence[jax.Array] = (),
    *,
    interpret: bool = False,
) -> Swept:
    """Run programs as one Mosaic kernel; arguments and results are those of ``on_gpu``."""
    instructions = pack(*program)
    (size, room), points = instructions.word.shape, y.shape[1]
    if points == 0:
        return on_gpu(operators, program, x, y)
    tiles = [_tiled(array.astype(jnp.promote_types(y.dtype, jnp.float32))) for array in (x, y, *leaves)]
    wide, lines = tiles[0].dtype, tiles[0].shape[1]
    block = min(_MOST_ROWS, lines)

    kernel = _tpu_kernel(operators, room, wide)

    def scalars(array: jax.Array) -> Any:
        return pl.BlockSpec((1, 1, array.shape[-1]), lambda i, j: (i, 0, 0), memory_space=mosaic.SMEM)

    def tile(count: int) -> Any:
        return pl.BlockSpec((1, block, _LANES), lambda i, j: (i if count == size else 0, j, 0))

    shape = jax.ShapeDtypeStruct((size, lines, _LANES), wide)
    value, slope = pl.pallas_call(
        kernel,
        out_shape=(shape, shape),
        grid=(size, lines // block),
        in_specs=[*map(scalars, instructions), *(tile(len(array)) for array in tiles)],
        out_specs=(tile(size), tile(size)),
        interpret=interpret,
        name="losses",
    )(*(array[:, None] for array in instructions), *tiles)
    value, slope = (array.reshape(size, -1)[:, :points].astype(y.dtype) for array in (value, slope))
    return value, slope, summed(value, slope)


def _tiled(array: jax.Array) -> jax.Array:
    """Points ``[candidates, points]`` as lines ``[candidates, lines, 128]``, filled up with 1 to whole blocks."""
    lines = 8 * pl.cdiv(array.shape[1], 8 * _LANES)
    lines = min(lines, _MOST_ROWS) * pl.cdiv(lines, _MOST_ROWS)
    padded = jnp.pad(array, ((0, 0), (0, lines * _LANES - array.shape[1])), constant_values=1)
    return padded.reshape(len(array), lines, _LANES)
