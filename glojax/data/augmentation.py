"""Random changes of training images, and the preprocessing of images in evaluation.

Pure functions of a random key and images ``[batch, height, width, channels]``, with randomness of its own for every
image of a batch. ``cifar_training`` and ``cifar_evaluation`` are the pipeline of TensorFlow's CIFAR-10 tutorial, which
arXiv 1905.11528 trains with:

    task = dataclasses.replace(task, augment=cifar_training, preprocess=cifar_evaluation)
"""

import math

import chex
import jax
import jax.numpy as jnp

_CIFAR_SIDE = 24


def cifar_training(key: jax.Array, x: jax.Array) -> jax.Array:
    """Random 24x24 crop, flip, brightness and contrast, then standardization.

    Args:
      key: random key.
      x: images ``[batch, height, width, channels]``, pixels from 0 to 255, sides of at least 24.

    Returns:
      Images ``[batch, 24, 24, channels]``.
    """
    crop, flip, brightness, contrast = jax.random.split(key, 4)
    x = random_flip(flip, random_crop(crop, x, _CIFAR_SIDE))
    x = random_contrast(contrast, random_brightness(brightness, x, 63.0), 0.2, 1.8)
    return standardized(x)


def cifar_evaluation(x: jax.Array) -> jax.Array:
    """Central 24x24 crop, then standardization: ``cifar_training`` without randomness.

    Args:
      x: images ``[batch, height, width, channels]``, pixels from 0 to 255, sides of at least 24.

    Returns:
      Images ``[batch, 24, 24, channels]``.
    """
    return standardized(centre_crop(x, _CIFAR_SIDE))


def random_crop(key: jax.Array, x: jax.Array, side: int) -> jax.Array:
    """Crop a square from each image at a uniformly random position.

    Args:
      key: random key.
      x: images ``[batch, height, width, channels]``.
      side: height and width of the crop, at most those of the images.

    Returns:
      Images ``[batch, side, side, channels]``.

    Raises:
      ValueError: the images are smaller than the crop.
    """
    _check_side("random_crop", x, side)
    batch, height, width, channels = x.shape
    top, left = (
        jax.random.randint(part, (batch,), 0, length - side + 1, jnp.int32)
        for part, length in zip(jax.random.split(key), (height, width), strict=True)
    )
    return jax.vmap(lambda image, i, j: jax.lax.dynamic_slice(image, (i, j, jnp.int32(0)), (side, side, channels)))(
        x, top, left
    )


def centre_crop(x: jax.Array, side: int) -> jax.Array:
    """Crop a square from the centre of each image; arguments, result and errors are those of ``random_crop``."""
    _check_side("centre_crop", x, side)
    top, left = ((length - side) // 2 for length in x.shape[1:3])
    return x[:, top : top + side, left : left + side]


def _check_side(function: str, x: jax.Array, side: int) -> None:
    chex.assert_rank(x, 4)
    if not 1 <= side <= min(x.shape[1:3]):
        height, width = x.shape[1:3]
        raise ValueError(
            f"{function}: side is {side}; images of {height}x{width} pixels allow 1 to {min(height, width)}."
        )


def random_flip(key: jax.Array, x: jax.Array) -> jax.Array:
    """Mirror each image ``[batch, height, width, channels]`` left to right with probability 1/2."""
    chex.assert_rank(x, 4)
    flipped = jax.random.bernoulli(key, jnp.float32(0.5), (len(x), 1, 1, 1))
    return jnp.where(flipped, x[:, :, ::-1], x)


def random_brightness(key: jax.Array, x: jax.Array, most: float) -> jax.Array:
    """Add one value, uniform between ``-most`` and ``most``, to all pixels of each image.

    Args:
      key: random key.
      x: images ``[batch, height, width, channels]``, floating point.
      most: largest change, in units of the pixels.
    """
    chex.assert_rank(x, 4)
    return x + jax.random.uniform(key, (len(x), 1, 1, 1), x.dtype, -most, most)


def random_contrast(key: jax.Array, x: jax.Array, low: float, high: float) -> jax.Array:
    """Scale each channel's differences from its mean over the image by one factor per image.

    Args:
      key: random key.
      x: images ``[batch, height, width, channels]``, floating point.
      low: smallest factor.
      high: largest factor; factors are uniform between the two.
    """
    chex.assert_rank(x, 4)
    mean = jnp.mean(x, axis=(1, 2), keepdims=True)
    return mean + (x - mean) * jax.random.uniform(key, (len(x), 1, 1, 1), x.dtype, low, high)


def standardized(x: jax.Array) -> jax.Array:
    """Subtract each image's mean and divide by its standard deviation, as TensorFlow's ``per_image_standardization``.

    The divisor is at least 1 / sqrt(number of values), so that a flat image becomes 0 and not NaN.

    Args:
      x: images ``[batch, height, width, channels]``.
    """
    chex.assert_rank(x, 4)
    mean, deviation = (function(x, axis=(1, 2, 3), keepdims=True) for function in (jnp.mean, jnp.std))
    return (x - mean) / jnp.maximum(deviation, math.prod(x.shape[1:]) ** -0.5)


def from_bytes(x: jax.Array) -> jax.Array:
    """Scale pixels from 0 to 255, of any shape, to values from 0 to 1."""
    return x / 255
