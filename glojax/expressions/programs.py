"""Programs: trees as fixed-shape arrays, and their value and slope df/dy by dual numbers.

A population of different trees is data for one compiled program: a new tree never recompiles anything.
Only inner nodes are instructions; every coefficient and integer is the scale of an operand. Operands lie in
slots: 0 stands for x, 1 for y, 2 is the constant 1, and from 3 on are registers for results. A result is read once, so
the operand that needs more registers is computed first and ``floor(log2(instructions + 1))`` of them suffice:
all slots of a batch stay in the cache. The last instruction's result is the tree's.

The loss is element-wise, so training needs only df/dy per element: forward-mode dual numbers give it in the
same sweep as the value, with nothing stored. An operand that does not depend on y adds no slope, whatever its
partial derivative: without that rule ``0 * inf`` would make NaN where the true derivative is finite.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap

from glojax.expressions import grammar
from glojax.expressions.trees import Tree

_X, _Y, _ONE, _REGISTERS = range(4)
_OPCODES = {node.symbol: code for code, node in enumerate(grammar.OPERATORS)}


Array = jax.Array | np.ndarray


class Program(NamedTuple):
    """One tree, or with leading axis ``[candidates]`` a population of them."""

    opcode: Array  # int32[instructions], index into grammar.operators
    operand: Array  # int32[instructions, 2], slot of each operand
    scale: Array  # float[instructions, 2], factor of each operand
    depends: Array  # bool[instructions, 2], whether the operand depends on y
    result: Array  # int32[instructions], slot of the result
    length: Array  # int32[], number of instructions in use
    output_scale: Array  # float[], factor of the last instruction's result, which is the tree's


def instructions_of(tree: Tree) -> int:
    """How many instructions the tree takes: its inner nodes, and one for a leaf alone."""
    return max(1, sum(bool(node.children) for node in tree.nodes()))


def room(instructions: int) -> int:
    """Room for so many instructions as 31, 63 or 127, so that few programs are compiled."""
    return max(31, 2 ** instructions.bit_length() - 1)


def encode(
    trees: Sequence[Tree],
    coefficients: Sequence[Sequence[float] | None] | None = None,
    instructions: int | None = None,
    dtype: Any = np.float32,
) -> Program:
    """The trees as one ``Program`` of NumPy arrays with leading axis ``[candidates]``.

    Args:
      trees: the population.
      coefficients: for each tree the factor of each of its nodes in pre-order, or ``None`` for all 1.
      instructions: room for so many instructions; as many as the longest tree takes if left out.
      dtype: of the scales.

    Raises:
      ValueError: a tree that takes more than ``instructions``, or coefficients of the wrong number.
    """
    room = max(map(instructions_of, trees), default=1) if instructions is None else instructions
    coefficients = [None] * len(trees) if coefficients is None else coefficients
    encoded = [_encode(tree, factors, room) for tree, factors in zip(trees, coefficients, strict=True)]
    program = Program(*(np.stack(column) for column in zip(*encoded, strict=True)))
    return program._replace(scale=program.scale.astype(dtype), output_scale=program.output_scale.astype(dtype))


def _encode(tree: Tree, coefficients: Sequence[float] | None, room: int) -> Program:
    if instructions_of(tree) > room:
        raise ValueError(f"encode: {tree} takes {instructions_of(tree)} instructions; there is room for {room}.")
    if coefficients is not None and len(coefficients) != tree.size:
        raise ValueError(f"encode: {tree} has {tree.size} nodes, got {len(coefficients)} coefficients.")
    factors = [1.0] * tree.size if coefficients is None else coefficients
    opcode, result, length = np.zeros(room, np.int32), np.full(room, _REGISTERS, np.int32), 0
    operand = np.full((room, 2), _ONE, np.int32)
    scale, depends = np.zeros((room, 2)), np.zeros((room, 2), bool)

    def visit(node: Tree, index: int, register: int) -> tuple[int, float, bool]:
        """Slot, scale and dependence on y of the node at pre-order ``index``; the first ``register`` are taken."""
        nonlocal length
        factor = factors[index]
        if isinstance(node.symbol, int):
            return _ONE, factor * node.symbol, False
        if not node.children:
            return (_Y, factor, True) if node.symbol == "y" else (_X, factor, False)
        # (place of the operand, its node, its index): the one that needs more registers first.
        operands = [(0, node.children[0], index + 1)]
        if len(node.children) == 2:
            operands.append((1, node.children[1], index + 1 + node.children[0].size))
        operands.sort(key=lambda operand: -_registers(operand[1]))
        visited, free = {}, register
        for place, child, child_index in operands:
            visited[place] = visit(child, child_index, free)
            free += bool(child.children)
        for place, (slot, operand_scale, depends_on_y) in visited.items():
            operand[length, place], scale[length, place], depends[length, place] = slot, operand_scale, depends_on_y
        opcode[length], result[length] = _OPCODES[node.symbol], _REGISTERS + register
        length += 1
        return _REGISTERS + register, factor, any(depends_on_y for _, _, depends_on_y in visited.values())

    slot, output_scale, depends_on_y = visit(tree, 0, 0)
    if not tree.children:  # a leaf: itself plus nothing
        opcode[0], operand[0, 0], scale[0, 0], depends[0, 0], length = _OPCODES["+"], slot, 1, depends_on_y, 1
    return Program(opcode, operand, scale, depends, result, np.array(length, np.int32), np.array(output_scale))


def _registers(tree: Tree) -> int:
    """Registers that the tree's evaluation needs (the Ershov number with leaves free)."""
    if not tree.children:
        return 0
    needs = sorted(map(_registers, tree.children), reverse=True)
    second = needs[1] if len(needs) == 2 else 0
    return max(needs[0], second + 1)


def value_and_slope(
    program: Program, x: jax.Array, y: jax.Array, *, protected: bool = False, branches: bool | None = None
) -> tuple[jax.Array, jax.Array]:
    """f(x, y) and df/dy of one program at every point; ``vmap`` over programs for a population.

    Args:
      program: one tree, without a leading axis.
      x, y: true labels and predictions, of one shape and floating dtype.
      protected: use the protected operators.
      branches: how a ``vmap`` over programs runs. ``True`` takes the candidates one after another with a real
        branch per instruction, which wins on CPU; ``False`` computes every operator and selects, for all
        candidates at once, which suits accelerators. The default decides by backend.

    Returns:
      Value and slope, of the shape of ``y``.
    """
    if branches is None:
        branches = jax.default_backend() == "cpu"
    return _sweep(protected, branches)(program, x, y)


@lru_cache
def _sweep(protected: bool, branches: bool) -> Any:
    run = partial(_run, grammar.operators(protected))

    def one(program: Program, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        value, slope = run(jax.tree.map(lambda leaf: leaf[None], program), x.reshape(1, -1), y.reshape(1, -1))
        return value.reshape(y.shape), slope.reshape(y.shape)

    def group(
        size: int, batched: list[Any], program: Program, x: jax.Array, y: jax.Array
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

    if not branches:
        return one
    swept = custom_vmap(one)
    swept.def_vmap(group)
    return swept


def _run(
    operators: tuple[grammar.Node, ...], program: Program, x: jax.Array, y: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Value and slope ``[candidates, points]`` of programs ``[candidates]``, one instruction after another.

    x and y are ``[candidates, points]``, or ``[1, points]`` where all candidates share them. All lie in one buffer
    with the registers, and the programs' results too, so that nothing is prepared for each program.
    """
    size, room = program.opcode.shape
    registers = (room + 1).bit_length() - 1
    first_x = _REGISTERS + registers
    first_y, first_result = first_x + len(x), first_x + len(x) + len(y)
    values = jnp.zeros((first_result + size, y.shape[1]), y.dtype).at[_ONE].set(1)
    values = values.at[first_x:first_y].set(x).at[first_y:first_result].set(y)
    slopes = jnp.zeros_like(values).at[first_y:first_result].set(1)

    # A slot of one program as a row of the buffer.
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
    """Value and slope of instruction ``i``; all is read inside the branch, so that nothing is copied into it."""
    assert node.value is not None
    assert node.partials is not None
    slot, scale, depends = (_at(array, i) for array in (program.operand, program.scale, program.depends))
    scale = scale.astype(values.dtype)
    operands, operand_slopes = (
        [scale[place] * _at(slots, slot[place]) for place in range(node.arity)] for slots in (values, slopes)
    )
    value = node.value(jnp, *operands)
    terms = [
        jnp.where(depends[place], derivative * operand_slopes[place], 0)
        for place, derivative in enumerate(node.partials(jnp, value, *operands))
    ]
    return value, sum(terms[1:], terms[0])


def _at(array: Array, place: Array) -> jax.Array:
    # Places are in bounds by construction; indexing with brackets would check them, at a third of the loop's time.
    return jax.lax.dynamic_index_in_dim(array, place, keepdims=False)
