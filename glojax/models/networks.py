"""The reference networks, in Flax Linen, and what turns a user's model into pure functions.

A network maps inputs ``[batch, ...]`` to logits ``[batch, classes]``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from glojax.models.convolutions import convolution


class MLP(nn.Module):
    """Fully connected layers with ReLU between them; the input is flattened."""

    features: Sequence[int] = (64, 10)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = _flattened(x)
        for layer, width in enumerate(self.features):
            x = Linear(width)(nn.relu(x) if layer else x)
        return x.T


class Linear(nn.Module):
    """A fully connected layer of ``[features, batch]``, whose kernel is ``[outputs, inputs]``.

    In this layout neither the products of a population nor the gradient of a kernel need a transposition, and a first
    layer, whose input all candidates share, is one matrix product.
    """

    features: int
    kernel_init: Callable[..., jax.Array] = nn.initializers.lecun_normal(in_axis=1, out_axis=0)
    bias_init: Callable[..., jax.Array] = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", self.kernel_init, (self.features, x.shape[0]))
        bias = self.param("bias", self.bias_init, (self.features,))
        return kernel @ x + bias[:, None]


def _flattened(x: jax.Array) -> jax.Array:
    """``[features, batch]`` of ``[batch, ...]``."""
    return x.reshape(len(x), -1).T


class CNN(nn.Module):
    """3x3 convolutions with ReLU, each followed by 2x2 max pooling, then an ``MLP``.

    The input is ``[batch, height, width, channels]``. ReLU of the maximum is the maximum of ReLU, of a quarter of the
    values.
    """

    channels: Sequence[int] = (16, 32)
    features: Sequence[int] = (64, 10)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.channels:
            x = nn.relu(max_pool(_conv(width, 3)(x)))
        return MLP(self.features)(x)


class PaperCNN(nn.Module):
    """The MNIST network of arXiv 1905.11528, section 3: two 5x5 convolutions, 1024 hidden units, dropout of 40%.

    The input is ``[batch, height, width, channels]``, 28x28x1 in the paper, its sides divisible by 4. Kernels start
    uniform as by Glorot, TensorFlow's default, of which the paper says nothing.
    """

    channels: Sequence[int] = (32, 64)
    hidden: int = 1024
    classes: int = 10
    dropout: float = 0.4

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for width in self.channels:
            x = nn.relu(max_pool(_conv(width, 5, kernel_init=nn.initializers.glorot_uniform())(x)))
        uniform = nn.initializers.glorot_uniform(in_axis=1, out_axis=0)
        x = nn.relu(Linear(self.hidden, uniform)(_flattened(x)))
        return Linear(self.classes, uniform)(nn.Dropout(self.dropout, deterministic=not train)(x)).T


class CifarCNN(nn.Module):
    """The CIFAR-10 network of arXiv 1905.11528, section 3, that of TensorFlow's tutorial after AlexNet.

    The input is ``[batch, height, width, channels]``, 24x24x3 in the paper. It starts as that tutorial's does, with
    logits near 0: from the larger ones of other initializations, Baikal's slopes of 1 / y lead to NaN within steps.
    """

    classes: int = 10

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        normal, bias = nn.initializers.truncated_normal, nn.initializers.constant(0.1)
        x = _conv(64, 5, kernel_init=normal(0.05))(x)
        x = local_response_normalization(nn.relu(overlapping_max_pool(x)))
        x = _conv(64, 5, kernel_init=normal(0.05), bias_init=bias)(x)
        x = overlapping_max_pool(local_response_normalization(nn.relu(x)))
        x = nn.relu(Linear(384, normal(0.04), bias)(_flattened(x)))
        x = Linear(192, normal(0.04), bias)(x)
        return Linear(self.classes, normal(1 / 192))(x).T


class AllCNN(nn.Module):
    """All-CNN-C of arXiv 1412.6806, table 1 and section 3: convolutions alone, those of stride 2 in place of pooling.

    The input is ``[batch, height, width, channels]``, 32x32x3 in the paper. The last 3x3 convolution is without
    padding: only that leaves the 6x6 points over which the paper averages. The logits too are behind a ReLU there.
    """

    channels: Sequence[int] = (96, 192)
    classes: int = 10
    dropout: tuple[float, float] = (0.2, 0.5)  # of the input, and after every convolution of stride 2

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.Dropout(self.dropout[0], deterministic=not train)(x)
        for width in self.channels:
            for stride in (1, 1, 2):
                x = nn.relu(_he_conv(width, 3, strides=stride)(x))
            x = nn.Dropout(self.dropout[1], deterministic=not train)(x)
        if min(x.shape[1:3]) < 3:
            raise ValueError(
                f"AllCNN: {x.shape[1]}x{x.shape[2]} points are left of the input; at least 3x3 are needed."
            )
        x = nn.relu(_he_conv(self.channels[-1], 3, padding=0)(x))
        for width in (self.channels[-1], self.classes):
            x = nn.relu(_he_conv(width, 1)(x))
        return jnp.mean(x, axis=(1, 2))


class ResNet20(nn.Module):
    """The pre-activation network of arXiv 1603.05027, in a size of arXiv 1512.03385, section 4.2: 6n + 2 layers, n = 3.

    The input is ``[batch, height, width, channels]``, 32x32x3 in the papers. A shortcut has no parameters, but for a
    1x1 convolution where the shape changes. That, and the first shortcut of all, begins after the unit's first
    activation, as in the authors' code (github.com/KaimingHe/resnet-1k-layers). Batch statistics are the state.
    """

    units: int = 3  # of every width: n
    channels: Sequence[int] = (16, 32, 64)
    classes: int = 10

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = _he_conv(self.channels[0], 3, use_bias=False)(x)
        for stage, width in enumerate(self.channels):
            for unit in range(self.units):
                x = ResidualUnit(width, 2 if stage and not unit else 1, late_shortcut=not unit)(x, train)
        x = nn.relu(_batch_norm(train)(x))
        return Linear(self.classes)(jnp.mean(x, axis=(1, 2)).T).T


class ResidualUnit(nn.Module):
    """Twice batch normalization, ReLU and a 3x3 convolution, and their input added (arXiv 1603.05027, figure 4e)."""

    channels: int
    stride: int
    late_shortcut: bool  # whether it begins after the first activation

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        activated = nn.relu(_batch_norm(train)(x))
        shortcut = activated if self.late_shortcut else x
        y = _he_conv(self.channels, 3, strides=self.stride, use_bias=False)(activated)
        y = _he_conv(self.channels, 3, use_bias=False)(nn.relu(_batch_norm(train)(y)))
        if shortcut.shape != y.shape:
            shortcut = _he_conv(self.channels, 1, strides=self.stride, use_bias=False)(shortcut)
        return shortcut + y


def _batch_norm(train: bool) -> nn.BatchNorm:
    return nn.BatchNorm(use_running_average=not train, momentum=0.9)


def _conv(channels: int, window: int, **options: Any) -> nn.Conv:
    return nn.Conv(channels, (window, window), conv_general_dilated=convolution, **options)


def _he_conv(channels: int, window: int, **options: Any) -> nn.Conv:
    """A convolution initialized for many layers of ReLU (arXiv 1502.01852), padded alike on all sides."""
    initial = {"kernel_init": nn.initializers.he_normal(), "padding": window // 2}
    return _conv(channels, window, **initial | options)


def max_pool(x: jax.Array) -> jax.Array:
    """2x2 max pooling with stride 2 of ``[batch, height, width, channels]``, both sides even.

    By reshape and maximum: on CPU the gradient of ``reduce_window`` takes eleven times as long.
    """
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    upper, lower = (jnp.maximum(x[:, :, row, :, 0], x[:, :, row, :, 1]) for row in range(2))
    return jnp.maximum(upper, lower)


def overlapping_max_pool(x: jax.Array) -> jax.Array:
    """3x3 max pooling with stride 2 and SAME padding of ``[batch, height, width, channels]``, both sides even.

    By the maximum of shifted slices, for the same reason as ``max_pool``.
    """
    for axis in (1, 2):
        padding = [(0, 0)] * x.ndim
        padding[axis] = (0, 1)
        padded = jnp.pad(x, padding, constant_values=-jnp.inf)
        first, second, third = (
            jax.lax.slice_in_dim(padded, start, start + x.shape[axis] - 1, 2, axis) for start in range(3)
        )
        x = jnp.maximum(jnp.maximum(first, second), third)
    return x


def local_response_normalization(x: jax.Array) -> jax.Array:
    """Each of ``[..., channels]`` over (1 + 0.001/9 sum of squares in the 9 channels around it)^0.75.

    The formula is AlexNet's, the constants those of arXiv 1905.11528, section 3.
    """
    channel = np.arange(x.shape[-1])
    around = (np.abs(channel[:, None] - channel) <= 4).astype(x.dtype)
    root = jax.lax.rsqrt(1 + 0.001 / 9 * (x**2 @ around))
    return x * root * jnp.sqrt(root)
