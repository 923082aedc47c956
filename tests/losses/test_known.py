"""The known losses that fit an output, against optax, the zoo, and their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax import losses
from glojax.losses.known import KnownLoss, known_losses

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(scale=2, size=(7, 5)).astype(np.float32)
LABELS = np.eye(5, dtype=np.float32)[[0, 1, 2, 3, 4, 0, 2]]
BINARY_LOGITS = RANDOM.normal(scale=2, size=(7, 1)).astype(np.float32)
BINARY = np.array([[0], [1], [1], [0], [1], [0], [0]], np.float32)


def found(known: list[KnownLoss], label: str) -> KnownLoss:
    (one,) = [one for one in known if one.label == label]
    return one


def assert_trains_alike(ours, theirs, logits: np.ndarray, labels: np.ndarray, factor: float = 1.0) -> None:
    """Both losses have the same gradient, up to a factor."""
    mine = jax.grad(lambda z: jnp.sum(ours(z, labels)))(jnp.asarray(logits))
    other = jax.grad(lambda z: jnp.sum(theirs(z, labels)))(jnp.asarray(logits))
    np.testing.assert_allclose(mine, factor * other, rtol=2e-4, atol=1e-5)


def true_class(logits: jax.Array, labels: np.ndarray) -> jax.Array:
    return jnp.sum(jax.nn.softmax(logits) * labels, -1)


@pytest.mark.parametrize("output", ["softmax", "sigmoid", "identity", jax.nn.softplus])
def test_every_label_is_there_once_and_every_loss_is_of_the_output(output):
    known = known_losses(output, 5)
    labels = [one.label for one in known]
    assert len(set(labels)) == len(labels) >= 12
    for one in known:
        of_it = losses.output_of(one.loss)
        assert of_it == output or (callable(output) and of_it in (output, "identity"))


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("label", "theirs", "factor"),
    [
        ("cross-entropy", optax.softmax_cross_entropy, 1),
        ("label smoothing, smoothing 0.1", losses.label_smoothed_cross_entropy, 1),
        ("label smoothing, smoothing 0.4", lambda z, t: optax.softmax_cross_entropy(z, 0.6 * t + 0.08), 1),
        ("focal, gamma 1", lambda z, t: -(1 - true_class(z, t)) * jnp.log(true_class(z, t)), 1),
        ("focal, gamma 2", losses.focal, 1),
        ("focal, gamma 4", lambda z, t: -((1 - true_class(z, t)) ** 4) * jnp.log(true_class(z, t)), 1),
        ("PolyLoss, epsilon 2", lambda z, t: optax.losses.poly_loss_cross_entropy(z, t, epsilon=2.0), 1),
        ("PolyLoss, epsilon 4", lambda z, t: optax.losses.poly_loss_cross_entropy(z, t, epsilon=4.0), 1),
        ("symmetric cross-entropy, reverse part 40 times", losses.symmetric_cross_entropy, 10),
        *(
            (f"generalized cross-entropy, q {q:g}", lambda z, t, q=q: losses.generalized_cross_entropy(z, t, q=q), q)
            for q in (0.25, 0.5, 0.75, 1.0)
        ),
        ("Brier", losses.brier, 1),
        ("Baikal", losses.baikal, 1),
        ("BaikalCMA", losses.baikal_cma, 1),
        ("Taylor (MNIST)", losses.taylor_mnist, 1),
        ("next-generation", losses.next_generation, 1),
    ],
)
def test_a_known_loss_of_classes_is_that_of_its_name(label, theirs, factor):
    assert_trains_alike(found(known_losses("softmax", 5), label).loss, theirs, LOGITS, LABELS, factor)


def two_sided(term):
    """A loss of the probability of the true class, of a single logit."""
    return lambda z, t: jnp.sum(t * term(jax.nn.sigmoid(z)) + (1 - t) * term(jax.nn.sigmoid(-z)), -1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "theirs", "factor"),
    [
        ("cross-entropy", optax.sigmoid_binary_cross_entropy, 1),
        ("label smoothing, smoothing 0.2", lambda z, t: optax.sigmoid_binary_cross_entropy(z, 0.8 * t + 0.1), 1),
        ("focal, gamma 1", lambda z, t: optax.sigmoid_focal_loss(z, t, gamma=1.0), 1),
        ("focal, gamma 2", lambda z, t: optax.sigmoid_focal_loss(z, t, gamma=2.0), 1),
        ("focal, gamma 4", lambda z, t: optax.sigmoid_focal_loss(z, t, gamma=4.0), 1),
        ("PolyLoss, epsilon 2", two_sided(lambda p: -jnp.log(p) + 2 * (1 - p)), 1),
        ("symmetric cross-entropy, reverse part 10 times", two_sided(lambda p: -jnp.log(p) + 10 * (1 - p)), 1),
        ("generalized cross-entropy, q 0.25", two_sided(lambda p: (1 - p**0.25) / 0.25), 0.25),
        ("generalized cross-entropy, q 0.75", two_sided(lambda p: (1 - p**0.75) / 0.75), 0.75),
        ("Brier", lambda z, t: jnp.sum((jax.nn.sigmoid(z) - t) ** 2, -1), 1),
        ("Baikal", lambda z, t: losses.baikal(jnp.concatenate([0 * z, z], 1), jnp.concatenate([1 - t, t], 1)), 1),
        ("weighted cross-entropy, ones 5 times",
         lambda z, t: (1 + 4 * t) * optax.sigmoid_binary_cross_entropy(z, t), 1),
    ],
)  # fmt: skip
def test_a_known_loss_of_two_classes_is_that_of_its_name(label, theirs, factor):
    assert_trains_alike(found(known_losses("sigmoid"), label).loss, theirs, BINARY_LOGITS, BINARY, factor)


def test_known_losses_of_numbers_have_the_unit_of_the_targets_and_a_value_for_each_output():
    outputs, targets = 10 * LOGITS, 20 * LABELS
    gaps = outputs - targets
    known = known_losses("identity", spread=10.0)
    values = {one.label: np.asarray(one.loss(outputs, targets)) for one in known}
    np.testing.assert_allclose(values["squared error"], np.sum(gaps**2, 1), rtol=1e-5)
    np.testing.assert_allclose(values["absolute error"], np.abs(gaps), rtol=1e-5)
    small = np.minimum(np.abs(gaps), 3)
    np.testing.assert_allclose(values["Huber, delta 0.3 spreads"], small * (np.abs(gaps) - small / 2), rtol=1e-5)
    np.testing.assert_allclose(values["log-cosh, scale 1 spreads"], 100 * np.log(np.cosh(gaps / 10)), rtol=1e-4)
    np.testing.assert_allclose(
        values["quantile, share 0.9"], np.where(gaps <= 0, 0.9 * -gaps, 0.1 * gaps), rtol=1e-5, atol=1e-6
    )


def test_known_losses_of_a_function_take_predictions_by_it():
    outputs, targets = jnp.asarray(LOGITS), np.abs(LOGITS).astype(np.float32)
    known = known_losses(jax.nn.softplus)
    value = found(known, "absolute error").loss(outputs, targets)
    np.testing.assert_allclose(value, np.abs(targets - np.log1p(np.exp(LOGITS))), rtol=1e-5, atol=1e-6)
