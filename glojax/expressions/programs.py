"""The interpreter: trees encoded as arrays of fixed shape, and their values and slopes df/dy.

``encode`` turns a population of trees into one ``Program``; ``value_and_slope`` runs it. The trees are data of one
compiled function, so a new tree compiles nothing.

Only inner nodes are instructions. Coefficients and integers are scales of operands. An operand is read from a slot:
slot 0 is x, 1 is y, 2 is the constant 1, and from 3 on are registers for results. Every result is read once, so if the
operand that needs more registers is computed first, ``floor(log2(instructions + 1))`` registers are enough, and the
slots of a minibatch stay in the cache. The result of the last instruction is the value of the tree.

A loss is element-wise, so training needs only df/dy of each element. Forward-mode dual numbers give it in the same
sweep as the value, and nothing is stored. An operand that does not depend on y adds no slope, whatever its partial
derivative: otherwise ``0 * inf`` would make NaN where the true derivative is finite.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap

from glojax import platforms
from glojax.expressions import grammar, interpreter_kernels
from glojax.expressions.slopes import operate
from glojax.expressions.trees import Tree

_X, _Y, _ONE, _REGISTERS = range(4)
_OPCODES = {node.symbol: code for code, node in enumerate(grammar.OPERATORS)}

Array = jax.Array | np.ndarray


class Program(NamedTuple):
    """One encoded tree, or a population with a leading axis ``[candidates]``."""

    opcode: Array  # int32[instructions], index into grammar.operators
    operand: Array  # int32[instructions, 2], slot of each operand
    scale: Array  # float[instructions, 2], factor of each operand
    depends: Array  # bool[instructions, 2], whether the operand depends on y
    result: Array  # int32[instructions], slot of the result
    length: Array  # int32[], number of instructions in use
    output_scale: Array  # float[], factor of the last result, which is the tree's value


_RANKS = (1, 2, 2, 2, 1, 0, 0)  # of the fields of a program of one tree

_Sweep = Callable[[Program, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""From a program, x and y to value and slope."""


def instructions_of(tree: Tree) -> int:
    """Count the tree's instructions: one for each inner node, and one for a tree that is a leaf."""
    return max(1, sum(bool(node.children) for node in tree.nodes()))


def room(instructions: int) -> int:
    """Round a number of instructions up to 31, 63 or 127, so that few programs are compiled."""
    return max(31, 2 ** instructions.bit_length() - 1)


def encode(
    trees: Sequence[Tree],
    coefficients: Sequence[Sequence[float] | None] | None = None,
    instructions: int | None = None,
    dtype: np.dtype | type[np.floating] = np.float32,
) -> Program:
    """Encode a population as one ``Program`` of NumPy arrays with a leading axis ``[candidates]``.

    Args:
      trees: the population.
      coefficients: for each tree the factor of each node in pre-order, or ``None`` for all 1. Defaults to all 1.
      instructions: length of the instruction axis. Defaults to that of the longest tree.
      dtype: dtype of the scales. Defaults to float32.

    Returns:
      The program; unused instructions at its end are never run.

    Raises:
      ValueError: a tree has more than ``instructions`` instructions, or the number of coefficients is wrong.
    """
    coefficients = [None] * len(trees) if coefficients is None else coefficients
    written = [
        _plain_instructions(tree) if factors is None else _instructions(tree, factors)
        for tree, factors in zip(trees, coefficients, strict=True)
    ]
    lengths = np.array([len(rows) for rows, _ in written], np.int32)
    room = int(lengths.max(initial=1)) if instructions is None else instructions
    if lengths.max(initial=0) > room:
        place = int(lengths.argmax())
        raise ValueError(f"encode: {trees[place]} has {lengths[place]} instructions; at most {room} are allowed.")
    rows = np.concatenate([np.zeros((0, 8)), *(rows for rows, _ in written)])
    used = np.arange(room) < lengths[:, None]  # the mask puts the rows in their order, tree by tree
    opcode, result = np.zeros(used.shape, np.int32), np.full(used.shape, _REGISTERS, np.int32)
    operand = np.full((*used.shape, 2), _ONE, np.int32)
    scale, depends = np.zeros((*used.shape, 2), dtype), np.zeros((*used.shape, 2), bool)
    opcode[used], operand[used], scale[used] = rows[:, 0], rows[:, 1:3], rows[:, 3:5]
    depends[used], result[used] = rows[:, 5:7], rows[:, 7]
    return Program(opcode, operand, scale, depends, result, lengths, np.array([factor for _, factor in written], dtype))


_Operand = tuple[int, float, bool]
"""Slot, scale, and whether it depends on y."""

_NO_OPERAND: _Operand = (_ONE, 0.0, False)

_Row = tuple[int, int, int, float, float, bool, bool, int]
"""An instruction: its opcode, of both operands the slots, scales and dependence on y, and the slot of its result."""


@lru_cache(maxsize=2**13)
def _plain_instructions(tree: Tree) -> tuple[np.ndarray, float]:
    """``_instructions`` where all factors are 1; a tree that is screened is encoded again to be tried and trained."""
    return _instructions(tree, None)


def _instructions(tree: Tree, coefficients: Sequence[float] | None) -> tuple[np.ndarray, float]:
    """The instructions of a tree, float64 ``[instructions, 8]``, each a ``_Row``, and the factor of the last result."""
    if coefficients is not None and len(coefficients) != tree.size:
        raise ValueError(f"encode: {tree} has {tree.size} nodes but {len(coefficients)} coefficients are given.")
    factors = [1.0] * tree.size if coefficients is None else coefficients
    needs, rows = list[int](), list[_Row]()
    _count_registers(tree, needs)

    def visit(node: Tree, index: int, register: int) -> _Operand:
        """The operand that is the node at ``index``, with ``register`` registers in use."""
        symbol, children = node.symbol, node.children
        if not children:
            if symbol == "y":
                return _Y, factors[index], True
            return (_X, factors[index], False) if symbol == "x" else (_ONE, factors[index] * int(symbol), False)
        first, second = index + 1, index + 1 + children[0].size
        if len(children) == 1:
            one, other = visit(children[0], first, register), _NO_OPERAND
        elif needs[second] > needs[first]:  # the operand that needs more registers comes first
            other = visit(children[1], second, register)
            one = visit(children[0], first, register + bool(children[1].children))
        else:
            one = visit(children[0], first, register)
            other = visit(children[1], second, register + bool(children[0].children))
        rows.append((_OPCODES[symbol], one[0], other[0], one[1], other[1], one[2], other[2], _REGISTERS + register))
        return _REGISTERS + register, factors[index], one[2] or other[2]

    slot, factor, depends_on_y = visit(tree, 0, 0)
    if not tree.children:  # a leaf is itself plus an operand of scale 0
        rows.append((_OPCODES["+"], slot, _ONE, 1.0, 0.0, depends_on_y, False, _REGISTERS))
    return np.array(rows, float), factor


def _count_registers(tree: Tree, needs: list[int]) -> int:
    """The registers that evaluating a tree needs: its Ershov number, where leaves need none.

    Those of each node are added to ``needs`` in pre-order.
    """
    place = len(needs)
    needs.append(0)
    children = tree.children
    if len(children) == 1:
        needs[place] = max(_count_registers(children[0], needs), 1)
    elif children:
        one, other = _count_registers(children[0], needs), _count_registers(children[1], needs)
        needs[place] = max(one, other, min(one, other) + 1)
    return needs[place]


def value_and_slope(
    program: Program, x: jax.Array, y: jax.Array, *, protected: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Compute f(x, y) and df/dy of one program at every point.

    ``jax.vmap`` over programs runs a population. On CPU it takes the candidates one after another with a real branch
    for each instruction; on a GPU or TPU it is one kernel for all candidates (``interpreter_kernels``).

    Args:
      program: one tree, without a leading axis.
      x: labels, ``[...]``, floating.
      y: predictions, of the shape of ``x``, floating; their dtype is the result's.
      protected: use the protected operators. Defaults to False.

    Returns:
      Value and slope, both of the shape and dtype of ``y``.

    Raises:
      AssertionError: shapes or dtypes do not fit. They are checked when the function is traced, not when it runs.

    Example:
        program = encode([parse("x * log(y)"), parse("log(y) - x / y")])
        values, slopes = jax.vmap(value_and_slope, in_axes=(0, None, None))(program, x, y)  # [2, ...]
    """
    chex.assert_equal_shape((x, y))
    chex.assert_type((x, y), float)
    chex.assert_rank(program, _RANKS)
    return _sweep(protected)(program, x, y)


@lru_cache
def _sweep(protected: bool) -> _Sweep:
    operators = grammar.operators(protected)

    def run(program: Program, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The form of the platform; shapes are those of ``_run``."""

        def in_kernel(
            kernel: Callable[..., tuple[jax.Array, jax.Array]], program: Program, x: jax.Array, y: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            return kernel(operators, interpreter_kernels.pack(*map(jnp.asarray, program)), x, y)

        gpu, tpu = interpreter_kernels.on_gpu, interpreter_kernels.on_tpu
        if not interpreter_kernels.HAS_PALLAS:
            gpu = tpu = interpreter_kernels.without_pallas
        return platforms.choose(
            program, x, y, cpu=partial(_run, operators), gpu=partial(in_kernel, gpu), tpu=partial(in_kernel, tpu)
        )

    @custom_vmap
    def one(program: Program, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        # Also traced where a population is, so it has one form: a single program is not worth a kernel.
        program = jax.tree.map(lambda leaf: leaf[None], program)
        value, slope = _run(operators, program, x.reshape(1, -1), y.reshape(1, -1))
        return value.reshape(y.shape), slope.reshape(y.shape)

    @one.def_vmap
    def population(
        size: int, batched: tuple[Program, bool, bool], program: Program, x: jax.Array, y: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], tuple[bool, bool]]:
        programs_batched, x_batched, y_batched = batched
        program = Program(
            *(
                leaf if has_axis else jnp.broadcast_to(leaf, (size, *leaf.shape))
                for leaf, has_axis in zip(program, programs_batched, strict=True)
            )
        )
        shape = y.shape[1:] if y_batched else y.shape
        value, slope = run(program, x.reshape(size if x_batched else 1, -1), y.reshape(size if y_batched else 1, -1))
        return (value.reshape(size, *shape), slope.reshape(size, *shape)), (True, True)

    return one


def _run(
    operators: tuple[grammar.Node, ...], program: Program, x: jax.Array, y: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Run programs ``[candidates]`` one instruction after another; value and slope are ``[candidates, points]``.

    x and y are ``[candidates, points]``, or ``[1, points]`` if all candidates share them. Registers, x, y and the
    results lie in one buffer, so that nothing is prepared for each program.
    """
    size, room = program.opcode.shape
    registers = (room + 1).bit_length() - 1
    first_x = _REGISTERS + registers
    first_y, first_result = first_x + len(x), first_x + len(x) + len(y)
    values = jnp.zeros((first_result + size, y.shape[1]), y.dtype).at[_ONE].set(1)
    values = values.at[first_x:first_y].set(x).at[first_y:first_result].set(y)
    slopes = jnp.zeros_like(values).at[first_y:first_result].set(1)

    # Slots of a program become rows of the buffer.
    candidate = jnp.arange(size)[:, None]
    x_row, y_row = (
        first + jnp.minimum(candidate, count - 1) for first, count in ((first_x, len(x)), (first_y, len(y)))
    )
    operand = jnp.where(program.operand == _X, x_row[..., None], program.operand)
    operand = jnp.where(program.operand == _Y, y_row[..., None], operand)
    is_last = jnp.arange(room) == program.length[:, None] - 1
    result = jnp.where(is_last, first_result + candidate, program.result)
    linked = program._replace(operand=operand, result=result)
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), linked)
    branches = [partial(_operate, node, flat) for node in operators]

    def instruction(place: jax.Array, buffers: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
        rows = jax.lax.switch(_at(flat.opcode, place), branches, place, *buffers)
        return tuple(
            jax.lax.dynamic_update_index_in_dim(buffer, row, _at(flat.result, place), axis=0)
            for buffer, row in zip(buffers, rows, strict=True)
        )

    def one(i: jax.Array, buffers: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return jax.lax.fori_loop(i * room, i * room + _at(program.length, i), instruction, buffers)

    buffers = jax.lax.fori_loop(0, size, one, (values, slopes))
    scale = program.output_scale.astype(y.dtype)[:, None]
    value, slope = (scale * buffer[first_result:] for buffer in buffers)
    return value, slope


def _operate(
    node: grammar.Node, program: Program, i: jax.Array, values: jax.Array, slopes: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Compute value and slope of instruction ``i``; reading inside the branch avoids copies into it."""
    slot, scale, depends = (_at(array, i) for array in (program.operand, program.scale, program.depends))
    scale = scale.astype(values.dtype)
    operands, operand_slopes = (
        [scale[place] * _at(slots, slot[place]) for place in range(node.arity)] for slots in (values, slopes)
    )
    return operate(node, jnp, depends, operands, operand_slopes)


def _at(array: Array, place: Array) -> jax.Array:
    # Places are in bounds by construction; brackets would check them, which takes a third of the loop's time.
    return jax.lax.dynamic_index_in_dim(array, place, keepdims=False)
