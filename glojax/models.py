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


class Model(NamedTuple):
    """A network as two pure functions.

    Attributes:
      init: ``init(key) -> (params, state)``; ``state`` is what changes without gradients, such as batch statistics.
      apply: ``apply(params, state, x, key, train) -> (logits, state)``; ``key`` is for dropout.
    """

    init: Callable[[jax.Array], tuple[Any, Any]]
    apply: Callable[[Any, Any, jax.Array, jax.Array, bool], tuple[jax.Array, Any]]


class MLP(nn.Module):
    """Fully connected layers with ReLU between them; the input is flattened.

    Kernels are ``[outputs, inputs]`` and activations ``[features, batch]`` inside: the products of a whole population
    then need no transposition, and its first layer, whose input all candidates share, is one matrix product.
    """

    features: Sequence[int] = (64, 10)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.reshape((x.shape[0], -1)).T
        for layer, width in enumerate(self.features):
            kernel = self.param(
                f"kernel_{layer}", nn.initializers.lecun_normal(in_axis=1, out_axis=0), (width, x.shape[0])
            )
            bias = self.param(f"bias_{layer}", nn.initializers.zeros, (width,))
            x = kernel @ (nn.relu(x) if layer else x) + bias[:, None]
        return x.T


class CNN(nn.Module):
    """3x3 convolutions with ReLU, each followed by 2x2 max pooling, then an ``MLP``.

    The input is ``[batch, height, width, channels]``.
    """

    channels: Sequence[int] = (16, 32)
    features: Sequence[int] = (64, 10)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.channels:
            x = max_pool(nn.relu(nn.Conv(width, (3, 3), conv_general_dilated=patch_convolution)(x)))
        return MLP(self.features)(x)


def max_pool(x: jax.Array) -> jax.Array:
    """2x2 max pooling with stride 2 of ``[batch, height, width, channels]``, both even.

    By reshape and maximum: the gradient of ``reduce_window`` costs more than the rest of a step on CPU.
    """
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def patch_convolution(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[tuple[int, int]] | str, **options: Any
) -> jax.Array:
    """Convolution of stride 1 as one matrix product over shifted slices, for Flax's ``conv_general_dilated`` argument.

    XLA on CPU takes a slow path for the convolutions of a vmapped population inside a loop, but not for products.

    Raises:
      ValueError: a stride or dilation other than 1, or grouped features, which this form does not cover.
    """
    dilated = [options.get(name) or (1, 1) for name in ("lhs_dilation", "rhs_dilation")]
    if any(step != 1 for steps in (strides, *dilated) for step in steps) or options.get("feature_group_count", 1) != 1:
        raise ValueError("patch_convolution: only stride 1, dilation 1 and ungrouped features are supported.")
    height, width, inputs, outputs = kernel.shape
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(x.shape[1:3], (height, width), (1, 1), padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    slices = [x[:, i : i + rows, j : j + columns] for i in range(height) for j in range(width)]
    return jnp.concatenate(slices, axis=-1) @ kernel.reshape(height * width * inputs, outputs)


# ADAPTERS


def as_model(model: Any, example: np.ndarray) -> Model:
    """The pure functions of a Linen module, an NNX constructor ``(rngs) -> nnx.Module``, or an (init, apply) pair.

    Args:
      model: one of the three. A module whose call takes ``train`` is told whether it trains; an NNX module is
        put in training or evaluation mode, and its random streams, whatever their names, follow the key.
      example: a batch of inputs, for its shape.

    Raises:
      ValueError: none of the three.
    """
    if isinstance(model, nn.Module):
        return _from_linen(model, example)
    if isinstance(model, tuple) and len(model) == 2 and all(map(callable, model)):
        return Model(*model)
    built_or_linen = isinstance(model, nnx.Module) or (inspect.isclass(model) and issubclass(model, nn.Module))
    if callable(model) and not built_or_linen:
        constructor: Any = model
        return _from_nnx(constructor)
    raise ValueError(
        f"Task.model is {model!r}; a Linen module, an NNX constructor (rngs) -> nnx.Module, or a pair "
        "(init(key), apply(params, state, x, key, train)) is expected."
    )


def _from_linen(module: nn.Module, example: np.ndarray) -> Model:
    takes_train = "train" in inspect.signature(module.__call__).parameters

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
