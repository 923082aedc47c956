"""What a kernel reads; what it computes is in ``test_programs``, beside the interpreter of a CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glojax.expressions import grammar, interpreter_kernels, programs
from glojax.expressions.parsing import parse


def test_an_instruction_s_fields_are_read_as_they_were_packed() -> None:
    program = programs.encode([parse("log(y) - x / square(y)"), parse("sqrt(x)")], instructions=7)
    packed = interpreter_kernels.pack(*map(jnp.asarray, program))
    assert packed.word.shape == (2, 7)
    assert packed.scale.shape == (2, 14)
    for candidate in range(2):
        for i in range(int(program.length[candidate])):
            opcode, first, second, result, *depends = map(int, interpreter_kernels._unpack(packed.word[candidate, i]))
            assert opcode == program.opcode[candidate, i]
            assert [first, second] == list(program.operand[candidate, i])
            assert result == program.result[candidate, i]
            assert depends == list(program.depends[candidate, i])
            np.testing.assert_array_equal(packed.scale[candidate, 2 * i : 2 * i + 2], program.scale[candidate, i])


def test_fields_hold_the_largest_slot_and_opcode_of_the_largest_tree() -> None:
    slots = 3 + (programs.room(10_000) + 1).bit_length() - 1
    assert slots <= 2**interpreter_kernels._SLOT_BITS
    assert len(grammar.OPERATORS) <= 2**interpreter_kernels._OPCODE_BITS


@pytest.mark.parametrize("kernel", [interpreter_kernels.on_gpu, interpreter_kernels.on_tpu])
def test_no_points_are_no_kernel(kernel) -> None:
    packed = interpreter_kernels.pack(*map(jnp.asarray, programs.encode([parse("x * y")] * 3)))
    none = jnp.zeros((1, 0))
    assert [each.shape for each in kernel(grammar.OPERATORS, packed, none, none)] == [(3, 0), (3, 0)]


@pytest.mark.parametrize("kernel", [interpreter_kernels.on_gpu, interpreter_kernels.on_tpu])
@pytest.mark.parametrize("points", [1, 255, 256, 257, 3000])
def test_blocks_cover_every_point_once(kernel, points: int) -> None:
    packed = interpreter_kernels.pack(*map(jnp.asarray, programs.encode([parse("x - 2 * y"), parse("y * y")])))
    x, y = jnp.arange(points, dtype=jnp.float32)[None], jnp.linspace(0, 1, points)[None]
    value, slope = jax.jit(lambda x, y: kernel(grammar.OPERATORS, packed, x, y, interpret=True))(x, y)
    np.testing.assert_allclose(value, np.stack([x[0] - 2 * y[0], y[0] ** 2]), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(slope, np.stack([np.full(points, -2), 2 * y[0]]), rtol=1e-6)
