"""Augmentation against NumPy, and the distributions of its random changes."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from glojax.data import augmentation

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3)).astype(np.float32)


def key(seed: int = 0) -> jax.Array:
    return jax.random.key(seed)


def numbered(batch: int, height: int, width: int) -> np.ndarray:
    """Images ``[batch, height, width, 1]`` whose pixels tell their place, row by row."""
    return np.tile(np.arange(height * width, dtype=np.float32).reshape(1, height, width, 1), (batch, 1, 1, 1))


def test_a_crop_is_a_window_of_its_image_and_every_place_is_as_likely() -> None:
    x = numbered(20_000, 7, 8)
    cropped = np.asarray(augmentation.random_crop(key(), x, 4))
    assert cropped.shape == (20_000, 4, 4, 1)
    top, left = np.divmod(cropped[:, 0, 0, 0].astype(int), 8)
    expected = (top[:, None, None] + np.arange(4)[:, None]) * 8 + left[:, None, None] + np.arange(4)
    np.testing.assert_array_equal(cropped[..., 0], expected)
    counts = np.bincount(top * 5 + left)
    assert len(counts) == 4 * 5
    assert stats.chisquare(counts).pvalue > 0.01


def test_a_crop_as_large_as_the_image_is_the_image() -> None:
    np.testing.assert_array_equal(augmentation.random_crop(key(), IMAGES, 32), IMAGES)


@pytest.mark.parametrize("side", [0, 21, 30])
def test_a_crop_larger_than_the_image_is_refused(side: int) -> None:
    x, message = jnp.ones((2, 20, 25, 3)), rf"side is {side}; images of 20x25 pixels allow 1 to 20\."
    with pytest.raises(ValueError, match=f"^random_crop: {message}"):
        augmentation.random_crop(key(), x, side)
    with pytest.raises(ValueError, match=f"^centre_crop: {message}"):
        augmentation.centre_crop(x, side)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: augmentation.random_crop(key(), x, 4),
        lambda x: augmentation.centre_crop(x, 4),
        lambda x: augmentation.random_flip(key(), x),
        lambda x: augmentation.random_brightness(key(), x, 63.0),
        lambda x: augmentation.random_contrast(key(), x, 0.2, 1.8),
        augmentation.standardized,
    ],
    ids=["crop", "centre", "flip", "brightness", "contrast", "standardized"],
)
def test_images_without_a_batch_are_refused(change: Callable[[jax.Array], jax.Array]) -> None:
    chex.assert_rank(change(jnp.ones((2, 8, 8, 3))), 4)
    with pytest.raises(AssertionError, match="rank"):
        change(jnp.ones((8, 8, 3)))


def test_a_program_is_compiled_once_whatever_the_key_and_the_pixels() -> None:
    training = jax.jit(chex.assert_max_traces(augmentation.cifar_training, 1))
    for seed in range(3):
        chex.assert_shape(training(key(seed), IMAGES + seed), (40, 24, 24, 3))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (25, 30)])
def test_the_centre_crop_is_in_the_middle(height: int, width: int) -> None:
    x = IMAGES[:, :height, :width]
    top, left = (height - 24) // 2, (width - 24) // 2
    np.testing.assert_array_equal(augmentation.centre_crop(jnp.asarray(x), 24), x[:, top:, left:][:, :24, :24])


def test_half_of_the_images_are_flipped_left_to_right() -> None:
    x = numbered(20_000, 2, 3)
    flipped = np.asarray(augmentation.random_flip(key(), jnp.asarray(x)))
    were = (flipped == x[:, :, ::-1]).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(flipped[~were], x[~were])
    assert abs(were.mean() - 0.5) < 4 * 0.5 / np.sqrt(20_000)


def test_brightness_adds_one_value_to_an_image_uniformly() -> None:
    x = jnp.asarray(numbered(5000, 2, 3))
    added = np.asarray(augmentation.random_brightness(key(), x, 63.0)) - x
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1], added.shape), atol=1e-5)
    assert stats.kstest(added[:, 0, 0, 0], stats.uniform(-63, 126).cdf).pvalue > 0.01


def test_contrast_scales_differences_from_a_channels_mean_uniformly() -> None:
    x = np.random.default_rng(1).normal(100, 30, (5000, 4, 4, 3)).astype(np.float32)
    changed = np.asarray(augmentation.random_contrast(key(), jnp.asarray(x), 0.2, 1.8))
    mean = x.mean(axis=(1, 2), keepdims=True)
    factor = (changed - mean)[:, :1, :1, :1] / (x - mean)[:, :1, :1, :1]
    np.testing.assert_allclose(changed, mean + factor * (x - mean), atol=0.2)
    np.testing.assert_allclose(changed.mean(axis=(1, 2)), mean[:, 0, 0], rtol=1e-4)
    assert stats.kstest(factor.ravel(), stats.uniform(0.2, 1.6).cdf).pvalue > 0.01


def standardized(x: np.ndarray) -> np.ndarray:
    """The formula of TensorFlow's per_image_standardization, in float64."""
    images = [(image - image.mean()) / max(image.std(), 1 / np.sqrt(image.size)) for image in x.astype(np.float64)]
    return np.stack(images)


@pytest.mark.parametrize("scale", [1.0, 1e-4, 0.0])
def test_standardization_is_that_of_numpy_also_where_an_image_is_flat(scale: float) -> None:
    x = 7 + scale * IMAGES
    np.testing.assert_allclose(augmentation.standardized(jnp.asarray(x)), standardized(x), atol=2e-4)


def test_evaluation_is_the_middle_standardized() -> None:
    found = augmentation.cifar_evaluation(jnp.asarray(IMAGES))
    np.testing.assert_allclose(found, standardized(IMAGES[:, 4:28, 4:28]), atol=1e-5)


def test_training_images_are_crops_flips_brightness_and_contrast_in_this_order() -> None:
    found = np.asarray(augmentation.cifar_training(key(3), jnp.asarray(IMAGES)))
    crop, flip, _, contrast = jax.random.split(key(3), 4)
    cropped = np.asarray(augmentation.random_crop(crop, IMAGES, 24))
    turned = np.asarray(jax.random.bernoulli(flip, shape=(40, 1, 1, 1)))
    factor = np.asarray(jax.random.uniform(contrast, (40, 1, 1, 1), minval=0.2, maxval=1.8))
    expected = np.where(turned, cropped[:, :, ::-1], cropped)
    mean = expected.mean(axis=(1, 2), keepdims=True)
    # Standardization undoes brightness, as it does on full images.
    np.testing.assert_allclose(found, standardized(mean + factor * (expected - mean)), atol=1e-4)
    assert 0 < turned.sum() < 40


def test_images_have_randomness_of_their_own_and_a_key_repeats() -> None:
    same = jnp.broadcast_to(IMAGES[:1], IMAGES.shape)
    found = np.asarray(augmentation.cifar_training(key(), same))
    assert len({image.tobytes() for image in found}) == 40
    np.testing.assert_array_equal(found, augmentation.cifar_training(key(), same))
    assert not np.array_equal(found, augmentation.cifar_training(key(1), same))


def test_bytes_become_values_from_0_to_1() -> None:
    np.testing.assert_allclose(augmentation.from_bytes(jnp.array([0.0, 51.0, 255.0])), [0, 0.2, 1], rtol=1e-6)
