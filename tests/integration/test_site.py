"""The documentation as a site, built once from a copy with faults: each is found, nothing else is, and all is there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import glojax

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FAULTS = {
    "a link to nowhere": "'limits.md' contains a link 'nowhere.md'",
    "a link to no heading": "'limits.md' contains a link 'guide.md#no-heading'",
    "a page without a place": 'not included in the "nav" configuration:\n  - alone.md',
    "a name without a docstring": "glojax.losses.zoo.generalized_cross_entropy is public and has no docstring.",
}


class Built(NamedTuple):
    """A site, and what was said while it was built."""

    site: Path
    status: int
    output: str

    @property
    def warnings(self) -> list[str]:
        return re.findall(r"^WARNING -  (.*(?:\n  .*)*)", self.output, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    copy = tmp_path_factory.mktemp("repository")
    ignored = shutil.ignore_patterns("__pycache__", "*.parquet")
    for name in ("docs", "glojax", "experiments"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "mkdocs.yml"):
        shutil.copy(ROOT / name, copy)
    with (copy / "docs" / "limits.md").open("a") as limits:
        limits.write("\n[one](nowhere.md), [another](guide.md#no-heading)\n")
    (copy / "docs" / "alone.md").write_text("# Alone\n")
    zoo = copy / "glojax" / "losses" / "zoo.py"
    without, count = re.subn(
        r'(def generalized_cross_entropy\(.*?:\n) *""".*?"""\n', r"\1", zoo.read_text(), flags=re.DOTALL
    )
    assert count == 1
    zoo.write_text(without)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, text=True, capture_output=True, timeout=300)
    return Built(copy / "site", done.returncode, done.stdout + done.stderr)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_the_build(fault: str, built: Built) -> None:
    assert built.status != 0
    assert sum(FAULTS[fault] in warning for warning in built.warnings) == 1, built.output


def test_the_site_has_no_other_fault(built: Built) -> None:
    assert len(built.warnings) == len(FAULTS), built.output


def test_the_reference_has_every_public_name(built: Built) -> None:
    modules = {name for name in glojax.__all__ if hasattr(getattr(glojax, name), "__file__")}
    page = (built.site / "reference" / "glojax.html").read_text()
    for name in set(glojax.__all__) - modules:
        assert f'id="glojax.{name}"' in page, name
    for module in modules:
        page = (built.site / "reference" / f"{module}.html").read_text()
        for name in getattr(getattr(glojax, module), "__all__", ()):
            if name != "generalized_cross_entropy":
                found = rf'id="glojax\.{module}\.({name}\.)?{name}"|<code>{name}</code> is explained'
                assert re.search(found, page), name


def test_nothing_is_fetched_from_elsewhere(built: Built) -> None:
    for page in built.site.rglob("*.html"):
        for tag in re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", page.read_text()):
            assert not re.search(r"""\b(?:src|href)=["']?(?:https?:)?//""", tag), f"{page.name}: {tag}"
    for sheet in built.site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet.name


def test_links_to_files_outside_of_the_pages_lead_to_their_text(built: Built) -> None:
    page = (built.site / "architecture.html").read_text()
    for link in set(re.findall(r'href="(source/[^"#]+)"', page)):
        assert (built.site / link).exists(), link
    assert "source/glojax/expressions/grammar.html" in page
    assert 'href="experiments.html' in (built.site / "index.html").read_text()
    assert 'src="search.png"' in (built.site / "index.html").read_text()
