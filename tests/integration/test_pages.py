"""The code of the README and of all other pages runs as printed, block after block, in a folder of the page's own.

python: a block that begins with an import has a fresh namespace, another goes on with the block before; one whose first
line is ``# name.py`` is written to that file; an indented one is a row of the grammar (``test_operator.py``).

bash: ``glojax`` is parsed by the command itself, so every option is one that exists and takes that value. After that
``export`` and ``show`` run as printed. Of ``search`` the task of a file or a table is made, and ``SEARCHED`` is
searched, with ``REDUCED`` added; what else trains for minutes is only parsed: ``search`` of a ready-made task,
``train``, ``tune``, ``evaluate``, ``bench``. ``python file.py`` runs; the command line of a script in ``experiments/``
or ``docs/`` is parsed by that script. Installation, tests, linters and the site's builder are neither parsed nor
run. A script, with ``#!``, is parsed by bash, and what it starts of glojax by the command; so is what gcloud is to
start. ``glojax`` in backquotes in the text is parsed as well.

sql and yaml have tests of their own, in ``test_candidate_table.py`` and ``test_ray.py``.
"""

import argparse
import contextlib
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import glojax
from glojax import cli, tasks
from glojax.expressions import programs
from glojax.training import gradients, learner

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
PAGES += ["experiments/README.md", "experiments/accelerator.md"]
SLOW = {"README.md", "docs/guide.md"}
REDUCED = (
    "--population 8 --generations 1 --candidate-seeds 1 --steps 5 --tune-generations 0 --seeds 2 --no-random-search"
)
SEARCHED = "diabetes.py:task"
INSTALLATION = ("pip install ", ".venv/bin/pip install ", "python3 -m venv ", "git clone ", "cd ")
CHECKS = (".venv/bin/pytest", ".venv/bin/ruff ", ".venv/bin/pyright ", ".venv/bin/mkdocs ")
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


def commands_of(block: Block) -> list[str]:
    """What it runs, without comments."""
    text = block.text.replace("\\\n", " ")
    if text.startswith("#!"):
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        text = "\n".join(re.findall(r"\bglojax .*", text))
    lines = [re.sub(r"(^|\s)#.*", "", line) for line in text.splitlines()]
    return [command.strip() for line in lines for command in line.split(" && ") if command.strip()]


def parsed(command: str) -> tuple[str, list[str], dict[str, Any]]:
    """The name of glojax's command, its arguments, and what it makes of them."""
    name, *arguments = shlex.split(command)[1:]
    assert name in COMMANDS, command
    return name, arguments, COMMANDS[name].make_context(name, list(arguments)).params


def run_command(command: str) -> None:
    """One line of bash, as the head of this file says."""
    if command.startswith((*INSTALLATION, *CHECKS)):
        return
    command = command.removeprefix(".venv/bin/")
    if command.startswith("gcloud "):
        (command,) = re.findall(r"--command='(.*)'", command)
    if command.startswith("glojax "):
        name, arguments, options = parsed(command)
        if name in ("export", "show"):
            invoke(name, arguments)
        elif name == "search" and options["task"] == [SEARCHED]:
            invoke(name, arguments + REDUCED.split())
        elif name == "search" and options["task"]:
            for task in options["task"]:
                if ".py:" in task:
                    tasks.task_by_name(task)
        elif name == "search" and options.get("csv"):
            tasks.table(options["csv"], options["target"])
    elif re.match(r"python (experiments|docs|tests)/\w+\.py", command):
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
            for command in commands_of(block):
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
            assert block.language in ("python", "text", "sql", "yaml"), (
                f"{page}, line {block.line}: a block of {block.language!r}"
            )
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
        name, *arguments = command.split()[1:]
        if arguments:
            parsed(command.replace("\\|", "|"))
        else:
            assert name in {*COMMANDS, "--help", "--version", "--install-completion"}


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


# WHAT THE PAGES SAY


def test_a_training_loop_with_a_found_loss_learns(ran: Ran) -> None:
    assert 0.9 < float(example(ran, "docs/losses.md", "Network")["accuracy"]) <= 1


@pytest.mark.slow
def test_a_training_loop_of_a_users_table_learns(ran: Ran) -> None:
    assert 0.9 < float(example(ran, "docs/guide.md", "table")["accuracy"]) <= 1  # of the wines


@pytest.mark.slow
def test_the_readme_trains_by_a_found_loss_and_searches_on_own_data(ran: Ran) -> None:
    assert 0.9 < float(example(ran, "README.md", "accuracy")["accuracy"]) <= 1
    names = example(ran, "README.md", "found")
    assert names["scores"].shape == (3, 8)
    assert names["found"].best.has_x_and_y
    assert names["tuned"].fitness >= names["tuned"].start_fitness
    assert names["scores"][1].mean() > 0.5


def test_the_values_that_the_grammar_s_page_gives_are_those(ran: Ran) -> None:
    names = example(ran, "docs/grammar.md", "tree")
    assert (names["size"], names["depth"], names["text"]) == (6, 2, "log(y) - x / y")
    names = example(ran, "docs/grammar.md", "form")
    assert (str(names["form"]), len(names["nodes"])) == ("2 * y - x", 2)


def test_coefficients_follow_the_gradient_as_far_as_the_page_says(ran: Ran) -> None:
    values = example(ran, "docs/losses.md", "after_training")["values"]
    assert values == sorted(values, reverse=True)
    assert [f"{value:.2f}" for value in (values[0], values[-1])] == ["2.14", "1.91"]


@pytest.mark.slow
def test_the_tasks_of_the_guide_learn(ran: Ran) -> None:
    names = example(ran, "docs/guide.md", "apply")
    assert names["scores"].mean() > 0.5
    counts = example(ran, "docs/guide.md", "poisson")
    errors = counts["task"].as_metric(counts["scores"])
    always_the_mean = np.abs(counts["counts"][300:430] - counts["counts"][:300].mean()).mean()
    assert errors.mean() < always_the_mean


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet.py", "head.py", "characters.py"])
def test_the_task_files_of_the_guide_can_be_trained(name: str) -> None:
    text = next(block.text for block in blocks("docs/guide.md") if block.text.startswith(f"# {name}\n"))
    space: dict[str, Any] = {"__name__": "page"}
    exec(compile(text, name, "exec"), space)
    task = space["task"]()
    keys = learner.keys_of(jnp.uint32(0))
    tree = programs.encode([task.problem.baseline.tree], instructions=7)
    x, labels = (part[: task.batch_size] for part in task.splits["train"])

    def trained() -> tuple[jax.Array, jax.Array]:
        program, start = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), tree), learner.start(task, keys)
        given = learner.network_input(task, keys, jnp.int32(0), x)
        gradient = gradients.program_gradient(False, task.problem.output)
        after = learner.step(task, gradient, start, program, jnp.float32(1), keys, jnp.int32(0), given, labels)
        moved = jax.tree.map(lambda new, old: (new != old).any(), after.params, start.params)
        return learner.score(task, after, keys, x, labels), jnp.array(jax.tree.leaves(moved)).any()

    quickly = jax.jit(trained, compiler_options={"xla_backend_optimization_level": 0})  # it runs once
    score, has_moved = quickly()
    assert 0 < score <= 1
    assert has_moved


@pytest.mark.slow
def test_the_network_of_the_performance_page_trains_alike_with_both_convolutions(ran: Ran) -> None:
    names = example(ran, "docs/performance.md", "fast")
    scores = [glojax.evaluate(names[name](), ["log(y) - x / y"], 2, steps=40) for name in ("fast", "plain")]
    assert scores[0].mean() > 0.3
    np.testing.assert_allclose(scores[0], scores[1], atol=0.01)


def test_every_command_and_no_other_is_on_its_page() -> None:
    assert set(re.findall(r"^\| `glojax (\w+)", text_of("docs/commands.md"), flags=re.MULTILINE)) == set(COMMANDS)


def test_the_readme_asks_for_the_python_that_the_package_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert "Python 3.11 or newer" in text_of("README.md")
