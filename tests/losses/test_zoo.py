"""The known losses: against their published formulas and optax, under JAX's transformations and masks, by name."""

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from loss_samples import LABELS, LOGITS, MASK, SATURATED, SATURATED_LABELS, SOFT, softmax

from glojax import losses
from glojax.expressions import parsing
from glojax.losses.loss import LossFunction
from glojax.losses.zoo import ZOO, loss_by_name

every_loss = pytest.mark.parametrize("loss", [pytest.param(loss, id=name) for name, loss in ZOO.items()])


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


@pytest.mark.few(4)
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


@pytest.mark.few(8)
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


@pytest.mark.few(1)
@every_loss
def test_gradients_agree_with_finite_differences(loss: LossFunction):
    with jax.enable_x64(True):
        check_grads(lambda logits: loss(logits, LABELS), (LOGITS,), order=1, rtol=1e-6)
        check_grads(lambda logits: loss(logits, SOFT, where=MASK), (LOGITS,), order=1, rtol=1e-6)


@pytest.mark.few(1)
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


@pytest.mark.few(1)
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


@pytest.mark.few(4)
@every_loss
def test_a_class_that_is_left_out_might_as_well_not_be_there(loss: LossFunction):
    with jax.enable_x64(True):
        expected = loss(LOGITS[:, :3], SOFT[:, :3])
        for where in (np.array([[True, True, True, False]]), np.tile([True, True, True, False], (5, 1))):
            np.testing.assert_allclose(loss(LOGITS, SOFT, where=where), expected, rtol=1e-12)


@pytest.mark.few(4)
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


@pytest.mark.few(3)
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


@pytest.mark.slow
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


def test_a_logit_of_minus_infinity_is_a_class_without_a_share():
    logits, labels, where = jnp.where(MASK, LOGITS, -jnp.inf), jnp.asarray(LABELS), jnp.asarray(MASK)
    rows = slice(0, 4)  # the labels of the first, third and fourth take part
    expected = optax.safe_softmax_cross_entropy(logits[rows], labels[rows])
    found = losses.cross_entropy(logits[rows], labels[rows])
    np.testing.assert_allclose(found[jnp.isfinite(expected)], expected[jnp.isfinite(expected)], rtol=1e-6)
    assert (found[~jnp.isfinite(expected)] > 1e37).all()
    masked = losses.cross_entropy(logits[rows], labels[rows], where=where[rows])
    np.testing.assert_allclose(found[jnp.isfinite(expected)], masked[jnp.isfinite(expected)], rtol=1e-6)
    gradient = jax.grad(lambda z: losses.cross_entropy(z, labels).sum())(logits)
    assert np.isfinite(gradient).all()
    assert not gradient[~where].any()


@pytest.mark.few(6)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@every_loss
def test_half_precision_logits_are_computed_in_float32(loss: LossFunction, dtype: jnp.dtype):
    logits = jnp.asarray(LOGITS, dtype)
    value = loss(logits, jnp.asarray(LABELS, dtype))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, loss(logits.astype(jnp.float32), LABELS), rtol=1e-6)
    assert jax.grad(lambda logits: loss(logits, LABELS).sum())(logits).dtype == dtype


# LABELS AND ERRORS


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


# NAMES


def test_a_name_is_one_of_the_zoo_a_file_or_an_expression(tmp_path: Path):
    losses.baikal_cma.save(tmp_path / "found.json")
    assert all(loss_by_name(name) == loss for name, loss in ZOO.items())
    assert loss_by_name("brier", "sigmoid") == losses.Loss(
        losses.brier.tree, losses.brier.coefficients, output="sigmoid"
    )
    assert loss_by_name(str(tmp_path / "found.json")) == losses.baikal_cma
    assert loss_by_name("x * log(y)") == losses.cross_entropy


@pytest.mark.parametrize("text", ["cross-entropy", "", "x * log(y", "log(y)", "__import__('os')"])
def test_what_names_no_loss_is_an_error_that_lists_the_known_ones(text: str):
    with pytest.raises(ValueError, match=r"Known losses are cross_entropy, baikal, .*, next_generation"):
        loss_by_name(text)


def test_a_loss_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"missing\.json"):
        loss_by_name(str(tmp_path / "missing.json"))


def test_the_taylor_loss_has_its_centre_in_the_coefficients_of_its_integers():
    loss = losses.taylor_mnist
    centre = {
        factor
        for node, factor in zip(loss.tree.nodes(), loss.coefficients, strict=True)
        if isinstance(node.symbol, int)
    }
    assert centre == {-10.9408, 7.5216}
    assert loss.tree == parsing.parse(str(loss.tree))


def test_the_old_name_of_loss_by_name_works_and_names_the_new_one():
    with pytest.warns(DeprecationWarning, match="loss_by_name"):
        assert losses.named is loss_by_name
    with pytest.raises(AttributeError, match="no attribute 'names'"):
        losses.names  # noqa: B018


# OUTPUTS

FUNCTIONS = [name for name, loss in ZOO.items() if not isinstance(loss, losses.Loss)]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("output", ["sigmoid", "identity"])
def test_a_function_of_softmax_is_no_loss_of_another_output(name: str, output: str) -> None:
    with pytest.raises(
        ValueError, match=rf"{name} is a loss of softmax outputs, not of '{output}'; cross_entropy, .* are"
    ):
        loss_by_name(name, output)
    assert loss_by_name(name) is loss_by_name(name, jax.nn.softmax) is ZOO[name]


def test_the_output_that_a_loss_is_made_for_is_known() -> None:
    assert set(FUNCTIONS) == {"generalized_cross_entropy", "label_smoothed_cross_entropy", "next_generation"}
    for name in FUNCTIONS:
        assert losses.output_of(ZOO[name]) == "softmax"
    assert losses.output_of(jax.jit(functools.partial(losses.generalized_cross_entropy, q=0.3))) == "softmax"
    assert losses.output_of(functools.partial(jax.jit(losses.next_generation), axis=0)) == "softmax"
    assert losses.output_of(losses.baikal) == "softmax"
    assert losses.output_of(losses.Loss("x * y", output="sigmoid")) == "sigmoid"
    assert losses.output_of(losses.Loss("x * y", output=jax.nn.softplus)) is jax.nn.softplus
    for other in (optax.softmax_cross_entropy, lambda z, x: losses.next_generation(z, x)):
        assert losses.output_of(other) is None
