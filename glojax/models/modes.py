"""How a module is told whether it trains, and what of it must be told.

A Linen or NNX module takes one or several of the arguments in ``MODES`` in its call. Dropout and batch statistics
inside it follow from them; one that does not is found when the module is called, and refused.
"""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import flax.linen as nn
from flax import nnx

MODES = {
    "train": True,
    "training": True,
    "is_training": True,
    "deterministic": False,
    "use_running_average": False,
}
"""Arguments that tell a module whether it trains, with their values where it does."""


def modes_of(call: Callable[..., Any]) -> tuple[str, ...]:
    """The names in ``MODES`` that a call takes."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(call).parameters
    return tuple(name for name, one in parameters.items() if name in MODES and one.kind not in positional)


def mode(names: tuple[str, ...], train: bool) -> dict[str, Any]:
    """The arguments of these names for training or evaluation."""
    return {name: MODES[name] == train for name in names}


def takes_by_name(call: Callable[..., Any], example: Any) -> bool:
    """Whether a call takes inputs as keywords: they are a dict, and all its names are arguments of the call.

    Args:
      call: of a module, bound to it.
      example: its inputs.

    Raises:
      ValueError: some of the names are arguments and others are not.
    """
    if not isinstance(example, Mapping):
        return False
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(call).parameters
    named = [name for name, one in parameters.items() if one.kind in by_name and name not in MODES]
    unknown = sorted(set(example) - set(named))
    if unknown and len(unknown) < len(example):
        raise ValueError(
            f"Task.model takes {', '.join(named)} in its call, and the inputs also have {unknown[0]!r}; either all "
            "names of the inputs are arguments of the call, or none is, and it gets the dict."
        )
    return not unknown


def other_arguments(call: Callable[..., Any], names: Collection[str] | None = None) -> list[str]:
    """Names of arguments that a call needs beside the inputs and the mode.

    Args:
      call: of a module, bound to it.
      names: of the inputs, where they are keywords. Defaults to inputs as the first argument.
    """
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(call).parameters
    required = [name for name, one in parameters.items() if one.default is one.empty and one.kind not in variadic]
    inputs = {next((name for name in parameters if name not in MODES), None)} if names is None else names
    return [name for name in required if name not in MODES and name not in inputs]


@contextmanager
def linen_mode_checked(module: nn.Module, train: bool, is_told: bool) -> Iterator[None]:
    """While a Linen module is called, refuse dropout and batch statistics inside it that do not follow the mode.

    Batch statistics that never change are allowed in a module that is told: they may be meant.

    Args:
      module: the module, for messages.
      train: whether the call is in training mode.
      is_told: whether the module takes the mode.

    Raises:
      ValueError: dropout that does not act in training or acts in evaluation, or batch statistics that are not the
        batch's in training or are in evaluation; the message says what to write.
    """

    def watch(
        called: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], context: nn.module.InterceptorContext
    ) -> Any:
        if context.method_name == "__call__":
            _check(context.module, args, kwargs)
        return called(*args, **kwargs)

    def _check(inner: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        rate = getattr(inner, "dropout_rate" if isinstance(inner, nn.MultiHeadDotProductAttention) else "rate", 0.0)
        drops = isinstance(inner, nn.Dropout | nn.MultiHeadDotProductAttention) and rate > 0
        if drops and _given(inner, "deterministic", args, kwargs) in (train, None):  # it is to be `not train`
            raise ValueError(_message(module, inner, "deterministic", "drops nothing" if train else "drops values"))
        if isinstance(inner, nn.BatchNorm):
            given = _given(inner, "use_running_average", args, kwargs)
            if given is None or (given is train and not (train and is_told)):
                what = "does not take the batch's statistics" if train else "takes the batch's statistics"
                raise ValueError(_message(module, inner, "use_running_average", what))

    def _message(module: nn.Module, inner: nn.Module, argument: str, what: str) -> str:
        kind, where = type(inner).__name__, "training" if train else "evaluation"
        return (
            f"a {kind} in {type(module).__name__} {what} in {where}; let __call__ of {type(module).__name__} take "
            f"train: bool, and pass {argument}=not train to the {kind}."
        )

    with nn.intercept_methods(watch):
        yield


def _given(inner: nn.Module, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The value of an argument that may be given in a call or to the module; False where it is traced."""
    parameters = list(inspect.signature(type(inner).__call__).parameters)[1:]  # without self
    place = parameters.index(name) if name in parameters else len(args)
    value = kwargs.get(name, args[place] if place < len(args) else None)
    value = getattr(inner, name, None) if value is None else value
    return value if value is None or isinstance(value, bool) else ...


@contextmanager
def nnx_mode_checked(module: nnx.Module, train: bool) -> Iterator[None]:
    """While an NNX module in training mode is called, refuse dropout inside it that never draws.

    Its mode is set by ``module.train()``, so that only an argument in the call of a Dropout can keep it from acting.

    Args:
      module: the module, whose random streams are counted.
      train: whether the call is in training mode.

    Raises:
      ValueError: no Dropout with a stream of its own has drawn from it.
    """
    layers = [node for _, node in nnx.iter_graph(module) if isinstance(node, nnx.Dropout) and node.rate > 0]
    streams = [layer.rngs for layer in layers if isinstance(layer.rngs, nnx.RngStream)] if train else []
    before = [stream.count[...] for stream in streams]
    yield
    if streams and all(stream.count[...] is count for stream, count in zip(streams, before, strict=True)):
        raise ValueError(
            f"no Dropout in {type(module).__name__} drops anything in training; leave out deterministic=True in its "
            f"calls, or let __call__ of {type(module).__name__} take train: bool, and pass deterministic=not train."
        )
