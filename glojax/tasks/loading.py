"""Tasks by name, as the command line takes them: a ready-made one, or one from a user's own Python file."""

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from glojax.errors import listed, quoted, short, users_code
from glojax.tasks.ready_made import cifar10, diabetes, digits, mnist, noisy_digits
from glojax.tasks.task import Task

FROM_FILES: dict[str, ModuleType] = {}
"""Modules made of users' files, by name; another process cannot import them by these names."""

NAMED: dict[str, Callable[..., Task]] = {
    "digits": digits,
    "noisy-digits": noisy_digits,
    "diabetes": diabetes,
    "mnist": mnist,
    "cifar10": cifar10,
}
"""Ready-made tasks by name."""


def task_by_name(name: str, **options: Any) -> Task:
    """Make a ready-made task, or one of a user's own file.

        task_by_name("digits", steps=100)
        task_by_name("path/to/file.py:make_task")

    Args:
      name: a key of ``NAMED``, or a Python file and the name of a ``Task``, or of a function that returns one, in it.
      **options: arguments of the ready-made task or the function.

    Raises:
      ValueError: an unknown name, a file that is missing or not Python or that raises, or a function that is missing,
        needs another argument, does not take an option or returns no ``Task``.
    """
    if name in NAMED:
        _check_options(name, NAMED[name], options)
        return NAMED[name](**options)
    path, _, attribute = name.rpartition(":")
    if not path.endswith(".py"):
        raise ValueError(
            f"task {quoted(name)} is not known; allowed are {', '.join(NAMED)} or path/to/file.py:function."
        )
    if not os.path.isfile(path):
        raise ValueError(f"task {quoted(name)}: there is no file {quoted(path, 200)}.")
    module = _module(name, path)
    found = vars(module).get(attribute)
    _check_options(name, found, options)
    with users_code(f"task {quoted(name)}"):
        task = found(**options) if callable(found) else found
    if not isinstance(task, Task):
        others = [other for other, value in vars(module).items() if _may_be_task(value, module.__name__)]
        raise ValueError(
            f"task {quoted(name)}: {short(attribute)} in {short(path)} is no Task and no function that returns one; "
            f"there are {listed(others) or 'none'}."
        )
    return task


def _module(name: str, path: str) -> ModuleType:
    """Run the user's file as a module."""
    # Its own name may be that of another module.
    spec = importlib.util.spec_from_file_location(f"glojax_task_{Path(path).stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = FROM_FILES[spec.name] = module  # dataclasses and pickle look there
    if (folder := str(Path(path).parent.resolve())) not in sys.path:
        sys.path.append(folder)  # like a script, the file may import its neighbours
    with users_code(f"task {quoted(name)}: {short(path)}"):
        spec.loader.exec_module(module)
    return module


def _may_be_task(value: object, module: str) -> bool:
    return isinstance(value, Task) or (inspect.isfunction(value) and value.__module__ == module)


def check(given: object) -> None:
    """Raise ``ValueError`` for an object that is no ``Task``, such as a function that makes one."""
    if not isinstance(given, Task):
        raise ValueError(f"task is {given!r}; a glojax.Task is expected.")


def _check_options(name: str, make: Any, options: dict[str, Any]) -> None:
    """Raise ``ValueError`` if a function cannot be called with these options alone."""
    try:
        taken = inspect.signature(make).parameters
    except (TypeError, ValueError):  # no function, or one written in C without a signature
        taken = {}
    if refused := [option for option in options if option not in taken]:
        takers = [known for known, made in NAMED.items() if refused[0] in inspect.signature(made).parameters]
        raise ValueError(f"task {quoted(name)} takes no {refused[0]}; allowed for {', '.join(takers) or 'none'}.")
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for option, parameter in taken.items():
        if parameter.default is parameter.empty and parameter.kind not in optional and option not in options:
            raise ValueError(f"task {quoted(name)} needs {short(option)}; a function that can do without is expected.")
