"""f(x, y) near the ends of y: against arbitrary precision, in every precision, and whatever masked entries hold."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest
import scipy.special
from budgets import cases
from hypothesis import given
from hypothesis import strategies as st

from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree
from glojax.losses.evaluation import Predicted, evaluate
from glojax.losses.loss import Loss, LossFunction, apply
from glojax.losses.zoo import ZOO

BINARY = "x * log(y) + (1 - x) * log(1 - y)"
LOWEST = float(np.finfo(np.float32).tiny) ** 0.45


# 1 - y


@pytest.mark.few(1)
@pytest.mark.parametrize("magnitude", [1e-3, 1.0, 14.0, 20.0, 30.0, 100.0, 1e4, 1e30])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_cross_entropy_of_a_sigmoid_has_no_bound(magnitude: float, sign: int) -> None:
    z, loss = jnp.array([sign * magnitude]), Loss(BINARY, output="sigmoid")
    for label in (0.0, 1.0, 0.3):
        labels = jnp.array([label])
        expected = optax.sigmoid_binary_cross_entropy(z, labels)
        np.testing.assert_allclose(loss(z, labels), expected, rtol=1e-6, atol=1e-30)
        gradient = jax.grad(lambda z, labels=labels: loss(z, labels).sum())(z)
        exact = scipy.special.expit(np.float64(z)) if label == 0 else -scipy.special.expit(-np.float64(z))
        slope = scipy.special.expit(np.float64(z)) - label if label == 0.3 else exact
        np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-30)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("logarithm", "powers", "shift"),
    [
        ("log(1 - y)", (0, 1), 0.0),
        ("log(1 + -1 * y)", (0, 1), 0.0),
        ("log(-1 * y + 1)", (0, 1), 0.0),
        ("log(3 - 3 * y)", (0, 1), np.log(3)),
        ("log(y * (1 - y))", (1, 1), 0.0),
        ("log(square(y - 1))", (0, 2), 0.0),
        ("log(sqrt(1 - y) / y)", (-1, 0.5), 0.0),
        ("log((1 - y) / (2 - 2 * y))", (0, 0), -np.log(2)),
        ("log(y / (1 - y))", (1, -1), 0.0),
    ],
)
@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_the_logarithm_of_powers_of_y_and_of_1_minus_y_is_exact(
    logarithm: str, powers: tuple[float, float], shift: float, traced: bool, output: str
) -> None:
    tree, z = parse(f"x * {logarithm}"), np.array([[60.0, -45.0], [-70.0, 20.0], [0.5, 0.1]], np.float32)
    x = np.eye(2, dtype=np.float32)[[0, 0, 0]]
    lead = z[:, 0] - z[:, 1] if output == "softmax" else z[:, 0]
    log_y, log_rest = (-np.logaddexp(0, sign * np.float64(lead)) for sign in (-1, 1))
    coefficients: Any = jnp.ones(tree.size) if traced else [1.0] * tree.size
    run = jax.jit(apply, static_argnums=0, static_argnames="output") if traced else apply
    expected = -(powers[0] * log_y + powers[1] * log_rest + shift)
    np.testing.assert_allclose(run(tree, coefficients, z, x, output=output), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_gradients_by_traced_coefficients_of_1_minus_y_are_those_of_the_formula() -> None:
    tree, z, x = parse("x * log(1 - y)"), jnp.array([[0.4], [-1.0], [2.0]]), jnp.ones((3, 1))

    def reference(coefficients: jax.Array) -> jax.Array:
        a, b, c, d, e, f = coefficients  # in pre-order: *, x, log, -, 1, y
        y = jax.nn.sigmoid(z)
        return -(a * (b * x) * (c * jnp.log(d * (e * 1 - f * y)))).sum()

    def total(coefficients: jax.Array) -> jax.Array:
        return apply(tree, coefficients, z, x, output="sigmoid").sum()

    with jax.enable_x64(True):
        for coefficients in (jnp.ones(6), jnp.array([1.0, 2.0, 1.0, 3.0, 1.5, 1.5]), jnp.array([1, 1, 1, 1, 2.0, 1.0])):
            np.testing.assert_allclose(total(coefficients), reference(coefficients), rtol=1e-6)
            np.testing.assert_allclose(jax.grad(total)(coefficients), jax.grad(reference)(coefficients), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("expression", ["-1 * sqrt(square(x - y))", "-1 * sqrt(square(y - x))", "log(square(x - y))"])
def test_a_difference_of_label_and_prediction_is_not_0_where_the_prediction_is_right(
    expression: str, output: str
) -> None:
    z, x = jnp.array([[30.0, -30.0]]), jnp.array([[1.0, 0.0]])
    loss = Loss(expression, output=output)
    rest = np.exp(-60.0) if output == "softmax" else np.exp(-30.0)
    kept = max(rest, LOWEST)
    expected = 2 * kept if "sqrt" in expression else -4 * np.log(kept)
    value, gradient = jax.value_and_grad(lambda z: loss(z, x).sum())(z)
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    assert np.isfinite(gradient).all()


def test_1_minus_y_of_softmax_is_the_share_of_the_others() -> None:
    logits = np.array([[50, 1, 0], [1, 1, -80], [0, 0, 0], [-3, 2, 90], [1e9, 0, -1e9]], np.float32)
    with jax.enable_x64(True):
        shares = jax.nn.softmax(logits.astype(np.float64))
        rest = np.maximum(np.stack([np.delete(shares, place, -1).sum(-1) for place in range(3)], -1), LOWEST)
    for place in range(3):
        x = np.eye(3, dtype=np.float32)[[place] * 5]
        np.testing.assert_allclose(Loss("-1 * x * (1 - y)")(logits, x), rest[:, place], rtol=1e-5)


def test_a_tree_that_takes_no_1_minus_y_does_not_compute_it() -> None:
    def fail() -> tuple[jax.Array, jax.Array]:
        raise AssertionError

    given = Predicted(jnp.ones(2), jnp.full(2, 0.5), jnp.log(jnp.full(2, 0.5)), fail)
    np.testing.assert_allclose(evaluate(parse("log(y) - x / y"), [1.0] * 6, given, False), np.log(0.5) - 2, rtol=1e-6)
    with pytest.raises(AssertionError):
        evaluate(parse("x * (1 - y)"), [1.0] * 5, given, False)


# AGAINST ARBITRARY PRECISION

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "log": mpmath.log,
    "sqrt": mpmath.sqrt,
    "square": lambda a: a * a,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


def precise(loss: Loss, logits: list[Any], labels: list[float]) -> Any:
    """The loss of a sample by the definition of its output, in arbitrary precision."""
    powers = [mpmath.exp(z) for z in logits]
    total = mpmath.fsum(powers)
    if loss.output == "softmax":
        predictions = [power / total for power in powers]
    elif loss.output == "sigmoid":
        predictions = [1 / (1 + mpmath.exp(-z)) for z in logits]
    else:
        predictions = logits

    def f(x: float, y: Any) -> Any:
        factors = iter(loss.coefficients)

        def visit(node: Tree) -> Any:
            factor = mpmath.mpf(next(factors))
            if isinstance(node.symbol, int):
                return factor * node.symbol
            if node.children:
                return factor * FUNCTIONS[node.symbol](*[visit(child) for child in node.children])
            return factor * (x if node.symbol == "x" else y)

        return visit(loss.tree)

    return -mpmath.fsum(f(mpmath.mpf(x), y) for x, y in zip(labels, predictions, strict=True))


trees_of_the_zoo = {name: loss for name, loss in ZOO.items() if isinstance(loss, Loss)} | {"binary": Loss(BINARY)}


@pytest.mark.few(1)
@pytest.mark.parametrize("name", trees_of_the_zoo)
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 20.0, 80.0, 1e4, 1e30])
def test_values_and_gradients_are_those_of_the_mathematics(name: str, output: str, scale: float) -> None:
    known = trees_of_the_zoo[name]
    loss = Loss(known.tree, known.coefficients, output=output)
    logits, labels = np.array([1.0, -0.5, 0.3], np.float32) * np.float32(scale), np.eye(3, dtype=np.float32)
    z = jnp.tile(logits, (3, 1))
    values, gradients = np.asarray(loss(z, labels)), np.asarray(jax.grad(lambda z: loss(z, labels).sum())(z))
    assert np.isfinite(values).all()
    assert np.isfinite(gradients).all()
    if scale > 80:
        return  # beyond what exp can tell, they are finite
    with mpmath.workdps(150):
        for label, value, gradient in zip(labels, values, gradients, strict=True):
            exact = [mpmath.mpf(float(z)) for z in logits]
            expected = precise(loss, exact, label.tolist())
            if abs(expected) > 1e16:  # where 1/y is bounded
                assert abs(value) > 1e16
                continue
            size = max(1, abs(expected))
            assert abs(value - expected) < 1e-5 * size
            for place in range(3):
                order = tuple(int(place == other) for other in range(3))
                slope = mpmath.diff(lambda *z, label=label: precise(loss, list(z), label.tolist()), tuple(exact), order)
                assert abs(gradient[place] - slope) < 1e-4 * max(size, abs(slope)), (label, place)


# EVERY LOSS, OUTPUT, PRECISION, SHAPE, SCALE AND MASK

FORMULAS: dict[str, Callable[..., np.ndarray]] = {
    "cross_entropy": lambda x, y, rest, log_y, log_rest: -x * log_y,
    "baikal": lambda x, y, rest, log_y, log_rest: -(log_y - x / y),
    "focal": lambda x, y, rest, log_y, log_rest: -x * rest**2 * log_y,
    "brier": lambda x, y, rest, log_y, log_rest: (x - y) ** 2,
    "mean_absolute_error": lambda x, y, rest, log_y, log_rest: x * rest + (1 - x) * y,
    "poly": lambda x, y, rest, log_y, log_rest: -x * log_y + 2 * x * rest,
    "symmetric_cross_entropy": lambda x, y, rest, log_y, log_rest: -0.1 * x * log_y + 4 * (1 - x) * y,
    "binary": lambda x, y, rest, log_y, log_rest: -(x * log_y + (1 - x) * log_rest),
    "generalized_cross_entropy": lambda x, y, rest, log_y, log_rest: x * (1 - np.exp(0.7 * log_y)) / 0.7,
    "label_smoothed_cross_entropy": lambda x, y, rest, log_y, log_rest: -(0.9 * x + 0.1 / len(x)) * log_y,
    "next_generation": lambda x, y, rest, log_y, log_rest: (
        (np.exp(2.4092 - y - y * x) - np.cos(np.cos(np.sin(y)))) / len(x)
    ),
}
OF_SOFTMAX = ("generalized_cross_entropy", "label_smoothed_cross_entropy", "next_generation")
OF_ANY = ("brier", "mean_absolute_error")
NAMES = {
    "softmax": list(FORMULAS),
    "sigmoid": [name for name in FORMULAS if name not in OF_SOFTMAX],
    "identity": list(OF_ANY),
}
DIGITS = {"float32": 2e-4, "float16": 2e-3, "bfloat16": 1e-2}
SAMPLES = 60


def log_sum(powers: np.ndarray) -> np.ndarray:
    """The logarithm of the sum of exponentials over the first axis."""
    most = powers.real.max(axis=0)
    return most + np.log(np.exp(powers - most).sum(axis=0))


def log_sigmoid(z: np.ndarray) -> np.ndarray:
    tail = np.exp(np.where(z.real > 0, -z, z))
    return np.where(z.real > 0, 0, z) - (np.log1p(tail.real) + 1j * tail.imag / (1 + tail.real))


def reference(name: str, output: str, z: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The loss of samples whose entries all take part, ``[classes, ...]``, in float64, from its formula.

    Imaginary parts are derivatives: a function of z + ih has the imaginary part of h times its slope at z.
    """

    def kept(log_value: np.ndarray) -> np.ndarray:  # with the slope that it has where it isn't kept
        return np.exp(np.maximum(log_value.real, np.log(LOWEST)) + 1j * log_value.imag)

    if output == "softmax":
        z = z - z.real.max(axis=0)  # large ones that are equal share all
        others = [log_sum(np.delete(z, place, 0)) for place in range(len(z))]
        log_y, log_rest = z - log_sum(z), np.stack(others) - log_sum(z)
    elif output == "sigmoid":
        log_y, log_rest = log_sigmoid(z), log_sigmoid(-z)
    else:
        log_y = log_rest = z
    y, rest = (z, 1 - z) if output == "identity" else (kept(log_y), np.exp(log_rest))
    return FORMULAS[name](x, y, rest, log_y, log_rest).sum(axis=0)


def values_and_slopes(
    name: str, output: str, z: np.ndarray, x: np.ndarray, where: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each sample and its gradient by z; entries that take no part are cut out."""
    values, slopes, tiny = np.zeros(len(z)), np.zeros(z.shape), 1e-30
    counts = where.sum(axis=-1)
    for count in set(counts.tolist()) - {0}:
        rows = np.flatnonzero(counts == count)
        places = rows, np.stack([np.flatnonzero(where[row]) for row in rows], axis=-1)  # [count, rows]
        steps = tiny * 1j * np.eye(count)[:, :, None]
        found = reference(name, output, z[places][:, None] + steps, x[places][:, None])
        values[rows], slopes[places] = found[0].real, found.imag / tiny
    return values, slopes


class Situation(NamedTuple):
    logits: np.ndarray  # [samples, outputs]
    labels: np.ndarray  # [samples, outputs]
    where: np.ndarray  # [samples, outputs]
    junk: np.ndarray  # [samples, 1], what the logits of entries without a part hold


def situation(output: str, dtype: str, outputs: int, seed: int) -> Situation:
    """Samples of every scale, with every share of entries that take part, and every junk in the others."""
    random = np.random.default_rng(seed)
    most = 3.0 if output == "identity" else 4.0 if dtype == "float16" else 30.0
    logits = random.normal(size=(SAMPLES, outputs)) * 10 ** random.uniform(-3, most, (SAMPLES, 1))
    logits = np.clip(logits, -6e4, 6e4) if dtype == "float16" else logits
    labels = np.eye(outputs)[random.integers(0, outputs, SAMPLES)]
    where = random.random((SAMPLES, outputs)) < random.choice([0.5, 0.9, 1.0], (SAMPLES, 1))
    if output == "softmax":  # a single class has no others
        where[where.sum(axis=-1) == 1] = True
    junk = random.choice([0.0, np.nan, np.inf, -np.inf, -6e4], (SAMPLES, 1))
    return Situation(logits, labels, where, junk)


def loss_of(name: str, output: str) -> LossFunction:
    known = trees_of_the_zoo.get(name)
    return ZOO[name] if known is None else Loss(known.tree, known.coefficients, output=output)


@functools.cache
def compiled(name: str, output: str) -> Callable[..., Any]:
    """The losses of samples and their gradients by the logits, for several arguments at once."""
    loss = loss_of(name, output)

    def value_and_gradient(logits: jax.Array, labels: jax.Array, where: jax.Array) -> tuple[jax.Array, jax.Array]:
        values, pull = jax.vjp(lambda z: loss(z, labels, where=where), logits)
        return values, pull(jnp.ones_like(values))[0]

    return jax.jit(lambda given: [value_and_gradient(*each) for each in given])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "output"), [(name, output) for output, names in NAMES.items() for name in names])
@cases(10)
@given(seed=st.integers(0, 2**32))
def test_values_and_gradients_are_right_and_finite_and_masked_entries_have_no_influence(
    name: str, output: str, seed: int
) -> None:
    turn, widths = NAMES[output].index(name), (2 if output == "softmax" else 1, 3, 6)
    sizes = [(dtype, widths[(turn + place) % 3]) for place, dtype in enumerate(DIGITS)]
    situations = [situation(output, *size, seed) for size in sizes]
    given = [
        (
            np.where(where, logits, junk).astype(np.float32).astype(jnp.dtype(dtype)),
            np.where(where, labels, np.nan).astype(np.float32),
            where,
        )
        for (dtype, _), (logits, labels, where, junk) in zip(sizes, situations, strict=True)
    ]
    found = compiled(name, output)(given)
    for (dtype, outputs), drawn, (logits, _, _), result in zip(sizes, situations, given, found, strict=True):
        values, gradient = (np.asarray(part) for part in result)
        case = f"{outputs} outputs of {dtype}"
        assert values.dtype == np.float32, case
        assert gradient.dtype == dtype, case
        gradient = gradient.astype(float)
        assert np.isfinite(values).all(), case
        assert np.isfinite(gradient).all(), case
        assert not gradient[~drawn.where].any(), case
        exact = np.where(drawn.where, np.asarray(logits).astype(float), 0)
        expected, slope = values_and_slopes(name, output, exact, drawn.labels, drawn.where)
        np.testing.assert_allclose(values, expected, rtol=2e-4, atol=2e-4, err_msg=case)
        most = float(jnp.finfo(dtype).max)
        scale = np.minimum(np.maximum(1, np.abs(slope).max(axis=-1, keepdims=True)), most)
        error = np.abs(gradient - np.clip(slope, -most, most)) / scale
        np.testing.assert_array_less(error, DIGITS[dtype], err_msg=case)
