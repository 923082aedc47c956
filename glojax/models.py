"""The reference networks, in Flax Linen, and what turns a user's model into pure functions.

A network maps inputs ``[batch, ...]`` to logits ``[batch, classes]``.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from glojax.convolutions import convolution
from glojax.usercode import users_code


class Model(NamedTuple):
    """A network as two pure functions.

    Attributes:
      init: ``init(key) -> (params, state)``; ``state`` is what changes without gradients, such as batch statistics.
      apply: ``apply(params, state, x, key, train) -> (logits, state)``; ``key`` is for dropout.
    """

    init: Callable[[jax.Array], tuple[Any, Any]]
    apply: Callable[[Any, Any, jax.Array, jax.Array, bool], tuple[jax.Array, Any]]


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


# ADAPTERS


def shapes(model: Model) -> tuple[Any, Any]:
    """Shapes and types of parameters and state, without a computation."""
    return jax.eval_shape(lambda: model.init(jax.random.key(0)))


def as_model(model: Any, example: np.ndarray) -> Model:
    """The pure functions of a Linen module, an NNX constructor ``(rngs) -> nnx.Module``, or an (init, apply) pair.

    Args:
      model: one of the three. A module whose call takes ``train`` is told whether it trains; an NNX module is
        put in training or evaluation mode, and its random streams, whatever their names, follow the key.
      example: a batch of inputs, for its shape.

    Raises:
      ValueError: none of the three, a module whose call needs more than inputs and ``train``, or a constructor that
        fails.
    """
    if isinstance(model, nn.Module):
        return _from_linen(model, example)
    if isinstance(model, tuple) and len(model) == 2 and all(map(callable, model)):
        return Model(*model)
    built_or_linen = isinstance(model, nnx.Module) or (inspect.isclass(model) and issubclass(model, nn.Module))
    if callable(model) and not built_or_linen:
        constructor: Any = model
        return _from_nnx(constructor)
    if isinstance(model, nnx.Module):  # its text has a line for every layer
        given = f"a {type(model).__name__} that is built already"
    else:
        given = f"the class {model.__name__}" if inspect.isclass(model) else repr(model)
    raise ValueError(
        f"Task.model is {given}; a Linen module (an object), an NNX constructor (rngs) -> nnx.Module (such as its "
        "class), or a pair (init(key), apply(params, state, x, key, train)) is expected."
    )


def _from_linen(module: nn.Module, example: np.ndarray) -> Model:
    parameters = inspect.signature(module.__call__).parameters
    takes_train = "train" in parameters
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [name for name, one in parameters.items() if one.default is one.empty and one.kind not in variadic]
    if others := [name for name in required[1:] if name != "train"]:
        raise ValueError(
            f"Task.model, a {type(module).__name__}, needs {others[0]!r} in its call; a module is called with inputs, "
            "and with train=True or False if it takes that."
        )

    def mode(train: bool) -> dict[str, Any]:
        return {"train": train} if takes_train else {}

    def init(key: jax.Array) -> tuple[Any, Any]:
        variables = dict(module.init({"params": key, "dropout": key}, example, **mode(False)))
        return variables.pop("params", {}), variables

    def apply(params: Any, state: Any, x: jax.Array, key: jax.Array, train: bool) -> tuple[Any, Any]:
        variables, rngs = {"params": params, **state}, {"dropout": key}
        if not train:
            return module.apply(variables, x, rngs=rngs, **mode(False)), state
        return module.apply(variables, x, rngs=rngs, mutable=list(state), **mode(True))

    return Model(init, apply)


def _from_nnx(constructor: Callable[[nnx.Rngs], nnx.Module]) -> Model:
    def build(key: jax.Array) -> nnx.Module:
        return constructor(nnx.Rngs(key))

    def structure(train: bool) -> Any:
        """The module without its arrays; whether it trains is part of it."""
        with users_code("Task.model, called with nnx.Rngs,"):
            module = nnx.eval_shape(lambda: build(jax.random.key(0)))
        if not isinstance(module, nnx.Module):
            raise ValueError(f"Task.model is {constructor!r}, which returns no nnx.Module.")
        module.train() if train else module.eval()
        return nnx.split(module, nnx.Param, ...)[0]

    structures = {train: structure(train) for train in (True, False)}

    def init(key: jax.Array) -> tuple[Any, Any]:
        _, params, state = nnx.split(build(key), nnx.Param, ...)
        return params, state

    def apply(params: Any, state: Any, x: jax.Array, key: jax.Array, train: bool) -> tuple[Any, Any]:
        # A copy: the variables of a merged module may not be changed under a transformation otherwise.
        module: Any = nnx.merge(structures[train], params, state, copy=True)
        nnx.reseed(module, default=key)
        logits = module(x)
        return logits, nnx.split(module, nnx.Param, ...)[2] if train else state

    return Model(init, apply)
