"""What a kernel reads; what it computes is in ``test_programs``, beside the interpreter of a CPU."""

import runpy
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glojax.expressions import grammar, interpreter_kernels, programs, trees
from glojax.expressions.parsing import parse


def fields(program: programs.Program) -> list[jax.Array]:
    return [*map(jnp.asarray, program)]


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
    program, none = fields(programs.encode([parse("x * y")] * 3)), jnp.zeros((1, 0))
    value, slope, sums = kernel(grammar.OPERATORS, program, none, none)
    assert value.shape == slope.shape == (3, 0)
    np.testing.assert_array_equal(sums, np.zeros((3, 1, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [interpreter_kernels.on_gpu, interpreter_kernels.on_tpu])
@pytest.mark.parametrize("points", [1, 255, 256, 257, 3000])
def test_blocks_cover_every_point_once(kernel, points: int) -> None:
    program = fields(programs.encode([parse("x - 2 * y"), parse("y * y")]))
    x, y = jnp.arange(points, dtype=jnp.float32)[None], jnp.linspace(0, 1, points)[None]
    value, slope, sums = jax.jit(lambda x, y: kernel(grammar.OPERATORS, program, x, y, interpret=True))(x, y)
    np.testing.assert_allclose(value, np.stack([x[0] - 2 * y[0], y[0] ** 2]), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(slope, np.stack([np.full(points, -2), 2 * y[0]]), rtol=1e-6)
    totals = np.stack([np.asarray(each, float).sum(axis=1) for each in (value, slope)], axis=1)
    np.testing.assert_allclose(np.asarray(sums, float).sum(axis=1), totals, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("protected", [False, True])
def test_without_pallas_programs_give_what_the_cpu_gives(protected: bool) -> None:
    random, operators = np.random.default_rng(3), grammar.operators(protected)
    population = [trees.grow(random, int(random.integers(0, 6))) for _ in range(60)]
    coefficients = [random.uniform(-2, 2, tree.size) if place % 2 else None for place, tree in enumerate(population)]
    y = np.concatenate([[1e-9, 1 - 1e-9], random.uniform(0, 1, 10)])[None]
    x = (random.random(y.shape) < 0.5).astype(float)
    with jax.enable_x64(True):
        program = programs.encode(population, coefficients, 63, np.float64)
        points = jnp.asarray(x), jnp.asarray(y)
        expected = jax.jit(lambda: programs._run(operators, program, *points))()
        found = jax.jit(lambda: interpreter_kernels.without_pallas(operators, fields(program), *points))()
    for one, other in zip(found[:2], expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    totals = np.stack([np.asarray(each).sum(axis=1) for each in expected], axis=1)
    np.testing.assert_allclose(found[2][:, 0], totals, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("missing", ["jax.experimental.pallas", "jax.experimental.pallas.triton"])
def test_a_jax_without_pallas_is_noticed(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert interpreter_kernels.HAS_PALLAS
    monkeypatch.setitem(sys.modules, missing, None)
    assert not runpy.run_path(interpreter_kernels.__file__)["HAS_PALLAS"]
