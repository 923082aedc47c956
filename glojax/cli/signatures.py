"""Options that several commands share: decorators add them to a command's signature, which typer reads.

A decorator takes its own options from what typer passes, and hands the command what they stand for.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

Command = Callable[..., Any]


def with_options(
    command: Command, run: Command, options: Command, *, instead_of: tuple[str, ...] = (), before: str | None = None
) -> Command:
    """``run`` under the name of a command, with the command's signature and the options of another function.

    Args:
      command: the command to decorate.
      run: what is called in its place, with the arguments of both.
      options: a function whose parameters are the options to add.
      instead_of: parameters of the command that ``run`` fills in from the options, hidden from typer.
      before: the command's own option that the added ones precede. Defaults to adding them at the end.

    Returns:
      A function that typer reads as a command.
    """
    own = inspect.signature(command)
    kept = [parameter for parameter in own.parameters.values() if parameter.name not in instead_of]
    added = list(inspect.signature(options).parameters.values())
    if before is None:
        place, added = len(kept), [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in added]
    else:
        place = [parameter.name for parameter in kept].index(before)
    wrapped = functools.wraps(command)(run)
    parameters = [*kept[:place], *added, *kept[place:]]
    wrapped.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    annotations = {name: kind for name, kind in command.__annotations__.items() if name not in instead_of}
    wrapped.__annotations__ = annotations | options.__annotations__
    return wrapped


def renamed_option(old: str, new: str) -> Callable[[Command], Command]:
    """A decorator that keeps the old name of a yes-or-no option as a hidden one, which warns on stderr."""

    def decorate(command: Command) -> Command:
        def options(
            old_option: Annotated[bool | None, typer.Option(f"--{old}/--no-{old}", hidden=True)] = None,
        ) -> None: ...

        def run(*, old_option: bool | None, **given: Any) -> None:
            if old_option is not None:
                no = "" if old_option else "no-"
                dashed = new.replace("_", "-")
                print(f"glojax: --{no}{old} is now --{no}{dashed}; the old name goes.", file=sys.stderr)
                given[new] = old_option
            command(**given)

        return with_options(command, run, options)

    return decorate
