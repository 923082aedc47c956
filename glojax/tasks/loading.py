"""The task that the command line names: a ready-made one, or one from a user's own file."""

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from glojax.errors import listed, quoted, short, users_code
from glojax.tasks.ready_made import cifar10, digits, mnist
from glojax.tasks.task import Task

if TYPE_CHECKING:
    pass


FROM_FILES: dict[str, ModuleType] = {}
"""What ``named`` has loaded; by these names no other process can import them."""

NAMED: dict[str, Callable[..., Task]] = {"digits": digits, "mnist": mnist, "cifar10": cifar10}


def task_by_name(name: str, **options: Any) -> Task:
    """The ready-made task of that name, or what ``path/to/file.py:function`` of the user's own returns.

    Args:
      name: a key of ``NAMED``, or a Python file and a function (or a ``Task``) in it.
      **options: passed on to the ready-made task or the function.

    Raises:
      ValueError: an unknown name, a file that is not there or not Python, a function that is not there, needs what is
        not given, takes no such option or returns no ``Task``. What the file itself raises passes.
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
    """The user's own file, run."""
    # Not under its own name, which may be that of a module that others import.
    spec = importlib.util.spec_from_file_location(f"glojax_task_{Path(path).stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = FROM_FILES[spec.name] = module  # dataclasses and pickle look there
    if (folder := str(Path(path).parent.resolve())) not in sys.path:
        sys.path.append(folder)  # the file may import its neighbours, as a script may
    with users_code(f"task {quoted(name)}: {short(path)}"):
        spec.loader.exec_module(module)
    return module


def _may_be_task(value: Any, module: str) -> bool:
    return isinstance(value, Task) or (inspect.isfunction(value) and value.__module__ == module)


def check(given: Any) -> None:
    """Raise ``ValueError`` for what is no task, such as a function that makes one."""
    if not isinstance(given, Task):
        raise ValueError(f"task is {given!r}; a glojax.Task is expected.")


def _check_options(name: str, make: Any, options: dict[str, Any]) -> None:
    """Refuse what cannot be called with these options and nothing else."""
    try:
        taken = inspect.signature(make).parameters
    except (TypeError, ValueError):  # no function, or one of C that does not say what it takes
        taken = {}
    if refused := [option for option in options if option not in taken]:
        takers = [known for known, made in NAMED.items() if refused[0] in inspect.signature(made).parameters]
        raise ValueError(f"task {quoted(name)} takes no {refused[0]}; allowed for {', '.join(takers) or 'none'}.")
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for option, parameter in taken.items():
        if parameter.default is parameter.empty and parameter.kind not in optional and option not in options:
            raise ValueError(f"task {quoted(name)} needs {short(option)}; a function that can do without is expected.")
