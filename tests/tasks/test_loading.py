"""Tasks by name: ready-made ones, and those of users' own files."""

import py_compile
import sys
from pathlib import Path

import pytest

from glojax import tasks


def test_a_ready_made_task_is_found_by_name() -> None:
    task = tasks.task_by_name("digits", steps=7)
    assert (task.name, task.steps, task.batch_size) == ("digits-mlp", 7, 32)
    assert tasks.task_by_name("digits", network="cnn").fingerprint != task.fingerprint


SOURCE = """
import numpy as np
from glojax import Task, models
def task(data_dir=None):
    assert data_dir in (None, "here")
    x = np.ones((6, 2))
    return Task(models.MLP((2, 2)), (x, np.arange(6) % 2), (x, np.arange(6) % 2), batch_size=2, name="mine")
def needy(size, steps=3):
    return task()
made = task()
other = 3
"""


@pytest.mark.parametrize("attribute", ["task", "made"])
def test_a_task_of_the_users_own_file_is_found(tmp_path: Path, attribute: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    assert tasks.task_by_name(f"{path}:{attribute}").name == "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "'digit' is not known; allowed are digits"),
        ("nowhere.py:task", "there is no file 'nowhere.py'"),
        ("os:system", "'os:system' is not known"),
        ("{path}:other", "other in .*mine.py is no Task and no function that returns one; there are task, needy, made"),
        (
            "{path}:missing",
            "missing in .*mine.py is no Task and no function that returns one; there are task, needy, made",
        ),
        ("{path}:__class__", "__class__ in .* is no Task"),
        ("{path}:needy", "needs size; a function that can do without is expected"),
    ],
)
def test_what_is_no_task_is_refused(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    with pytest.raises(ValueError, match=message):
        tasks.task_by_name(name.format(path=path))


@pytest.mark.parametrize("content", [b"def task(:", b"\xff\xfe", b"a = 1\x00"])
def test_a_file_that_is_not_python_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.py").write_bytes(content)
    with pytest.raises(ValueError, match=r"mine\.py raises (SyntaxError|ValueError)"):
        tasks.task_by_name(f"{tmp_path / 'mine.py'}:task")


def test_compiled_files_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()")
    py_compile.compile(str(tmp_path / "mine.py"), str(tmp_path / "mine.pyc"))
    with pytest.raises(ValueError, match="is not known; allowed are digits"):
        tasks.task_by_name(f"{tmp_path / 'mine.pyc'}:task")
    assert not (tmp_path / "mark").exists()


def test_a_users_file_takes_no_other_modules_place(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(SOURCE)
    assert tasks.task_by_name(f"{tmp_path / 'json.py'}:task").name == "mine"
    assert sys.modules["json"].__file__ != str(tmp_path / "json.py")


def test_an_option_reaches_a_function_that_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    assert tasks.task_by_name(f"{path}:task", data_dir="here").name == "mine"
    with pytest.raises(ValueError, match=r"mine.py:task' raises AssertionError \(.*mine.py, line 5\)"):
        tasks.task_by_name(f"{path}:task", data_dir="there")


@pytest.mark.parametrize("name", ["digits", "{path}:made"])
def test_an_option_that_a_task_does_not_take_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    with pytest.raises(ValueError, match="takes no data_dir; allowed for mnist, cifar10"):
        tasks.task_by_name(name.format(path=path), data_dir="here")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import nothing_like_it",
            r"raises ModuleNotFoundError \(.*mine.py, line 1\): No module named 'nothing_like_it'",
        ),
        ("x = 1\ndef task(:\n    pass", r"raises SyntaxError \(.*mine.py, line 2\): invalid syntax"),
        ("x = 1 / 0", r"raises ZeroDivisionError \(.*mine.py, line 1\): division by zero"),
        ("def task():\n    return {}['a']", r"mine.py:task' raises KeyError \(.*mine.py, line 2\): 'a'"),
        (
            "def task(a):\n    pass",
            "mine.py:task' needs a; a function that can do without is expected",
        ),
        ("def task():\n    pass\ndef other():\n    pass", "is no Task .*; there are task, other"),
        ("", "task in .*mine.py is no Task and no function that returns one; there are none"),
        (SOURCE.replace("% 2", "% 3"), r"raises ValueError \(.*mine.py, line 7\): Task.model gives an output"),
    ],
)
def test_a_file_that_fails_is_named_with_the_line(tmp_path: Path, source: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(ValueError, match=message) as raised:
        tasks.task_by_name(f"{path}:task")
    assert "\n" not in str(raised.value)


def test_a_file_may_import_its_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "the_neighbour.py").write_text(SOURCE)
    (tmp_path / "mine.py").write_text("from the_neighbour import task")
    assert tasks.task_by_name(f"{tmp_path}/mine.py:task").name == "mine"
