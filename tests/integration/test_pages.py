"""The code of the README and of all other pages runs as printed, block after block, in a folder of the page's own.

python: a block that begins with an import has a fresh namespace, another goes on with the block before; one whose first
line is ``# name.py`` is written to that file; an indented one is a row of the grammar (``test_operator.py``).

bash: ``glojax`` is parsed by the command itself, so every option is one that exists and takes that value. After that
``export`` and ``show`` run as printed, ``search`` of a file or a table runs with ``REDUCED``, and what else would train for
minutes is only parsed: ``search`` of a ready-made task, ``train``, ``tune``, ``evaluate``, ``bench``, and a search of
``ONLY_MADE``, whose task is made. ``python file.py`` runs; an experiment's command line is parsed by that experiment.
Installation is neither parsed nor run. ``glojax`` in backquotes in the text is parsed as well.
"""

import argparse
import contextlib
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from glojax import cli, tasks

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")), "experiments/README.md"]
SLOW = {"README.md"}
REDUCED = "--population 8 --generations 1 --candidate-seeds 1 --steps 5 --tune-generations 0 --seeds 2 --no-control"
ONLY_MADE = {"cnn.py:task", "mlp.py:task"}
INSTALLATION = ("pip install ", ".venv/bin/pip install ", "python3 -m venv ", ".venv/bin/pytest", "git clone ", "cd ")
COMMANDS: dict[str, Any] = get_command(cli.app).commands  # type: ignore[attr-defined]


class Block(NamedTuple):
    """What stands between two fences."""

    language: str
    text: str
    line: int  # of the page, where the text begins


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str) -> list[Block]:
    text = text_of(page)
    fences = re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [Block(fence[1], fence[2], text[: fence.start(2)].count("\n") + 1) for fence in fences]


# BASH


def lines(block: Block) -> list[str]:
    """Its commands, without comments and continuations."""
    commands = shlex_lines(block.text.replace("\\\n", " "))
    return [command.strip() for line in commands for command in line.split(" && ") if command.strip()]


def shlex_lines(text: str) -> list[str]:
    return [re.sub(r"(^|\s)#.*", "", line) for line in text.splitlines()]


def parsed(command: str) -> tuple[str, list[str]]:
    """The name of glojax's command and its arguments, after it has parsed them."""
    name, *arguments = shlex.split(command)[1:]
    assert name in COMMANDS, command
    if "--help" not in arguments:
        COMMANDS[name].make_context(name, list(arguments))
    return name, arguments


def run_command(command: str) -> None:
    """One line of bash, as the head of this file says."""
    if command.startswith(INSTALLATION):
        return
    command = command.removeprefix(".venv/bin/")
    if command.startswith("glojax "):
        name, arguments = parsed(command)
        of_a_file = "--csv" in arguments or any(".py:" in argument for argument in arguments)
        if name in ("export", "show"):
            invoke(name, arguments)
        elif name == "search" and ONLY_MADE & {*arguments}:
            assert tasks.named(*ONLY_MADE & {*arguments}).steps > 0
        elif name == "search" and of_a_file:
            invoke(name, arguments + REDUCED.split())
    elif re.match(r"python experiments/\w+\.py", command):
        parse_experiment(*shlex.split(command)[1:])
    else:
        assert re.fullmatch(r"python \w+\.py", command), f"a test does not know what to do with: {command}"
        subprocess.run([sys.executable, *command.split()[1:]], check=True)


def invoke(name: str, arguments: list[str]) -> None:
    result = CliRunner().invoke(cli.app, [name, *arguments])
    assert result.exit_code == 0, f"glojax {name} {shlex.join(arguments)}: {result.output}{result.exception}"


class Parsed(Exception):
    """An experiment got as far as its options."""


def parse_experiment(script: str, *arguments: str) -> None:
    parse = argparse.ArgumentParser.parse_args

    def only_parse(self: argparse.ArgumentParser) -> None:
        parse(self)
        raise Parsed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
        patch.setattr(sys, "argv", [script, *arguments])
        patch.syspath_prepend(str(ROOT / "experiments"))
        with pytest.raises(Parsed):
            runpy.run_path(str(ROOT / script), run_name="__main__")


# PAGES


def run(page: str) -> list[dict[str, Any]]:
    """All blocks of a page in their order; the namespaces of its Python."""
    found: list[dict[str, Any]] = []
    for block in blocks(page):
        first = block.text.splitlines()[0]
        if block.language == "bash":
            for command in lines(block):
                run_command(command)
        elif block.language == "python" and re.fullmatch(r"# \w+\.py", first):
            Path(first.removeprefix("# ")).write_text(block.text)
        elif block.language == "python" and not first.startswith(" "):
            if first.startswith(("import ", "from ")):
                found.append({"__name__": "page"})
            # Empty lines before it, so that an error names the line of the page.
            code = compile("\n" * (block.line - 1) + block.text, str(ROOT / page), "exec")
            exec(code, found[-1])
        else:
            assert block.language in ("python", "text"), f"{page}, line {block.line}: a block of {block.language!r}"
    return found


Ran = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    @lru_cache
    def ran(page: str) -> list[dict[str, Any]]:
        with contextlib.chdir(tmp_path_factory.mktemp("page")):
            return run(page)

    return ran


def example(ran: Ran, page: str, name: str) -> dict[str, Any]:
    """The last namespace of a page that has this name."""
    return next(space for space in reversed(ran(page)) if name in space)


@pytest.mark.parametrize("page", [pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW)) for page in PAGES])
def test_every_block_of_a_page_runs(page: str, ran: Ran) -> None:
    ran(page)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_the_text_is_one_that_exists(page: str) -> None:
    prose = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    for command in re.findall(r"`(glojax [^`]+)`", prose):
        parsed(command.replace("\\|", "|").replace("\n", " "))


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_another_page_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if link.startswith("https:"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text(), flags=re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, link
