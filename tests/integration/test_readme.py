"""The code blocks of the README and of the pages in docs run as printed, each in a fresh namespace."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import glojax

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_readme_has_its_two_examples() -> None:
    assert len(BLOCKS) == 2


def test_the_flax_training_loop_with_a_found_loss_learns_the_digits() -> None:
    names: dict[str, object] = {}
    exec(BLOCKS[0], names)
    assert 0.9 < float(names["accuracy"]) <= 1  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_search_on_own_data_returns_scores_of_three_losses() -> None:
    names: dict = {}
    exec(BLOCKS[1], names)
    assert names["scores"].shape == (3, 8)
    assert names["found"].best.has_x_and_y
    assert names["tuned"].fitness >= names["tuned"].start_fitness
    assert names["scores"][1].mean() > 0.5


def test_the_network_of_the_performance_page_trains_alike_with_both_convolutions() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "performance.md").read_text(), flags=re.DOTALL)
    names: dict = {"__name__": "network"}
    exec(block, names)
    scores = [glojax.evaluate(names[name](), ["log(y) - x / y"], 2, steps=40) for name in ("fast", "plain")]
    assert scores[0].mean() > 0.3
    np.testing.assert_allclose(scores[0], scores[1], atol=0.01)


def test_the_readme_lists_every_command_and_no_other() -> None:
    from typer.main import get_command

    from glojax.cli import app

    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"^\| `glojax (\w+)", README, flags=re.MULTILINE)) == commands


def test_the_readme_asks_for_the_python_that_the_package_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert "Python 3.11 or newer" in README
