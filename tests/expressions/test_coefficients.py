"""The identifiable coefficients: their number against the rank of a numerical Jacobian, and known cases."""

import numpy as np
import pytest
from expression_samples import grown

from glojax.expressions.coefficients import identifiable_coefficients
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree, evaluate


def jacobian_of_slope(tree: Tree) -> np.ndarray:
    """The derivatives of df/dy by the coefficients at a generic point: complex step in y, differences in each.

    One row for each of the points of x and y where all are finite; columns of length 1, or 0.
    """
    random = np.random.default_rng(99)
    y = random.uniform(0.05, 0.95, 40)
    x, y = np.repeat([0.0, 1.0], y.size), np.tile(y, 2)
    factors, step, tiny = random.uniform(0.7, 1.4, tree.size), 1e-4, 1e-30

    def slope(factors: np.ndarray) -> np.ndarray:
        # The complex logarithm and root go on where the real ones are NaN.
        real = evaluate(tree, x, y, np, coefficients=factors)
        moved = evaluate(tree, x + 0j, y + 1j * tiny, np, coefficients=factors)
        return np.where(np.isfinite(real), np.broadcast_to(moved, x.shape).imag / tiny, np.nan)

    columns = []
    with np.errstate(all="ignore"):
        for index in range(tree.size):
            move = step * (np.arange(tree.size) == index)
            # Richardson: the error is of fourth order in the step.
            near = (slope(factors + move) - slope(factors - move)) / (2 * step)
            far = (slope(factors + 2 * move) - slope(factors - 2 * move)) / (4 * step)
            columns.append((4 * near - far) / 3)
    jacobian = np.stack(columns, axis=1)
    jacobian = jacobian[np.isfinite(jacobian).all(axis=1)]
    norms = np.linalg.norm(jacobian, axis=0)
    return jacobian / np.where(norms > 1e-8, norms, np.inf)


@pytest.fixture(scope="module")
def clear_cases() -> list[tuple[Tree, np.ndarray, tuple[int, ...]]]:
    """Thirty random trees whose jacobian has a rank that no tolerance decides, with it and their kept coefficients."""
    passed_over, cases = 0, []
    for tree in grown(300, seed=5, max_depth=4, max_size=12):
        jacobian = jacobian_of_slope(tree)
        if not tree.has_x_and_y or len(jacobian) < 2 * tree.size:
            continue
        singular = np.linalg.svd(jacobian, compute_uv=False)
        if ((singular > 1e-8) & (singular < 1e-4)).any():
            passed_over += 1
            continue
        cases.append((tree, jacobian, identifiable_coefficients(tree)))
        if len(cases) == 30:
            break
    assert len(cases) == 30
    assert passed_over < 5
    return cases


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # f = a log(b y) - c x / (d y): a and c / d move the slope, b does not.
        ("log(y) - x / y", 2),
        ("x * log(y)", 1),
        # At x = 0 scale and pole of 1 / (c - d y), at x = 1 the scales of 1 / y and of the same pole.
        ("x * log(y) + (1 - x) * log(1 - y)", 4),
        # 3 (5 a x + 2 b y) c y: the slope is 15 a c x + 12 b c y.
        ("3 * (5 * x + 2 * y) * y", 2),
        ("3 * (5 * x + 2 * y)", 1),
        ("y", 1),
        ("square(y)", 1),
        ("sqrt(y + 1)", 2),
        ("y + y", 1),
        ("y * (sqrt(x) + 1)", 2),  # also where the slope of sqrt is infinite
        ("y / y", 0),
        ("x", 0),
        ("3", 0),
        ("x + 1", 0),
        ("log(x)", 0),
        # a b exp(b y): the scale, and how fast it grows.
        ("exp(y)", 2),
        ("tanh(y)", 2),
        ("power(y, 2)", 2),
        ("abs(y)", 1),
        ("abs(y - 2)", 1),  # 2 - y on the whole interval
        ("max(x, y + 2)", 1),
        ("max(y - 2, -y)", 2),  # the second shapes nothing where the first is greater
        ("log(log(log(y)))", 0),
        ("sqrt(-1 - y)", 0),
    ],
)
def test_so_many_coefficients_are_identifiable(text, expected):
    assert len(identifiable_coefficients(parse(text))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("log(y) - x / y", (0, 1)), ("x * log(y)", (0,)), ("x / y + y", (0, 1)), ("3 + y", (0,)), ("x", ())],
)
def test_coefficients_are_kept_from_the_root_down(text, expected):
    assert identifiable_coefficients(parse(text)) == expected


def test_the_number_of_identifiable_coefficients_is_the_rank_at_another_point(clear_cases):
    for tree, jacobian, kept in clear_cases:
        assert kept == tuple(sorted(set(kept)))
        assert len(kept) == np.linalg.matrix_rank(jacobian, tol=1e-6), tree


def test_every_other_coefficient_moves_the_slope_as_the_kept_ones_do(clear_cases):
    for tree, jacobian, kept in clear_cases:
        basis = jacobian[:, list(kept)]
        solution = np.linalg.lstsq(basis, jacobian, rcond=None)[0]
        np.testing.assert_allclose(basis @ solution, jacobian, atol=1e-6, err_msg=str(tree))
