"""The statements of an exported formula: what is exact of y at its ends, parts of long formulas, folded constants."""

import math

import pytest

from glojax.expressions.formula import statements
from glojax.expressions.parsing import parse


def written(expression: str, protected: bool = False, has_log: bool = True) -> str:
    tree = parse(expression)
    return statements(tree, [1.0] * tree.size, protected, has_log)[-1].removeprefix("f = ")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("x * log(y)", "x * log_y"),
        ("x * (1 - y)", "x * rest"),
        ("x * (y - 1)", "x * (-1.0 * rest)"),
        ("x * (1 + -1 * y)", "x * rest"),
        ("x * (2 - 2 * y)", "x * (2.0 * rest)"),
        ("x * log(1 - y)", "x * log_rest"),
        ("x * log(3 - 3 * y)", f"x * ({math.log(3)!r} + log_rest)"),
        ("x * log(y * (1 - y))", "x * (log_y + log_rest)"),
        ("x * log(y / square(1 - y))", "x * (log_y + -2.0 * log_rest)"),
        ("x * (2 - y)", "x * (2.0 - y)"),
        ("y * (1 - x)", "y * (1.0 - x)"),
        ("square(x - y)", "jnp.square(jnp.where(y > 0.5, x - 1 + rest, x - y))"),
        ("square(y - x)", "jnp.square(-1.0 * jnp.where(y > 0.5, x - 1 + rest, x - y))"),
        ("square(2 * x - y)", "jnp.square(2.0 * x - y)"),
    ],
)
def test_what_is_exact_at_the_ends_is_written_by_its_name(expression: str, text: str) -> None:
    assert written(expression) == text


@pytest.mark.parametrize(("protected", "has_log"), [(True, True), (False, False)])
def test_only_raw_operators_of_a_probability_take_it(protected: bool, has_log: bool) -> None:
    assert written("x * (1 - y)", protected, has_log) == "x * (1.0 - y)"
    assert "log_y" not in written("x * log(y)", protected, has_log)
    assert "rest" not in written("square(x - y)", protected, has_log)
