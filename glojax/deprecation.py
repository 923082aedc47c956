"""Old names, which keep working for a version: each warns, and says the new one."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Class = TypeVar("Class")
Value = TypeVar("Value")


def _unchanged(value: Any) -> Any:
    return value


def renamed_argument(
    old: str, new: str, adapt: Callable[[Any], Any] = _unchanged
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: the function also takes the keyword ``old``, and gets ``adapt`` of its value as ``new``."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if old in kwargs:
                name = getattr(function, "__name__", "this function")
                warnings.warn(f"{name}: {old} is now {new}.", DeprecationWarning, stacklevel=2)
                kwargs[new] = adapt(kwargs.pop(old))
            return function(*args, **kwargs)

        return call

    return decorate


def renamed_attribute(old: str, new: str) -> Any:
    """A property under an old name."""

    def get(self: object) -> Any:
        warnings.warn(f"{type(self).__name__}.{old} is now {new}.", DeprecationWarning, stacklevel=2)
        return getattr(self, new)

    return property(get)


def renamed_fields(**names: str) -> Callable[[type[Class]], type[Class]]:
    """A decorator of a class: its fields can also be given and read by their old names; ``old="new"``."""

    def decorate(of: type[Class]) -> type[Class]:
        make = of.__init__

        @functools.wraps(make)
        def init(self: Class, *args: Any, **given: Any) -> None:
            for old in names.keys() & given.keys():
                warnings.warn(f"{of.__name__}.{old} is now {names[old]}.", DeprecationWarning, stacklevel=2)
                given[names[old]] = given.pop(old)
            make(self, *args, **given)

        of.__init__ = init  # type: ignore[method-assign]
        for old, new in names.items():
            setattr(of, old, renamed_attribute(old, new))
        return of

    return decorate


def given_to_what_trains(name: str, argument: str, value: Value) -> Value:
    """A field that what trains now takes; a warning where it is given.

    Args:
      name: of the field, such as ``"Task.group"``.
      argument: its name there.
      value: what was given, returned as it is.
    """
    if value is not None:
        warnings.warn(
            f"{name} is deprecated; give it to what trains, for example glojax.search(task, {argument}=...).",
            DeprecationWarning,
            stacklevel=4,
        )
    return value
