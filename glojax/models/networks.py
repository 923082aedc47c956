"""Reference networks in Flax Linen, from a small MLP to those of the papers.

A network maps inputs ``[batch, ...]`` to logits ``[batch, classes]``. Those with dropout or batch statistics also take
``train``, a bool. All convolutions are ``glojax.convolution``.

    logits = PaperCNN().apply(variables, x, train=False)  # x [batch, 28, 28, 1]
"""

from collections.abc import Callable, Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from glojax.models.convolutions import convolution


class MLP(nn.Module):
    """Multilayer perceptron: flattening, then fully connected layers with ReLU between them.

    Attributes:
      features: outputs of each layer, the last being the classes. Defaults to 64 hidden units and 10 classes.
    """

    features: Sequence[int] = (64, 10)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = _flattened(x)
        for layer, width in enumerate(self.features):
            x = Linear(width)(nn.relu(x) if layer else x)
        return x.T


class Linear(nn.Module):
    """Fully connected layer with the batch last: from ``[inputs, batch]`` to ``[features, batch]``.

    The kernel is ``[outputs, inputs]``. In this layout neither the products of a population nor the gradient of a
    kernel need a transposition, and a first layer, whose input all candidates share, is one matrix product.

    Attributes:
      features: number of outputs.
      kernel_init: initializer of the kernel. Defaults to LeCun's normal.
      bias_init: initializer of the bias. Defaults to zeros.
    """

    features: int
    kernel_init: Callable[..., jax.Array] = nn.initializers.lecun_normal(in_axis=1, out_axis=0)
    bias_init: Callable[..., jax.Array] = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        chex.assert_rank(x, 2)
        kernel = self.param("kernel", self.kernel_init, (self.features, x.shape[0]))
        bias = self.param("bias", self.bias_init, (self.features,))
        return kernel @ x + bias[:, None]


def _flattened(x: jax.Array) -> jax.Array:
    """Flatten ``[batch, ...]`` to ``[features, batch]``."""
    return x.reshape(len(x), -1).T


class CNN(nn.Module):
    """Small convolutional network for ``[batch, height, width, channels]``.

    For each width: 3x3 convolution, 2x2 max pooling, ReLU. Then an ``MLP``. Pooling comes before ReLU, which gives the
    same values and leaves ReLU a quarter of the work. Sides must stay even until the last pooling.

    Attributes:
      channels: width of each convolution.
      features: outputs of each layer of the ``MLP``.
    """

    channels: Sequence[int] = (16, 32)
    features: Sequence[int] = (64, 10)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.channels:
            x = nn.relu(max_pool(_conv(width, 3)(x)))
        return MLP(self.features)(x)


class PaperCNN(nn.Module):
    """The MNIST network of arXiv 1905.11528, section 3.

    Layers: 5x5 convolution with 32 channels, 2x2 max pooling, ReLU; the same with 64 channels; fully connected layer of
    1,024 units with ReLU; dropout of 40%; fully connected layer of logits. Inputs are ``[batch, height, width,
    channels]``, 28x28x1 in the paper, with sides divisible by 4. Kernels start from Glorot's uniform distribution,
    TensorFlow's default; the paper does not name an initialization.

    Attributes:
      channels: widths of the two convolutions.
      hidden: units of the hidden layer.
      classes: number of logits.
      dropout: fraction of hidden units that training drops.
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
    """The CIFAR-10 network of arXiv 1905.11528, section 3: that of TensorFlow's tutorial, after AlexNet.

    Layers: 5x5 convolution with 64 channels, 3x3 max pooling with stride 2, ReLU, local response normalization; 5x5
    convolution with 64 channels, ReLU, local response normalization, 3x3 max pooling with stride 2; fully connected
    layers of 384 units with ReLU and of 192 units without; logits. Inputs are ``[batch, height, width, channels]``,
    24x24x3 in the paper, with sides divisible by 4. The initialization is the tutorial's, with logits near 0: from the
    larger logits of other initializations, Baikal's slope of 1 / y leads to NaN within a few steps.

    Attributes:
      classes: number of logits.
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
    """All-CNN-C of arXiv 1412.6806, table 1 and section 3: convolutions only, with stride 2 in place of pooling.

    Layers: dropout of 20%; three 3x3 convolutions with 96 channels, the third with stride 2; dropout of 50%; three 3x3
    convolutions with 192 channels, the third with stride 2; dropout of 50%; a 3x3 convolution with 192 channels and no
    padding, which leaves the 6x6 points of the paper; 1x1 convolutions with 192 channels and with one per class; mean
    over all points. ReLU follows every convolution, the last included, as in the paper. Inputs are ``[batch, height,
    width, channels]``, 32x32x3 in the paper. Kernels start from He's normal distribution (arXiv 1502.01852).

    Attributes:
      channels: width of each stage of three convolutions.
      classes: number of logits.
      dropout: fractions that training drops of the input and after each convolution of stride 2.

    Raises:
      ValueError: when called with images so small that fewer than 3x3 points reach the convolution without padding.
    """

    channels: Sequence[int] = (96, 192)
    classes: int = 10
    dropout: tuple[float, float] = (0.2, 0.5)

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        chex.assert_rank(x, 4)
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
    """ResNet-20 with pre-activation: arXiv 1603.05027, in the size 6n + 2, n = 3, of arXiv 1512.03385, section 4.2.

    Layers: 3x3 convolution with 16 channels; three units (``ResidualUnit``) with 16 channels, three with 32 and three
    with 64, where the first unit of the second and the third stage has stride 2; batch normalization, ReLU, mean over
    all points, logits. Inputs are ``[batch, height, width, channels]``, 32x32x3 in the papers. Shortcuts have no
    parameters, except for a 1x1 convolution where the shape changes. Those of each stage's first unit start after its
    first activation, as in the authors' code (github.com/KaimingHe/resnet-1k-layers). The state is batch statistics.

    Attributes:
      units: n, the number of units of each width.
      channels: width of each stage.
      classes: number of logits.
    """

    units: int = 3
    channels: Sequence[int] = (16, 32, 64)
    classes: int = 10

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        chex.assert_rank(x, 4)
        x = _he_conv(self.channels[0], 3, use_bias=False)(x)
        for stage, width in enumerate(self.channels):
            for unit in range(self.units):
                x = ResidualUnit(width, 2 if stage and not unit else 1, late_shortcut=not unit)(x, train)
        x = nn.relu(_batch_norm(train)(x))
        return Linear(self.classes)(jnp.mean(x, axis=(1, 2)).T).T


class ResidualUnit(nn.Module):
    """Full pre-activation unit of arXiv 1603.05027, figure 4e.

    Layers: batch normalization, ReLU, 3x3 convolution; the same again; then the shortcut is added.

    Attributes:
      channels: width of both convolutions.
      stride: stride of the first convolution and the shortcut.
      late_shortcut: whether the shortcut starts after the first activation instead of at the input.
    """

    channels: int
    stride: int
    late_shortcut: bool

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
    """Convolution with He's initialization for deep ReLU networks (arXiv 1502.01852), padded equally on all sides."""
    initial = {"kernel_init": nn.initializers.he_normal(), "padding": window // 2}
    return _conv(channels, window, **initial | options)


def max_pool(x: jax.Array) -> jax.Array:
    """2x2 max pooling with stride 2.

    It uses reshapes and maxima because on CPU the gradient of ``reduce_window`` takes eleven times as long.

    Args:
      x: ``[batch, height, width, channels]`` with even sides.

    Returns:
      ``[batch, height / 2, width / 2, channels]``.

    Raises:
      ValueError: a side is odd.
    """
    _check_sides("max_pool", x)
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    upper, lower = (jnp.maximum(x[:, :, row, :, 0], x[:, :, row, :, 1]) for row in range(2))
    return jnp.maximum(upper, lower)


def overlapping_max_pool(x: jax.Array) -> jax.Array:
    """3x3 max pooling with stride 2 and ``"SAME"`` padding.

    It uses maxima of shifted slices, for the same reason as ``max_pool``.

    Args:
      x: ``[batch, height, width, channels]`` with even sides.

    Returns:
      ``[batch, height / 2, width / 2, channels]``.

    Raises:
      ValueError: a side is odd.
    """
    _check_sides("overlapping_max_pool", x)
    for axis in (1, 2):
        padding = [(0, 0)] * x.ndim
        padding[axis] = (0, 1)
        padded = jnp.pad(x, padding, constant_values=-jnp.inf)
        first, second, third = (
            jax.lax.slice_in_dim(padded, start, start + x.shape[axis] - 1, 2, axis) for start in range(3)
        )
        x = jnp.maximum(jnp.maximum(first, second), third)
    return x


def _check_sides(function: str, x: jax.Array) -> None:
    chex.assert_rank(x, 4)
    _, height, width, _ = x.shape
    if height % 2 or width % 2:
        raise ValueError(f"{function}: {height}x{width} points have an odd side; even sides are needed.")


def local_response_normalization(x: jax.Array) -> jax.Array:
    """Divide each value by (1 + 0.001/9 · sum of squares over the 9 channels around it)^0.75.

    The formula is AlexNet's (Krizhevsky et al. 2012, section 3.3), the constants are those of arXiv 1905.11528,
    section 3. At the first and last channels the sum has fewer terms.

    Args:
      x: ``[..., channels]``.
    """
    channel = np.arange(x.shape[-1])
    around = (np.abs(channel[:, None] - channel) <= 4).astype(x.dtype)
    root = jax.lax.rsqrt(1 + 0.001 / 9 * (x**2 @ around))
    return x * root * jnp.sqrt(root)
