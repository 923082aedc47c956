"""The interpreter: trees encoded as arrays of fixed shape, and their values and slopes df/dy.

``encode`` turns a population of trees into one ``Program``; ``value_and_slope`` runs it. The trees are data of one
compiled function, so a new tree compiles nothing.

Only inner nodes are instructions. Coefficients and integers are scales of operands. An operand is read from a slot:
slot 0 is x, 1 is y, 2 is the constant 1, and from 3 on are registers for results; the last two slots are the leaves of
a context (``context``), for losses that have them. Every result is read once, so if the
operand that needs more registers is computed first, ``floor(log2(instructions + 1))`` registers are enough, and the
slots of a minibatch stay in the cache. The result of the last instruction is the value of the tree.

A loss is element-wise, so training needs only df/dy of each element. Forward-mode dual numbers give it in the same
sweep as the value, and nothing is stored. An operand that does not depend on y adds no slope, whatever its partial
derivative: otherwise ``0 * inf`` would make NaN where the true derivative is finite.
"""

from collections.abc import Callable, Mapping, Sequence
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
from glojax.expressions.trees import OPERATOR, VARIABLE, Tree

_X, _Y, _ONE, _REGISTERS = range(4)
_SLOTS = np.array([_X, _Y, *interpreter_kernels.CONTEXT_SLOTS.values()])  # of ``grammar.VARIABLES``
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

_Leaves = tuple[jax.Array, ...]
"""Values of the leaves of a context, or none of them."""


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
    nodes = _Nodes.of(trees)
    lengths = np.maximum(nodes.inner[1:][nodes.last] - nodes.inner[nodes.roots], 1).astype(np.int32)
    room = int(lengths.max(initial=1)) if instructions is None else instructions
    if lengths.max(initial=0) > room:
        place = int(lengths.argmax())
        raise ValueError(f"encode: {trees[place]} has {lengths[place]} instructions; at most {room} are allowed.")
    factor = _factors(trees, coefficients) * nodes.constant
    start, register = _schedule(nodes)
    slot = np.where(nodes.is_inner, _REGISTERS + register, nodes.slot)

    shape = (len(trees), room)
    opcode, result = np.zeros(shape, np.int32), np.full(shape, _REGISTERS, np.int32)
    operand = np.full((*shape, 2), _ONE, np.int32)
    scale, depends = np.zeros((*shape, 2), dtype), np.zeros((*shape, 2), bool)
    (inner,) = np.nonzero(nodes.is_inner)
    # An instruction comes after those of its operands.
    row, column = nodes.tree[inner], start[inner] + nodes.inner[inner + nodes.size[inner]] - nodes.inner[inner] - 1
    opcode[row, column], result[row, column] = nodes.opcode[inner], slot[inner]
    leaves = nodes.roots[~nodes.is_inner[nodes.roots]]
    for place, child in enumerate((inner + 1, nodes.second[inner])):
        has = child > 0
        at = row[has], column[has], place
        operand[at], scale[at], depends[at] = slot[child[has]], factor[child[has]], nodes.has_y[child[has]]
    # A leaf is itself plus an operand of scale 0.
    at = nodes.tree[leaves], 0
    opcode[at], operand[(*at, 0)], scale[(*at, 0)], depends[(*at, 0)] = (
        _OPCODES["+"], slot[leaves], 1, nodes.has_y[leaves],
    )  # fmt: skip
    return Program(opcode, operand, scale, depends, result, lengths, factor[nodes.roots].astype(dtype))


class _Nodes(NamedTuple):
    """The nodes of many trees, each in pre-order, one tree after another."""

    tree: np.ndarray  # int64[nodes], the place of the tree
    roots: np.ndarray  # int64[trees]
    last: np.ndarray  # int64[trees], the last node of each
    size: np.ndarray  # int64[nodes], of the subtree
    is_inner: np.ndarray  # bool[nodes]
    inner: np.ndarray  # int64[nodes + 1], inner nodes before each, and in all
    opcode: np.ndarray  # int64[nodes], of inner nodes
    slot: np.ndarray  # int64[nodes], of leaves
    constant: np.ndarray  # float64[nodes], what a leaf of slot ``_ONE`` is; elsewhere 1
    has_y: np.ndarray  # bool[nodes], whether the subtree depends on y
    second: np.ndarray  # int64[nodes], the second operand; 0 where there is none

    @classmethod
    def of(cls, trees: Sequence[Tree]) -> "_Nodes":
        code = np.frombuffer(b"".join([tree.code for tree in trees]), np.int32).astype(np.int64)
        sizes = np.array([tree.size for tree in trees], np.int64)
        ends, places = np.cumsum(sizes), np.arange(len(code))
        is_inner, is_leaf_of_one = code >= OPERATOR, code < VARIABLE
        opcode, size = np.divmod(np.where(is_inner, code - OPERATOR, 1), 256)
        inner, y = (np.concatenate([[0], np.cumsum(which)]) for which in (is_inner, code == VARIABLE + _Y))
        first = np.minimum(places + 1, len(code) - 1)
        return cls(
            tree=np.repeat(np.arange(len(trees)), sizes),
            roots=ends - sizes,
            last=ends - 1,
            size=size,
            is_inner=is_inner,
            inner=inner,
            opcode=opcode,
            slot=np.where(is_leaf_of_one, _ONE, _SLOTS[np.clip(code - VARIABLE, 0, len(_SLOTS) - 1)]),
            constant=np.where(is_leaf_of_one, code, 1.0),
            has_y=y[places + size] > y[places],
            second=np.where(is_inner & (_ARITIES[opcode] == 2), first + size[first], 0),
        )


_ARITIES = np.array([node.arity for node in grammar.OPERATORS])


def _factors(trees: Sequence[Tree], coefficients: Sequence[Sequence[float] | None] | None) -> np.ndarray:
    """The factor of each node, float64 ``[nodes]``."""
    if coefficients is None:
        return np.ones(sum(tree.size for tree in trees))
    for tree, factors in zip(trees, coefficients, strict=True):
        if factors is not None and len(factors) != tree.size:
            raise ValueError(f"encode: {tree} has {tree.size} nodes but {len(factors)} coefficients are given.")
    given = [[1.0] * tree.size if one is None else one for tree, one in zip(trees, coefficients, strict=True)]
    return np.concatenate([np.zeros(0), *given])


def _schedule(nodes: _Nodes) -> tuple[np.ndarray, np.ndarray]:
    """Of each inner node the first instruction of its subtree, and how many registers are in use when that runs.

    The operand that needs more registers is computed first.
    """
    levels, below = list[np.ndarray](), nodes.roots[nodes.is_inner[nodes.roots]]
    while len(below):
        levels.append(below)
        children = np.concatenate([below + 1, nodes.second[below]])
        below = children[nodes.is_inner[children] & (children > 0)]
    # Ershov numbers, where leaves need no register.
    needs = np.zeros(len(nodes.size), np.int64)
    for level in reversed(levels):
        one, other = needs[level + 1], needs[nodes.second[level]] * (nodes.second[level] > 0)
        needs[level] = np.maximum(np.maximum(one, other), np.minimum(one, other) + 1)
    start, register = np.zeros_like(needs), np.zeros_like(needs)
    for level in levels:
        is_binary = nodes.second[level] > 0
        start[level + 1], register[level + 1] = start[level], register[level]
        level = level[is_binary]
        one, other = level + 1, nodes.second[level]
        swapped = needs[other] > needs[one]
        early, late = np.where(swapped, other, one), np.where(swapped, one, other)
        start[early], register[early] = start[level], register[level]
        start[late] = start[level] + nodes.inner[early + nodes.size[early]] - nodes.inner[early]
        register[late] = register[level] + nodes.is_inner[early]
    return start, register


def value_and_slope(
    program: Program,
    x: jax.Array,
    y: jax.Array,
    *,
    protected: bool = False,
    given: Mapping[str, jax.Array] | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Compute f(x, y) and df/dy of one program at every point.

    ``jax.vmap`` over programs runs a population. On CPU it takes the candidates one after another with a real branch
    for each instruction; on a GPU or TPU it is one kernel for all candidates (``interpreter_kernels``).

    Args:
      program: one tree, without a leading axis.
      x: labels, ``[...]``, floating.
      y: predictions, of the shape of ``x``, floating; their dtype is the result's.
      protected: use the protected operators. Defaults to False.
      given: values of the leaves of a context by their names, all or none, of the shape of ``y``. Without them a
        program must have no such leaves. Defaults to none.

    Returns:
      Value and slope, both of the shape and dtype of ``y``.

    Raises:
      AssertionError: shapes or dtypes do not fit. They are checked when the function is traced, not when it runs.

    Example:
        program = encode([parse("x * log(y)"), parse("log(y) - x / y")])
        values, slopes = jax.vmap(value_and_slope, in_axes=(0, None, None))(program, x, y)  # [2, ...]
    """
    return swept(program, x, y, protected=protected, given=given)[:2]


def swept(
    program: Program,
    x: jax.Array,
    y: jax.Array,
    *,
    protected: bool = False,
    given: Mapping[str, jax.Array] | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Compute what ``value_and_slope`` does, and on a GPU the sums of both.

    There a sum beside the kernel would be one more kernel. Elsewhere they are 0.

    Args:
      program: one tree, without a leading axis.
      x: labels, ``[...]``, floating.
      y: predictions, of the shape of ``x``, floating.
      protected: use the protected operators. Defaults to False.
      given: as for ``value_and_slope``.

    Returns:
      Value and slope, and ``[blocks, 2]``, their sums over each block of points.
    """
    chex.assert_equal_shape((x, y))
    chex.assert_type((x, y), float)
    chex.assert_rank(program, _RANKS)
    leaves = tuple(given[name] for name in interpreter_kernels.CONTEXT_SLOTS) if given else ()
    chex.assert_equal_shape((*leaves, y))
    return _sweep(protected)(program, x, y, leaves)


@lru_cache
def _sweep(protected: bool) -> Callable[..., interpreter_kernels.Swept]:
    operators = grammar.operators(protected)

    @custom_vmap
    def one(program: Program, x: jax.Array, y: jax.Array, leaves: _Leaves) -> interpreter_kernels.Swept:
        # Also traced where a population is, so it has one form: a single program is not worth a kernel.
        program = jax.tree.map(lambda leaf: leaf[None], program)
        rows = tuple(leaf.reshape(1, -1) for leaf in leaves)
        value, slope = _run(operators, program, x.reshape(1, -1), y.reshape(1, -1), rows)
        return value.reshape(y.shape), slope.reshape(y.shape), interpreter_kernels.summed(value, slope)[0]

    @one.def_vmap
    def population(
        size: int,
        batched: tuple[Program, bool, bool, tuple[bool, ...]],
        program: Program,
        x: jax.Array,
        y: jax.Array,
        leaves: _Leaves,
    ) -> tuple[interpreter_kernels.Swept, tuple[bool, bool, bool]]:
        programs_batched, x_batched, y_batched, leaves_batched = batched
        program = Program(
            *(
                leaf if has_axis else jnp.broadcast_to(leaf, (size, *leaf.shape))
                for leaf, has_axis in zip(program, programs_batched, strict=True)
            )
        )
        shape = y.shape[1:] if y_batched else y.shape

        def rows(array: jax.Array, has_axis: bool) -> jax.Array:
            return array.reshape(size if has_axis else 1, -1)

        points = rows(x, x_batched), rows(y, y_batched), tuple(map(rows, leaves, leaves_batched))
        value, slope, sums = _run_on_platform(operators, program, *points)
        return (value.reshape(size, *shape), slope.reshape(size, *shape), sums), (True, True, True)

    return one


def _run_on_platform(
    operators: tuple[grammar.Node, ...], program: Program, x: jax.Array, y: jax.Array, leaves: _Leaves
) -> interpreter_kernels.Swept:
    """Run programs in the form of the platform; shapes are those of ``_run``."""

    def on_cpu(program: Program, x: jax.Array, y: jax.Array, leaves: _Leaves) -> interpreter_kernels.Swept:
        value, slope = _run(operators, program, x, y, leaves)
        return value, slope, jnp.zeros_like(jax.eval_shape(interpreter_kernels.summed, value, slope))

    gpu, tpu = interpreter_kernels.on_gpu, interpreter_kernels.on_tpu
    if not interpreter_kernels.HAS_PALLAS:
        gpu = tpu = interpreter_kernels.without_pallas
    arrays = Program(*map(jnp.asarray, program))
    return platforms.choose(arrays, x, y, leaves, cpu=on_cpu, gpu=partial(gpu, operators), tpu=partial(tpu, operators))


class _Laid(NamedTuple):
    """Programs ``[candidates]`` over rows of one buffer: registers, x, y, the results, and the leaves of a context."""

    program: Program  # whose slots are rows
    values: jax.Array  # [rows, points]
    slopes: jax.Array  # [rows, points]
    first_result: int  # the row of the first candidate's result


def _laid(program: Program, x: jax.Array, y: jax.Array, leaves: _Leaves) -> _Laid:
    """Lay out what programs read and write; slots become rows, so that nothing is prepared for each program."""
    size, room = program.opcode.shape
    registers = (room + 1).bit_length() - 1
    first_x = _REGISTERS + registers
    first_y, first_result = first_x + len(x), first_x + len(x) + len(y)
    first_leaf = first_result + size
    values = jnp.zeros((first_leaf + sum(map(len, leaves)), y.shape[1]), y.dtype).at[_ONE].set(1)
    values = values.at[first_x:first_y].set(x).at[first_y:first_result].set(y)
    slopes = jnp.zeros_like(values).at[first_y:first_result].set(1)
    candidate = jnp.arange(size)[:, None]

    def rows_from(first: int, count: int) -> jax.Array:
        return (first + jnp.minimum(candidate, count - 1))[..., None]

    operand = jnp.where(program.operand == _X, rows_from(first_x, len(x)), program.operand)
    operand = jnp.where(operand == _Y, rows_from(first_y, len(y)), operand)
    for slot, leaf in zip(interpreter_kernels.CONTEXT_SLOTS.values(), leaves, strict=False):
        values = values.at[first_leaf : first_leaf + len(leaf)].set(leaf)
        operand = jnp.where(program.operand == slot, rows_from(first_leaf, len(leaf)), operand)
        first_leaf += len(leaf)
    is_last = jnp.arange(room) == program.length[:, None] - 1
    result = jnp.where(is_last, first_result + candidate, program.result)
    return _Laid(program._replace(operand=operand, result=result), values, slopes, first_result)


def _run(
    operators: tuple[grammar.Node, ...], program: Program, x: jax.Array, y: jax.Array, leaves: _Leaves = ()
) -> tuple[jax.Array, jax.Array]:
    """Run programs ``[candidates]`` one instruction after another; value and slope are ``[candidates, points]``.

    x, y and the leaves of a context are ``[candidates, points]``, or ``[1, points]`` if all candidates share them.
    """
    size, room = program.opcode.shape
    laid = _laid(program, x, y, leaves)
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), laid.program)
    branches = [partial(_operate, node, flat) for node in operators]

    def instruction(place: jax.Array, buffers: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
        rows = jax.lax.switch(_at(flat.opcode, place), branches, place, *buffers)
        return tuple(
            jax.lax.dynamic_update_index_in_dim(buffer, row, _at(flat.result, place), axis=0)
            for buffer, row in zip(buffers, rows, strict=True)
        )

    def one(i: jax.Array, buffers: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return jax.lax.fori_loop(i * room, i * room + _at(program.length, i), instruction, buffers)

    buffers = jax.lax.fori_loop(0, size, one, (laid.values, laid.slopes))
    scale = program.output_scale.astype(y.dtype)[:, None]
    value, slope = (scale * buffer[laid.first_result : laid.first_result + size] for buffer in buffers)
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
