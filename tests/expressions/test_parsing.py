"""Expressions with real numbers, powers and the signs that people type, against sympy and the text of losses."""

from collections.abc import Sequence

import numpy as np
import pytest
import sympy
from budgets import cases
from hypothesis import given
from hypothesis import strategies as st

from glojax import losses
from glojax.expressions import trees
from glojax.expressions.export import coefficient_texts
from glojax.expressions.parsing import parse, parse_with_coefficients
from glojax.expressions.trees import Tree, grow
from glojax.losses.loss import Loss
from glojax.losses.zoo import ZOO, loss_by_name

X, Y = np.array([0.0, 1.0, 0.3]), np.array([0.2, 0.7, 0.9])


def value(text: str) -> np.ndarray:
    tree, coefficients = parse_with_coefficients(text)
    return np.broadcast_to(trees.evaluate(tree, X, Y, np, False, coefficients), X.shape)


# WHAT PEOPLE TYPE


@pytest.mark.parametrize(
    "text",
    [
        "0.5 * x",
        "x * 0.5 - y",
        "x / 0.5 + y",
        "1.5",
        "2. * x + .5 * y",
        "1e-3 * x + 1.5E+2 * y",
        "-x**2",
        "(-x)**2",
        "-0.5 * x",
        "-0.5 ** 2 * x",
        "x - -0.5 * y",
        "x * -0.5",
        "+x - +y",
        "--x",
        "-x * y",
        "2 ** 3 * x",
        "y ** 2 + x",
        "x * y ** 3",
        "x * y ** 7 - y ** 10",
        "x * y ** 16",
        "x / y ** 2",
        "x * y ** -1",
        "x * y ** -2.5",
        "x * y ** 0.5",
        "x * y ** (1/2)",
        "(x + y) ** (-3/2)",
        "2 * x ** 2 / y ** 2",
        "0.5 * (x + 2.5 * y) * (x - 0.1)",
        "log(y) * 0.3 - 1.2 * (x / (0.7 * y))",
        "0.5 * 0.5 * x",
        "(0.5) * (x)",
        "sqrt(2.5 * y) + log(0.1)",
    ],
)
def test_values_are_those_that_sympy_gives(text: str) -> None:
    x, y = sympy.symbols("x y")
    expected = sympy.lambdify((x, y), sympy.sympify(text, {"x": x, "y": y}), "numpy")(X, Y)
    np.testing.assert_allclose(value(text), np.broadcast_to(expected, X.shape), rtol=1e-12)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("x * ln(y)", "x * log(y)"),
        ("x × log(y) − y", "x * log(y) - y"),
        ("x · y ÷ 2", "x * y / 2"),
        ("x ∗ y ⋅ y – x", "x * y * y - x"),
        ("x^2 * y^3", "x**2 * y**3"),
        ("x² * y³", "x**2 * y**3"),
        ("√y - √(x + y)", "sqrt(y) - sqrt(x + y)"),
        ("x*√y²", "x * square(sqrt(y))"),
        ("f(x, y) = x * log(y)", "x * log(y)"),
        ("Found loss   f(x, y) = 0.5 * x - y", "0.5 * x - y"),
        ("f(x,y)=x/y", "x / y"),
        ("x ** +2 - y", "square(x) - y"),
    ],
)
def test_other_signs_mean_the_same(typed: str, meant: str) -> None:
    assert parse_with_coefficients(typed) == parse_with_coefficients(meant)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("y**2", "square(y)"),
        ("y**4", "square(square(y))"),
        ("y**3", "y * square(y)"),
        ("y**0.5", "sqrt(y)"),
        ("y**1", "y"),
        ("y**-2", "1 / square(y)"),
        ("-y**2", "-1 * square(y)"),
        ("2 * x", "2 * x"),
        ("- 3", "-3"),
        ("+3", "3"),
    ],
)
def test_without_real_numbers_there_is_one_tree_of_integers(text: str, written: str) -> None:
    assert str(parse(text)) == written
    assert parse_with_coefficients(text) == (parse(text), (1.0,) * parse(text).size)


@pytest.mark.parametrize(
    ("text", "tree", "coefficients"),
    [
        ("0.5 * x", "x", (0.5,)),
        ("x * 0.5", "x", (0.5,)),
        ("0.5 * (x * y)", "x * y", (0.5, 1, 1)),
        ("0.5 * x * y", "x * y", (1, 0.5, 1)),
        ("-1.5 * log(2.0 * y)", "log(y)", (-1.5, 2)),
        ("2.0 * 3 * x", "3 * x", (1, 2, 1)),
        ("x + 0.5", "x + 1", (1, 1, 0.5)),
        ("x / 2.5", "x / 1", (1, 1, 2.5)),
        ("2 * x", "2 * x", (1, 1, 1)),
    ],
)
def test_a_real_number_is_the_coefficient_of_what_it_multiplies(
    text: str, tree: str, coefficients: Sequence[float]
) -> None:
    assert parse_with_coefficients(text) == (parse(tree), tuple(coefficients))


# WHAT IS PRINTED


@pytest.mark.parametrize("name", [name for name, loss in ZOO.items() if isinstance(loss, Loss)])
def test_the_text_of_a_known_loss_gives_it_back(name: str) -> None:
    loss = ZOO[name]
    assert isinstance(loss, Loss)
    assert Loss(str(loss)) == loss_by_name(str(loss)) == loss_by_name(f"f(x, y) = {loss}") == loss


@st.composite
def tuned_trees(draw: st.DrawFn) -> tuple[Tree, tuple[float, ...]]:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    tree = Tree(draw(st.sampled_from(["+", "-", "*", "/"])), (grow(random, 4), grow(random, 3)))
    if draw(st.booleans()):
        tree = Tree("*", (Tree(int(random.integers(-9, 9))), tree))
    some = st.one_of(
        st.just(1.0),
        st.integers(-5, 5).map(float),
        st.floats(-1e3, 1e3),
        st.floats(allow_nan=False).filter(np.isfinite),
    )
    return tree, tuple(draw(st.lists(some, min_size=tree.size, max_size=tree.size)))


@cases(300)
@given(tuned=tuned_trees())
def test_the_text_of_any_loss_gives_back_its_tree_and_its_coefficients_to_six_digits(
    tuned: tuple[Tree, tuple[float, ...]],
) -> None:
    tree, coefficients = tuned
    text = trees.write(tree, lambda node: node.text, False, coefficient_texts(coefficients))
    found, values = parse_with_coefficients(text)
    assert found == tree
    np.testing.assert_allclose(values, [float(f"{each:.6g}") for each in coefficients], rtol=0)


def test_a_loss_has_coefficients_from_one_place() -> None:
    assert Loss("0.5 * x * log(y)").coefficients == (1.0, 0.5, 1.0, 1.0)
    assert Loss("x * log(y)", (1, 0.5, 1, 1)) == Loss("0.5 * x * log(y)")
    assert Loss("1.0 * x * log(y)", (1, 2, 3, 4)).coefficients == (1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"Loss.coefficients is \(1, 2, 3, 4\), and '0.5 \* x \* log\(y\)' has coeff"):
        Loss("0.5 * x * log(y)", (1, 2, 3, 4))
    assert str(losses.poly) == "x * log(y) + -2.0 * (x * (1 - y))"


# FUNCTIONS AND POWERS BEYOND THE PAPER'S


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exp(-y) + tanh(2 * x)", np.exp(-Y) + np.tanh(2 * X)),
        ("abs(x - y) * max(x, 0.5 * y)", abs(X - Y) * np.maximum(X, 0.5 * Y)),
        ("max(power(y, x), pow(y, 0.25) - 1)", np.maximum(Y**X, Y**0.25 - 1)),
        ("x * y ** 0.7", X * Y**0.7),
        ("x * (1 - y) ^ -0.3", X * (1 - Y) ** -0.3),
        ("x - y ** (1/3)", X - Y ** (1 / 3)),
        ("x * y ** 17", X * Y**17),
        ("1.5 * exp(0.5 * y) / power(2 * y, x + 1.25)", 1.5 * np.exp(0.5 * Y) / (2 * Y) ** (X + 1.25)),
    ],
)
def test_functions_and_powers_have_their_values_and_are_read_back(text: str, expected: np.ndarray) -> None:
    np.testing.assert_allclose(value(text), expected, rtol=1e-14)
    loss = Loss(text)
    assert Loss(str(loss)).tree == loss.tree
    np.testing.assert_allclose(value(str(loss)), expected, rtol=1e-5)


def test_generalized_cross_entropy_is_a_tree() -> None:
    logits = np.array([[0.3, -1.2, 2.0], [4.0, 0.5, -3.0]], np.float32)
    labels = np.array([[0, 1, 0], [1, 0, 0]], np.float32)
    tree, known = Loss("x * (y ** 0.7 - 1) / 0.7"), losses.generalized_cross_entropy
    np.testing.assert_allclose(tree(logits, labels), known(logits, labels, q=0.7), rtol=1e-5)


@pytest.mark.parametrize("text", ["x ** 0.3", "x ** 17", "x ** -100", "x ** (1/3)", "x ** 0"])
def test_a_tree_has_no_power_with_a_real_exponent(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected an exponent: a multiple of 0.5 up to 16 .*power\(a, b\)"):
        parse(text)


# WHAT IS REFUSED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1e999 * x", "column 1 of .*: expected a finite number, found '1e999'"),
        ("x * 1_000.5", "column 5 of .*: expected a number such as 2, 0.5 or 1e-3, found '1_000.5'"),
        ("0x10 * x", "column 1 .* found '0x10'"),
        ("1e * x", "column 1 .* found '1e'"),
        ("1.2.3 * x", "column 1 .* found '1.2.3'"),
        ("2x", "column 1 .* found '2x'"),
        ("\u0663.\u0663 * x", "column 1 of"),  # Arabic digits
        ("nan * x", "column 1 .* found 'nan'"),
        ("inf", "column 1 .* found 'inf'"),
        ("abs(x, y)", r"column 6 of .*: expected an operator or '\)', found ','"),
        ("max(x)", "column 6 of .*: expected an operator or ',', found '\\)'"),
        ("max(x, y, 1)", r"column 9 of .*: expected an operator or '\)', found ','"),
        ("max x", r"column 5 of .*: expected '\('"),
        ("power(y, )", "expected x, y, prior, progress, a number, .* found '\\)'"),
        ("x, y", "column 2 of .*: expected an operator or the end, found ','"),
        (
            "sin(x)",
            "expected x, y, prior, progress, a number, log, .*, abs, max, power, '-' or '\\(', found 'sin'",
        ),
        ("x ** y", r"column 6 of .*: expected an exponent: a number .*is power\(a, b\)\), found 'y'"),
        ("x ** 0", "expected an exponent"),
        ("x ** (1/0)", "expected an exponent"),
        ("x ** 2 ** 2", "expected an exponent"),
        ("x ** 9 ** 9 ** 9 ** 9", "expected an exponent"),
        ("x ** (2", r"expected '\)', found the end"),
        ("x **", "expected an exponent: .*, found the end"),
        (" * ".join(["(x + y) ** 15"] * 8), "more than 128 nodes"),
        ("f(x, y) = ", "expected x, y, prior, progress, a number"),
        ("f(y, x) = x", "found 'f'"),
    ],
)
def test_what_means_nothing_is_refused_at_its_place(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^parse: .*{message}"):
        parse_with_coefficients(text)


def test_a_tree_alone_has_no_real_numbers() -> None:
    with pytest.raises(ValueError, match=r"column 5 of 'x \* 0.5'.*a real number is a coefficient: .* to glojax.Loss"):
        parse("x * 0.5")
