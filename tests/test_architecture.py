"""glojax keeps its plan: the direction of imports, no circle, short modules and functions, a test file for each module.

``docs/architecture.py`` reads the imports and has the allowed direction. The checks are functions of a checkout: each
is also tried on a small made-up one, in which it must fail.
"""

import ast
import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
assert _spec is not None
assert _spec.loader is not None
architecture = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(architecture)

LONGEST_MODULE = 400
LONGEST_FUNCTION = 50

# Exceptions, each with its reason. One that is no longer needed fails a test.
LONG_MODULES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
WITHOUT_A_TEST_FILE: dict[str, str] = {
    "__main__": "calls glojax.cli.main and nothing else; tests/integration run it as `python -m glojax`",
}

Checked = dict[str, str]  # what breaks a rule, and how


# THE CHECKS


def long_modules(root: Path) -> Checked:
    lines = {name: len(path.read_text().splitlines()) for name, path in architecture.modules_of(root).items()}
    return {name: f"{count} lines" for name, count in lines.items() if count > LONGEST_MODULE}


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines from ``def`` to the end, without the docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        assert docstring.end_lineno is not None
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


def functions_in(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All functions and methods under a node with their dotted names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, child
            yield from functions_in(child, name)
        else:
            yield from functions_in(child, prefix)


def long_functions(root: Path) -> Checked:
    return {
        name: f"{length_of(function)} lines"
        for module, path in architecture.modules_of(root).items()
        for name, function in functions_in(ast.parse(path.read_text()), module)
        if length_of(function) > LONGEST_FUNCTION
    }


def undocumented_packages(root: Path) -> Checked:
    """Packages whose docstring is missing, does not say what they may import, or allows what the direction does not."""
    found = {}
    for path in sorted((root / "glojax").glob("*/__init__.py")):
        package = path.parent.name
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        sentence = re.search(r"May import (.*?)\.(\s|$)", text, flags=re.DOTALL)
        if not text:
            found[package] = "no docstring"
        elif sentence is None:
            found[package] = "the docstring has no sentence that begins with 'May import'"
        else:
            taken = re.split(r"\b(?:but|except|never|not)\b", sentence[1])[0]
            named = {architecture.package_of(name) for name in re.findall(r"`+([\w.]+)`+", taken)}
            if wrong := sorted(named - architecture.allowed(package)):
                found[package] = f"the docstring allows {', '.join(wrong)}"
    return found


def untested_modules(root: Path) -> Checked:
    """Modules without ``tests/<package>/test_<module>.py``, or ``test_<package>_<module>.py`` if that is taken."""
    found = {}
    for name, path in architecture.modules_of(root).items():
        if path.name == "__init__.py":
            continue  # it only collects names
        *package, module = name.split(".")
        folder = root.joinpath("tests", *package)
        files = [f"test_{module}.py", f"test_{'_'.join([*package, module])}.py"]
        if not any((folder / file).exists() for file in files):
            found[name] = f"no {folder.relative_to(root) / files[0]}"
    return found


def without_exceptions(found: Checked, exceptions: dict[str, str]) -> Checked:
    """What breaks a rule without being excepted, and exceptions that nothing needs."""
    stale = {name: "listed as an exception without need" for name in exceptions if name not in found}
    return {name: how for name, how in found.items() if name not in exceptions} | stale


# GLOJAX


def test_every_import_follows_the_direction() -> None:
    modules = architecture.module_graph(ROOT)
    assert set(architecture.package_graph(modules)) <= set(architecture.MAY_IMPORT), "a package of no known place"
    assert architecture.against_the_direction(modules) == []


def test_no_modules_and_no_packages_import_each_other() -> None:
    modules = architecture.module_graph(ROOT)
    assert architecture.circles(modules) == []
    assert architecture.circles(architecture.package_graph(modules)) == []


def test_no_module_is_too_long() -> None:
    assert without_exceptions(long_modules(ROOT), LONG_MODULES) == {}


def test_no_function_is_too_long() -> None:
    assert without_exceptions(long_functions(ROOT), LONG_FUNCTIONS) == {}


def test_every_package_says_what_it_may_import() -> None:
    assert undocumented_packages(ROOT) == {}


def test_every_module_has_a_test_file() -> None:
    assert without_exceptions(untested_modules(ROOT), WITHOUT_A_TEST_FILE) == {}


def test_no_two_test_files_share_a_name() -> None:
    names = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, following in pairwise(names) if name == following] == []


def test_the_picture_shows_the_imports_of_today() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "architecture.svg")
    (described,) = picture.iter("{http://purl.org/dc/elements/1.1/}description")
    expected = architecture.description(architecture.module_graph(ROOT))
    assert described.text == expected, "run: python docs/architecture.py --draw docs/architecture.svg"


def defined_in(path: Path) -> set[str]:
    """The functions, classes and constants of a module."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def test_the_page_names_what_the_modules_define() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    places = re.findall(r"\]\(\.\./(glojax/[\w/]+\.py)\)\s+`(\w+)`", page)
    assert len(places) > 20
    assert [(path, name) for path, name in places if name not in defined_in(ROOT / path)] == []


# THE CHECKS CAN FAIL


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A made-up checkout with nothing wrong."""
    for path, text in {
        "glojax/__init__.py": "",
        "glojax/files.py": "import os\n",
        "glojax/data/__init__.py": '"""Data.\n\nMay import ``files``.\n"""\n',
        "glojax/data/tables.py": "from glojax import files\n",
        "glojax/tasks/__init__.py": '"""Tasks.\n\nMay import ``data`` and below, never ``training``.\n"""\n',
        "glojax/tasks/task.py": "import glojax.data.tables\n\n\ndef load(path):\n    return path\n",
        "tests/test_files.py": "",
        "tests/data/test_tables.py": "",
        "tests/tasks/test_task.py": "",
    }.items():
        write(tmp_path, path, text)
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_nothing_is_wrong_with_the_made_up_checkout(checkout: Path) -> None:
    modules = architecture.module_graph(checkout)
    assert modules == {
        "glojax": set(), "files": set(), "data": set(), "tasks": set(),
        "data.tables": {"files"}, "tasks.task": {"data.tables"},
    }  # fmt: skip
    assert architecture.circles(modules) == architecture.against_the_direction(modules) == []
    for check in (long_modules, long_functions, undocumented_packages, untested_modules):
        assert check(checkout) == {}


@pytest.mark.parametrize(
    "source",
    [
        "from glojax.tasks.task import Task",
        "from glojax.tasks import task",
        "import glojax.tasks.task",
        "import glojax.tasks.task as task",
        "from ..tasks import task",
        "from ..tasks.task import Task",
        "def load():\n    from glojax.tasks import task",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from glojax.tasks.task import Task",
        "try:\n    import glojax.tasks.task\nexcept ImportError:\n    pass",
    ],
)
def test_an_import_against_the_direction_is_found_however_it_is_written(checkout: Path, source: str) -> None:
    write(checkout, "glojax/data/images.py", source)
    modules = architecture.module_graph(checkout)
    assert modules["data.images"] == {"tasks.task"}
    assert architecture.against_the_direction(modules) == [("data.images", "tasks.task")]


def test_relative_imports_lead_from_the_package_they_stand_in(checkout: Path) -> None:
    write(checkout, "glojax/data/images.py", "from . import tables\nfrom .. import files\n")
    write(checkout, "glojax/data/__init__.py", "from .tables import read\n")
    write(checkout, "glojax/__init__.py", "from .data import tables\n")
    modules = architecture.module_graph(checkout)
    assert modules["data.images"] == {"data.tables", "files"}
    assert modules["data"] == modules["glojax"] == {"data.tables"}


def test_a_package_without_a_place_in_the_direction_may_import_nothing(checkout: Path) -> None:
    write(checkout, "glojax/plots.py", "from glojax import files\n")
    modules = architecture.module_graph(checkout)
    assert architecture.against_the_direction(modules) == [("plots", "files")]
    assert "does not name plots" in architecture.summary(modules)


def test_a_circle_under_type_checking_is_found(checkout: Path) -> None:
    write(checkout, "glojax/data/images.py", "from glojax.data import tables\n")
    back = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from glojax.data.images import Image\n"
    write(checkout, "glojax/data/tables.py", back)
    assert architecture.circles(architecture.module_graph(checkout)) == [["data.images", "data.tables"]]


def test_floors_are_longest_paths_with_circles_contracted() -> None:
    graph = {"a": {"b", "e"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": set(), "f": set()}
    assert architecture.circles(graph) == [["b", "c"]]
    assert architecture.floors(graph) == {"a": 3, "b": 2, "c": 2, "d": 1, "e": 0, "f": 0}
    assert architecture.counts("modules", graph).startswith("modules: 6, floors: 4, arrows: 6, circles: 1")


def test_the_picture_leaves_out_arrows_that_follow_from_others() -> None:
    assert architecture.needed({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_the_same_imports_give_the_same_picture(checkout: Path) -> None:
    modules = architecture.module_graph(checkout)
    assert architecture.draw(modules) == architecture.draw(modules)
    write(checkout, "glojax/tasks/task.py", "from glojax import files\n")
    assert architecture.draw(architecture.module_graph(checkout)) != architecture.draw(modules)


def test_a_module_of_401_lines_is_too_long(checkout: Path) -> None:
    write(checkout, "glojax/files.py", "x = 1\n" * 400)
    assert long_modules(checkout) == {}
    write(checkout, "glojax/files.py", "x = 1\n" * 401)
    assert long_modules(checkout) == {"files": "401 lines"}


@pytest.mark.parametrize("lines", [50, 51])
def test_a_function_of_51_lines_is_too_long_without_its_docstring(checkout: Path, lines: int) -> None:
    body = '        """Say\n        it.\n        """\n' + "        x = 1\n" * (lines - 1)
    write(checkout, "glojax/files.py", "class File:\n    @property\n    def name(self):\n" + body)
    assert long_functions(checkout) == ({"files.File.name": "51 lines"} if lines == 51 else {})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no docstring"),
        ('"""Data."""', "the docstring has no sentence that begins with 'May import'"),
        ('"""Data.\n\nMay import ``files`` and\n``training``.\n"""', "the docstring allows training"),
    ],
)
def test_a_package_that_does_not_say_what_it_may_import_is_found(checkout: Path, text: str, complaint: str) -> None:
    write(checkout, "glojax/data/__init__.py", text)
    assert undocumented_packages(checkout) == {"data": complaint}


def test_a_module_without_a_test_file_is_found(checkout: Path) -> None:
    (checkout / "tests/data/test_tables.py").unlink()
    assert untested_modules(checkout) == {"data.tables": "no tests/data/test_tables.py"}
    write(checkout, "tests/test_tables.py", "")
    assert set(untested_modules(checkout)) == {"data.tables"}
    write(checkout, "tests/data/test_data_tables.py", "")
    assert untested_modules(checkout) == {}


def test_an_exception_counts_only_where_it_is_needed() -> None:
    assert without_exceptions({"a": "401 lines"}, {"a": "a table"}) == {}
    assert without_exceptions({}, {"a": "a table"}) == {"a": "listed as an exception without need"}
