"""What a task refuses of a metric, and how it tells the metric what labels are."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax import Kind, Task, evaluate, models
from glojax.tasks import metrics
from glojax.tasks.identity import differences, identity

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 4)).astype(np.float32)
CLASSES = np.argmax(X[:, :3] + 0.1 * RANDOM.normal(size=(60, 3)), axis=1)
ONE_HOT = np.eye(3)[CLASSES]
BINARY = (X[:, 0] > 0).astype(int)
MANY = (X[:, :3] > 0).astype(int)
TARGETS = X[:, 0] - X[:, 1] ** 2
LABELS = {"classification": CLASSES, "binary": BINARY, "multi-label": MANY, "regression": TARGETS}
OUTPUTS = {"classification": 3, "binary": 1, "multi-label": 3, "regression": 1}
OF_BOTH = ("f1", "auc", "balanced_accuracy", "average_precision", "log_loss", "brier", "calibration_error", "f1:1")
ALLOWED = {
    "classification": ("accuracy", *OF_BOTH),
    "binary": ("binary_accuracy", *OF_BOTH),
    "multi-label": ("binary_accuracy", *OF_BOTH),
    "regression": ("r2", "rmse", "mae", "quantile:0.9"),
}


def made(kind: Any, metric: Any, labels: Any = None, **changes: Any) -> Task:
    labels = LABELS[kind] if labels is None else labels
    settings: dict[str, Any] = {"train": (X, labels), "validation": (X, labels), "batch_size": 20, "steps": 20}
    network = models.MLP((8, OUTPUTS[kind] if isinstance(kind, str) else 1))
    return Task(network, **(settings | {"optimizer": optax.sgd(0.3), "kind": kind, "metric": metric} | changes))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in ALLOWED.items() for name in names])
def test_every_metric_of_a_kind_is_taken_by_name_and_as_a_function(kind: str, name: str) -> None:
    task = made(kind, name)
    task.check_metric(for_search=True)
    outputs = RANDOM.normal(size=(60, OUTPUTS[kind])).astype(np.float32)
    found = task.score(jnp.asarray(outputs), task.splits["validation"].labels)
    assert 0 <= float(found) <= 1
    error = name in ("log_loss", "brier", "calibration_error", "rmse", "mae", "quantile:0.9")
    assert task.is_error == error
    shown = name.removeprefix("binary_").replace("_", " ")
    assert (task.metric_name, task.score_name) == (shown, f"1 / (1 + {shown})" if error else shown)
    given = made(kind, metrics.metric_by_name("metric", name))
    assert given.metric_function == task.metric_function
    assert (given.metric_name, given.fingerprint) == (task.metric_name, task.fingerprint)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind, names in ALLOWED.items()
        for name in ("accuracy", "binary_accuracy", "r2", "rmse", "mae", "quantile:0.9")
        if name not in names and not (kind == "regression" and name == "binary_accuracy")
    ],
)
def test_a_metric_for_other_labels_is_refused_with_those_for_these(kind: str, name: str) -> None:
    labels = {"classification": "classes", "regression": "numbers"}.get(kind, "0 and 1")
    message = f"Task.metric is '{name}', which is for .*; these labels are {labels}. .*{ALLOWED[kind][-2]}.* is allowed"
    with pytest.raises(ValueError, match=message):
        made(kind, name)


def test_the_message_has_all_that_is_allowed() -> None:
    with pytest.raises(ValueError, match="r2") as raised:
        made("classification", "r2")
    assert str(raised.value) == (
        "Task.metric is 'r2', which is for numbers; these labels are classes. accuracy, balanced_accuracy, f1, dice, "
        "iou, auc, average_precision, log_loss, perplexity, brier, calibration_error, f1:CLASS, or a function, is "
        "allowed."
    )


def test_a_metric_of_0_and_1_is_for_such_numbers_alone() -> None:
    made("regression", "binary_accuracy", BINARY)
    made(Kind("identity", "log_loss"), None, BINARY)
    with pytest.raises(ValueError, match=r"Task.metric, auc, is for labels 0 and 1; Task.train: labels hold"):
        made("regression", "auc")
    with pytest.raises(ValueError, match=r"is for labels 0 and 1; .* \(labels \+ 1\) / 2 makes them of -1 and 1"):
        made("regression", "brier", 2 * BINARY - 1)


@pytest.mark.few(2)
@pytest.mark.parametrize("name", OF_BOTH)
def test_one_hot_labels_of_a_task_are_classes(name: str) -> None:
    whole, rows = made("classification", name), made("classification", name, ONE_HOT)
    random = np.random.default_rng(1)
    # What is added to a whole row changes no probability of classes, and each of labels of its own.
    outputs = jnp.asarray(random.normal(size=(60, 3)) + random.normal(0, 3, size=(60, 1)), jnp.float32)
    expected = float(whole.score(outputs, jnp.asarray(CLASSES, jnp.int32)))
    assert float(rows.score(outputs, rows.splits["validation"].labels)) == pytest.approx(expected, rel=1e-6)
    several = made("multi-label", name, ONE_HOT)
    assert float(several.score(outputs, several.splits["validation"].labels)) != pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["f1", "log_loss", "f1:1"])  # of each sort: a score, an error, and one that is made
def test_one_hot_labels_train_as_classes(name: str) -> None:
    tasks = [made("classification", name), made("classification", name, ONE_HOT)]
    scores = [evaluate(task, [task.problem.baseline], 1) for task in tasks]
    np.testing.assert_allclose(*scores, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "metric", "labels", "message"),
    [
        ("classification", "auc", np.where(CLASSES == 1, 0, CLASSES), "no label is class 1; auc needs some there"),
        ("classification", "average_precision", np.zeros(60, int), "no label is class 1; average_precision needs some"),
        ("classification", "auc", np.eye(3)[CLASSES * 0], "no label is class 1; auc needs some there"),
        ("classification", "f1:2", np.where(CLASSES == 2, 0, CLASSES), "no label is class 2; f1:2 needs some there"),
        ("binary", "average_precision", BINARY * 0, "labels of output 0 are all 0; average_precision needs positives"),
        ("binary", "f1:1", BINARY * 0, "no label is 1; f1:1 needs some there"),
        ("binary", "f1:0", BINARY * 0 + 1, "no label is 0; f1:0 needs some there"),
        ("multi-label", "f1:1", MANY * (1, 0, 1), "no label is 1; f1:1 needs some there"),
        ("multi-label", "balanced_accuracy", np.where([1, 0, 1], MANY, np.nan), "labels of output 1 are all unknown"),
        ("multi-label", "calibration_error", np.where([1, 0, 1], MANY, np.nan), "labels of output 1 are all unknown"),
    ],
)
@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_metric_without_a_meaning_for_the_labels_is_refused(
    kind: str, metric: Any, labels: np.ndarray, message: str, part: str
) -> None:
    with pytest.raises(ValueError, match=f"Task.{part}: {message}"):
        made(kind, metric, **{part: (X, labels)})


def test_f1_of_a_class_or_output_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Task.validation: no label is class 5; f1:5 needs some there"):
        made("classification", "f1:5")
    with pytest.raises(ValueError, match=r"Task.metric is 'f1:3'; Task.validation has labels of fewer outputs"):
        made("multi-label", "f1:3")
    with pytest.raises(ValueError, match=r"Task.metric is 'f1:2'; Task.validation has labels of fewer outputs"):
        made("binary", "f1:2")


def test_minimize_is_for_errors() -> None:
    assert made("regression", "quantile:0.9", minimize=True).is_error
    for name in ("f1:1", "balanced_accuracy"):
        with pytest.raises(ValueError, match=rf"Task.minimize is for .* an error; more of '{name}'"):
            made("classification", name, minimize=True)


def test_a_metric_without_a_hash_is_taken() -> None:
    class Mine:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

        def __call__(self, outputs: Any, labels: Any) -> Any:
            return jnp.mean(outputs**2)

    task = made("regression", Mine())
    assert not task.is_error
    assert metrics.name_of(task.metric_function) is None


@pytest.mark.slow
def test_the_identity_tells_metrics_apart() -> None:
    known = {name: identity(made("classification", name)) for name in ("f1", "f1:1", "f1:2", "brier")}
    for name, one in known.items():
        for other, two in known.items():
            assert ("another metric" in differences(one, two)) == (name != other)
