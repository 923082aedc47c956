"""The changes that mutation testing makes."""

import ast

import pytest
from mutation import changed, places, put


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a < b", "a <= b"), ("a == b", "a != b"), ("a in b", "a not in b"), ("a + b", "a - b"), ("a / b", "a * b"),
        ("a ** b", "a * b"), ("a and b", "a or b"), ("not a", "a"), ("-a", "a"), ("3", "4"), ("0.5", "1.5"),
        ("True", "False"), ("a if b else c", "a if not b else c"),
    ],
)  # fmt: skip
def test_a_change_is_small_and_changes_nothing_else(before: str, after: str) -> None:
    node = ast.parse(before, mode="eval").body
    other = changed(node)
    assert other is not None
    assert (ast.unparse(node), ast.unparse(other)) == (before, after)


@pytest.mark.parametrize("source", ["a", "'text'", "None", "f(a)", "a[b]"])
def test_names_texts_and_calls_are_not_changed(source: str) -> None:
    assert changed(ast.parse(source, mode="eval").body) is None


def test_a_function_is_changed_in_its_body_alone_one_place_at_a_time() -> None:
    source = ast.unparse(
        ast.parse("""
def f(a: int = 3) -> int:
    'Say 1 + 1.'
    for i in range(2):
        if a > i:
            a += 1
    return a
""")
    )
    tree = ast.parse(source)
    found = []
    for parent, field, place, other in places(tree.body[0]):
        before = put(parent, field, place, other)
        found.append(ast.unparse(tree))
        put(parent, field, place, before)
        assert ast.unparse(tree) == source
    expected = [
        ("range(2)", "range(3)"), ("if a > i", "if not a > i"), ("a > i", "a >= i"), ("a += 1", "a -= 1"),
        ("a += 1", "a += 2"),
    ]  # fmt: skip
    assert sorted(found) == sorted(source.replace(*pair) for pair in expected)
