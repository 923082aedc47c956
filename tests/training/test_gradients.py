"""The gradient of the mean loss by a network's outputs, compared with ``jax.grad`` of the loss as a function."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax.expressions import programs
from glojax.expressions.parsing import parse
from glojax.expressions.programs import Program
from glojax.losses.loss import Loss
from glojax.tasks.task import Task
from glojax.training import gradients
from glojax.training.gradients import fixed_gradient, program_gradient

BATCH, OUTPUTS = 6, 3
RANDOM = np.random.default_rng(0)
LOGITS = jnp.asarray(RANDOM.normal(size=(BATCH, OUTPUTS)), jnp.float32)
ONE_HOT = jax.nn.one_hot(RANDOM.integers(0, OUTPUTS, BATCH), OUTPUTS)
SEVERAL = jnp.asarray(RANDOM.integers(0, 2, (BATCH, OUTPUTS)), jnp.float32)
WEIGHTS = jnp.asarray(RANDOM.uniform(0.2, 2, (BATCH, OUTPUTS)), jnp.float32).at[1, 2].set(0)


def program_of(expression: str) -> Program:
    """A single program, on the device."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), programs.encode([parse(expression)], None, 31))


def doubled(outputs: jax.Array) -> jax.Array:
    """Predictions of a user's own kind, which looks along its last axis."""
    return jax.nn.softmax(2 * outputs, axis=-1)


PREDICTIONS: dict[Any, Callable[[jax.Array], jax.Array]] = {
    "softmax": jax.nn.softmax,
    "sigmoid": jax.nn.sigmoid,
    "identity": lambda z: z,
    doubled: doubled,
}


@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS[:, :1]], ids=["alike", "of entries", "of examples"])
@pytest.mark.parametrize("output", PREDICTIONS, ids=lambda output: getattr(output, "__name__", output))
@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("x * square(y)", lambda x, y: x * y**2),
        ("square(x - y)", lambda x, y: (x - y) ** 2),
        ("y / (x + 2)", lambda x, y: y / (x + 2)),
    ],
)
def test_a_programs_gradient_is_that_of_the_loss_as_a_function(
    output: Any, weights: jax.Array | None, expression: str, written: Callable[..., jax.Array]
) -> None:
    def mean_loss(outputs: jax.Array) -> jax.Array:
        values = -written(SEVERAL, PREDICTIONS[output](outputs))  # losses are to be maximized as they are written
        return jnp.mean(jnp.sum(values if weights is None else weights * values, axis=-1))

    found, finite = program_gradient(False, output)(program_of(expression), LOGITS, SEVERAL, weights)
    np.testing.assert_allclose(found, jax.grad(mean_loss)(LOGITS), rtol=1e-4, atol=1e-6)
    assert finite


def test_cross_entropy_as_a_program_has_optax_gradient() -> None:
    found, _ = program_gradient(False)(program_of("x * log(y)"), LOGITS, ONE_HOT, None)
    expected = jax.grad(lambda z: optax.softmax_cross_entropy(z, ONE_HOT).mean())(LOGITS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("expression", ["log(x) + y", "y / (x - x)"])
def test_a_program_that_meets_infinity_or_nan_is_not_finite_unless_it_is_protected(expression: str) -> None:
    assert not program_gradient(False)(program_of(expression), LOGITS, ONE_HOT, None)[1]
    assert program_gradient(True)(program_of(expression), LOGITS, ONE_HOT, None)[1]


def test_entries_of_weight_0_take_no_part_even_where_they_are_infinite() -> None:
    labels = jnp.ones((BATCH, OUTPUTS)).at[1, 2].set(0)  # log(0) there, and nowhere else
    program = program_of("log(x) * y")
    assert not program_gradient(False, "sigmoid")(program, LOGITS, labels, None)[1]
    found, finite = program_gradient(False, "sigmoid")(program, LOGITS, labels, WEIGHTS)
    assert finite
    chex.assert_tree_all_finite(found)
    assert found[1, 2] == 0


def test_a_gradient_has_the_type_of_the_outputs() -> None:
    found, finite = program_gradient(False)(program_of("x * y"), LOGITS.astype(jnp.bfloat16), ONE_HOT, None)
    chex.assert_type([found, finite], [jnp.bfloat16, bool])


# ONE LOSS FOR ALL


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_a_fixed_loss_of_every_output_is_summed_over_outputs_and_averaged_over_examples(
    weights: jax.Array | None,
) -> None:
    def mean_loss(outputs: jax.Array) -> jax.Array:
        values = optax.sigmoid_binary_cross_entropy(outputs, SEVERAL)
        return jnp.sum(values if weights is None else weights * values) / BATCH

    found, finite = fixed_gradient(optax.sigmoid_binary_cross_entropy)(program_of("y"), LOGITS, SEVERAL, weights)
    np.testing.assert_allclose(found, jax.grad(mean_loss)(LOGITS), rtol=1e-5, atol=1e-7)
    assert finite


def test_a_fixed_loss_of_every_example_takes_weights_of_examples() -> None:
    weights = WEIGHTS[:, :1]
    expected = jax.grad(lambda z: jnp.mean(optax.softmax_cross_entropy(z, ONE_HOT) * weights[:, 0]))(LOGITS)
    found, _ = fixed_gradient(optax.softmax_cross_entropy)(program_of("y"), LOGITS, ONE_HOT, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="one for each output is needed"):
        fixed_gradient(optax.softmax_cross_entropy)(program_of("y"), LOGITS, ONE_HOT, WEIGHTS)


def test_a_fixed_loss_is_the_same_as_its_program() -> None:
    loss = Loss("x * log(y) - y * sqrt(y)")
    fixed, _ = fixed_gradient(loss)(program_of("y"), LOGITS, ONE_HOT, None)
    found, _ = program_gradient(False)(program_of("x * log(y) - y * sqrt(y)"), LOGITS, ONE_HOT, None)
    np.testing.assert_allclose(found, fixed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weights", [jnp.ones(BATCH), jnp.ones((BATCH, 2)), jnp.ones((1, OUTPUTS))])
@pytest.mark.parametrize("gradient", [program_gradient(False), fixed_gradient(optax.softmax_cross_entropy)])
def test_weights_of_another_shape_are_refused(gradient: gradients.Gradient, weights: jax.Array) -> None:
    with pytest.raises(AssertionError):
        gradient(program_of("y"), LOGITS, ONE_HOT, weights)


def test_targets_of_another_shape_are_refused() -> None:
    with pytest.raises(AssertionError):
        program_gradient(False)(program_of("y"), LOGITS, ONE_HOT[:, :1], None)


def sum_of_rows(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """A function of the right arguments whose values are neither of examples nor of outputs."""
    return jnp.sum(outputs - targets, axis=0)


def test_a_function_that_is_no_loss_of_such_outputs_is_refused(tiny_task: Task) -> None:
    gradients.check_loss(tiny_task, optax.softmax_cross_entropy)
    gradients.check_loss(tiny_task, optax.squared_error)
    with pytest.raises(ValueError, match=r"the loss sum_of_rows gives .* a value for each example, or for each output"):
        gradients.check_loss(tiny_task, sum_of_rows)
    with pytest.raises(ValueError, match="the loss softmax_cross_entropy_with_integer_labels, called with outputs"):
        gradients.check_loss(tiny_task, optax.softmax_cross_entropy_with_integer_labels)
