"""Programs: trees as fixed-shape arrays, and their value and slope df/dy by dual numbers.

A population of different trees is data for one compiled program: a new tree never recompiles anything.
Only inner nodes are instructions; every coefficient and integer is the scale of an operand. Operands lie in
slots: 0 holds x, 1 holds y, 2 the constant 1, and from 3 on are registers for results. A result is read once, so
the operand that needs more registers is computed first and ``floor(log2(instructions + 1))`` of them suffice:
all slots of a batch stay in the cache.

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
from jax.custom_batching import sequential_vmap

from glojax import grammar
from glojax.trees import Tree

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
    output: Array  # int32[], slot of the result
    output_scale: Array  # float[], factor of the result


def instructions_of(tree: Tree) -> int:
    """How many instructions the tree takes: its inner nodes."""
    return sum(bool(node.children) for node in tree.nodes())


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
    room = max(map(instructions_of, trees), default=0) if instructions is None else instructions
    room = max(room, 1)  # the loop is traced where it never runs, as for a leaf, and then reads an instruction
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

    output, output_scale, _ = visit(tree, 0, 0)
    return Program(
        opcode,
        operand,
        scale,
        depends,
        result,
        np.array(length, np.int32),
        np.array(output, np.int32),
        np.array(output_scale),
    )


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
    return sequential_vmap(run) if branches else run


def _run(
    operators: tuple[grammar.Node, ...], program: Program, x: jax.Array, y: jax.Array
) -> tuple[jax.Array, jax.Array]:
    # Flat points: the loop then moves rows, whatever the shape of the batch.
    shape, x, y = y.shape, x.ravel(), y.ravel()
    slots = _REGISTERS + (program.opcode.shape[-1] + 1).bit_length() - 1
    values = jnp.zeros((slots, y.size), y.dtype).at[_X].set(x).at[_Y].set(y).at[_ONE].set(1)
    slopes = jnp.zeros((slots, y.size), y.dtype).at[_Y].set(1)
    branches = [partial(_operate, node) for node in operators]

    def instruction(i: jax.Array, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        value, slope = jax.lax.switch(_at(program.opcode, i), branches, program, i, *state)
        place = _at(program.result, i)
        return tuple(
            jax.lax.dynamic_update_index_in_dim(slots, row, place, axis=0)
            for slots, row in zip(state, (value, slope), strict=True)
        )

    values, slopes = jax.lax.fori_loop(0, program.length, instruction, (values, slopes))
    scale = jnp.asarray(program.output_scale, y.dtype)
    return (scale * _at(values, program.output)).reshape(shape), (scale * _at(slopes, program.output)).reshape(shape)


def _operate(
    node: grammar.Node, program: Program, i: jax.Array, values: jax.Array, slopes: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Value and slope of instruction ``i``; everything is read inside the branch, so that nothing is copied into it."""
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
