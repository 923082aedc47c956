"""Labels in every form that people have: what a task keeps of them, and what is refused, with the line to write."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax import Kind, Task, evaluate, models, search_taylor
from glojax.discovery.tuning import TaylorConfig
from glojax.tasks import labels as labels_of
from glojax.tasks import metrics

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 4)).astype(np.float32)
CLASSES = np.argmax(X[:, :3] + 0.1 * RANDOM.normal(size=(60, 3)), axis=1)
ONE_HOT = np.eye(3)[CLASSES]
SOFT = 0.7 * ONE_HOT + 0.3 * np.roll(ONE_HOT, 1, axis=0)
BINARY = (X[:, 0] > 0).astype(int)
TARGETS = X[:, 0] - X[:, 1] ** 2


class Table:
    """What another library hands over, as pandas does: an object that NumPy makes an array of."""

    def __init__(self, values: Any):
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.values, dtype)


def made(labels: Any, kind: Any = "classification", outputs: int = 3, **changes: Any) -> Task:
    settings: dict[str, Any] = {"train": (X, labels), "validation": (X, labels), "batch_size": 20, "steps": 40}
    return Task(models.MLP((8, outputs)), **(settings | {"optimizer": optax.sgd(0.3), "kind": kind} | changes))


# WHAT A TASK KEEPS


@pytest.mark.few(4)
@pytest.mark.parametrize(
    "labels",
    [
        CLASSES, CLASSES.astype(np.uint8), CLASSES.astype(np.int64), CLASSES.astype(float), CLASSES.astype(np.float16),
        jnp.asarray(CLASSES), jnp.asarray(CLASSES, jnp.bfloat16), CLASSES[:, None], CLASSES[:, None].astype(float),
        CLASSES.tolist(), CLASSES.astype(object), Table(CLASSES), Table(CLASSES[:, None]), np.ma.array(CLASSES),
    ],
    ids=[
        "int", "uint8", "int64", "float", "float16", "jax", "bfloat16", "column", "column of floats", "list", "object",
        "table", "table of a column", "masked array",
    ],
)  # fmt: skip
def test_classes_are_kept_as_integers(labels: Any) -> None:
    task = made(labels)
    for part in task.splits.values():
        np.testing.assert_array_equal(part.labels, CLASSES)
        assert part.labels.dtype == np.int32
    assert task.fingerprint == made(CLASSES).fingerprint


@pytest.mark.parametrize("labels", [ONE_HOT, ONE_HOT.astype(int), ONE_HOT.astype(bool), SOFT, jnp.asarray(SOFT)])
def test_one_hot_and_soft_labels_are_kept_as_rows(labels: Any) -> None:
    task = made(labels)
    kept = task.splits["train"].labels
    assert (kept.dtype, kept.shape, task.classes) == (np.float32, (60, 3), 3)
    np.testing.assert_allclose(kept, labels, rtol=1e-6)
    x, weights = task.targets(jnp.asarray(kept), 3)
    np.testing.assert_array_equal(x, kept)
    assert weights is None


@pytest.mark.parametrize("output", ["sigmoid", "identity"])
@pytest.mark.parametrize(
    "labels",
    [
        BINARY, BINARY.astype(bool), BINARY.astype(float), BINARY[:, None], BINARY.tolist(), BINARY.astype(object),
        BINARY.astype(bool).tolist(), jnp.asarray(BINARY), jnp.asarray(BINARY, jnp.bfloat16), Table(BINARY),
    ],
    ids=["int", "bool", "float", "column", "list", "object", "list of bools", "jax", "bfloat16", "table"],
)  # fmt: skip
def test_numbers_are_kept_as_a_column_of_floats(output: Any, labels: Any) -> None:
    kept = made(labels, Kind(output, "binary_accuracy"), 1).splits["train"].labels
    np.testing.assert_array_equal(kept, BINARY[:, None])
    assert kept.dtype == np.float32


def test_what_is_masked_or_missing_is_unknown() -> None:
    hidden = np.arange(60) % 5 == 0
    masked = np.ma.array(BINARY, mask=hidden)
    missing = [None if gone else int(label) for gone, label in zip(hidden, BINARY, strict=True)]
    for labels in (masked, missing, np.where(hidden, np.nan, BINARY)):
        kept = made(labels, "binary", 1).splits["train"].labels
        np.testing.assert_array_equal(np.isnan(kept[:, 0]), hidden)
        np.testing.assert_array_equal(made(labels, outputs=2).splits["train"].labels, np.where(hidden, -1, BINARY))


# WHAT TRAINS ALIKE


@pytest.mark.slow
def test_one_hot_labels_train_and_score_as_their_classes() -> None:
    usual = ["x * log(y)", optax.softmax_cross_entropy]
    expected = evaluate(made(CLASSES), usual, 2)
    mixed = made(ONE_HOT, validation=(X, CLASSES), test=(X, CLASSES[:, None]))
    for task in (made(ONE_HOT), mixed):
        np.testing.assert_allclose(evaluate(task, usual, 2), expected, atol=1e-6)
    assert expected.min() > 0.5
    classes, rows = (made(labels, class_weights=(1, 2, 3)) for labels in (CLASSES, ONE_HOT))
    weighted = evaluate(classes, usual, 2)
    np.testing.assert_allclose(evaluate(rows, usual, 2), weighted, atol=1e-6)
    assert weighted.min() > 0.5


@pytest.mark.slow
def test_soft_labels_are_the_targets_and_their_largest_entry_is_what_counts() -> None:
    task = made(SOFT, validation=(X, CLASSES))

    def by_hand(logits: Any, targets: Any) -> Any:
        return -(targets * jnp.log(jnp.exp(logits) / jnp.exp(logits).sum(axis=-1, keepdims=True))).sum(axis=-1)

    ours, theirs = evaluate(task, ["x * log(y)", by_hand], 2)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert ours.mean() > 0.6
    rows = made(SOFT)
    np.testing.assert_allclose(evaluate(rows, ["x * log(y)"], 2)[0], ours, atol=1e-6)


def test_a_soft_label_weighs_as_the_classes_that_it_stands_for() -> None:
    task = made(SOFT, class_weights=(1, 2, 5))
    kept = task.splits["train"].labels
    _, weights = task.targets(jnp.asarray(kept), 3)
    np.testing.assert_allclose(weights, (kept @ [1, 2, 5])[:, None], rtol=1e-6)


@pytest.mark.slow
def test_a_search_takes_soft_labels() -> None:
    config = TaylorConfig(generations=1, population=4, seeds=1, finalists=1)
    assert search_taylor(made(SOFT, steps=3), config).fitness > 0


# NO LABEL


HIDDEN = np.arange(60) % 3 == 0


@pytest.mark.parametrize("ignored", [-1, 255, -100])
@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 3.0)])
def test_ignored_classes_are_no_labels(ignored: int, weights: Any) -> None:
    given = np.where(HIDDEN, ignored, CLASSES)
    task = made(given, ignore_label=ignored, class_weights=weights)
    for part in task.splits.values():
        np.testing.assert_array_equal(part.labels, np.where(HIDDEN, -1, CLASSES))
    assert task.classes == 3
    assert task.has_gaps
    x, found = task.targets(jnp.asarray(task.splits["train"].labels), 3)
    factors = np.ones(3) if weights is None else np.array(weights)
    np.testing.assert_array_equal(found, np.where(HIDDEN, 0, factors[CLASSES])[:, None])
    np.testing.assert_array_equal(x, np.where(HIDDEN[:, None], 0, ONE_HOT))
    outputs = RANDOM.normal(size=(60, 3)).astype(np.float32)
    assert float(task.score(outputs, task.splits["validation"].labels)) == pytest.approx(
        np.mean(outputs.argmax(axis=1)[~HIDDEN] == CLASSES[~HIDDEN])
    )


@pytest.mark.slow
@pytest.mark.parametrize(("ignored", "weights"), [(255, None), (-100, (1.0, 2.0, 3.0))])
def test_ignored_classes_take_no_part_in_training(ignored: int, weights: Any) -> None:
    given, factors = np.where(HIDDEN, ignored, CLASSES), np.ones(3) if weights is None else np.array(weights)

    def by_hand(logits: Any, targets: Any) -> Any:  # the mean stays over the whole batch
        values = optax.softmax_cross_entropy(logits, targets) * (targets @ jnp.asarray(factors, jnp.float32))
        return jnp.where(targets.sum(axis=-1) > 0, values, 0.0)

    task = made(given, ignore_label=ignored, class_weights=weights)
    ours, fixed = evaluate(task, ["x * log(y)", optax.softmax_cross_entropy], 2)
    np.testing.assert_allclose(ours, fixed, atol=1e-6)
    hand = evaluate(made(np.where(HIDDEN, np.nan, CLASSES), validation=(X, given), ignore_label=ignored), [by_hand], 2)
    np.testing.assert_allclose(ours, hand[0], atol=1e-6)
    assert ours.min() > 0.5


@pytest.mark.slow
def test_what_stands_in_an_ignored_place_changes_nothing() -> None:
    hidden = np.arange(60) % 4 == 0
    scores = [
        evaluate(made(np.where(hidden, ignored, CLASSES), ignore_label=ignored), ["log(y) - x / y"], 2)
        for ignored in (-1, 77)
    ]
    np.testing.assert_array_equal(*scores)
    others = X.copy()
    others[hidden] = 9
    task = made(np.where(hidden, -1, CLASSES), ignore_label=-1, train=(others, np.where(hidden, -1, CLASSES)))
    np.testing.assert_array_equal(evaluate(task, ["log(y) - x / y"], 2), scores[0])


@pytest.mark.parametrize(("kind", "ignored"), [("binary", -1), ("multi-label", 255), ("regression", 0), ("binary", 2)])
def test_ignored_numbers_are_nan(kind: str, ignored: int) -> None:
    labels = np.stack([BINARY, 1 - BINARY], axis=1)[:, : 2 if kind == "multi-label" else 1].astype(float)
    labels = labels + 5 if kind == "regression" else labels
    hidden = RANDOM.random(labels.shape) < 0.2
    task = made(np.where(hidden, ignored, labels), kind, labels.shape[1], ignore_label=ignored)
    np.testing.assert_array_equal(task.splits["train"].labels, np.where(hidden, np.nan, labels))
    _, weights = task.targets(jnp.asarray(task.splits["train"].labels), labels.shape[1])
    np.testing.assert_array_equal(weights, ~hidden)


@pytest.mark.slow
def test_rows_of_nan_or_of_the_ignored_label_are_no_soft_label() -> None:
    hidden = (np.arange(60) % 5 == 0)[:, None]
    for task in (made(np.where(hidden, np.nan, SOFT)), made(np.where(hidden, -1, SOFT), ignore_label=-1)):
        x, weights = task.targets(jnp.asarray(task.splits["train"].labels), 3)
        np.testing.assert_allclose(x, np.where(hidden, 0, SOFT), rtol=1e-6)
        np.testing.assert_array_equal(weights, ~hidden)
        assert np.isfinite(evaluate(task, ["x * log(y)"], 1)).all()


def test_a_task_is_made_again_of_its_own_labels() -> None:
    import dataclasses

    for labels, ignored in (
        (np.where(CLASSES == 1, 255, CLASSES), 255),
        (np.where(CLASSES == 1, np.nan, CLASSES), None),
    ):
        task = made(labels, ignore_label=ignored)
        again = dataclasses.replace(task, steps=7)
        np.testing.assert_array_equal(again.splits["train"].labels, task.splits["train"].labels)
        assert again.has_gaps


def test_0_may_stand_for_no_label_where_classes_count_from_1() -> None:
    given = np.where(np.arange(60) % 6 == 0, 0, CLASSES + 1)
    assert made(given, outputs=4, ignore_label=0).classes == 4


# WHAT IS REFUSED

TEXT = np.array(["cat", "dog", "owl"])[CLASSES]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (TEXT, r"labels are <U3\[60\]; integers .* classes, labels = np.unique\(labels, return_inverse=True\)"),
        (TEXT.tolist(), "classes, labels = np.unique"),
        (TEXT.astype(object), "classes, labels = np.unique"),
        (TEXT.astype("S"), "classes, labels = np.unique"),
        (TEXT.astype(np.dtypes.StringDType()), "classes, labels = np.unique"),
        (CLASSES.astype(complex), r"labels are complex128\[60\]; integers of shape \[60\]"),
        (CLASSES.astype("datetime64[D]"), r"labels are datetime64\[D\]\[60\]; integers"),
        ([[1], [1, 2]] * 30, "labels are .*; an array of numbers is expected"),
        (CLASSES + 0.5, r'labels hold .*5; classes are whole .* targets of kind="regression"'),
        (np.where(CLASSES == 1, np.inf, CLASSES), "labels hold inf; classes are whole numbers"),
        (CLASSES - 1, r"labels hold -1; .* write Task\(ignore_label=-1\); if it is a class, labels \+ 1"),
        (np.where(CLASSES == 1, -100, CLASSES), r"labels hold -100; .* write Task\(ignore_label=-100\)"),
        (2 * BINARY - 1, r"labels hold -1; classes count from 0. \(labels \+ 1\) // 2"),
        (CLASSES - 2, "labels hold -2; classes count from 0. classes, labels = np.unique"),
        (CLASSES + 1, "labels are numbered from 1 to 3; .* Write labels - 1, with a model of 3 outputs"),
        ((CLASSES + 1).astype(float)[:, None], "labels are numbered from 1 to 3"),
        (BINARY * 1000, "at least 1001 classes"),
        (CLASSES.astype(np.int64) + 2**32, f"labels hold {2**32 + 2}; classes count from 0"),
        (np.full(60, np.nan), "all labels are unknown"),
        (CLASSES[None], r"labels are int64\[1, 60\]"),
        (CLASSES[:50], r"labels are int64\[50\]; integers of shape \[60\]"),
        (100 * SOFT, r"sum to 1. labels / labels.sum\(axis=1, keepdims=True\)"),
        (SOFT - 0.1, r"at least 0 and sum to 1. Logits become soft labels by jax.nn.softmax\(labels\)"),
        (np.maximum(ONE_HOT, np.roll(ONE_HOT, 1, axis=0)), 'kind="multi-label" is for examples of several classes'),
        (ONE_HOT * (np.arange(60)[:, None] != 7), "example 7 is .*NaN in the whole row stands for no label"),
        (np.where(np.eye(3)[0] + 0 * SOFT > 0, np.nan, SOFT), "NaN in the whole row stands for no label"),
        (np.eye(4)[CLASSES], r"soft labels have {'train': 4, 'validation': 4} columns; an output for each class"),
        (np.tile([0.2, 0.3, 0.5], (60, 1)), "soft labels that are all"),
    ],
)  # fmt: skip
def test_labels_of_classes_are_refused_with_the_line_to_write(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"Task.*{message}"):
        made(labels)


def test_labels_numbered_from_1_are_refused_with_an_output_too_many() -> None:
    with pytest.raises(ValueError, match=r"numbered from 1 to 3; .*a model of 3 outputs"):
        made(CLASSES + 1, outputs=4)
    with pytest.raises(ValueError, match=r"numbered from 1 to 2; .*a model of 2 outputs"):
        made(BINARY + 1, outputs=2)
    made(CLASSES + 1, outputs=10)  # a task of ten classes, of which three are there


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (2 * BINARY - 1, r"labels hold -1; .* \(labels \+ 1\) / 2 makes them of -1 and 1"),
        (BINARY + 1, "labels hold 2; .* labels - 1 makes them of 1 and 2"),
        (255 * BINARY, "labels hold 255; .* labels == 255 makes them"),
        (np.where(np.arange(60) % 6 == 0, -1, BINARY), r"labels hold -1; .* write Task\(ignore_label=-1\)"),
        (CLASSES, r"labels hold 2; .* write Task\(ignore_label=2\)"),
        (np.arange(60) % 5, 'labels hold 2; .* kind="classification"'),
        (np.linspace(0, 1, 60), r"labels hold 0.01.* labels > 0\.5 makes them of probabilities"),
        (np.array(["no", "yes"])[BINARY], r"labels are <U3\[60\]; numbers of shape .* np.unique"),
        (np.array(["no", "yes"], object)[BINARY], r"labels are <U3\[60\]; .* np.unique"),
        (BINARY.astype(complex), r"labels are complex128\[60\]; numbers of shape"),
        (np.full(60, np.nan), "all labels are unknown"),
        (BINARY[None], r"labels are int64\[1, 60\]; numbers of shape"),
    ],
)
def test_binary_labels_are_refused_with_the_line_to_write(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"Task.train: {message}"):
        made(labels, "binary", 1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (TARGETS.astype(complex), r"labels are complex128\[60\]; numbers of shape"),
        (TARGETS.astype(str), r"labels are <U\d+\[60\]; numbers of shape .* labels.astype\(float\)"),
        (np.array(["a", 1.0] * 30, object), r"labels.astype\(float\)"),
        (BINARY.astype("datetime64[s]"), r"labels are datetime64\[s\]\[60\]"),
        (1.7e9 + TARGETS.astype(float), "go from .* float32 rounds their differences. Take their mean away"),
        (1e300 * TARGETS.astype(float), "labels of example 0 are infinite"),
        (TARGETS[:, None, None], r"labels are float32\[60, 1, 1\]; numbers of shape"),
        (np.zeros((60, 0)), r"labels are float64\[60, 0\]; numbers of shape"),
    ],
)
def test_targets_are_refused_with_the_line_to_write(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"Task.train: .*{message}"):
        made(labels, "regression", 1)


def test_large_targets_that_float32_tells_apart_are_taken() -> None:
    made(1e6 + 1000 * TARGETS.astype(np.float64), "regression", 1)
    made(1950 + np.arange(60), "regression", 1)
    made(1e30 * TARGETS.astype(np.float64), "regression", 1)


@pytest.mark.parametrize("given", [True, 1.5, "ignore", np.nan, [1]])
def test_a_label_to_ignore_is_a_whole_number(given: Any) -> None:
    with pytest.raises(ValueError, match=r"Task.ignore_label is .*; a whole number such as -1, or None"):
        made(CLASSES, ignore_label=given)
    assert made(CLASSES, ignore_label=np.int64(-1)).ignore_label == -1


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_part_without_a_label_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match=f"Task.{part}: all labels are unknown"):
        made(CLASSES, ignore_label=-1, **{part: (X, np.full(60, -1))})
    with pytest.raises(ValueError, match=f"Task.{part}: all labels are unknown"):
        made(BINARY, "binary", 1, **{part: (X, np.full(60, np.nan))})


@pytest.mark.parametrize(
    ("kind", "metric", "labels", "message"),
    [
        ("binary", "auc", np.zeros(60), "labels of output 0 are all 0; auc needs both 0 and 1 there"),
        ("binary", metrics.auc, np.where(np.arange(60) % 3, 1, np.nan), "labels of output 0 are all 1; auc needs both"),
        ("binary", "f1", np.zeros(60), "no label is 1; f1 needs positives there"),
        ("regression", None, np.full(60, 3.5), "labels of output 0 are all 3.5; r2 needs targets that differ there"),
        ("regression", "r2", np.where(np.arange(60) == 9, 2.0, np.nan), "labels of output 0 are all 2; r2 needs"),
    ],
)
@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_metric_without_a_meaning_for_the_labels_is_refused(
    kind: str, metric: Any, labels: np.ndarray, message: str, part: str
) -> None:
    train = BINARY if kind == "binary" else TARGETS
    with pytest.raises(ValueError, match=f"Task.{part}: {message}"):
        made(train, kind, 1, metric=metric, **{part: (X, labels)})
    made(train, kind, 1, metric="binary_accuracy" if kind == "binary" else "rmse", **{part: (X, labels)})


def test_outputs_without_a_known_label_are_refused() -> None:
    many = np.stack([BINARY, 1 - BINARY], axis=1).astype(float)
    gone = many.copy()
    gone[:, 1] = np.nan
    with pytest.raises(ValueError, match=r"Task.train: labels of output 1 are all unknown"):
        made(gone, "multi-label", 2, validation=(X, many))
    with pytest.raises(ValueError, match=r"Task.validation: labels of output 1 are all unknown; f1 needs"):
        made(many, "multi-label", 2, validation=(X, gone))
    made(many, "multi-label", 2, validation=(X, gone), metric="binary_accuracy")


def test_bools_are_classes_0_and_1() -> None:
    task = made(BINARY.astype(bool), outputs=2)
    np.testing.assert_array_equal(task.splits["train"].labels, BINARY)
    with pytest.raises(ValueError, match=r'at least 2 classes .* One output is for kind="binary"'):
        made(BINARY, outputs=1)


def test_known_labels_are_told_from_the_others() -> None:
    np.testing.assert_array_equal(labels_of.known_of(np.array([0, -1, 2])), [True, False, True])
    np.testing.assert_array_equal(labels_of.known_of(np.array([[0.0], [np.nan]])), [[True], [False]])
