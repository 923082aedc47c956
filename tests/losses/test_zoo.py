"""Losses against their published formulas and optax, at edges, under JAX's transformations, and as files."""

import json
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from glojax import losses
from glojax.expressions import trees
from glojax.expressions.trees import Tree, grow, parse
from glojax.losses.loss import Loss, LossFunction, apply, load
from glojax.losses.zoo import ZOO, named

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(5, 4)) * 2
LABELS = np.eye(4)[[0, 3, 1, 2, 2]]
SOFT = RANDOM.dirichlet(np.ones(4), size=5)
MASK = np.array([[1, 1, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]], bool)  # the last: nothing
SATURATED = np.array([[1e4, -1e4, 0, 0], [-1e4, 1e4, 0, 1], [1e4, 1e4, -1e4, -1e4], [-1e4, -1e4, -1e4, -1e4]])
SATURATED_LABELS = np.eye(4)[[0, 0, 1, 2]]

every_loss = pytest.mark.parametrize("loss", [pytest.param(loss, id=name) for name, loss in ZOO.items()])
trees_of_the_zoo = {name: loss for name, loss in ZOO.items() if isinstance(loss, Loss)}


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def expanded_taylor(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    first = 8.2896 * (y - 7.5216) + 0.2415 * (y - 7.5216) ** 2 + 7.8726 * (y - 7.5216) ** 3
    mixed = 8.9666 * (x + 10.9408) * (y - 7.5216) + 2.0184 * (x + 10.9408) * (y - 7.5216) ** 2
    return first + mixed + 7.0513 * (x + 10.9408) ** 2 * (y - 7.5216)


# The loss of every sample, from its one-hot label t and prediction p, as the papers write it.
FORMULAS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "cross_entropy": lambda t, p: -np.log((t * p).sum(-1)),
    "baikal": lambda t, p: -(np.log(p) - t / p).sum(-1),
    "baikal_cma": lambda t, p: (
        -(2.7279 * (0.9863 * np.log(1.5352 * p) - -1.1135 * (1.3716 * t) / (-0.8411 * p))).sum(-1)
    ),
    "focal": lambda t, p: -((1 - (t * p).sum(-1)) ** 2) * np.log((t * p).sum(-1)),
    "brier": lambda t, p: ((t - p) ** 2).sum(-1),
    "mean_absolute_error": lambda t, p: np.abs(t - p).sum(-1),
    "poly": lambda t, p: -np.log((t * p).sum(-1)) + 2 * (1 - (t * p).sum(-1)),
    "symmetric_cross_entropy": lambda t, p: (
        -0.1 * np.log((t * p).sum(-1)) - 1.0 * (p * np.where(t == 0, -4.0, 0.0)).sum(-1)
    ),
    "taylor_mnist": lambda t, p: -expanded_taylor(t, p).sum(-1),
    "generalized_cross_entropy": lambda t, p: (1 - (t * p).sum(-1) ** 0.7) / 0.7,
    "label_smoothed_cross_entropy": lambda t, p: -((0.9 * t + 0.1 / t.shape[-1]) * np.log(p)).sum(-1),
    "next_generation": lambda t, p: (np.exp(2.4092 - p - p * t) - np.cos(np.cos(np.sin(p)))).mean(-1),
}


@pytest.mark.parametrize("name", ZOO)
def test_a_known_loss_is_its_published_formula(name: str):
    with jax.enable_x64(True):
        np.testing.assert_allclose(ZOO[name](LOGITS, LABELS), FORMULAS[name](LABELS, softmax(LOGITS)), rtol=1e-12)


def test_every_known_loss_has_a_formula_and_a_public_name():
    assert ZOO.keys() == FORMULAS.keys()
    assert all(getattr(losses, name) is loss for name, loss in ZOO.items())


OPTAX: dict[str, Callable[..., jax.Array]] = {
    "cross_entropy": optax.softmax_cross_entropy,
    "poly": lambda *given, **options: optax.losses.poly_loss_cross_entropy(*given, epsilon=2.0, **options),
    "label_smoothed_cross_entropy": lambda logits, labels, axis=-1, where=None: optax.softmax_cross_entropy(
        logits, optax.smooth_labels(labels, 0.1, axis=axis, where=where), axis, where
    ),
}


@pytest.mark.parametrize("name", OPTAX)
@pytest.mark.parametrize("axis", [0, 1, -1, -2])
@pytest.mark.parametrize("masked", [False, True])
def test_a_loss_that_optax_has_agrees_with_it_along_every_axis_and_under_masks(name: str, axis: int, masked: bool):
    rows = slice(0, 4)  # optax divides by zero where nothing takes part
    given = [LOGITS[rows], SOFT[rows], MASK[rows]]
    logits, labels, mask = (array if axis % 2 else array.T for array in given)
    where = jnp.asarray(mask) if masked else None
    with jax.enable_x64(True):
        expected = OPTAX[name](jnp.asarray(logits), jnp.asarray(labels), axis=axis, where=where)
        np.testing.assert_allclose(ZOO[name](logits, labels, axis, where), expected, rtol=1e-12)


# GRADIENTS AND TRANSFORMATIONS


@every_loss
def test_gradients_agree_with_finite_differences(loss: LossFunction):
    with jax.enable_x64(True):
        check_grads(lambda logits: loss(logits, LABELS), (LOGITS,), order=1, rtol=1e-6)
        check_grads(lambda logits: loss(logits, SOFT, where=MASK), (LOGITS,), order=1, rtol=1e-6)


@every_loss
def test_jit_and_vmap_change_nothing(loss: LossFunction):
    with jax.enable_x64(True):
        expected = loss(LOGITS, LABELS, where=MASK)
        assert expected.shape == (5,)
        np.testing.assert_allclose(jax.jit(loss)(LOGITS, LABELS, where=MASK), expected, rtol=1e-12)
        one_by_one = jax.vmap(lambda logits, labels, mask: loss(logits, labels, where=mask))(LOGITS, LABELS, MASK)
        np.testing.assert_allclose(one_by_one, expected, rtol=1e-12)
        of_sample = jax.vmap(jax.grad(loss))(LOGITS, LABELS)
        np.testing.assert_allclose(jax.jit(jax.grad(lambda z: loss(z, LABELS).sum()))(LOGITS), of_sample, rtol=1e-9)


@every_loss
def test_the_axis_of_the_classes_may_be_any(loss: LossFunction):
    logits, labels = np.stack([LOGITS, -LOGITS]), np.stack([LABELS, SOFT])
    with jax.enable_x64(True):
        expected = loss(logits, labels)
        assert expected.shape == (2, 5)
        for axis in (0, 1, 2, -1, -2, -3):
            moved = loss(np.moveaxis(logits, -1, axis), np.moveaxis(labels, -1, axis), axis)
            np.testing.assert_allclose(moved, expected, rtol=1e-12)


# MASKS


@every_loss
def test_a_class_that_is_left_out_might_as_well_not_be_there(loss: LossFunction):
    with jax.enable_x64(True):
        expected = loss(LOGITS[:, :3], SOFT[:, :3])
        for where in (np.array([[True, True, True, False]]), np.tile([True, True, True, False], (5, 1))):
            np.testing.assert_allclose(loss(LOGITS, SOFT, where=where), expected, rtol=1e-12)


@every_loss
def test_a_sample_that_is_left_out_has_no_loss(loss: LossFunction):
    where = np.array([True, False, True, True, False])
    with jax.enable_x64(True):
        expected = np.where(where, loss(LOGITS, LABELS), 0.0)
        for mask in (where, where[:, None], np.tile(where[:, None], 4)):  # without the classes' axis as in optax
            np.testing.assert_allclose(loss(LOGITS, LABELS, where=mask), expected, rtol=1e-12)
        np.testing.assert_allclose(loss(LOGITS.T, LABELS.T, axis=0, where=where), expected, rtol=1e-12)


def test_a_mask_over_samples_means_what_it_means_in_optax():
    where, logits, labels = jnp.asarray(MASK[:, 1]), jnp.asarray(LOGITS), jnp.asarray(LABELS)
    expected = optax.softmax_cross_entropy(logits, labels, where=where)
    np.testing.assert_allclose(losses.cross_entropy(logits, labels, where=where), expected, rtol=1e-6)


@every_loss
@pytest.mark.parametrize("junk", [0.0, 1e30, np.inf, -np.inf, np.nan])
def test_gradients_are_finite_whatever_the_left_out_entries_hold(loss: LossFunction, junk: float):
    logits, labels = np.where(MASK, LOGITS, junk), np.where(MASK, LABELS, junk)
    value, gradient = jax.value_and_grad(lambda logits: loss(logits, labels, where=MASK).sum())(logits)
    expected, expected_gradient = jax.value_and_grad(lambda logits: loss(logits, LABELS, where=MASK).sum())(LOGITS)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-6)
    assert np.isfinite(gradient).all()
    assert not np.any(np.asarray(gradient)[~MASK])


# SATURATION


def test_cross_entropy_is_exact_at_saturated_logits():
    value = losses.cross_entropy(SATURATED.astype(np.float32), SATURATED_LABELS)
    np.testing.assert_allclose(value, [0, 2e4, np.log(2), np.log(4)], rtol=1e-7)


@every_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])  # without x64 the latter becomes float32
@pytest.mark.parametrize("x64", [False, True])
def test_saturated_logits_give_finite_losses_and_gradients(loss: LossFunction, dtype: type, x64: bool):
    with jax.enable_x64(x64):
        logits = SATURATED.astype(dtype)
        value, gradient = jax.value_and_grad(lambda logits: loss(logits, SATURATED_LABELS).sum())(logits)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_a_saturated_wrong_prediction_still_pushes_cross_entropy_and_baikal():
    for loss in (losses.cross_entropy, losses.baikal, losses.baikal_cma):
        gradient = jax.grad(lambda logits, loss=loss: loss(logits, SATURATED_LABELS).sum())(SATURATED)
        assert gradient[1, 0] < -0.9


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


def test_a_logit_of_minus_infinity_is_left_out_by_a_mask_as_in_optax():
    logits, labels, where = jnp.where(MASK, LOGITS, -jnp.inf), jnp.asarray(LABELS), jnp.asarray(MASK)
    assert np.isnan(losses.cross_entropy(logits, labels)[0])
    assert np.isnan(optax.softmax_cross_entropy(logits, labels)[0])
    assert np.isfinite(losses.cross_entropy(logits, labels, where=where)).all()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@every_loss
def test_half_precision_logits_are_computed_in_float32(loss: LossFunction, dtype: jnp.dtype):
    logits = jnp.asarray(LOGITS, dtype)
    value = loss(logits, jnp.asarray(LABELS, dtype))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, loss(logits.astype(jnp.float32), LABELS), rtol=1e-6)
    assert jax.grad(lambda logits: loss(logits, LABELS).sum())(logits).dtype == dtype


# LABELS AND ERRORS


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
@pytest.mark.parametrize("loss", trees_of_the_zoo.values(), ids=trees_of_the_zoo)
def test_integer_labels_mean_their_one_hot_labels(loss: Loss, axis: int):
    logits, labels, mask = (array if axis % 2 else array.T for array in (LOGITS, LABELS, MASK))
    value = loss.with_integer_labels(logits, labels.argmax(axis), axis, mask)
    np.testing.assert_allclose(value, loss(logits, labels, axis, mask), rtol=1e-6)


@pytest.mark.parametrize(
    ("logits", "labels", "axis", "message"),
    [
        (np.ones((2, 3), int), np.ones((2, 3)), -1, r"logits is int\d+; a floating dtype is expected"),
        (np.ones((2, 3)), np.ones((2, 4)), -1, r"labels has shape \[2, 4\]; .* \[2, 3\], are expected"),
        (np.ones((2, 3)), np.ones(2, int), -1, r"labels has shape \[2\]; .*Class indices go to .*with_integer_labels"),
        (np.ones((2, 3)), np.ones((2, 3)), 2, r"axis is 2; logits of shape \[2, 3\] has axes -2 to 1"),
        (np.ones((2, 3)), np.ones((2, 3)), -3, r"axis is -3; logits of shape \[2, 3\] has axes -2 to 1"),
    ],
)
@every_loss
def test_arguments_that_do_not_fit_are_named(
    loss: LossFunction, logits: np.ndarray, labels: np.ndarray, axis: int, message: str
):
    with pytest.raises(ValueError, match=message):
        loss(logits, labels, axis)


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
        (losses.poly, "x * log(y) + -2 * (x * (1 - y))"),
        (Loss("x * log(y)", (1, 1 / 3, 2e-9, 1)), "0.333333 * x * (2e-09 * log(y))"),
        (losses.baikal_cma, "2.7279 * (0.9863 * log(1.5352 * y) - -1.1135 * (1.3716 * x / (-0.8411 * y)))"),
        (Loss("x / y", protected=True), "x / y"),
    ],
)
def test_a_loss_prints_as_its_expression_with_its_coefficients(loss: Loss, text: str):
    assert str(loss) == text


# COEFFICIENTS


@pytest.mark.parametrize("name", ["baikal_cma", "taylor_mnist", "poly"])
def test_apply_is_differentiable_in_the_coefficients(name: str):
    loss = trees_of_the_zoo[name]
    with jax.enable_x64(True):
        coefficients = jnp.asarray(loss.coefficients)

        def value(coefficients: jax.Array) -> jax.Array:
            return apply(loss.tree, coefficients, LOGITS, LABELS)

        np.testing.assert_allclose(jax.jit(value)(coefficients), loss(LOGITS, LABELS), rtol=1e-12)
        check_grads(value, (coefficients,), order=1, rtol=1e-6)


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


@settings(deadline=None)
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


# NAMES


def test_a_name_is_one_of_the_zoo_a_file_or_an_expression(tmp_path: Path):
    losses.baikal_cma.save(tmp_path / "found.json")
    assert all(named(name) == loss for name, loss in ZOO.items())
    assert named("brier", "sigmoid") == losses.Loss(losses.brier.tree, losses.brier.coefficients, output="sigmoid")
    assert named(str(tmp_path / "found.json")) == losses.baikal_cma
    assert named("x * log(y)") == losses.cross_entropy


@pytest.mark.parametrize("text", ["cross-entropy", "", "x * log(y", "log(y)", "__import__('os')"])
def test_what_names_no_loss_is_an_error_that_lists_the_known_ones(text: str):
    with pytest.raises(ValueError, match=r"Known losses are cross_entropy, baikal, .*, next_generation"):
        named(text)


def test_a_loss_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"missing\.json"):
        named(str(tmp_path / "missing.json"))


def test_the_taylor_loss_has_its_centre_in_the_coefficients_of_its_integers():
    loss = losses.taylor_mnist
    centre = {
        factor
        for node, factor in zip(loss.tree.nodes(), loss.coefficients, strict=True)
        if isinstance(node.symbol, int)
    }
    assert centre == {-10.9408, 7.5216}
    assert loss.tree == trees.parse(str(loss.tree))
