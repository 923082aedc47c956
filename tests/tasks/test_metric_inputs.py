"""What metrics are given: which labels are classes, and log-odds against numbers of more digits."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glojax.tasks import metric_inputs as inputs
from glojax.tasks import metrics

RANDOM = np.random.default_rng(0)
OUTPUTS = RANDOM.normal(size=(40, 3)).astype(np.float32)
CLASSES = RANDOM.integers(3, size=40)
ONE_HOT = np.eye(3, dtype=np.float32)[CLASSES]
SOFT = 0.7 * ONE_HOT + 0.1
MANY = np.ones((40, 3), np.float32)

ASKED = (
    metrics.balanced_accuracy,
    metrics.average_precision,
    metrics.log_loss,
    metrics.brier,
    metrics.calibration_error,
)
USUALLY_BINARY = (metrics.f1, metrics.auc, metrics.f1_of_class(1))


# CLASSES OR SEVERAL OUTPUTS


@pytest.mark.few(1)
@pytest.mark.parametrize("metric", ASKED, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("labels", [ONE_HOT, SOFT, MANY], ids=["one-hot", "soft", "several outputs"])
def test_rows_that_may_be_classes_or_outputs_are_refused_until_one_says_which(metric: Any, labels: Any) -> None:
    for call in (metric, jax.jit(metric)):
        with pytest.raises(
            ValueError, match=rf"{metric.__name__}: labels float32\[40, 3\] may be .* classes=True .* cl"
        ):
            call(OUTPUTS, labels)
    assert np.isfinite(metric(OUTPUTS, labels, classes=False))
    assert np.isfinite(metric(OUTPUTS, CLASSES))


@pytest.mark.few(1)
@pytest.mark.parametrize("metric", USUALLY_BINARY, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("labels", [ONE_HOT, SOFT], ids=["one-hot", "soft"])
def test_rows_that_all_sum_to_1_are_no_outputs_without_a_word(metric: Any, labels: Any) -> None:
    for given in (labels, jnp.asarray(labels), np.where(np.arange(40)[:, None] % 4 == 0, np.nan, labels)):
        with pytest.raises(ValueError, match=r"may be one-hot or soft rows of classes, or labels 0 and 1 of several"):
            metric(OUTPUTS, given)
    assert float(metric(OUTPUTS, labels, classes=True)) == pytest.approx(float(metric(OUTPUTS, CLASSES)))
    assert float(metric(OUTPUTS, labels, classes=False)) == pytest.approx(float(jax.jit(metric)(OUTPUTS, labels)))
    assert np.isfinite(metric(OUTPUTS[:9], np.eye(3)[np.arange(9) % 3]))  # few examples may each have one positive
    assert np.isfinite(metric(OUTPUTS, (OUTPUTS > 0.1).astype(float)))


@pytest.mark.slow
@pytest.mark.parametrize("metric", [*ASKED, *USUALLY_BINARY], ids=lambda metric: metric.__name__)
def test_labels_of_classes_are_known_by_their_shape(metric: Any) -> None:
    expected = float(metric(OUTPUTS, CLASSES, classes=True))
    for labels in (CLASSES, CLASSES[:, None], CLASSES.astype(float), CLASSES.tolist(), jnp.asarray(CLASSES)):
        assert float(metric(OUTPUTS, labels)) == pytest.approx(expected, rel=1e-6)
        assert float(jax.jit(metric)(OUTPUTS, np.asarray(labels))) == pytest.approx(expected, rel=1e-6)
    assert float(metric(OUTPUTS, ONE_HOT, classes=True)) == pytest.approx(expected, rel=1e-6)
    for mapped in (jax.vmap(metric, in_axes=(0, None)), jax.jit(jax.vmap(metric, in_axes=(0, None)))):
        found = mapped(jnp.stack([OUTPUTS, -OUTPUTS]), jnp.asarray(CLASSES))
        np.testing.assert_allclose(found, [expected, metric(-OUTPUTS, CLASSES)], rtol=1e-5)


@pytest.mark.few(6)
@pytest.mark.parametrize("metric", [*ASKED, *USUALLY_BINARY, metrics.accuracy], ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("form", ["integers", "column", "soft"])
def test_a_compiled_function_may_hold_the_labels(metric: Any, form: str) -> None:
    labels = {"integers": CLASSES, "column": CLASSES[:, None], "soft": SOFT}[form]
    held = jnp.asarray(labels)
    asked = {"classes": True} if metric is not metrics.accuracy and form == "soft" else {}
    found = jax.jit(lambda outputs: metric(outputs, held, **asked))(OUTPUTS)
    assert float(found) == pytest.approx(float(metric(OUTPUTS, labels, **asked)), abs=1e-6)


@pytest.mark.few(2)
@pytest.mark.parametrize("metric", [*ASKED, *USUALLY_BINARY], ids=lambda metric: metric.__name__)
def test_unknown_labels_of_classes_take_no_part(metric: Any) -> None:
    known = np.arange(40) % 4 != 0
    expected = float(metric(OUTPUTS[known], CLASSES[known]))
    hidden = OUTPUTS.copy()
    hidden[~known] = RANDOM.choice([np.nan, np.inf, -np.inf], size=hidden[~known].shape)
    for unknown in (-1, 3, 255, np.nan):
        labels = np.where(known, CLASSES, unknown)
        assert float(metric(hidden, labels)) == pytest.approx(expected, rel=1e-5)
        assert float(metric(jnp.asarray(hidden), jnp.asarray(labels))) == pytest.approx(expected, rel=1e-5)
    for rows in (np.where(known[:, None], ONE_HOT, np.nan), np.where(known[:, None], ONE_HOT, 0)):
        assert float(metric(hidden, rows, classes=True)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.few(2)
@pytest.mark.parametrize("metric", [*ASKED, *USUALLY_BINARY], ids=lambda metric: metric.__name__)
def test_nothing_known_and_nan_give_nan_for_classes(metric: Any) -> None:
    assert np.isnan(metric(OUTPUTS, np.full(40, -1)))
    assert np.isnan(jax.jit(metric)(OUTPUTS, np.full(40, np.nan)))
    assert np.isnan(metric(OUTPUTS, np.full((40, 3), np.nan), classes=True))
    broken = OUTPUTS.copy()
    broken[7, 2] = np.nan
    assert np.isnan(metric(broken, CLASSES))
    assert np.isnan(jax.jit(metric)(broken, CLASSES))


@pytest.mark.parametrize("metric", [*ASKED, *USUALLY_BINARY], ids=lambda metric: metric.__name__)
@pytest.mark.parametrize(
    ("outputs", "labels", "message"),
    [
        ((50, 1), (50,), r"outputs are float\d\d\[50, 1\]; .* of two classes or more is expected"),
        ((50,), (50,), "of two classes or more is expected"),
        ((50, 3), (49,), r"labels \[50\] of classes, or \[50, 3\], are expected"),
        ((50, 3), (50, 2), r"labels \[50\] of classes"),
        ((0, 3), (0,), "two classes or more is expected"),
    ],
)
def test_other_shapes_of_classes_are_refused(metric: Any, outputs: Any, labels: Any, message: str) -> None:
    for call in (metric, jax.jit(metric, static_argnames="classes")):
        with pytest.raises(ValueError, match=f"^{metric.__name__}: .*{message}"):
            call(np.zeros(outputs), np.zeros(labels), classes=True)


def test_labels_that_are_no_whole_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"f1: labels hold 0\.5; classes are whole numbers"):
        metrics.f1(OUTPUTS, np.where(CLASSES == 0, 0.5, CLASSES))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "classes"),
    [(CLASSES.astype(np.int32), True), (ONE_HOT, True), (SOFT, True), (ONE_HOT, False)],
    ids=["integers", "one-hot", "soft", "several outputs"],
)
def test_strict_types_and_ranks_are_borne(labels: np.ndarray, classes: bool) -> None:
    every = {metric.__name__: metric for metric in (*ASKED, *USUALLY_BINARY)}
    expected = {name: float(metric(OUTPUTS, labels, classes=classes)) for name, metric in every.items()}

    @jax.jit
    def call(outputs: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        found = {name: metric(outputs, labels, classes=classes) for name, metric in every.items()}
        return found | ({"accuracy": metrics.accuracy(outputs, labels)} if classes else {})

    for wide in (False, True):
        given = (jnp.asarray(OUTPUTS), jnp.asarray(labels))
        with jax.enable_x64(wide), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            found = {name: float(value) for name, value in call(*given).items()}
        assert np.isfinite(found.pop("accuracy", 0.0))
        assert found == {name: pytest.approx(value, rel=1e-6) for name, value in expected.items()}


# LOG-ODDS


def exact(row: np.ndarray, place: int) -> float:
    """log(p / (1 - p)) of a softmax, in the digits of long double."""
    z = row.astype(np.longdouble)
    others = np.delete(z, place)
    top = others.max()
    return float(z[place] - top - np.log(np.exp(others - top).sum()))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e3, 1e30])
def test_log_odds_have_their_digits_where_probabilities_have_none(scale: float) -> None:
    outputs = (scale * RANDOM.normal(size=(50, 4))).astype(np.float32)
    expected = [[exact(row, place) for place in range(4)] for row in outputs]
    for found in (inputs.log_odds(outputs), inputs.log_odds(jnp.asarray(outputs)), jax.jit(inputs.log_odds)(outputs)):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_log_odds_of_infinite_logits_are_finite() -> None:
    outputs = np.array([[np.inf, 0, -np.inf], [np.inf, np.inf, 0], [-np.inf, -np.inf, -np.inf], [0, 0, 0]], np.float32)
    found = np.asarray(jax.jit(inputs.log_odds)(outputs))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(jax.nn.sigmoid(found), [[1, 0, 0], [0.5, 0.5, 0], [1 / 3] * 3, [1 / 3] * 3], rtol=1e-6)
