"""Axes, labels and masks of a loss: what is taken as optax and NumPy take it, and what is refused by name."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from loss_samples import LABELS, LOGITS, MASK

from glojax import losses
from glojax.losses.loss import LossFunction
from glojax.losses.shapes import as_labels, as_mask, output_axes, sum_over
from glojax.losses.zoo import ZOO

every_loss = pytest.mark.parametrize("loss", [pytest.param(loss, id=name) for name, loss in ZOO.items()])
CUBE = jnp.zeros((2, 3, 4))


# AXES


@pytest.mark.parametrize(
    ("axis", "axes"), [(0, (0,)), (-1, (2,)), ((0, -1), (0, 2)), ([1], (1,)), (None, (0, 1, 2)), (np.int64(1), (1,))]
)
def test_axes_count_from_0(axis: object, axes: tuple[int, ...]) -> None:
    assert output_axes(CUBE, axis) == axes  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        (3, r"axis is 3; logits of shape \[2, 3, 4\] has axes -3 to 2"),
        (-4, "axis is -4"),
        ((0, 3), r"axis is \(0, 3\)"),
        ((0, -3), "each axis may be named once"),
        (1.0, "axis is 1.0; a whole number, several, or None"),
        (True, "axis is True; a whole number"),
        ("1", "axis is '1'; a whole number"),
    ],
)
def test_other_axes_are_refused_by_name(axis: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        output_axes(CUBE, axis)  # type: ignore[arg-type]


@pytest.mark.few(1)
@every_loss
@pytest.mark.parametrize("axis", [(1, 2), (-1, -2), None])
def test_several_axes_are_as_one(loss: LossFunction, axis: tuple[int, ...] | None) -> None:
    logits = np.random.default_rng(0).normal(size=(5, 2, 3))
    labels = np.eye(6)[[0, 3, 1, 5, 2]].reshape(5, 2, 3)
    with jax.enable_x64(True):
        if axis is None:
            flat = loss(logits.reshape(1, 30), labels.reshape(1, 30))[0]
        else:
            flat = loss(logits.reshape(5, 6), labels.reshape(5, 6))
        np.testing.assert_allclose(loss(logits, labels, axis), flat, rtol=1e-12)


def test_several_axes_mean_what_they_mean_in_optax() -> None:
    logits, labels = jnp.asarray(LOGITS.reshape(5, 2, 2)), jnp.asarray(LABELS.reshape(5, 2, 2))
    for axis in ((1, 2), None):
        expected = optax.softmax_cross_entropy(logits, labels, axis=axis)
        np.testing.assert_allclose(losses.cross_entropy(logits, labels, axis), expected, rtol=1e-6)
    classes = jnp.asarray(LABELS.argmax(-1))
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, classes, axis=(1, 2))
    found = losses.cross_entropy.with_integer_labels(logits, classes, (1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# LABELS


def test_labels_broadcast_over_samples() -> None:
    uniform = np.full(4, 0.25)
    expected = optax.softmax_cross_entropy(jnp.asarray(LOGITS), jnp.tile(uniform, (5, 1)))
    for labels in (uniform, uniform[None], np.tile(uniform, (5, 1))):
        np.testing.assert_allclose(losses.cross_entropy(LOGITS, labels), expected, rtol=1e-6)
    np.testing.assert_allclose(losses.cross_entropy(LOGITS.T, uniform[:, None], 0), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "labels"),
    [
        ((5, 4), np.zeros((5, 1))),  # one number for all classes
        ((5, 4), np.zeros(5)),
        ((5, 4), np.zeros(4, int)),  # classes of four samples?
        ((4, 4), np.zeros(4)),  # of one sample, or of each?
        ((4, 4), np.arange(4)),
        ((4, 4), np.arange(4)[:, None]),
        ((2, 3, 4), np.zeros((3, 4))),
        ((2, 3, 4), np.zeros((2, 4))),
        ((5, 4), np.zeros(())),
        ((1, 4), np.zeros((5, 4))),
    ],
)
def test_labels_that_may_mean_something_else_are_refused(shape: tuple[int, ...], labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"labels has shape .*; one-hot or soft labels of the shape of the logits"):
        as_labels(jnp.zeros(shape), labels, (len(shape) - 1,))
    with pytest.raises(ValueError, match="labels has shape"):
        losses.baikal(jnp.zeros(shape), labels)


# MASKS


def test_a_mask_over_samples_is_spread_over_the_classes() -> None:
    samples = MASK[:, 0]
    assert as_mask(jnp.asarray(LOGITS), None, (1,)) is None
    chex.assert_shape(as_mask(jnp.asarray(LOGITS), samples, (1,)), (5, 1))
    chex.assert_shape(as_mask(jnp.asarray(LOGITS.T), samples, (0,)), (1, 5))
    chex.assert_shape(as_mask(CUBE, np.ones(3, bool), (0, 2)), (1, 3, 1))
    chex.assert_trees_all_equal(as_mask(jnp.asarray(LOGITS), MASK, (1,)), jnp.asarray(MASK))


@pytest.mark.parametrize("masked", [True, False])
def test_a_single_truth_is_a_mask_of_everything(masked: bool) -> None:
    found = losses.cross_entropy(LOGITS, LABELS, where=np.bool_(masked))
    np.testing.assert_allclose(found, losses.cross_entropy(LOGITS, LABELS) * masked, rtol=1e-6)


@every_loss
@pytest.mark.parametrize("where", [MASK.astype(float), MASK.astype(int), np.ones(5), np.ones(5, np.uint8), 1.0])
def test_a_mask_of_numbers_is_refused_by_name(loss: LossFunction, where: object) -> None:
    with pytest.raises(ValueError, match=r"where is (u?int|float)\d+\[.*\]; booleans are expected"):
        loss(LOGITS, LABELS, where=where)


@every_loss
@pytest.mark.parametrize("shape", [(2,), (4,), (3, 1), (2, 3, 1, 1), (3, 4)])
def test_a_mask_of_another_shape_is_refused(loss: LossFunction, shape: tuple[int, ...]) -> None:
    labels = jnp.zeros_like(CUBE).at[..., 0].set(1)
    with pytest.raises(
        ValueError, match=r"where has shape .*; a mask of entries, \[2, 3, 4\], or of samples, \[2, 3\]"
    ):
        loss(CUBE, labels, where=np.ones(shape, bool))


def test_a_mask_of_sequences_has_an_axis_for_their_steps() -> None:
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(3, 3, 4)), np.eye(4)[random.integers(0, 4, (3, 3))]
    keep = np.array([True, False, True])
    with pytest.raises(ValueError, match=r"where has shape \[3\]"):
        losses.cross_entropy(logits, labels, where=keep)
    expected = losses.cross_entropy(logits, labels) * keep[:, None]
    np.testing.assert_allclose(losses.cross_entropy(logits, labels, where=keep[:, None]), expected, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_sum_is_over_the_entries_that_take_part(axis: int) -> None:
    np.testing.assert_allclose(sum_over(jnp.asarray(LOGITS), axis, None), LOGITS.sum(axis), rtol=1e-5)
    np.testing.assert_allclose(sum_over(jnp.asarray(LOGITS), axis, MASK), (LOGITS * MASK).sum(axis), rtol=1e-5)
