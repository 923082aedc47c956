"""Metrics against scikit-learn, and with unknown labels against the known ones alone."""

import itertools
import pickle
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics as reference

from glojax.tasks import metrics

RANDOM = np.random.default_rng(0)
OUTPUTS = np.round(RANDOM.normal(size=(200, 3)), 1).astype(np.float32)  # with ties
LABELS = (RANDOM.random((200, 3)) < 0.3).astype(np.float32)
TARGETS = (OUTPUTS + RANDOM.normal(size=OUTPUTS.shape)).astype(np.float32)
CLASSES = RANDOM.integers(3, size=200)
OF_BOTH = ("f1", "auc", "balanced_accuracy", "average_precision", "log_loss", "brier", "calibration_error")
BINARY = ("binary_accuracy", *OF_BOTH)
OF_NUMBERS = ("r2", "rmse", "mae")
NUMBERS = (*BINARY, *OF_NUMBERS)


def expected_of(name: str, outputs: np.ndarray, labels: np.ndarray) -> float:
    """The metric of one output, by NumPy in float64 and scikit-learn."""
    outputs, labels = np.asarray(outputs, float).ravel(), np.asarray(labels, float).ravel()
    known = ~np.isnan(labels)
    outputs, labels = outputs[known], labels[known]
    chosen, probabilities = outputs > 0, expit(outputs)
    computed = {
        "binary_accuracy": lambda: reference.accuracy_score(labels, chosen),
        "f1": lambda: reference.f1_score(labels, chosen, zero_division=0),
        "auc": lambda: reference.roc_auc_score(labels, outputs),
        "balanced_accuracy": lambda: reference.balanced_accuracy_score(labels, chosen),
        "average_precision": lambda: reference.average_precision_score(labels, outputs),
        "log_loss": lambda: reference.log_loss(labels, probabilities),
        "brier": lambda: reference.brier_score_loss(labels, probabilities),
        "calibration_error": lambda: calibration_of(
            np.maximum(probabilities, 1 - probabilities), chosen == (labels > 0.5)
        ),
        "r2": lambda: max(reference.r2_score(labels, outputs), 0),
        "rmse": lambda: reference.root_mean_squared_error(labels, outputs),
        "mae": lambda: reference.mean_absolute_error(labels, outputs),
    }
    return float(computed[name]())


def calibration_of(confidence: np.ndarray, right: np.ndarray) -> float:
    """Equation 3 of Guo et al., arXiv 1706.04599, bin by bin."""
    edges, error = np.linspace(0, 1, 16), 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def drawn(name: str, examples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and labels ``[examples, 1]`` that have to do with each other, with ties."""
    random = np.random.default_rng(seed)
    labels = (random.random((examples, 1)) < 0.3) if name in BINARY else random.normal(size=(examples, 1)) + 100
    outputs = labels + (random.normal(size=labels.shape) - 0.5 if name in BINARY else labels % 0.7)
    return np.round(outputs, 2).astype(np.float32), labels.astype(np.float32)


# VALUES


@pytest.mark.slow
def test_binary_metrics_are_those_of_scikit_learn() -> None:
    chosen = OUTPUTS > 0
    assert metrics.binary_accuracy(OUTPUTS, LABELS) == pytest.approx(np.mean(chosen == (LABELS == 1)))
    assert metrics.f1(OUTPUTS, LABELS) == pytest.approx(reference.f1_score(LABELS, chosen, average="macro"), rel=1e-5)
    assert metrics.auc(OUTPUTS, LABELS) == pytest.approx(reference.roc_auc_score(LABELS, OUTPUTS), rel=1e-5)


def test_metrics_of_targets_are_those_of_scikit_learn() -> None:
    assert metrics.r2(OUTPUTS, TARGETS) == pytest.approx(
        np.maximum(reference.r2_score(TARGETS, OUTPUTS, multioutput="raw_values"), 0).mean(), rel=1e-4
    )
    assert metrics.rmse(OUTPUTS, TARGETS) == pytest.approx(
        reference.root_mean_squared_error(TARGETS.ravel(), OUTPUTS.ravel()), rel=1e-5
    )
    assert metrics.r2(-OUTPUTS, TARGETS) == 0  # worse than the mean


def test_accuracy_is_the_share_of_largest_outputs() -> None:
    assert metrics.accuracy(OUTPUTS, CLASSES) == pytest.approx(
        reference.accuracy_score(CLASSES, OUTPUTS.argmax(axis=1))
    )


def test_accuracy_is_the_share_of_right_answers() -> None:
    logits = jnp.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [5.0, 4.0]])
    assert float(metrics.accuracy(logits, jnp.array([1, 0, 0, 0]))) == 0.75


@pytest.mark.few(1)
@pytest.mark.parametrize("name", NUMBERS)
def test_unknown_labels_take_no_part(name: str) -> None:
    labels = (TARGETS if name in OF_NUMBERS else LABELS)[:, :1]
    hidden = np.where(np.arange(200)[:, None] % 3 == 0, np.nan, labels)
    known = np.arange(200) % 3 != 0
    metric = metrics.METRICS[name]
    expected = metric(jnp.asarray(OUTPUTS[known, :1]), jnp.asarray(labels[known]))
    assert metric(jnp.asarray(OUTPUTS[:, :1]), jnp.asarray(hidden)) == pytest.approx(float(expected), rel=1e-5)
    assert metric(jnp.asarray(OUTPUTS[:, :1]), jnp.asarray(labels)) != pytest.approx(float(expected), rel=1e-5)


@pytest.mark.few(2)
@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_of_unknown_labels_may_be_anything(name: str, value: float) -> None:
    outputs, labels = drawn(name, 60)
    labels[::4] = np.nan
    outputs[3] = np.inf if name in BINARY else outputs[3]  # an output that an unknown one may tie with
    expected = metrics.METRICS[name](jnp.asarray(outputs), jnp.asarray(labels))
    outputs[::4] = value
    for given in (outputs, jnp.asarray(outputs)):
        assert metrics.METRICS[name](given, labels) == pytest.approx(float(expected), rel=1e-5)


# SIZES


@pytest.mark.few(8)
@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "examples", [10, 1000, 300_000, pytest.param(3_000_000, marks=pytest.mark.slow)], ids=lambda count: f"{count:,}"
)
def test_a_metric_is_right_for_few_examples_and_for_millions(name: str, examples: int) -> None:
    outputs, labels = drawn(name, examples)
    found = jax.jit(metrics.METRICS[name])(jnp.asarray(outputs), jnp.asarray(labels))
    assert float(found) == pytest.approx(expected_of(name, outputs, labels), rel=2e-6)


@pytest.mark.parametrize("examples", [10, 300_000, pytest.param(20_000_000, marks=pytest.mark.slow)])
def test_accuracy_counts_every_example(examples: int) -> None:
    labels = np.arange(examples, dtype=np.int32) % 3
    right = np.arange(examples) % 7 != 0
    outputs = jax.nn.one_hot(np.where(right, labels, (labels + 1) % 3), 3, dtype=jnp.float16)
    found = jax.jit(metrics.accuracy)(outputs, labels)
    assert float(found) == pytest.approx(int(right.sum()) / examples, rel=1e-7)


@pytest.mark.few(2)
@pytest.mark.parametrize("name", BINARY)
def test_rare_labels_among_many_are_counted(name: str) -> None:
    outputs, labels = drawn(name, 200_000)
    labels[:] = 0
    labels[[5, 70_000, 199_999]] = 1
    assert float(metrics.METRICS[name](outputs, labels)) == pytest.approx(expected_of(name, outputs, labels), rel=1e-6)


@pytest.mark.slow
def test_auc_of_outputs_that_are_all_alike_is_one_half() -> None:
    labels = (np.arange(150_000) % 2).astype(np.float32)[:, None]
    assert float(metrics.auc(jnp.zeros((150_000, 1)), labels)) == 0.5
    assert float(metrics.auc(jnp.asarray(labels), labels)) == 1
    assert float(metrics.auc(-jnp.asarray(labels), labels)) == 0
    signs = np.where(labels > 0, 0.0, -0.0)  # two zeros, which are equal
    assert float(metrics.auc(jnp.asarray(signs), labels)) == 0.5


@pytest.mark.parametrize("name", OF_NUMBERS)
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6, -1e6])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_targets_far_from_0_keep_their_digits(name: str, offset: float, scale: float) -> None:
    random = np.random.default_rng(3)
    labels = (offset + scale * random.normal(size=(5000, 1))).astype(np.float32)
    outputs = (labels + 0.5 * scale * random.normal(size=labels.shape)).astype(np.float32)
    if scale < 1 and abs(offset) == 1e6:
        return  # float32 has no such numbers
    found = jax.jit(metrics.METRICS[name])(outputs, labels)
    assert float(found) == pytest.approx(expected_of(name, outputs, labels), rel=2e-6)


@pytest.mark.parametrize("name", OF_NUMBERS)
@pytest.mark.parametrize("scale", [1e-36, 1e-25, 1e25, 1e37])
def test_squares_neither_overflow_nor_vanish(name: str, scale: float) -> None:
    outputs, labels = ((scale * part).astype(np.float32) for part in (TARGETS[:, :1] + 0.3, TARGETS[:, :1]))
    for given in (outputs, jnp.asarray(outputs)):
        assert float(metrics.METRICS[name](given, jnp.asarray(labels))) == pytest.approx(
            expected_of(name, outputs, labels), rel=1e-5
        )


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["r2", "rmse", "mae", "auc", "average_precision"])
def test_arrays_of_numpy_keep_the_digits_of_float64(name: str) -> None:
    random = np.random.default_rng(4)
    labels = random.normal(size=400) if name in OF_NUMBERS else (random.random(400) < 0.5).astype(float)
    outputs = labels + random.normal(size=400)
    expected = expected_of(name, outputs, labels)
    if name not in OF_NUMBERS:
        outputs = 1 + 1e-9 * outputs  # one number in float32
    else:
        outputs, labels = 1e9 + outputs, 1e9 + labels
    assert float(metrics.METRICS[name](outputs, labels)) == pytest.approx(expected, rel=1e-5)


# WHAT THEY ARE GIVEN


@pytest.mark.few(10)
@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("shapes", [(1, 1), (1, 2), (2, 1), (2, 2)], ids=str)
@pytest.mark.parametrize("make", [np.asarray, jnp.asarray, list, np.float64], ids=["numpy", "jax", "list", "float64"])
def test_one_output_may_have_one_axis_or_two(name: str, shapes: tuple[int, int], make: Any) -> None:
    given = [part[:, 0] if axes == 1 else part for part, axes in zip(drawn(name, 50), shapes, strict=True)]
    assert float(metrics.METRICS[name](make(given[0]), make(given[1]))) == pytest.approx(
        expected_of(name, *given), rel=1e-5
    )


@pytest.mark.few(4)
@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int32, np.float16, jnp.bfloat16])
def test_binary_labels_may_be_of_any_type(name: str, dtype: Any) -> None:
    outputs, labels = drawn(name, 80)
    expected = expected_of(name, outputs, labels)
    for given in (labels.astype(dtype), jnp.asarray(labels, dtype)):
        assert float(metrics.METRICS[name](outputs, given)) == pytest.approx(expected, rel=1e-5)


ONE_HOT = np.eye(3)[CLASSES]
SOFT = 0.6 * ONE_HOT + 0.4 / 3


@pytest.mark.parametrize(
    "labels",
    [
        CLASSES[:, None], CLASSES.astype(float), CLASSES.astype(np.uint8), CLASSES.astype(np.int64), CLASSES.tolist(),
        jnp.asarray(CLASSES), ONE_HOT, ONE_HOT.astype(int), ONE_HOT.astype(bool), SOFT, jnp.asarray(SOFT),
    ],
    ids=["column", "float", "uint8", "int64", "list", "jax", "one-hot", "integers", "bools", "soft", "soft of jax"],
)  # fmt: skip
def test_accuracy_takes_classes_in_every_form(labels: Any) -> None:
    expected = reference.accuracy_score(CLASSES, OUTPUTS.argmax(axis=1))
    assert float(metrics.accuracy(OUTPUTS, labels)) == pytest.approx(expected)


@pytest.mark.parametrize("unknown", [-1, 3, 255, -100])
def test_a_label_that_is_no_class_does_not_count(unknown: int) -> None:
    labels = np.where(np.arange(200) % 4 == 0, unknown, CLASSES)
    known = np.arange(200) % 4 != 0
    expected = reference.accuracy_score(CLASSES[known], OUTPUTS.argmax(axis=1)[known])
    assert float(metrics.accuracy(OUTPUTS, labels)) == pytest.approx(expected)
    assert float(metrics.accuracy(OUTPUTS, np.where(known, CLASSES, np.nan))) == pytest.approx(expected)
    soft = np.where(known[:, None], SOFT, np.nan)
    assert float(metrics.accuracy(OUTPUTS, soft)) == pytest.approx(expected)
    assert float(metrics.accuracy(OUTPUTS, np.nan_to_num(soft))) == pytest.approx(expected)


def test_accuracy_of_two_classes_takes_bools() -> None:
    labels = CLASSES > 0
    assert float(metrics.accuracy(OUTPUTS[:, :2], labels)) == pytest.approx(
        np.mean((OUTPUTS[:, 1] > OUTPUTS[:, 0]) == labels)
    )


@pytest.mark.parametrize(
    ("name", "outputs", "labels", "message"),
    [
        *(
            (name, (50, 2), (50,), r"outputs are float64\[50, 2\] and labels float64\[50\]; both")
            for name in ("binary_accuracy", *OF_NUMBERS)
        ),
        *((name, (50,), (50, 2), "both .examples, outputs. are expected") for name in NUMBERS),
        *((name, (50, 1), (1, 50), "both") for name in NUMBERS),
        *((name, (50, 1), (49, 1), "both") for name in NUMBERS),
        *((name, (5, 2, 3), (5, 2, 3), "both") for name in NUMBERS),
        *((name, (), (), "both") for name in NUMBERS),
        *((name, (0, 1), (0, 1), "both") for name in NUMBERS),
        ("binary_accuracy", (50, 2), (50,), "accuracy is for labels that are classes"),
        ("accuracy", (50, 1), (50,), r"outputs are float64\[50, 1\]; .* binary_accuracy is for one output"),
        ("accuracy", (50,), (50,), "binary_accuracy is for one output"),
        ("accuracy", (50, 3), (49,), r"labels \[50\] of classes, or \[50, 3\], are expected"),
        ("accuracy", (50, 3), (50, 2), r"labels \[50\] of classes"),
        ("accuracy", (50, 3), (1, 50), r"labels \[50\] of classes"),
        ("accuracy", (5, 2, 3), (5, 2), "two classes or more is expected"),
        ("accuracy", (0, 3), (0,), "two classes or more is expected"),
    ],
)
def test_other_shapes_are_refused(name: str, outputs: Any, labels: Any, message: str) -> None:
    given = np.zeros(outputs), np.zeros(labels)
    with pytest.raises(ValueError, match=f"^{name}: .*{message}"):
        metrics.METRICS[name](*given)
    with pytest.raises(ValueError, match=f"^{name}: "):
        jax.jit(metrics.METRICS[name])(*given)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([-1, 1, 1], r"labels hold -1; .*\(labels \+ 1\) / 2 makes them of -1 and 1"),
        ([1, 2, 1], "labels hold 2; .*labels - 1"),
        ([0, 1, 2], "labels hold 2; 0 and 1 are allowed"),
        (["a", "b", "a"], r"labels are <U1\[3\]; real numbers"),
        ([0, 1j, 1], r"labels are complex128\[3\]; real numbers"),
        ([0, None, 1], r"labels are object\[3\]; real numbers"),
    ],
)
def test_labels_that_are_not_0_and_1_are_refused(name: str, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        metrics.METRICS[name]([0.0, 1.0, 2.0], labels)


def test_labels_that_are_no_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"accuracy: labels hold 0\.5; classes are whole numbers"):
        metrics.accuracy(OUTPUTS, CLASSES + 0.5)
    with pytest.raises(ValueError, match=r"accuracy: labels are <U\d+\[200\]; real numbers"):
        metrics.accuracy(OUTPUTS, CLASSES.astype(str))


# NOTHING TO TELL


@pytest.mark.slow
def test_auc_of_one_class_is_nan_as_in_scikit_learn() -> None:
    for labels in (np.zeros(20), np.ones(20), np.where(np.arange(20) % 2, np.nan, 1)):
        assert np.isnan(metrics.auc(OUTPUTS[:20, 0], labels))
    several = LABELS[:20].copy()
    several[:, 1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(reference.roc_auc_score(several, OUTPUTS[:20]))
    assert np.isnan(metrics.auc(OUTPUTS[:20], several))


def test_f1_of_an_output_without_positives_is_0_as_in_scikit_learn() -> None:
    several = LABELS.copy()
    several[:, 1] = 0
    expected = reference.f1_score(several, OUTPUTS > 0, average="macro", zero_division=0)
    assert float(metrics.f1(OUTPUTS, several)) == pytest.approx(expected, rel=1e-6)
    assert float(metrics.f1(OUTPUTS[:, 0], np.zeros(200))) == 0
    assert float(metrics.f1(-np.ones(200), np.zeros(200))) == 0


@pytest.mark.parametrize("value", [0.0, 0.1, 3.7, 1e6, -1e-30])
def test_r2_of_targets_that_are_all_alike_is_1_or_0_as_in_scikit_learn(value: float) -> None:
    labels = np.full(200, value, np.float32)
    for outputs, expected in ((labels, 1), (labels + 1, 0), (np.where(np.arange(200) == 7, labels + 1, labels), 0)):
        assert float(jax.jit(metrics.r2)(outputs, labels)) == expected
        assert float(metrics.r2(outputs, labels)) == expected
    assert (reference.r2_score(np.ones(3), np.ones(3)), reference.r2_score(np.ones(3), np.zeros(3))) == (1, 0)
    assert np.isnan(metrics.r2([1.0], [1.0]))  # of one example, as there


@pytest.mark.slow
@pytest.mark.parametrize("name", ["accuracy", *NUMBERS])
def test_a_metric_of_nothing_known_and_of_nan_is_nan(name: str) -> None:
    metric = metrics.METRICS[name]
    columns = 3 if name == "accuracy" else 1
    labels = np.arange(200) % 2 * 1.0
    assert np.isnan(metric(jnp.asarray(OUTPUTS[:, :columns]), jnp.full(200, np.nan)))
    assert np.isnan(metric(OUTPUTS[:, :columns], np.full(200, np.nan)))
    broken = OUTPUTS[:, :columns].copy()
    broken[3, 0] = np.nan
    assert np.isnan(metric(broken, labels))
    assert np.isnan(jax.jit(metric)(broken, labels))


def test_infinite_outputs_are_as_wrong_as_can_be() -> None:
    outputs = TARGETS[:, :1].copy()
    outputs[0] = np.inf
    assert float(metrics.r2(jnp.asarray(outputs), jnp.asarray(TARGETS[:, :1]))) == 0
    assert float(metrics.rmse(jnp.asarray(outputs), jnp.asarray(TARGETS[:, :1]))) == np.inf
    assert float(metrics.auc([np.inf, 1.0, -np.inf], [1, 1, 0])) == 1
    assert float(metrics.accuracy([[0.0, -np.inf], [-np.inf, 0.0]], [0, 1])) == 1


@pytest.mark.few(2)
@pytest.mark.parametrize("name", NUMBERS)
def test_a_metric_is_mapped_over_candidates(name: str) -> None:
    outputs, labels = drawn(name, 70)
    several = jnp.stack([jnp.asarray(outputs), -jnp.asarray(outputs) + 7])
    found = jax.jit(jax.vmap(metrics.METRICS[name], in_axes=(0, None)))(several, jnp.asarray(labels))
    np.testing.assert_allclose(found, [expected_of(name, one, labels) for one in several], rtol=1e-5)


@pytest.mark.few(3)
@pytest.mark.parametrize("name", NUMBERS)
def test_a_user_s_settings_of_jax_change_nothing(name: str) -> None:
    outputs, labels = drawn(name, 300)
    expected = expected_of(name, outputs, labels)
    with jax.enable_x64(True), jax.numpy_rank_promotion("raise"), jax.debug_nans(True):
        for dtype in (np.float32, np.float64):
            found = jax.jit(metrics.METRICS[name])(jnp.asarray(outputs, dtype), jnp.asarray(labels, dtype))
            assert float(found) == pytest.approx(expected, rel=1e-5)


# SCORES


def test_scores_are_turned_back_into_the_error_that_they_stand_for() -> None:
    np.testing.assert_allclose(metrics.from_scores(np.array([1, 0.5, 0.2, 0]), True), [0, 1, 4, np.inf])
    np.testing.assert_array_equal(metrics.from_scores(np.array([1, 0.5, 0]), False), [1, 0.5, 0])


# NAMES


@pytest.mark.parametrize("name", [*metrics.METRICS, "f1:0", "f1:12", "quantile:0.9", "quantile:0.05", "quantile:1e-05"])
def test_a_metric_is_found_by_its_name_and_has_it(name: str) -> None:
    metric = metrics.metric_by_name("Task.metric", name)
    assert metrics.name_of(metric) == name
    assert metric.__name__ == name
    again = metrics.metric_by_name("Task.metric", name)
    assert again == metric
    assert hash(again) == hash(metric)
    assert pickle.loads(pickle.dumps(metric)) == metric
    assert metrics.metric_by_name("Task.metric", metric) is metric


@pytest.mark.parametrize(
    "name",
    [
        "f2", "f1:", "f1:-1", "f1:1.5", "f1:x", "f1: 1", "f1:1_0", "f1:9999999999", "f1:\u0663", "auc:1",
        3, None, ["auc"],
        "quantile:", "quantile:0", "quantile:1", "quantile:nan", "quantile:-0.5", "quantile:1e5", "quantile:2",
        "quantile:0." + 30 * "1",
    ],
)  # fmt: skip
def test_another_name_is_refused_with_those_that_are(name: Any) -> None:
    with pytest.raises(ValueError, match=r"Task.metric is .*; accuracy, .*, f1:CLASS such as f1:3, quantile:SHARE"):
        metrics.metric_by_name("Task.metric", name)


def test_metrics_that_are_made_are_those_of_their_names() -> None:
    assert metrics.metric_by_name("Task.metric", "f1:3") == metrics.f1_of_class(3)
    assert metrics.metric_by_name("Task.metric", "quantile:.90") == metrics.quantile_loss(0.9)
    assert metrics.f1_of_class(3) != metrics.f1_of_class(2)


def test_errors_are_known_as_such() -> None:
    errors = {name for name, metric in metrics.METRICS.items() if metrics.is_error(metric)}
    assert errors == {"log_loss", "perplexity", "brier", "calibration_error", "rmse", "mae"}
    assert metrics.is_error(metrics.quantile_loss(0.9))
    assert metrics.is_error(metrics.bound(metrics.brier, True))
    assert not metrics.is_error(metrics.f1_of_class(1))
    assert not metrics.is_error(lambda outputs, labels: 0)


def test_every_metric_is_for_some_labels() -> None:
    for name, metric in metrics.METRICS.items():
        taken = metrics.taken_labels(metric)
        assert taken, name
        assert all(name in metrics.names(labels) for labels in taken)
    assert metrics.taken_labels(metrics.f1_of_class(1)) == {"classes", "labels 0 and 1"}
    assert metrics.taken_labels(metrics.quantile_loss(0.1)) == {"numbers"}
    assert metrics.taken_labels(lambda outputs, labels: 0) == set()


@pytest.mark.slow
def test_a_metric_of_both_kinds_is_told_what_labels_are() -> None:
    for name in OF_BOTH:
        metric = metrics.METRICS[name]
        of_classes, of_outputs = metrics.bound(metric, True), metrics.bound(metric, False)
        assert of_classes != of_outputs
        assert of_classes == metrics.bound(of_outputs, True)
        assert metrics.name_of(of_classes) == name == of_classes.__name__
        assert metrics.unbound(of_classes) is metric
        rows = np.eye(3, dtype=np.float32)[CLASSES]
        assert float(of_classes(OUTPUTS, rows)) == pytest.approx(float(metric(OUTPUTS, CLASSES)), rel=1e-6)
        expected = np.mean([expected_of(name, OUTPUTS[:, place], rows[:, place]) for place in range(3)])
        assert float(of_outputs(OUTPUTS, rows)) == pytest.approx(expected, rel=1e-5)
    for metric in (metrics.accuracy, metrics.binary_accuracy, metrics.rmse, metrics.quantile_loss(0.5), max):
        assert metrics.bound(metric, True) is metric
    for metric in (metrics.f1_of_class(1), metrics.auc):
        assert pickle.loads(pickle.dumps(metrics.bound(metric, True))) == metrics.bound(metric, True)


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("accuracy", (0, 1)),
        ("f1:3", (0, 1)),
        ("iou", (0, 1)),
        ("balanced accuracy", (0, 1)),  # as reports have it
        ("brier", (0, 2)),
        ("perplexity", (1, np.inf)),
        ("r2", (-np.inf, 1)),
        ("quantile:0.9", (0, np.inf)),
        ("a_metric_of_my_own", (-np.inf, np.inf)),
    ],
)
def test_bounds_are_known_by_name(name: str, bounds: tuple[float, float]) -> None:
    assert metrics.bounds_of(name) == bounds
