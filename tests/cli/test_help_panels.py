"""The panels of options in a command's help."""

from collections import Counter

import typer
from as_typed import run
from typer.core import TyperOption

from glojax import cli
from glojax.cli import help_panels

COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


def options() -> list[TyperOption]:
    return [one for command in COMMANDS.values() for one in command.params if isinstance(one, TyperOption)]


def test_every_option_is_in_a_panel() -> None:
    assert [one.name for one in options() if not (one.hidden or one.rich_help_panel)] == [
        *("nodes", "to", "to"),  # what bench, export and transfer are about
    ]


def test_no_option_is_in_two_panels_and_none_is_named_in_vain() -> None:
    named = Counter(name for names in help_panels.PANELS.values() for name in names)
    assert max(named.values()) == 1
    assert set(named) <= {one.name for one in options()}


def test_panels_and_commands_have_their_order() -> None:
    shown = run("search", "--help").output
    assert sorted(help_panels.PANELS, key=shown.index) == list(help_panels.PANELS)
    assert shown.index("Where it runs") < shown.index("A table") < shown.index("Harder data")
    overview = run("--help").output
    assert sorted(help_panels.COMMAND_PANELS, key=overview.index) == list(help_panels.COMMAND_PANELS)
