"""A new operator is one row of the grammar: the row that the page on the grammar shows, put into a copy of glojax."""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from with_sin import CHECKS

import glojax
from glojax.expressions import grammar

PAGE = (Path(__file__).parents[2] / "docs" / "grammar.md").read_text()
PACKAGE = Path(glojax.__file__).parent
GRAMMAR = Path("expressions") / "grammar.py"
END_OF_TABLE = ")  # fmt: skip\n\nLEAVES"


@pytest.fixture(scope="module")
def row() -> str:
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL) if '"sin"' in block)
    return block


@pytest.fixture(scope="module")
def copy(row: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("operator")
    shutil.copytree(PACKAGE, folder / "glojax", ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "glojax" / GRAMMAR).read_text()
    assert text.count(END_OF_TABLE) == 1
    (folder / "glojax" / GRAMMAR).write_text(text.replace(END_OF_TABLE, row + END_OF_TABLE))
    return folder


@pytest.fixture(scope="module")
def failed(copy: Path) -> dict[str, str]:
    """What failed in the copy, by the name of the check."""
    script = Path(__file__).with_name("with_sin.py")
    environment = os.environ | {"PYTHONPATH": str(copy)}
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert Path(found["package"]) == copy / "glojax"
    return found["failed"]


def test_the_library_has_no_sin_of_its_own() -> None:
    assert "sin" not in {node.symbol for node in grammar.OPERATORS}


def test_the_row_of_the_page_is_all_that_differs(row: str, copy: Path) -> None:
    files = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    changed = [file for file in files if (PACKAGE / file).read_text() != (copy / "glojax" / file).read_text()]
    assert changed == [GRAMMAR]
    before, after = ((folder / GRAMMAR).read_text().splitlines() for folder in (PACKAGE, copy / "glojax"))
    lines = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    assert lines == [f"+ {line}" for line in row.splitlines()]
    assert row.count("_function(") == 1


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_with_that_row_the_operator_is_there(check: str, failed: dict[str, str]) -> None:
    assert check not in failed, failed[check]


def test_the_page_lists_the_operators_and_leaves_with_their_weights() -> None:
    rows = dict(re.findall(r"^\| `(.+?)`(?:, `-1`)? .*\| (\d)(?: each)? \|$", PAGE, flags=re.MULTILINE))
    weights = {}
    for node in grammar.OPERATORS + grammar.LEAVES:
        operands = "ab"[: node.arity]
        weights[node.text.template.format(*operands)] = str(int(node.weight))
    assert rows == {text: weight for text, weight in weights.items() if text != "-1"}
