"""Random changes of training images, and what images are given to a network without them.

Pure functions of a random key and images ``[batch, height, width, channels]``; every image has its own randomness.
They make up the augmentation of TensorFlow's CIFAR-10 tutorial, which arXiv 1905.11528 trains with.
"""

import math

import jax
import jax.numpy as jnp

_CIFAR_SIDE = 24


def cifar_training(key: jax.Array, x: jax.Array) -> jax.Array:
    """Random 24x24 crops, flips, brightness and contrast, then standardized; pixels from 0 to 255."""
    crop, flip, brightness, contrast = jax.random.split(key, 4)
    x = random_flip(flip, random_crop(crop, x, _CIFAR_SIDE))
    x = random_contrast(contrast, random_brightness(brightness, x, 63.0), 0.2, 1.8)
    return standardized(x)


def cifar_evaluation(x: jax.Array) -> jax.Array:
    """The 24x24 pixels in the middle, standardized; pixels from 0 to 255."""
    return standardized(centre_crop(x, _CIFAR_SIDE))


def random_crop(key: jax.Array, x: jax.Array, side: int) -> jax.Array:
    """A square of ``[side, side]`` pixels of each image, every place as likely."""
    batch, height, width, channels = x.shape
    top, left = (
        jax.random.randint(part, (batch,), 0, length - side + 1)
        for part, length in zip(jax.random.split(key), (height, width), strict=True)
    )
    return jax.vmap(lambda image, i, j: jax.lax.dynamic_slice(image, (i, j, 0), (side, side, channels)))(x, top, left)


def centre_crop(x: jax.Array, side: int) -> jax.Array:
    """The ``[side, side]`` pixels in the middle of each image."""
    top, left = ((length - side) // 2 for length in x.shape[1:3])
    return x[:, top : top + side, left : left + side]


def random_flip(key: jax.Array, x: jax.Array) -> jax.Array:
    """Left and right exchanged in half of the images."""
    flipped = jax.random.bernoulli(key, shape=(len(x), 1, 1, 1))
    return jnp.where(flipped, x[:, :, ::-1], x)


def random_brightness(key: jax.Array, x: jax.Array, most: float) -> jax.Array:
    """A value from ``-most`` to ``most`` added to all pixels of an image."""
    return x + jax.random.uniform(key, (len(x), 1, 1, 1), x.dtype, -most, most)


def random_contrast(key: jax.Array, x: jax.Array, low: float, high: float) -> jax.Array:
    """Differences from a channel's mean over the image, times a factor of the image from ``low`` to ``high``."""
    mean = jnp.mean(x, axis=(1, 2), keepdims=True)
    return mean + (x - mean) * jax.random.uniform(key, (len(x), 1, 1, 1), x.dtype, low, high)


def standardized(x: jax.Array) -> jax.Array:
    """Each image less its mean, over its standard deviation or, if that is larger, 1 / sqrt(its number of values)."""
    mean, deviation = (function(x, axis=(1, 2, 3), keepdims=True) for function in (jnp.mean, jnp.std))
    return (x - mean) / jnp.maximum(deviation, math.prod(x.shape[1:]) ** -0.5)


def from_bytes(x: jax.Array) -> jax.Array:
    """Pixels from 0 to 255 as values from 0 to 1."""
    return x / 255
