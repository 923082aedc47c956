"""Integer labels: classes, 0 and 1 of a sigmoid, and labels that are none, against optax and one-hot labels."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from loss_samples import LABELS, LOGITS, MASK

from glojax import losses
from glojax.losses.labels import classes_as_targets
from glojax.losses.loss import Loss
from glojax.losses.zoo import ZOO

trees_of_the_zoo = [pytest.param(loss, id=name) for name, loss in ZOO.items() if isinstance(loss, Loss)]
SIGMOID = Loss("x * log(y) + (1 - x) * log(1 - y)", output="sigmoid")
Z = jnp.array([3.0, -3.0, 0.5, 20.0])
ZERO_OR_ONE = jnp.array([1, 0, 0, 1])


# NO LABEL


@pytest.mark.slow
@pytest.mark.parametrize("loss", trees_of_the_zoo)
@pytest.mark.parametrize("wrong", [-1, 4, -100, 255, 2**31 - 1])
def test_a_label_that_is_no_class_has_no_loss_and_no_gradient(loss: Loss, wrong: int) -> None:
    labels, known = LABELS.argmax(-1), np.array([True, False, True, False, True])
    logits = np.where(known[:, None], LOGITS, np.nan)  # whatever they hold
    labels = np.where(known, labels, wrong)

    def total(logits: jax.Array) -> jax.Array:
        return loss.with_integer_labels(logits, labels).sum()

    expected = loss(LOGITS, LABELS)
    np.testing.assert_allclose(loss.with_integer_labels(logits, labels), np.where(known, expected, 0), rtol=1e-6)
    gradient = jax.grad(total)(jnp.asarray(logits))
    np.testing.assert_allclose(
        gradient, np.where(known[:, None], jax.grad(lambda z: loss(z, LABELS).sum())(LOGITS), 0), rtol=1e-6, atol=1e-12
    )
    along_0 = loss.with_integer_labels(logits.T, labels, 0)
    np.testing.assert_allclose(along_0, np.where(known, expected, 0), rtol=1e-6)


def test_labels_that_are_none_and_a_mask_both_leave_samples_out() -> None:
    labels = np.where([True, True, False, True, True], LABELS.argmax(-1), -1)
    expected = losses.baikal(LOGITS, LABELS) * np.array([1, 0, 0, 0, 1])
    where = np.array([True, False, True, False, True])
    np.testing.assert_allclose(losses.baikal.with_integer_labels(LOGITS, labels, where=where), expected, rtol=1e-6)
    by_entry = losses.baikal.with_integer_labels(LOGITS, labels, where=MASK)
    expected = losses.baikal(LOGITS, LABELS, where=MASK) * (labels >= 0)
    np.testing.assert_allclose(by_entry, expected, rtol=1e-6)


def test_as_in_optax_a_masked_mean_leaves_out_what_has_no_label() -> None:
    logits, labels = jnp.asarray(LOGITS), jnp.asarray([0, -1, 1, -1, 2])
    known = labels >= 0
    of_all = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(known, labels, 0))
    found = losses.cross_entropy.with_integer_labels(logits, labels)
    np.testing.assert_allclose(found.sum() / known.sum(), jnp.mean(of_all, where=known), rtol=1e-6)


# A SIGMOID


@pytest.mark.few(4)
@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 2), (1, 4)])
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8, bool])
def test_labels_of_a_sigmoid_are_no_classes(shape: tuple[int, ...], dtype: type) -> None:
    logits, labels = Z.reshape(shape), np.asarray(ZERO_OR_ONE, dtype).reshape(shape)
    each = optax.sigmoid_binary_cross_entropy(logits, labels.astype(np.float32))
    expected = each if shape == (4,) else each.sum(-1)
    np.testing.assert_allclose(SIGMOID.with_integer_labels(logits, labels), expected, rtol=1e-5)
    if shape == (4, 1):
        np.testing.assert_allclose(SIGMOID.with_integer_labels(logits, labels[:, 0]), expected, rtol=1e-5)


def test_one_output_along_another_axis() -> None:
    expected = optax.sigmoid_binary_cross_entropy(Z, ZERO_OR_ONE)
    np.testing.assert_allclose(SIGMOID.with_integer_labels(Z[None], ZERO_OR_ONE, axis=0), expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [-1, 2, -100])
@pytest.mark.parametrize("column", [False, True])
def test_a_label_that_is_neither_0_nor_1_is_none(wrong: int, column: bool) -> None:
    labels = ZERO_OR_ONE.at[1].set(wrong)
    logits = Z[:, None] if column else Z
    expected = optax.sigmoid_binary_cross_entropy(Z, ZERO_OR_ONE).at[1].set(0)
    np.testing.assert_allclose(SIGMOID.with_integer_labels(logits, labels), expected, rtol=1e-5)
    gradient = jax.grad(lambda z: SIGMOID.with_integer_labels(z, labels).sum())(logits)
    assert gradient.ravel()[1] == 0
    assert (gradient.ravel()[jnp.array([0, 2])] != 0).all()


def test_classes_of_a_sigmoid_with_an_output_each_are_one_against_the_rest() -> None:
    expected = optax.sigmoid_binary_cross_entropy(jnp.asarray(LOGITS), jnp.asarray(LABELS)).sum(-1)
    np.testing.assert_allclose(SIGMOID.with_integer_labels(LOGITS, LABELS.argmax(-1)), expected, rtol=1e-5)


@pytest.mark.parametrize("output", ["identity", jax.nn.softplus], ids=["identity", "function"])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2)])
def test_targets_are_no_classes(output: str | Callable[[jax.Array], jax.Array], shape: tuple[int, ...]) -> None:
    loss = Loss("-1 * square(x - y)", output=output)
    with pytest.raises(ValueError, match="has targets and no classes: call the loss itself"):
        loss.with_integer_labels(jnp.zeros(shape), jnp.zeros(shape, int))


@pytest.mark.parametrize(
    ("logits", "labels"),
    [((4, 3), (4, 1)), ((4, 3), (3,)), ((4, 3), (4, 3)), ((4, 1), (1, 4)), ((4,), (1,)), ((2, 3, 4), (2, 4))],
)
def test_other_shapes_are_refused(logits: tuple[int, ...], labels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"labels is int32\[.*\]; integers of shape"):
        losses.baikal.with_integer_labels(jnp.zeros(logits), jnp.zeros(labels, int))


def test_targets_and_what_is_known_have_the_shapes_of_the_logits() -> None:
    x, known = classes_as_targets(jnp.zeros((2, 3, 4)), jnp.array([[0, 5, -1], [3, 2, 1]]), -1, None, "softmax")
    np.testing.assert_array_equal(x, np.eye(5)[[[0, 4, 4], [3, 2, 1]]][..., :4])
    np.testing.assert_array_equal(known[..., 0], [[True, False, False], [True, True, True]])


# ONE OUTPUT FOR EACH SAMPLE


@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        (SIGMOID, optax.sigmoid_binary_cross_entropy),
        (Loss("-1 * square(x - y)", output="identity"), optax.squared_error),
        (Loss("-1 * square(x - y)", output=jnp.tanh), lambda z, x: optax.squared_error(jnp.tanh(z), x)),
    ],
    ids=["sigmoid", "identity", "function"],
)
def test_logits_of_samples_have_a_loss_each(loss: Loss, reference: Callable[..., jax.Array]) -> None:
    targets = ZERO_OR_ONE.astype(jnp.float32)
    expected = reference(Z, targets)
    np.testing.assert_allclose(loss(Z, targets), expected, rtol=1e-5)
    np.testing.assert_allclose(loss(Z[:, None], targets[:, None]), expected, rtol=1e-5)
    np.testing.assert_allclose(loss(Z, targets, axis=0), expected.sum(), rtol=1e-5)  # an axis that is named is summed
    mask = np.array([True, False, True, True])
    np.testing.assert_allclose(loss(Z, targets, where=mask), expected * mask, rtol=1e-5)
    np.testing.assert_allclose(loss(Z, targets[:, None]), expected, rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"labels has shape \[4\]; .* \[4, 1\], are expected\. Give labels an axis of 1"
    ):
        loss(Z[:, None], targets)


def test_a_softmax_of_one_sample_has_one_loss() -> None:
    found = losses.cross_entropy(LOGITS[0], LABELS[0])
    np.testing.assert_allclose(found, optax.softmax_cross_entropy(jnp.asarray(LOGITS[0]), LABELS[0]), rtol=1e-6)
