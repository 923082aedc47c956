"""The wheel and the source distribution: built, checked, installed, and used from another environment."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import glojax

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def run(*command: object, folder: Path, **environment: str) -> str:
    """What a command prints, with nothing of this checkout in the path of its imports."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    done = subprocess.run([*map(str, command)], cwd=folder, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both; the wheel is built from the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, folder=folder)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, and borrows what it depends on."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder)
    python = folder / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    run(
        sys.executable,
        "-m",
        "pip",
        "-q",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        wheel,
        folder=folder,
    )
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def test_both_are_sound_and_hold_the_whole_package(built: Path) -> None:
    files = sorted(built.iterdir())
    assert [file.suffix for file in files] == [".whl", ".gz"]
    run(sys.executable, "-m", "twine", "check", "--strict", *files, folder=built)
    run(Path(sys.executable).with_name("check-wheel-contents"), files[0], folder=built)
    names = set(zipfile.ZipFile(files[0]).namelist())
    source = {str(path.relative_to(ROOT)) for path in (ROOT / "glojax").rglob("*") if path.is_file()}
    expected = {name for name in source if "__pycache__" not in name}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert "glojax/py.typed" in names


def test_a_search_runs_from_the_installed_wheel(installed: Path, tmp_path: Path) -> None:
    where = run(installed / "python", "-c", "import glojax; print(glojax.__file__)", folder=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert run(installed / "glojax", "--version", folder=tmp_path) == f"glojax {glojax.__version__}\n"
    sizes = ("--population", 4, "--generations", 1, "--steps", 10, "--train-examples", 100, "--seeds", 2)
    short = ("--tune-generations", 0, "--full-steps", 0, "--no-random-search")
    said = run(installed / "glojax", "search", *sizes, *short, "--run-dir", "run", "--json", "-", folder=tmp_path)
    assert glojax.load(tmp_path / "run" / "loss.json") == glojax.Loss(json.loads(said)["loss"]["text"])
    assert (tmp_path / "run" / "report.html").exists()


def test_tests_run_from_the_source_distribution(built: Path, tmp_path: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    tests = ("tests/expressions/test_parsing.py", "tests/test_version.py")
    said = run(sys.executable, "-m", "pytest", "-q", "-n", 0, *tests, folder=folder, PYTHONPATH=str(folder))
    assert " passed" in said
    assert "failed" not in said
