"""The notebooks of docs/ run from top to bottom."""

import os
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Jupyter's packages, in this process
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    book = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert all(cell.execution_count for cell in book.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_outputs_and_is_small(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 20_000
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in book.cells)
    assert book.cells[0].source.startswith("# ")


def test_every_notebook_is_linked_from_the_guide() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text()
    assert len(NOTEBOOKS) == 4
    assert all(f"(notebooks/{path.name})" in guide for path in NOTEBOOKS)
