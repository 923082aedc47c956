"""The leaves prior and progress: in every form of the interpreter, against the grammar's own values and jax.grad."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glojax.expressions import context, grammar, interpreter_kernels, programs, trees
from glojax.expressions.canonical import canonical
from glojax.expressions.coefficients import identifiable_coefficients
from glojax.expressions.context import Context, InContext
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree

TREES = [
    parse(text) for text in ("x * log(y) * progress", "prior * x / y - y", "square(x - y * progress) + prior", "x - y")
]
Y = jnp.asarray(np.random.default_rng(0).uniform(0.1, 0.9, (3, 5)), jnp.float32)
X = jnp.asarray(np.random.default_rng(1).uniform(0, 1, (3, 5)), jnp.float32)
GIVEN = {"prior": jnp.asarray([[0.2], [0.5], [0.3]]) * jnp.ones((1, 5)), "progress": jnp.full((3, 5), 0.4)}


def expected(tree: Tree, given: dict[str, jax.Array] = GIVEN) -> tuple[jax.Array, jax.Array]:
    def value(y: jax.Array, x: jax.Array, *leaves: jax.Array) -> Any:
        return trees.evaluate(tree, x, y, jnp, given=dict(zip(context.LEAVES, leaves, strict=True)))

    leaves = [given[name] for name in context.LEAVES]
    slopes = jnp.vectorize(jax.grad(value))(Y, X, *leaves)
    return value(Y, X, *leaves), slopes


@pytest.mark.slow
def test_the_interpreter_computes_them() -> None:
    found = jax.vmap(lambda program: programs.value_and_slope(program, X, Y, given=GIVEN))(programs.encode(TREES))
    for place, tree in enumerate(TREES):
        for array, right in zip(found, expected(tree), strict=True):
            np.testing.assert_allclose(array[place], right, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_candidates_may_have_values_of_their_own() -> None:
    progress = jnp.asarray([0.0, 0.25, 0.5, 0.75])
    program = programs.encode([TREES[0]] * 4)

    def sweep(program: Any, progress: jax.Array) -> Any:
        return programs.value_and_slope(program, X, Y, given={**GIVEN, "progress": jnp.full(Y.shape, progress)})

    values, slopes = jax.vmap(sweep)(program, progress)
    for place in range(4):
        np.testing.assert_allclose(values[place], progress[place] * X * jnp.log(Y), rtol=1e-5)
        np.testing.assert_allclose(slopes[place], progress[place] * X / Y, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kernel",
    [
        partial(interpreter_kernels.on_gpu, interpret=True),
        partial(interpreter_kernels.on_tpu, interpret=True),
        interpreter_kernels.without_pallas,
    ],
    ids=["gpu", "tpu", "without pallas"],
)
def test_kernels_compute_them(kernel: Callable[..., Any]) -> None:
    program = programs.Program(*map(jnp.asarray, programs.encode(TREES)))
    flat = [leaf.reshape(1, -1) for leaf in (X, Y, *GIVEN.values())]
    found = kernel(grammar.OPERATORS, program, *flat[:2], flat[2:])[:2]
    for place, tree in enumerate(TREES):
        for array, right in zip(found, expected(tree), strict=True):
            np.testing.assert_allclose(array[place].reshape(Y.shape), right, rtol=1e-5, atol=1e-6)


def test_their_slots_are_beyond_all_registers() -> None:
    largest = programs.encode([Tree("x")], instructions=programs.room(trees.MAX_NODES - 1))
    registers = (largest.opcode.shape[1] + 1).bit_length() - 1
    assert min(interpreter_kernels.CONTEXT_SLOTS.values()) >= 3 + registers


def test_only_a_population_that_has_them_is_prepared() -> None:
    assert context.prepared(TREES[3:], "program", 1) == "program"
    found = context.prepared(TREES, "program", 4)
    assert isinstance(found, InContext)
    assert np.isnan(found.context.prior).all()
    assert found.context.progress.shape == (4,)
    filled = context.filled(found, lambda: "shares", 0.5)
    assert context.parted(filled) == ("program", Context("shares", 0.5))
    assert context.parted(context.replaced(filled, "other")) == ("other", Context("shares", 0.5))
    assert context.filled("program", lambda: pytest.fail("the prior was asked for"), 0.5) == "program"
    assert [context.leaves_of(tree) for tree in TREES] == [["progress"], ["prior"], ["prior", "progress"], []]


def test_they_spread_over_the_points() -> None:
    found = context.on_points(Context(np.array([0.2, 0.8]), np.arange(3.0)), jnp.zeros((2, 3)))
    assert found["prior"].tolist() == [[np.float32(0.2)] * 3, [np.float32(0.8)] * 3]
    assert found["progress"].tolist() == [[0, 1, 2]] * 2
    assert context.on_points(None, jnp.zeros((2, 3))) == {}


def test_a_prior_is_above_0_and_progress_may_be_0() -> None:
    assert str(canonical(parse("prior / prior * x - y"))) == "x - y"
    assert "progress" in str(canonical(parse("progress / progress * x - y")))


def test_coefficients_of_schedules_are_found() -> None:
    # The overall factor, and that of progress beside 1.
    assert len(identifiable_coefficients(parse("x * log(y) * (1 + progress)"))) == 2
    assert len(identifiable_coefficients(parse("x * log(y) * (1 + 1)"))) == 1
