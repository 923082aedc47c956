"""Error messages quote input briefly, however large it is, and name the user's code that failed."""

from pathlib import Path
from typing import Any

import pytest

from glojax.errors import listed, quoted, short, users_code


@pytest.mark.parametrize("value", ["", "x / y", "it's\n", 3, -(10**40), 2.5, None, ["a", 1], {"a": 1}, ("x",), True])
def test_a_small_value_is_quoted_as_python_writes_it(value: Any) -> None:
    assert quoted(value) == repr(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a" * 10**6, "'" + "a" * 27 + "..." + "a" * 28 + "'"),
        ("\U000e0001" * 10**6, "'" + r"\U000e0001" * 2 + r"\U000e0" + "..." + "000e0001" + r"\U000e0001" * 2 + "'"),
        (10**5000, "<integer of 16610 bits>"),
        ([10**5000] * 2, "[<integer of 16610 bits>, <integer of 16610 bits>]"),
        ([["x"] * 1000], "[['x', 'x', 'x', 'x', 'x', 'x', ...]]"),
    ],
    ids=["text", "text of escapes", "integer", "integers", "list"],
)
def test_of_a_large_value_a_part_is_quoted(value: Any, expected: str) -> None:
    assert quoted(value) == expected


@pytest.mark.parametrize(
    "value", [b"\xff" * 10**6, {"a" * 100: {"b" * 100: ["c" * 100] * 9}}, [[[[[["x" * 99]]]]]] * 9]
)
def test_no_quotation_is_longer_than_it_may_be(value: Any) -> None:
    assert len(quoted(value)) == 60
    assert len(quoted(value, 200)) <= 200


def test_a_long_text_loses_its_middle() -> None:
    assert short("0123456789", 10) == "0123456789"
    assert short("0123456789ab", 10) == "0123...9ab"


def test_of_many_names_the_first_ten_are_listed() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([f"c{i}" for i in range(1200)]) == "c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, ... (1,200 in all)"
    assert len(listed(["x" * 10**6] * 20)) < 700


def test_an_error_of_a_users_code_is_a_value_error_that_names_it_and_its_cause() -> None:
    with (
        pytest.raises(
            ValueError, match=r"^Task\.augment raises KeyError \(.*test_errors\.py, line \d+\): 'a b'$"
        ) as raised,
        users_code("Task.augment"),
    ):
        raise KeyError("a b")
    assert isinstance(raised.value.__cause__, KeyError)


def test_the_line_of_an_error_is_the_users_last_and_not_that_of_a_library(tmp_path: Path) -> None:
    path = tmp_path / "task.py"
    path.write_text("import json\n\ndef read():\n    return json.loads('{')\n")
    names: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    with (
        pytest.raises(ValueError, match=rf"raises JSONDecodeError \({path}, line 4\): Expecting property name"),
        users_code("the task"),
    ):
        names["read"]()


def test_a_syntax_error_is_told_with_its_own_file_and_line() -> None:
    with (
        pytest.raises(ValueError, match=r"^the task raises SyntaxError \(mine\.py, line 2\): "),
        users_code("the task"),
    ):
        compile("x = 1\ny = = 2\n", "mine.py", "exec")


def test_a_long_message_of_several_lines_becomes_one_short_line() -> None:
    with pytest.raises(ValueError, match=r"^the loss raises RuntimeError") as raised, users_code("the loss"):
        raise RuntimeError("one\n  two\n" + "three " * 10_000)
    message = str(raised.value)
    assert "one two three" in message
    assert "\n" not in message
    assert message.endswith("...")
    assert len(message) < 600


def test_without_an_error_the_users_code_is_left_alone() -> None:
    with users_code("the loss"):
        value = 3
    assert value == 3
