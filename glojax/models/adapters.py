"""A user's model, in Linen, NNX or as plain functions, turned into one pair of pure functions.

model = as_model(nn.Dense(10), np.zeros((1, 64), np.float32))
params, state = model.init(jax.random.key(0))
logits, state = model.apply(params, state, x, jax.random.key(1), True)  # x [batch, 64], logits [batch, 10]
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import chex
import flax.linen as nn
import jax
import numpy as np
from flax import nnx

from glojax.errors import users_code


class Model(NamedTuple):
    """A network as two pure functions.

    Attributes:
      init: ``init(key) -> (params, state)``. ``params`` are trained by gradients; ``state`` changes without them, such
        as batch statistics. Both are pytrees of arrays.
      apply: ``apply(params, state, x, key, train) -> (logits, state)`` for inputs ``[batch, ...]``; ``key`` is the
        source of dropout. In evaluation (``train`` is False) the state stays as it is.
    """

    init: Callable[[jax.Array], tuple[chex.ArrayTree, chex.ArrayTree]]
    apply: Callable[[chex.ArrayTree, chex.ArrayTree, jax.Array, jax.Array, bool], tuple[jax.Array, chex.ArrayTree]]


def shapes(model: Model) -> tuple[Any, Any]:
    """Shapes and types of a model's parameters and state, without computing them.

    Returns:
      Two pytrees of ``jax.ShapeDtypeStruct``.
    """
    return jax.eval_shape(lambda: model.init(jax.random.key(0)))


def as_model(model: object, example: np.ndarray) -> Model:
    """Turn a user's model into pure functions.

    Args:
      model: a Linen module, an NNX constructor ``(rngs) -> nnx.Module`` such as the class itself, or a pair of
        functions as in ``Model``. A Linen module whose call takes ``train`` is told whether it trains; an NNX module
        is put in training or evaluation mode. Dropout and other random streams, whatever their names, follow the key.
      example: inputs ``[batch, ...]``; only their shape and type matter.

    Returns:
      The model's functions ``init`` and ``apply``.

    Raises:
      ValueError: the model is none of the three, its call needs more than inputs and ``train``, or its constructor
        raises or returns something else.
    """
    if isinstance(model, nn.Module):
        return _from_linen(model, example)
    if isinstance(model, tuple) and len(model) == 2 and all(map(callable, model)):
        return Model(*model)
    is_linen_class = inspect.isclass(model) and issubclass(model, nn.Module)
    if callable(model) and not is_linen_class and not isinstance(model, nnx.Module):
        return _from_nnx(cast(Callable[[nnx.Rngs], nnx.Module], model), example)
    if isinstance(model, nnx.Module):  # its repr has a line for every layer
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

    def init(key: jax.Array) -> tuple[chex.ArrayTree, chex.ArrayTree]:
        variables = dict(module.init({"params": key, "dropout": key}, example, **mode(False)))
        return variables.pop("params", {}), variables

    def apply(
        params: chex.ArrayTree, state: chex.ArrayTree, x: jax.Array, key: jax.Array, train: bool
    ) -> tuple[jax.Array, chex.ArrayTree]:
        _check_inputs(x, example)
        collections = cast(dict[str, Any], state)
        variables, rngs = {"params": params, **collections}, {"dropout": key}
        if not train:
            return cast(jax.Array, module.apply(variables, x, rngs=rngs, **mode(False))), state
        return module.apply(variables, x, rngs=rngs, mutable=list(collections), **mode(True))

    return Model(init, apply)


def _from_nnx(constructor: Callable[[nnx.Rngs], nnx.Module], example: np.ndarray) -> Model:
    def build(key: jax.Array) -> nnx.Module:
        return constructor(nnx.Rngs(key))

    def structure(train: bool) -> nnx.GraphDef[nnx.Module]:
        """The module without its arrays. Whether it trains is part of its structure."""
        with users_code("Task.model, called with nnx.Rngs,"):
            module = nnx.eval_shape(lambda: build(jax.random.key(0)))
        if not isinstance(module, nnx.Module):
            raise ValueError(f"Task.model is {constructor!r}, which returns no nnx.Module.")
        module.train() if train else module.eval()
        return nnx.split(module, nnx.Param, ...)[0]

    structures = {train: structure(train) for train in (True, False)}

    def init(key: jax.Array) -> tuple[chex.ArrayTree, chex.ArrayTree]:
        _, params, state = nnx.split(build(key), nnx.Param, ...)
        return params, state

    def apply(
        params: chex.ArrayTree, state: chex.ArrayTree, x: jax.Array, key: jax.Array, train: bool
    ) -> tuple[jax.Array, chex.ArrayTree]:
        _check_inputs(x, example)
        # Without a copy, a merged module's variables must not be changed under a transformation.
        module: Any = nnx.merge(structures[train], params, state, copy=True)
        nnx.reseed(module, default=key)
        logits = module(x)
        if not train:
            return logits, state
        _, _, new_state = nnx.split(module, nnx.Param, ...)
        return logits, new_state

    return Model(init, apply)


def _check_inputs(x: jax.Array, example: np.ndarray) -> None:
    chex.assert_shape(x, (None, *example.shape[1:]))
