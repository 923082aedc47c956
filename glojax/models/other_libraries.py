"""Networks of Equinox and Haiku as models of a task; each library is an extra.

task = glojax.Task(glojax.models.equinox(lambda key: eqx.nn.MLP(64, 10, 32, 1, key=key)), ...)
task = glojax.Task(glojax.models.haiku(lambda x: hk.nets.MLP([32, 10])(x)), ...)
"""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from glojax.errors import users_code
from glojax.models.adapters import FromExample, Model, arguments, checked_arguments
from glojax.models.modes import mode, modes_of


def equinox(build: Callable[[jax.Array], Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Turn an Equinox module into a model.

    Args:
      build: ``build(key) -> module``, or ``(module, eqx.nn.State)`` as ``eqx.nn.make_with_state`` gives it. The module
        is called with one example, and one with a state with both; if its call takes ``key``, it gets one for each.
        In a batch the axis of the examples is named ``"batch"``. Its mode is set by ``eqx.nn.inference_mode``.

    Returns:
      A pair (init, apply), as ``Task`` takes it. All floating arrays are trained, by names such as ``"out/weight"``.

    Raises:
      ImportError: the extra ``equinox`` is not installed.
      ValueError: ``build`` raises, or gives no Equinox module.
    """
    try:
        import equinox as eqx
    except ImportError as error:
        raise ImportError(f"this needs the extra equinox ({error}): pip install 'glojax[equinox]'") from None

    with users_code("glojax.models.equinox"):
        shaped: Any = eqx.filter_eval_shape(build, jax.random.key(0))
    is_stateful = isinstance(shaped, tuple)
    module = shaped[0] if is_stateful else shaped
    if not isinstance(module, eqx.Module):
        raise ValueError(f"glojax.models.equinox: build gives a {type(module).__name__}; an eqx.Module is expected.")
    takes_key = "key" in inspect.signature(type(module).__call__).parameters
    paths, structure = jax.tree_util.tree_flatten_with_path(shaped)
    names = [jax.tree_util.keystr(path[is_stateful:], simple=True, separator="/") for path, _ in paths]
    is_trained = [
        jnp.issubdtype(leaf.dtype, jnp.inexact) and not (is_stateful and path[0].idx == 1)
        if isinstance(leaf, jax.ShapeDtypeStruct)
        else None
        for path, leaf in paths
    ]

    def init(key: jax.Array) -> tuple[Any, Any]:
        leaves = jax.tree.leaves(build(key))
        params = {name: leaf for name, leaf, one in zip(names, leaves, is_trained, strict=True) if one}
        return params, [leaf for leaf, one in zip(leaves, is_trained, strict=True) if one is False]

    def apply(params: Any, state: Any, x: Any, key: jax.Array, train: bool) -> tuple[Any, Any]:
        others = iter(state)
        leaves = [
            fixed if one is None else params[name] if one else next(others)
            for name, one, (_, fixed) in zip(names, is_trained, paths, strict=True)
        ]
        made = jax.tree.unflatten(structure, leaves)
        called: Any = eqx.nn.inference_mode(made[0] if is_stateful else made, value=not train)
        own = made[1:] if is_stateful else ()
        keys = jax.random.split(key, len(jax.tree.leaves(x)[0]))

        def of_one(x: Any, key: jax.Array) -> Any:
            return called(x, *own, **({"key": key} if takes_key else {}))

        made = jax.vmap(of_one, axis_name="batch", out_axes=(0, None) if is_stateful else 0)(x, keys)
        if not is_stateful:
            return made, state
        outputs, new = made
        kept = state[: len(state) - len(jax.tree.leaves(new))]
        return outputs, [*kept, *jax.tree.leaves(new)] if train else state

    return init, apply


def haiku(forward: Callable[..., Any]) -> FromExample:
    """Turn a function that calls Haiku's modules into a model.

    Args:
      forward: ``forward(x) -> outputs`` of a batch, before ``hk.transform_with_state``. If it takes ``is_training``, or
        another argument by which a Flax module is told, it is told whether it trains; inputs that are a dict are
        keywords as a Flax module's are.

    Returns:
      A model, as ``Task`` takes it. Haiku's parameters are trained, and its state is kept.

    Raises:
      ImportError: the extra ``haiku`` is not installed.
    """
    try:
        import haiku as hk
    except ImportError as error:
        raise ImportError(f"this needs the extra haiku ({error}): pip install 'glojax[haiku]'") from None
    told = modes_of(forward)

    def make(example: Any) -> Model:
        by_name = checked_arguments("a function of Haiku", forward, example)
        pure = hk.transform_with_state(forward)

        def init(key: jax.Array) -> tuple[Any, Any]:
            given, named = arguments(example, by_name)
            return pure.init(key, *given, **named, **mode(told, True))  # which makes all state

        def apply(params: Any, state: Any, x: Any, key: jax.Array, train: bool) -> tuple[Any, Any]:
            given, named = arguments(x, by_name)
            outputs, new = pure.apply(params, state, key, *given, **named, **mode(told, train))
            return outputs, new if train else state

        return Model(init, apply)

    return FromExample(make)
