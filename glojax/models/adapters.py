"""A user's model, in Linen, NNX or as plain functions, turned into one pair of pure functions.

model = as_model(nn.Dense(10), np.zeros((1, 64), np.float32))
params, state = model.init(jax.random.key(0))
logits, state = model.apply(params, state, x, jax.random.key(1), True)  # x [batch, 64], logits [batch, 10]
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import chex
import flax.linen as nn
import jax
from flax import nnx

from glojax.errors import users_code
from glojax.models import auxiliary
from glojax.models.modes import (
    MODES,
    linen_mode_checked,
    mode,
    modes_of,
    nnx_mode_checked,
    other_arguments,
    takes_by_name,
)


class Model(NamedTuple):
    """A network as two pure functions.

    Attributes:
      init: ``init(key) -> (params, state)``. ``params`` are trained by gradients; ``state`` changes without them, such
        as batch statistics. Both are pytrees of arrays.
      apply: ``apply(params, state, x, key, train) -> (logits, state)`` for inputs ``[batch, ...]``, or a tree of them;
        ``key`` is the source of dropout. In evaluation (``train`` is False) the state stays as it is. Of a model of
        several outputs logits are a tree.
      penalized: the same for training, ``penalized(params, state, x, key) -> ((logits, penalty), state)``, with the sum
        of the losses that the model has beside its outputs; ``None`` where none are wanted.
    """

    init: Callable[[jax.Array], tuple[chex.ArrayTree, chex.ArrayTree]]
    apply: Callable[[chex.ArrayTree, chex.ArrayTree, Any, jax.Array, bool], tuple[Any, chex.ArrayTree]]
    penalized: Callable[[chex.ArrayTree, chex.ArrayTree, Any, jax.Array], tuple[Any, chex.ArrayTree]] | None = None


class FromExample(NamedTuple):
    """A model whose functions are made once an example of its inputs is known."""

    make: Callable[[Any], Model]


class OneOutput(NamedTuple):
    """A user's model of several outputs, of which one is taken."""

    model: Any
    place: int
    structure: Any  # of the outputs, a ``jax.tree_util.PyTreeDef``


def shapes(model: Model) -> tuple[Any, Any]:
    """Shapes and types of a model's parameters and state, without computing them.

    Returns:
      Two pytrees of ``jax.ShapeDtypeStruct``.
    """
    return jax.eval_shape(lambda: model.init(jax.random.key(0)))


def as_model(model: object, example: Any, *, has_aux: bool = False, penalized: bool = False) -> Model:
    """Turn a user's model into pure functions.

    Args:
      model: a Linen module, an NNX constructor ``(rngs) -> nnx.Module`` such as the class itself, or a pair of
        functions as in ``Model``. A module whose call takes ``train``, ``training``, ``is_training``,
        ``deterministic`` or ``use_running_average`` is told whether it trains, and a Linen module also if it has such
        an attribute; an NNX module is put in training or evaluation mode, too. Dropout and other random streams,
        whatever their names, follow the key. What a Linen module sows is dropped.
      example: inputs ``[batch, ...]``, or a tree of them; only shapes and types matter. A module is called with a dict
        as keywords where all its names are arguments of the call, and else with the tree as one argument.
      has_aux: whether a call gives a pair of outputs and an auxiliary value. Defaults to False.
      penalized: whether losses beside the outputs are wanted: those that Linen modules sow in the collection
        ``"losses"``, and the auxiliary value's, a dict, of that name. Defaults to False.

    Returns:
      The model's functions ``init`` and ``apply``.

    Raises:
      ValueError: the model is none of the three, its call needs more than inputs and whether it trains, or its
        constructor raises or returns something else. ``apply`` raises it for dropout or batch statistics inside that do
        not follow the mode.
    """
    if isinstance(model, OneOutput):
        return _of_one_output(model, as_model(model.model, example, has_aux=has_aux))
    made = _adapted(model, example, penalized)
    if not (has_aux or penalized):
        return made

    def apply(
        params: chex.ArrayTree, state: chex.ArrayTree, x: Any, key: jax.Array, train: bool
    ) -> tuple[Any, chex.ArrayTree]:
        given, state = made.apply(params, state, x, key, train)
        return auxiliary.of_outputs(given, has_aux)[0], state

    def with_penalty(
        params: chex.ArrayTree, state: chex.ArrayTree, x: Any, key: jax.Array
    ) -> tuple[Any, chex.ArrayTree]:
        given, state = made.apply(params, state, x, key, True)
        outputs, losses = auxiliary.of_outputs(given, has_aux)
        return (outputs, auxiliary.total(losses)), state

    return Model(made.init, apply, with_penalty if penalized else None)


def _of_one_output(given: OneOutput, pure: Model) -> Model:
    def apply(
        params: chex.ArrayTree, state: chex.ArrayTree, x: Any, key: jax.Array, train: bool
    ) -> tuple[Any, chex.ArrayTree]:
        outputs, state = pure.apply(params, state, x, key, train)
        if (found := jax.tree.structure(outputs)) != given.structure:
            raise ValueError(f"Task.model gives outputs {found}, and labels are {given.structure}; both must be alike.")
        return jax.tree.leaves(outputs)[given.place], state

    return Model(pure.init, apply)


def _adapted(model: object, example: Any, sown: bool) -> Model:
    if isinstance(model, FromExample):
        return model.make(example)
    if isinstance(model, nn.Module):
        return _from_linen(model, example, sown)
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


def _from_linen(module: nn.Module, example: Any, sown: bool = False) -> Model:
    told = modes_of(module.__call__)
    # A mode may also be an attribute of the module, as Linen's own layers have it.
    attributes = tuple(one.name for one in dataclasses.fields(module) if one.name in MODES and one.name not in told)
    by_name, lost = checked_arguments(f"a {type(module).__name__}", module.__call__, example), [auxiliary.LOSSES] * sown

    def in_mode(train: bool) -> nn.Module:
        return module.clone(**mode(attributes, train)) if attributes else module

    def init(key: jax.Array) -> tuple[chex.ArrayTree, chex.ArrayTree]:
        with linen_mode_checked(module, False, bool(told or attributes)):
            given, named = arguments(example, by_name)
            variables = dict(in_mode(False).init({"params": key, "dropout": key}, *given, **named, **mode(told, False)))
        for name in lost:
            variables.pop(name, None)
        return variables.pop("params", {}), _without_sown(variables)

    def apply(
        params: chex.ArrayTree, state: chex.ArrayTree, x: Any, key: jax.Array, train: bool
    ) -> tuple[Any, chex.ArrayTree]:
        _check_inputs(x, example)
        given, named = arguments(x, by_name)
        collections = cast(dict[str, Any], state)
        variables = {"params": params, **collections}
        # Streams of other names are made of that of the parameters.
        rngs = {"dropout": key, "params": jax.random.fold_in(key, 1)}
        with linen_mode_checked(module, train, bool(told or attributes)):
            if not train:
                logits = in_mode(False).apply(variables, *given, rngs=rngs, **named, **mode(told, False))
                return logits, state
            logits, new_state = in_mode(True).apply(
                variables, *given, rngs=rngs, mutable=[*collections, *lost], **named, **mode(told, True)
            )
        new_state = dict(new_state)
        if sown:
            logits = auxiliary.Sown(logits, new_state.pop(auxiliary.LOSSES, ()))
        return logits, _without_sown(new_state)

    return Model(init, apply)


def _without_sown(collections: Any) -> dict[str, Any]:
    """State without what modules sow, which Linen keeps as tuples: nobody reads it, and it grows with each call."""
    kept = {}
    for name, value in collections.items():
        if isinstance(value, Mapping):
            value = _without_sown(value)
        if not isinstance(value, tuple) and not (isinstance(value, Mapping) and not value):
            kept[name] = value
    return kept


def checked_arguments(what: str, call: Callable[..., Any], example: Any) -> bool:
    """Whether a call takes inputs by name.

    Args:
      what: the model, for messages.
      call: of a module, bound to it.
      example: inputs.

    Raises:
      ValueError: it needs more than the inputs and the mode.
    """
    by_name = takes_by_name(call, example)
    if others := other_arguments(call, list(example) if by_name else None):
        raise ValueError(
            f"Task.model, {what}, needs {others[0]!r} in its call; a module is called with inputs, "
            f"and with whether it trains if it takes {', '.join(list(MODES)[:-1])} or {list(MODES)[-1]}."
        )
    return by_name


def arguments(x: Any, by_name: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Inputs as positional arguments and keywords of a call."""
    return ((), dict(x)) if by_name else ((x,), {})


def _from_nnx(constructor: Callable[[nnx.Rngs], nnx.Module], example: Any) -> Model:
    def build(key: jax.Array) -> nnx.Module:
        return constructor(nnx.Rngs(key))

    with users_code("Task.model, called with nnx.Rngs,"):
        built = nnx.eval_shape(lambda: build(jax.random.key(0)))
    if not isinstance(built, nnx.Module):
        raise ValueError(f"Task.model is {constructor!r}, which returns no nnx.Module.")
    told = modes_of(built.__call__)  # type: ignore[attr-defined]
    by_name = checked_arguments(f"a {type(built).__name__}", built.__call__, example)  # type: ignore[attr-defined]

    def structure(train: bool) -> nnx.GraphDef[nnx.Module]:
        """The module without its arrays. Whether it trains is part of its structure."""
        built.train() if train else built.eval()
        return nnx.split(built, nnx.Param, ...)[0]

    structures = {train: structure(train) for train in (True, False)}

    def init(key: jax.Array) -> tuple[chex.ArrayTree, chex.ArrayTree]:
        _, params, state = nnx.split(build(key), nnx.Param, ...)
        return params, state

    def apply(
        params: chex.ArrayTree, state: chex.ArrayTree, x: Any, key: jax.Array, train: bool
    ) -> tuple[jax.Array, chex.ArrayTree]:
        _check_inputs(x, example)
        given, named = arguments(x, by_name)
        # Without a copy, a merged module's variables must not be changed under a transformation.
        module: Any = nnx.merge(structures[train], params, state, copy=True)
        nnx.reseed(module, default=key)
        with nnx_mode_checked(module, train):
            given, named = arguments(x, by_name)
            logits = module(*given, **named, **mode(told, train))
        if not train:
            return logits, state
        _, _, new_state = nnx.split(module, nnx.Param, ...)
        return logits, new_state

    return Model(init, apply)


def _check_inputs(x: Any, example: Any) -> None:
    jax.tree.map(lambda leaf, like: chex.assert_shape(leaf, (None, *like.shape[1:])), x, example)
