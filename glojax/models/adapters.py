"""A user's model, of whichever kind, as a pair of pure functions."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from flax import nnx

from glojax.errors import users_code


class Model(NamedTuple):
    """A network as two pure functions.

    Attributes:
      init: ``init(key) -> (params, state)``; ``state`` is what changes without gradients, such as batch statistics.
      apply: ``apply(params, state, x, key, train) -> (logits, state)``; ``key`` is for dropout.
    """

    init: Callable[[jax.Array], tuple[Any, Any]]
    apply: Callable[[Any, Any, jax.Array, jax.Array, bool], tuple[jax.Array, Any]]


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
