"""One version, in all places that say it."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import glojax
from glojax.cli import app
from glojax.version import version

ROOT = Path(__file__).parents[1]


def test_the_version_is_that_of_the_project() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version() == glojax.__version__ == stated
    assert CliRunner().invoke(app, ["--version"]).output == f"glojax {stated}\n"
    assert f"\nversion: {stated}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE).group(1) in (  # type: ignore[union-attr]
        stated,
        "Unreleased",
    )


def test_a_source_tree_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert version() == "unknown"
