"""``Loss``, ``apply`` and loss files: values, labels, errors, gradients by coefficients, saving and loading."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from budgets import cases
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads
from loss_samples import LABELS, LOGITS, MASK, SATURATED, SATURATED_LABELS

from glojax import losses
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree, grow
from glojax.losses.loss import Loss, apply, load
from glojax.losses.zoo import ZOO

trees_of_the_zoo = {name: loss for name, loss in ZOO.items() if isinstance(loss, Loss)}


# SATURATION


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("logarithm", "factor", "shift"),
    [
        ("log(y * y)", 2, 0),
        ("log(square(y))", 2, 0),
        ("log(sqrt(y))", 0.5, 0),
        ("log(2 * y)", 1, np.log(2)),
        ("log(y * 2 * sqrt(y))", 1.5, np.log(2)),
        ("log(y / 4)", 1, -np.log(4)),
        ("log(3 / y)", -1, np.log(3)),
        ("log(y / y)", 0, 0),
        ("log(square(-2 * y))", 2, np.log(4)),
    ],
)
def test_the_logarithm_of_a_power_of_the_prediction_is_exact_at_saturation(logarithm: str, factor: float, shift: float):
    logits = SATURATED.astype(np.float32)
    entropy = jax.value_and_grad(lambda logits: losses.cross_entropy(logits, SATURATED_LABELS)[1])
    (expected, expected_gradient), loss = entropy(logits), Loss(parse(f"x * {logarithm}"))
    value, gradient = jax.value_and_grad(lambda logits: loss(logits, SATURATED_LABELS)[1])(logits)
    np.testing.assert_allclose(value, factor * expected - shift, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient, factor * expected_gradient, rtol=1e-6, atol=1e-30)


def test_the_coefficients_inside_a_logarithm_are_seen():
    loss = Loss(parse("x * log(y)"), (1.0, 1.0, 2.0, 3.0))
    expected = 2 * (losses.cross_entropy(SATURATED, SATURATED_LABELS) - np.log(3))
    np.testing.assert_allclose(loss(SATURATED, SATURATED_LABELS), expected, rtol=1e-6)


def test_a_logarithm_outside_its_domain_is_not_hidden():
    assert np.isnan(Loss(parse("x * log(-1 * y)"))(LOGITS, LABELS)).all()
    assert np.isfinite(Loss(parse("x * log(-1 * y)"), protected=True)(LOGITS, LABELS)).all()


# LABELS AND ERRORS


@pytest.mark.few(2)
@pytest.mark.parametrize("axis", [0, 1, -1, -2])
@pytest.mark.parametrize("loss", trees_of_the_zoo.values(), ids=trees_of_the_zoo)
def test_integer_labels_mean_their_one_hot_labels(loss: Loss, axis: int):
    logits, labels, mask = (array if axis % 2 else array.T for array in (LOGITS, LABELS, MASK))
    value = loss.with_integer_labels(logits, labels.argmax(axis), axis, mask)
    np.testing.assert_allclose(value, loss(logits, labels, axis, mask), rtol=1e-6)


@pytest.mark.parametrize(
    ("logits", "labels", "axis", "message"),
    [
        (np.ones((2, 3), int), np.ones(2, int), -1, r"logits is int\d+; a floating dtype is expected"),
        (np.ones((2, 3)), np.ones(2), -1, r"labels is float\d+\[2\]; integers of shape \[2\] are expected"),
        (np.ones((2, 3)), np.ones((2, 3), int), -1, r"labels is int\d+\[2, 3\]; integers of shape \[2\] are expected"),
        (np.ones((2, 3)), np.ones(2, int), 0, r"labels is int\d+\[2\]; integers of shape \[3\] are expected"),
        (np.ones((2, 3)), np.ones(2, int), 2, "axis is 2"),
    ],
)
def test_integer_labels_that_do_not_fit_are_named(logits: np.ndarray, labels: np.ndarray, axis: int, message: str):
    with pytest.raises(ValueError, match=message):
        losses.baikal.with_integer_labels(logits, labels, axis)


@pytest.mark.parametrize(
    ("tree", "coefficients", "message"),
    [
        ("log(y)", (), r"Loss.tree is log\(y\); a loss needs both x \(the label\) and y \(the prediction\)"),
        ("x + 1", (), "a loss needs both"),
        ("x +", (), "parse: column 4"),
        ("x * y", (1.0, 2.0), r"Loss.coefficients has 2 values; x \* y has 3 nodes"),
        ("x * y", (1.0, np.nan, 1.0), "Loss.coefficients holds nan; every value must be finite"),
        ("x * y", (1.0, np.inf, 1.0), "every value must be finite"),
    ],
)
def test_a_loss_that_cannot_be_says_why(tree: str, coefficients: tuple[float, ...], message: str):
    with pytest.raises(ValueError, match=message):
        Loss(tree, coefficients)


def test_a_loss_is_a_value():
    assert Loss("x * log(y)") == Loss(parse("x * log(y)"), (1, 1, 1, 1)) == losses.cross_entropy
    assert hash(Loss("x * log(y)")) == hash(losses.cross_entropy)
    assert Loss("x * y", np.array([1, 2, 3])).coefficients == (1.0, 2.0, 3.0)
    assert not losses.cross_entropy.tuned
    assert losses.baikal_cma.tuned


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (losses.baikal, "log(y) - x / y"),
        (losses.poly, "x * log(y) + -2.0 * (x * (1 - y))"),
        (Loss("x * log(y)", (1, 1 / 3, 2e-9, 1)), "0.333333 * x * (2e-09 * log(y))"),
        (losses.baikal_cma, "2.7279 * (0.9863 * log(1.5352 * y) - -1.1135 * (1.3716 * x / (-0.8411 * y)))"),
        (Loss("x / y", protected=True), "x / y"),
    ],
)
def test_a_loss_prints_as_its_expression_with_its_coefficients(loss: Loss, text: str):
    assert str(loss) == text


# COEFFICIENTS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baikal_cma", "taylor_mnist", "poly"])
def test_apply_is_differentiable_in_the_coefficients(name: str):
    loss = trees_of_the_zoo[name]
    with jax.enable_x64(True):
        coefficients = jnp.asarray(loss.coefficients)

        def value(coefficients: jax.Array) -> jax.Array:
            return apply(loss.tree, coefficients, LOGITS, LABELS)

        np.testing.assert_allclose(jax.jit(value)(coefficients), loss(LOGITS, LABELS), rtol=1e-12)
        check_grads(value, (coefficients,), order=1, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("junk", ["logits", "labels"])
def test_left_out_entries_put_no_nan_into_the_gradient_of_the_coefficients(junk: str):
    given = {"logits": LOGITS, "labels": LABELS}

    def gradient(given: dict[str, np.ndarray]) -> jax.Array:
        coefficients = jnp.asarray(losses.baikal_cma.coefficients)
        return jax.grad(lambda c: apply(losses.baikal.tree, c, **given, where=MASK).sum())(coefficients)

    with_junk = given | {junk: np.where(MASK, given[junk], np.nan)}
    assert np.isfinite(gradient(given)).all()
    np.testing.assert_allclose(gradient(with_junk), gradient(given), rtol=1e-6)


def test_apply_takes_axis_mask_and_protection():
    tree, given = parse("x / (y - y)"), (LOGITS.T, LABELS.T, 0, MASK.T)
    expected = Loss(tree, protected=True)(*given)
    np.testing.assert_array_equal(apply(tree, [1.0] * tree.size, *given, protected=True), expected)
    assert np.isfinite(expected).all()


# FILES


@st.composite
def some_losses(draw: st.DrawFn) -> Loss:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    tree = Tree(draw(st.sampled_from(["+", "-", "*", "/"])), (grow(random, 4), parse("square(x) / y")))
    if tree.size > 40:
        tree = parse("x - 7 * y")
    finite = st.floats(allow_nan=False, allow_infinity=False)
    coefficients = draw(st.just(()) | st.lists(finite, min_size=tree.size, max_size=tree.size).map(tuple))
    return Loss(tree, coefficients, draw(st.booleans()))


@cases()
@given(loss=some_losses())
def test_a_saved_loss_is_loaded_as_it_was(tmp_path_factory: pytest.TempPathFactory, loss: Loss):
    path = tmp_path_factory.getbasetemp() / "folder" / "loss.json"
    loss.save(path)
    assert load(path) == load(str(path)) == loss


def test_a_loss_file_can_be_read_by_a_person(tmp_path: Path):
    losses.baikal.save(tmp_path / "baikal.json")
    assert json.loads((tmp_path / "baikal.json").read_text()) == {
        "glojax_loss": 2,
        "expression": "log(y) - x / y",
        "coefficients": [1.0] * 6,
        "protected": False,
        "output": "softmax",
    }


GOOD = {"glojax_loss": 1, "expression": "x * y", "coefficients": [1.0, 2.0, 3.0], "protected": False}
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "Expecting value"),
    "cut off": (json.dumps(GOOD).encode()[:40], "is not JSON that can be read"),
    "not text": (b"\x80\x04\x95\xff", "utf-8"),
    "a list": (b"[1, 2]", "not a glojax loss"),
    "a number": (b"1", "not a glojax loss"),
    "deeply nested": (b"[" * 100_000, "is nested too deeply"),
    "too large": (b" " * 1_000_001, "has 1,000,001 bytes; at most 1,000,000 are allowed"),
    **{
        f"{entry} is {value!r}": (json.dumps({**GOOD, entry: value}).encode(), message)
        for entry, value, message in [
            ("glojax_loss", 3, "schema 3 is not known; this version of glojax reads 1 and 2"),
            ("glojax_loss", True, "schema True is not known"),
            ("glojax_loss", 2.0, "schema 2.0 is not known"),
            ("glojax_loss", "1", "schema '1' is not known"),
            ("expression", 3, "an expression is a string, got int"),
            ("expression", None, "an expression is a string"),
            ("expression", "x *", "parse: column 4"),
            ("expression", "y", "a loss needs both"),
            ("coefficients", "123", "a list of numbers is expected"),
            ("coefficients", {"0": 1}, "a list of numbers is expected"),
            ("coefficients", [1, "2", 3], "a list of numbers is expected"),
            ("coefficients", [1, True, 3], "a list of numbers is expected"),
            ("coefficients", [1, None, 3], "a list of numbers is expected"),
            ("coefficients", [1, 2], "has 2 values; .* has 3 nodes"),
            ("coefficients", [1, float("nan"), 3], "every value must be finite"),
            ("coefficients", [1, float("inf"), 3], "every value must be finite"),
            ("coefficients", [1, 10**400, 3], "1, <integer of 1329 bits>, 3.*; a finite number for each"),
            ("protected", 1, "True or False is allowed"),
            ("protected", "false", "True or False is allowed"),
        ]
    },
    "a name twice": (
        json.dumps(GOOD).encode()[:-1] + b', "expression": "y"}',
        "the entry 'expression' appears 2 times",
    ),
    **{
        f"no {entry}": (json.dumps({key: value for key, value in GOOD.items() if key != entry}).encode(), entry)
        for entry in GOOD
    },
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_a_file_that_is_no_loss_is_an_error_that_names_it(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"broken\.json.*{message}"):
        load(path)


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"missing\.json"):
        load(tmp_path / "missing.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(OSError, match=r"folder\.json"):
        load(tmp_path / "folder.json")


def test_loading_evaluates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def forbidden(*_: object) -> None:
        raise AssertionError("a loss file was evaluated")

    mark, path = tmp_path / "mark", tmp_path / "loss.json"
    monkeypatch.setattr("builtins.eval", forbidden)
    monkeypatch.setattr("builtins.exec", forbidden)
    path.write_text(json.dumps(GOOD))
    assert load(path) == Loss("x * y", (1.0, 2.0, 3.0))
    path.write_text(json.dumps({**GOOD, "expression": f"x * y * __import__('pathlib').Path({str(mark)!r}).touch()"}))
    with pytest.raises(ValueError, match="parse: column 9"):
        load(path)
    assert not mark.exists()


# WHAT APPLY REFUSES


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 2, 4])
@pytest.mark.parametrize("traced", [False, True])
def test_apply_refuses_another_number_of_coefficients_than_nodes(count: int, traced: bool) -> None:
    def value(coefficients: jax.Array) -> jax.Array:
        return apply(parse("x - y"), coefficients, jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]]))

    with pytest.raises(ValueError, match=rf"coefficients has {count} values; x - y has 3 nodes\."):
        (jax.jit(value) if traced else value)(jnp.ones(count))
    np.testing.assert_allclose((jax.jit(value) if traced else value)(jnp.ones(3)), [0.0], atol=1e-6)


def test_a_loss_refuses_an_output_that_changes_the_shape_by_name() -> None:
    loss = Loss(parse("x - y"), output=lambda outputs: outputs.sum(axis=-1))
    with pytest.raises(ValueError, match=r"Loss\.output makes predictions of shape \[4\] of outputs of shape \[4, 3\]"):
        loss(jnp.zeros((4, 3)), jnp.zeros((4, 3)))
