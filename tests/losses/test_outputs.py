"""Predictions of a network's outputs: values, bounds, gradients, masks and errors."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from loss_samples import LABELS, LOGITS, MASK, SATURATED, SATURATED_LABELS, softmax

from glojax.losses.outputs import OUTPUTS, Output, predictions, probabilities
from glojax.losses.shapes import sum_over

TINY = float(np.finfo(np.float32).tiny)
LOWEST = TINY**0.45

every_output = pytest.mark.parametrize("output", [*OUTPUTS, jnp.tanh], ids=[*OUTPUTS, "function"])

# y of an output z, as NumPy has it.
REFERENCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "softmax": softmax,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "identity": lambda z: z,
}


# VALUES


@pytest.mark.parametrize("output", OUTPUTS)
def test_predictions_are_what_the_output_is_called(output: str) -> None:
    with jax.enable_x64(True):
        x, y, log_y = predictions(LOGITS, LABELS, -1, None, output)
        np.testing.assert_array_equal(x, LABELS)
        np.testing.assert_allclose(y, REFERENCES[output](LOGITS), rtol=1e-12)
        if output == "identity":
            assert log_y is None
        else:
            np.testing.assert_allclose(log_y, np.log(REFERENCES[output](LOGITS)), rtol=1e-12)


def test_a_function_of_the_outputs_is_called_with_them() -> None:
    with jax.enable_x64(True):
        x, y, log_y = predictions(LOGITS, LABELS, -1, None, lambda z: z**2 + 1)
        np.testing.assert_array_equal(x, LABELS)
        np.testing.assert_allclose(y, LOGITS**2 + 1, rtol=1e-12)
        assert log_y is None


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_softmax_is_along_the_axis_of_the_classes(axis: int) -> None:
    logits, labels = (LOGITS, LABELS) if axis % 2 else (LOGITS.T, LABELS.T)
    _, y, log_y = probabilities(logits, labels, axis, None)
    np.testing.assert_allclose(np.asarray(y).sum(axis), 1, rtol=1e-6)
    np.testing.assert_allclose(y, jax.nn.softmax(logits, axis=axis), rtol=1e-5)
    np.testing.assert_allclose(log_y, jax.nn.log_softmax(logits, axis=axis), rtol=1e-5)


@every_output
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64])
def test_predictions_have_the_shape_of_the_outputs_and_at_least_float32(output: Output, dtype: jnp.dtype) -> None:
    with jax.enable_x64(True):
        x, y, log_y = predictions(jnp.asarray(LOGITS, dtype), LABELS, -1, None, output)
    expected = jnp.promote_types(dtype, jnp.float32)
    for array in (x, y) if log_y is None else (x, y, log_y):
        chex.assert_shape(array, LOGITS.shape)
        chex.assert_type(array, expected)


def test_a_function_that_changes_the_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Loss\.output makes predictions of shape .* it must keep the shape"):
        predictions(LOGITS, LABELS, -1, None, lambda z: z[:, :1])


# SATURATION


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_probabilities_stay_where_their_inverse_squares_are_finite(output: str) -> None:
    _, y, log_y = predictions(SATURATED.astype(np.float32), SATURATED_LABELS, -1, None, output)
    y = np.asarray(y)
    assert y.min() == pytest.approx(LOWEST, rel=1e-5)
    assert np.isfinite(np.float32(1) / y**2).all()
    assert log_y is not None
    # The logarithm has no bound; in the third row, two classes share all of the softmax.
    assert np.min(log_y) == pytest.approx(-2e4 - np.log(2) if output == "softmax" else -1e4, rel=1e-6)


def test_the_sigmoid_stays_below_1() -> None:
    _, y, _ = predictions(SATURATED.astype(np.float32), SATURATED_LABELS, -1, None, "sigmoid")
    assert np.asarray(y).max() == np.float32(1) - np.finfo(np.float32).epsneg
    assert np.isfinite(1 / (1 - np.asarray(y))).all()


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_gradients_of_probabilities_agree_with_finite_differences(output: str) -> None:
    with jax.enable_x64(True):
        check_grads(lambda z: predictions(z, LABELS, -1, None, output)[1], (LOGITS,), order=1, rtol=1e-6)
        check_grads(lambda z: predictions(z, LABELS, -1, MASK, output)[1], (LOGITS,), order=1, rtol=1e-6)


def test_the_gradient_of_a_kept_softmax_passes_as_if_it_were_not_kept() -> None:
    # y of the second class is kept at LOWEST; its derivative by its own logit is y (1 - y).
    z = jnp.asarray([[0.0, -60.0]])
    gradient = jax.grad(lambda z: probabilities(z, jnp.zeros((1, 2)), -1, None)[1][0, 1])(z)
    np.testing.assert_allclose(gradient, [[-LOWEST, LOWEST]], rtol=1e-4)


def test_the_gradient_of_a_kept_sigmoid_is_y_times_1_minus_y() -> None:
    z = jnp.asarray([[-1e4, 0.5, 1e4]])
    _, y, _ = predictions(z, jnp.zeros((1, 3)), -1, None, "sigmoid")
    gradient = jax.grad(lambda z: predictions(z, jnp.zeros((1, 3)), -1, None, "sigmoid")[1].sum())(z)
    np.testing.assert_allclose(gradient, y * np.array([1, 1 / (1 + np.exp(0.5)), LOWEST]), rtol=1e-5)
    assert (gradient > 0).all()


# MASKS


@every_output
@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf])
def test_masked_entries_are_finite_whatever_they_hold(output: Output, junk: float) -> None:
    x, y, log_y = predictions(np.where(MASK, LOGITS, junk), np.where(MASK, LABELS, junk), -1, MASK, output)
    chex.assert_tree_all_finite([x, y] if log_y is None else [x, y, log_y])
    np.testing.assert_array_equal(np.asarray(x)[MASK], LABELS[MASK])


def test_a_masked_softmax_is_over_the_classes_that_take_part() -> None:
    _, y, _ = probabilities(LOGITS, LABELS, -1, np.array([[True, True, True, False]]))
    np.testing.assert_allclose(np.asarray(y)[:, :3], softmax(LOGITS[:, :3]), rtol=1e-5)


def test_cross_entropy_of_the_parts_is_that_of_optax() -> None:
    x, _, log_y = probabilities(LOGITS, LABELS, -1, None)
    expected = optax.softmax_cross_entropy(jnp.asarray(LOGITS), jnp.asarray(LABELS))
    chex.assert_trees_all_close(-sum_over(x * log_y, -1, None), expected, rtol=1e-6)


# ERRORS


@every_output
@pytest.mark.parametrize(
    ("logits", "labels", "axis", "message"),
    [
        (np.ones((2, 3), int), np.ones((2, 3)), -1, r"logits is int\d+; a floating dtype is expected"),
        (np.ones((2, 3)), np.ones((2, 4)), -1, r"labels has shape \[2, 4\]"),
        (np.ones((2, 3)), np.ones(2, int), -1, "with_integer_labels"),
        (np.ones((2, 3)), np.ones((2, 3)), 2, r"axis is 2; logits of shape \[2, 3\] has axes -2 to 1"),
    ],
)
def test_outputs_and_labels_that_do_not_fit_are_named(
    logits: np.ndarray, labels: np.ndarray, axis: int, message: str, output: Output
) -> None:
    with pytest.raises(ValueError, match=message):
        predictions(logits, labels, axis, None, output)
