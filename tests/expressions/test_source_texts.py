"""What an exported module does for every loss: shapes, integer labels, masks, saturated logits, in jax and in torch."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from expression_samples import TREES_OF_THE_ZOO

from glojax.expressions.source_texts import JAX, TORCH
from glojax.losses.loss import Loss

LIBRARIES = ["jax", pytest.param("torch", marks=pytest.mark.skipif(not find_spec("torch"), reason="torch is missing"))]
every_library = pytest.mark.parametrize("library", LIBRARIES)
BINARY = Loss("x * log(y) + (1 - x) * log(1 - y)", output="sigmoid")
TREES = TREES_OF_THE_ZOO | {"binary": Loss(BINARY.tree)}
LOGITS = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32) * 2
CLASSES = np.array([3, 1, 2, 0])
Z, ZERO_OR_ONE = np.array([3, -3, 0.5, 40], np.float32), np.array([1, 0, 0, 1])


def exported(loss: Loss, library: str) -> Callable[..., Any]:
    """The functions of an exported module, which take and give NumPy arrays; ``gradient=True`` gives that by logits."""
    names: dict[str, Any] = {}
    exec(loss.to_python() if library == "jax" else loss.to_torch(), names)

    def call(name: str, logits: np.ndarray, labels: np.ndarray, gradient: bool = False, **options: Any) -> np.ndarray:
        if library == "jax":
            value = names[name](logits, labels, **options)
            found = jax.grad(lambda z: names[name](z, labels, **options).sum())(logits) if gradient else value
            return np.asarray(found)
        import torch

        options = {{"axis": "dim"}.get(key, key): value for key, value in options.items()}
        options = {key: torch.tensor(value) if key == "where" else value for key, value in options.items()}
        inputs = torch.tensor(logits, requires_grad=True)
        value = names[name](inputs, torch.tensor(labels), **options)
        if gradient:
            value.sum().backward()
            return inputs.grad.numpy()  # type: ignore[union-attr]
        return value.detach().numpy()

    return call


# INTEGER LABELS


@pytest.mark.slow
@every_library
@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("axis", [-1, 0])
def test_classes_mean_what_they_mean_in_the_library(name: str, output: str, library: str, axis: int) -> None:
    loss = Loss(TREES[name].tree, TREES[name].coefficients, output=output)
    call, labels = exported(loss, library), np.array([3, -1, 2, 4])
    logits = LOGITS if axis else LOGITS.T
    with_labels = loss.with_integer_labels
    for gradient in (False, True):
        found = call("loss_with_integer_labels", logits, labels, axis=axis, gradient=gradient)
        expected = with_labels(logits, labels, axis)
        if gradient:
            expected = jax.grad(lambda z: with_labels(z, labels, axis).sum())(jnp.asarray(logits))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        of_samples = found if not gradient or axis else found.T
        assert not of_samples[[1, 3]].any()


@every_library
def test_classes_of_cross_entropy_mean_what_they_mean_in_optax(library: str) -> None:
    call = exported(Loss("x * log(y)"), library)
    expected = optax.softmax_cross_entropy_with_integer_labels(LOGITS, CLASSES)
    np.testing.assert_allclose(call("loss_with_integer_labels", LOGITS, CLASSES), expected, rtol=1e-5)


@every_library
@pytest.mark.parametrize("column", [False, True])
def test_labels_of_a_sigmoid_are_0_and_1(library: str, column: bool) -> None:
    call, logits = exported(BINARY, library), Z[:, None] if column else Z
    labels = np.array([1, 0, -1, 1])
    expected = optax.sigmoid_binary_cross_entropy(Z, ZERO_OR_ONE).at[2].set(0)
    np.testing.assert_allclose(call("loss_with_integer_labels", logits, labels), expected, rtol=1e-5, atol=1e-20)
    both = call("loss_with_integer_labels", Z.reshape(2, 2), labels.reshape(2, 2))
    np.testing.assert_allclose(both, expected.reshape(2, 2).sum(-1), rtol=1e-5)
    where = np.array([False, True, True, True])
    masked = call("loss_with_integer_labels", logits, labels, where=where)
    np.testing.assert_allclose(masked, expected * where, rtol=1e-5, atol=1e-20)


@every_library
@pytest.mark.parametrize("labels", [CLASSES[:, None], CLASSES[:3], CLASSES.astype(np.float32), np.eye(4, dtype=int)])
def test_other_integer_labels_are_refused(library: str, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"labels .* must be integers of shape"):
        exported(Loss("x * log(y)"), library)("loss_with_integer_labels", LOGITS, labels)


# SHAPES


@every_library
@pytest.mark.parametrize(
    "labels", [CLASSES, CLASSES[:, None], np.ones((4, 1), np.float32), np.ones((1, 4)), np.ones(())]
)
@pytest.mark.parametrize("output", ["softmax", "sigmoid", "identity"])
def test_labels_of_another_shape_are_refused(library: str, labels: np.ndarray, output: str) -> None:
    with pytest.raises(ValueError, match=r"logits .* must be floats, and labels .* have their shape"):
        exported(Loss("x - y", output=output), library)("loss", LOGITS, labels)


@every_library
def test_logits_that_are_no_floats_are_refused(library: str) -> None:
    call = exported(Loss("x * log(y)"), library)
    with pytest.raises((ValueError, RuntimeError), match="float"):  # torch has no gradients of integers
        call("loss", np.ones((4, 4), int), np.eye(4))


@every_library
@pytest.mark.parametrize("output", ["sigmoid", "identity"])
def test_logits_of_samples_have_a_loss_each(library: str, output: str) -> None:
    loss = Loss("-1 * square(x - y)", output=output)
    found = exported(loss, library)("loss", Z, ZERO_OR_ONE.astype(np.float32))
    y = 1 / (1 + np.exp(-Z)) if output == "sigmoid" else Z
    np.testing.assert_allclose(found, (ZERO_OR_ONE - y) ** 2, rtol=1e-5, atol=1e-6)


# MASKS AND SATURATION


@pytest.mark.few(7)
@every_library
@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("output", ["softmax", "sigmoid", "identity"])
@pytest.mark.parametrize("junk", [np.nan, -np.inf, 1e30])
def test_masked_entries_have_no_influence(name: str, output: str, library: str, junk: float) -> None:
    if output == "identity" and name not in ("brier", "mean_absolute_error"):
        pytest.skip("logarithms and quotients of negative numbers")
    loss = Loss(TREES[name].tree, TREES[name].coefficients, output=output)
    where = np.array([[1, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]], bool)
    call, x, given = exported(loss, library), np.eye(4, dtype=np.float32)[CLASSES], np.where(where, LOGITS, junk)
    expected = loss(LOGITS, x, where=where)
    np.testing.assert_allclose(call("loss", given, x, where=where), expected, rtol=1e-4, atol=1e-5)
    gradient = call("loss", given, x, where=where, gradient=True)
    assert np.isfinite(gradient).all()
    assert not gradient[~where].any()
    samples = call("loss", given, x, where=where.all(axis=-1))
    np.testing.assert_allclose(samples, loss(LOGITS, x, where=where.all(axis=-1)), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@every_library
@pytest.mark.parametrize("masked", [-1e9, -1e30, float(np.finfo(np.float32).min), -np.inf])
def test_a_class_with_a_very_low_logit_has_no_share(library: str, masked: float) -> None:
    logits, x = np.array([[2.0, 0.5, masked]], np.float32), np.array([[1.0, 0, 0]], np.float32)
    y = np.exp(1.5) / (1 + np.exp(1.5))
    found = exported(Loss("-1 * square(x - y)"), library)("loss", logits, x)
    np.testing.assert_allclose(found, [2 * (1 - y) ** 2], rtol=1e-5)
    gradient = exported(Loss("log(y) - x / y"), library)("loss", logits, x, gradient=True)
    assert np.isfinite(gradient).all()


@every_library
@pytest.mark.parametrize("magnitude", [20.0, 100.0, 1e4, 1e30])
def test_the_cross_entropy_of_a_sigmoid_has_no_bound(library: str, magnitude: float) -> None:
    call, logits = exported(BINARY, library), np.array([[magnitude], [-magnitude]], np.float32)
    for x in (np.zeros((2, 1), np.float32), np.ones((2, 1), np.float32)):
        expected = optax.sigmoid_binary_cross_entropy(logits, x)
        np.testing.assert_allclose(call("loss", logits, x), expected[:, 0], rtol=1e-6, atol=1e-30)
        gradient = call("loss", logits, x, gradient=True)
        np.testing.assert_allclose(gradient, jax.nn.sigmoid(logits) - x, rtol=1e-6, atol=1e-7)


def test_both_libraries_have_the_same_parts() -> None:
    assert JAX.predictions.keys() == TORCH.predictions.keys() == {"softmax", "sigmoid", "identity"}
    assert JAX.complements.keys() == TORCH.complements.keys() == JAX.targets.keys() == TORCH.targets.keys()
