"""Exported source for jax and torch: each computes the same function as the loss it was made from."""

import ast
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from expression_samples import RANDOM_LOSSES, TREES_OF_THE_ZOO
from typer.testing import CliRunner

from glojax import cli, losses
from glojax.expressions.parsing import parse
from glojax.expressions.source import _in_torch, to_python, to_torch
from glojax.expressions.trees import MAX_NODES, Tree
from glojax.losses.loss import Loss

# Ordinary, confident, tied, and saturated in every way; a label that is soft, and two masks.
LOGITS = np.array(
    [[0.3, -1.2, 2.0], [9, -9, 0], [1, 1, 1], [1e4, -1e4, 0], [-1e4, 1e4, 1e4], [-1e4, -1e4, -1e4], [1e4, 0, -1e4]]
)
LABELS = np.array([[0, 0, 1], [1, 0, 0], [0.2, 0.5, 0.3], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
ENTRIES = np.array([[1, 0, 1], [1, 1, 1], [1, 1, 0], [0, 1, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1]], bool)
SAMPLES = np.array([1, 1, 0, 1, 0, 1, 1], bool)


def executed(source: str, name: str = "loss", needs: tuple[str, ...] = ("jax", "jax.numpy")) -> Callable[..., Any]:
    imported = {
        alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == set(needs)
    names: dict[str, Any] = {}
    exec(compile(source, "<export>", "exec"), names)
    return names[name]


def assert_equal_on_edge_values(loss: Loss) -> None:
    function = executed(loss.to_python())
    for x64 in (False, True):
        # Folded constants are rounded once, to float64, and Loss's at each node: what cancels amplifies it.
        tolerance = dict(rtol=1e-10, atol=1e-10) if x64 else dict(rtol=2e-4, atol=2e-4)
        with jax.enable_x64(x64):
            for where in (None, ENTRIES, SAMPLES):
                expected = loss(LOGITS, LABELS, where=where)
                value = function(LOGITS, LABELS, where=where)
                assert value.dtype == expected.dtype
                np.testing.assert_allclose(value, expected, **tolerance, err_msg=str(loss))
            transposed = function(LOGITS.T, LABELS.T, axis=0, where=SAMPLES)
            np.testing.assert_allclose(transposed, expected, **tolerance, err_msg=str(loss))


# PYTHON


@pytest.mark.slow
@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("name", TREES_OF_THE_ZOO)
def test_the_source_of_a_known_loss_is_equal_to_it_on_edge_values(name: str, protected: bool):
    loss = TREES_OF_THE_ZOO[name]
    assert_equal_on_edge_values(Loss(loss.tree, loss.coefficients, protected))


@pytest.mark.few(1)
@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("loss", RANDOM_LOSSES, ids=str)
def test_the_source_of_a_random_loss_is_equal_to_it_on_edge_values(loss: Loss, protected: bool):
    assert_equal_on_edge_values(Loss(loss.tree, loss.coefficients, protected))


@pytest.mark.few(8)
@pytest.mark.parametrize(
    "expression",
    [
        "x * log(y * y)",
        "x * log(2 * y * sqrt(y))",
        "x * log(3 / square(y))",
        "x * log(y / y)",
        "x * log(y) * log(2)",
        "x * log(-1 * y)",
        "x * y / (1 - 1)",
        "x * y * sqrt(-1)",
        "x * y - log(0)",
        "x * y * square(square(square(16777216)))",
        "x - (y - (x - (y - 1)))",
        "x / (y / (x + -1)) * (y * -3)",
        "x * log(y * (1 + 1))",
        "x * log(y * log(2))",
        "x * log(y * sqrt(2 * 2 / 3))",
        "x * y + log(y / y) / log(y / y)",
        "x * y + 1 / sqrt(log(y / y))",
    ],
)
@pytest.mark.parametrize("protected", [False, True])
def test_powers_constants_and_parentheses_are_written_as_they_are_evaluated(expression: str, protected: bool):
    assert_equal_on_edge_values(Loss(expression, protected=protected))
    # Protected, 1e-7 as a denominator magnifies what should cancel in the gradient.
    assert_torch_is_equal_on_edge_values(Loss(expression, protected=protected), gradients=not protected)


@pytest.mark.slow
@pytest.mark.parametrize("name", TREES_OF_THE_ZOO)
def test_gradients_of_the_source_are_those_of_the_loss(name: str):
    loss = TREES_OF_THE_ZOO[name]
    function = executed(loss.to_python())
    expected = jax.grad(lambda logits: loss(logits, LABELS, where=ENTRIES).sum())(LOGITS)
    gradient = jax.jit(jax.grad(lambda logits: function(logits, LABELS, where=ENTRIES).sum()))(LOGITS)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


# PIXELS

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.normal(0, 3, (2, 3, 4, 3))  # [batch, height, width, outputs]
CLASSES = np.eye(3)[RANDOM.integers(0, 3, (2, 3, 4))]
ANNOTATED, OUTPUTS_KEPT = RANDOM.random((2, 3, 4)) < 0.7, RANDOM.random((2, 3, 4, 3)) < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("name", TREES_OF_THE_ZOO)
def test_the_source_is_the_loss_on_pixels_under_a_mask(name: str):
    loss = TREES_OF_THE_ZOO[name]
    function = executed(loss.to_python())
    for where in (None, ANNOTATED, OUTPUTS_KEPT):
        expected = loss(PIXELS, CLASSES, where=where)
        assert expected.shape == (2, 3, 4)
        np.testing.assert_allclose(function(PIXELS, CLASSES, where=where), expected, rtol=2e-4, atol=2e-5)
    np.testing.assert_array_equal(loss(PIXELS, CLASSES, where=ANNOTATED)[~ANNOTATED], 0)
    first = function(*(np.moveaxis(array, -1, 1) for array in (PIXELS, CLASSES)), axis=1, where=ANNOTATED)
    np.testing.assert_allclose(first, loss(PIXELS, CLASSES, where=ANNOTATED), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", TREES_OF_THE_ZOO)
def test_torch_has_the_loss_on_pixels_under_a_mask(name: str):
    torch = pytest.importorskip("torch")
    loss = TREES_OF_THE_ZOO[name]
    function = executed(loss.to_torch(), needs=("torch",))
    logits, labels = torch.tensor(PIXELS, dtype=torch.float32), torch.tensor(CLASSES, dtype=torch.float32)
    for where in (None, ANNOTATED, OUTPUTS_KEPT):
        given = None if where is None else torch.tensor(where)
        expected = loss(PIXELS, CLASSES, where=where)
        np.testing.assert_allclose(function(logits, labels, where=given), expected, rtol=2e-4, atol=2e-5)
        channels_first = function(logits.movedim(-1, 1), labels.movedim(-1, 1), dim=1, where=_first(torch, given))
        np.testing.assert_allclose(channels_first, expected, rtol=2e-4, atol=2e-5)


def _first(torch: Any, where: Any) -> Any:
    """A mask of outputs with these in the second axis; one of positions as it is."""
    return where.movedim(-1, 1) if where is not None and where.ndim == 4 else where


def test_the_source_reads_as_the_mathematics():
    assert "    f = log_y - x / y\n" in losses.baikal.to_python()
    assert "    f = x * (-0.6931471805599453 + 2.0 * log_y)\n" in Loss("x * log(y * y / 2)").to_python()
    coefficients = (1.0, 0.1 + 0.2, 1.0)
    assert "    f = 0.30000000000000004 * x * y\n" in Loss("x * y", coefficients).to_python()
    source = Loss("x / y", protected=True).to_python()
    assert "    f = protected_divide(x, y)\n" in source
    assert "def protected_divide(x, y):" in source
    assert "protected_divide" not in losses.baikal.to_python()


def test_a_long_formula_is_written_in_several_lines():
    source = losses.taylor_mnist.to_python()
    body = source[source.index("    f1 = ") :]
    assert max(map(len, body.splitlines())) <= 120
    assert executed(source).__doc__


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("symbol", ["log", "sqrt", "square", "+", "-", "*", "/"])
def test_the_deepest_trees_are_written_so_that_python_reads_them(symbol: str, protected: bool):
    tree = parse("x + y")
    while tree.size <= MAX_NODES - 2:
        tree = Tree(symbol, (tree,) if symbol in ("log", "sqrt", "square") else (Tree("y"), tree))
    assert executed(to_python(tree, [1.5] * tree.size, protected))
    if find_spec("torch"):
        assert executed(to_torch(tree, [1.5] * tree.size, protected), needs=("torch",))


def test_the_function_has_the_given_name_and_a_docstring():
    assert "Args:" in (executed(losses.baikal.to_python("baikal"), "baikal").__doc__ or "")
    assert "def baikal(logits, labels, dim=-1, where=None):" in losses.baikal.to_torch("baikal")


@pytest.mark.parametrize("name", ["", "two words", "1st", "class", "None", "f(x)", "a;b", "jax", "jnp"])
def test_a_name_that_python_or_the_source_cannot_use_is_refused(name: str):
    with pytest.raises(ValueError, match=r"to_python: name is .*; a Python identifier"):
        losses.baikal.to_python(name)


@pytest.mark.parametrize("name", ["", "class", "torch", "protected_divide"])
def test_a_name_that_the_source_for_torch_cannot_use_is_refused(name: str):
    with pytest.raises(ValueError, match=r"to_torch: name is .*; a Python identifier other than torch, "):
        losses.baikal.to_torch(name)


# TORCH


SATURATED = np.array(
    [[30, -30, 0], [-30, 30, 30], [100, -100, 0], [-100, 100, 0], [1000, -1000, 0], [-1000, 1000, 1000], [-1e3] * 3]
)
ALL_LOGITS = np.concatenate([LOGITS, SATURATED])
ALL_LABELS = np.concatenate(
    [LABELS, [[1, 0, 0], [1, 0, 0], [0.25, 0.5, 0.25], [1, 0, 0], [0, 1, 0], [0.2, 0.3, 0.5], [0, 1, 0]]]
)
"""For some of the saturated logits the labels are soft, for some the wrong class is the label."""


def torch_value_and_gradient(loss: Loss, logits: Any, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    torch = pytest.importorskip("torch")
    inputs = torch.tensor(logits, requires_grad=True)
    value = executed(loss.to_torch(), needs=("torch",))(inputs, torch.tensor(labels))
    if not value.requires_grad:  # nothing of y is left, and torch gives no gradient where jax gives 0
        return value.numpy(), np.zeros_like(logits)
    (gradient,) = torch.autograd.grad(value.sum(), inputs)
    return value.detach().numpy(), gradient.numpy()


def jax_value_and_gradient(loss: Loss, logits: Any, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gradient = jax.grad(lambda logits: loss(logits, jnp.asarray(labels)).sum())(jnp.asarray(logits))
    return np.asarray(loss(logits, labels)), np.asarray(gradient)


def assert_torch_is_equal_on_edge_values(loss: Loss, gradients: bool = True) -> None:
    for x64, dtype, tolerance in ((False, np.float32, 2e-4), (True, np.float64, 1e-10)):
        given = ALL_LOGITS.astype(dtype), ALL_LABELS.astype(dtype)
        value, gradient = torch_value_and_gradient(loss, *given)
        with jax.enable_x64(x64):
            expected, expected_gradient = jax_value_and_gradient(loss, *given)
        assert value.dtype == expected.dtype == gradient.dtype == dtype
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance, err_msg=str(loss))
        if gradients:
            assert_torch_has_the_gradient(loss, gradient, expected_gradient, tolerance)


def assert_torch_has_the_gradient(loss: Loss, gradient: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Of samples where jax's is finite, up to rounding relative to the sample's largest entry.

    Elsewhere torch's is finite too only where it is nearer to the true one: jax's derivative of a / b takes 1 / b**2,
    which overflows, torch's (a / b) / b; and where ``maximum`` takes its other operand, jax's is 0 times what comes
    in, NaN if that is infinite, and torch's is 0. Both occur only in what holds a quotient or is protected.
    """
    finite = np.isfinite(expected).all(axis=-1)
    assert np.isfinite(gradient[finite]).all(), str(loss)
    if "/" not in str(loss) and not loss.protected:
        assert not np.isfinite(gradient[~finite]).all(axis=-1).any(), str(loss)
    # log(1 + 1e-13), the log_y of logits 30 apart, has three digits in float64.
    tolerances = np.where(np.abs(ALL_LOGITS).max(axis=-1) == 30, 2e-3, tolerance)[finite, None]
    error = np.abs(gradient[finite] - expected[finite])
    scale = np.maximum(1, np.abs(expected[finite]).max(axis=-1, keepdims=True))
    assert (error <= tolerances * scale).all(), f"{loss}: {gradient[finite]} for {expected[finite]}"


@pytest.mark.few(1)
@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("name", TREES_OF_THE_ZOO)
def test_torch_has_values_and_gradients_of_a_known_loss(name: str, protected: bool, x64: bool):
    loss = Loss(TREES_OF_THE_ZOO[name].tree, TREES_OF_THE_ZOO[name].coefficients, protected)
    given = [array.astype(np.float64 if x64 else np.float32) for array in (ALL_LOGITS, ALL_LABELS)]
    with jax.enable_x64(x64):
        expected = jax_value_and_gradient(loss, *given)
    tolerance = 1e-12 if x64 else 1e-4
    for made, wanted in zip(torch_value_and_gradient(loss, *given), expected, strict=True):
        assert made.dtype == wanted.dtype
        np.testing.assert_allclose(made, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.few(20)
@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("loss", RANDOM_LOSSES, ids=str)
def test_torch_has_values_and_gradients_of_a_random_loss(loss: Loss, protected: bool):
    assert_torch_is_equal_on_edge_values(Loss(loss.tree, loss.coefficients, protected))


def test_torch_has_the_true_gradient_where_that_of_jax_overflows():
    logits, labels = np.array([[100, -100, 0]], np.float32), np.array([[0.25, 0.5, 0.25]], np.float32)
    loss = Loss("(y / y + log(square(y))) / (x * y)")
    assert not np.isfinite(jax_value_and_gradient(loss, logits, labels)[1]).any()
    log_y = np.array([0.0, -200.0, -100.0])
    y = np.exp(np.maximum(log_y, 0.45 * np.log(np.finfo(np.float32).tiny)))
    by_log_y = -(2 - (1 + 2 * log_y)) / (labels * y)  # of minus (1 + 2 log y) / (x y), by parts
    expected = by_log_y - np.exp(log_y) * by_log_y.sum()
    np.testing.assert_allclose(torch_value_and_gradient(loss, logits, labels)[1], expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", TREES_OF_THE_ZOO)
def test_torch_computes_in_float32_at_least(name: str, dtype: str):
    torch = pytest.importorskip("torch")
    loss, logits = TREES_OF_THE_ZOO[name], jnp.asarray(ALL_LOGITS, dtype)
    inputs = torch.tensor(np.asarray(logits, np.float32), dtype=getattr(torch, dtype), requires_grad=True)
    value = executed(loss.to_torch(), needs=("torch",))(inputs, torch.tensor(ALL_LABELS))
    assert value.dtype == torch.float32
    np.testing.assert_allclose(value.detach(), loss(logits, ALL_LABELS), rtol=1e-5, atol=1e-5)
    value.sum().backward()
    expected = np.asarray(jax.grad(lambda logits: loss(logits, jnp.asarray(ALL_LABELS)).sum())(logits), np.float32)
    most = float(jnp.finfo(dtype).max)  # where Loss stays, as its gradients of float16 are never infinite
    np.testing.assert_allclose(inputs.grad.float().clamp(-most, most), expected, rtol=2**-7, atol=1e-4)


def test_torch_takes_any_dimension_and_its_own_transformations():
    torch = pytest.importorskip("torch")
    function = executed(losses.focal.to_torch(), needs=("torch",))
    logits, labels = torch.tensor(LOGITS), torch.tensor(LABELS)
    torch.testing.assert_close(function(logits.T, labels.T, dim=0), function(logits, labels))
    torch.testing.assert_close(torch.func.vmap(function)(logits, labels), function(logits, labels))


def test_the_source_for_torch_reads_as_the_mathematics():
    assert "    f = log_y - x / y\n" in losses.baikal.to_torch()
    assert "protected_divide" not in losses.baikal.to_torch()
    source = Loss("log(x) / y", protected=True).to_torch()
    assert "    f = protected_divide(torch.log(torch.maximum(torch.abs(x), 1e-07 * torch.ones_like(y))), y)\n" in source
    assert "\n\ndef protected_divide(x, y):\n" in source
    for loss in (losses.taylor_mnist, *RANDOM_LOSSES):
        source = to_torch(loss.tree, loss.coefficients)
        assert max(map(len, source[source.index("import torch") :].splitlines())) <= 120
        assert "jnp" not in to_torch(loss.tree, loss.coefficients, protected=True)


@pytest.mark.parametrize(
    ("source", "translated"),
    [
        ("f = jnp.tanh(x - y * -2.0)", "f = torch.tanh(x - y * -2.0)"),
        ("f = jnp.maximum(x, jnp.abs(-jnp.inf))", "f = torch.maximum(x, torch.abs(-torch.inf * torch.ones_like(y)))"),
        ("f = x * jnp.nan", "f = x * torch.nan"),
        ("f = -1.5", "f = -1.5 * torch.ones_like(y)"),
        ("f = 2.0 * jnp.ones_like(y)", "f = 2.0 * torch.ones_like(y)"),
    ],
)
def test_torch_has_the_names_of_jnp_and_a_tensor_for_a_number(source: str, translated: str):
    assert _in_torch(source) == translated


def test_a_tree_without_x_and_y_is_written_too():
    torch = pytest.importorskip("torch")
    value = executed(to_torch(parse("1 + 1"), [1.0] * 3), needs=("torch",))(torch.tensor(LOGITS), torch.tensor(LABELS))
    torch.testing.assert_close(value, torch.full((len(LOGITS),), -6.0, dtype=torch.float64))


def test_the_command_writes_the_source_for_torch(tmp_path: Path):
    result = CliRunner().invoke(cli.app, ["export", "baikal", "--to", "torch"])
    assert (result.exit_code, result.output) == (0, losses.baikal.to_torch())
    CliRunner().invoke(cli.app, ["export", "baikal", "--to", "torch", "--output", str(tmp_path / "out.py")])
    assert (tmp_path / "out.py").read_text() == losses.baikal.to_torch()
