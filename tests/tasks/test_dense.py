"""Tasks of many positions: the same scores as flattened by hand, no influence of what is masked, and clear errors."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glojax
from glojax.tasks import dense
from glojax.tasks.identity import differences, identity
from glojax.tasks.task import Task

LOSSES = ["x * log(y)", "x * y - square(x - y)"]
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 4, 3, 2)).astype(np.float32)
CLASSES = (X[..., 0] > 0).astype(int) + (X[..., 1] > 0.5)
GAPS = np.where(RANDOM.random(CLASSES.shape) < 0.3, -1, CLASSES)


def task_of(x: np.ndarray, labels: np.ndarray, outputs: int, **fields: object) -> Task:
    part = (x, labels)
    return Task(
        nn.Dense(outputs), part, part, optimizer=optax.sgd(0.1), steps=5, batch_size=len(x),
        **fields,  # type: ignore[arg-type]
    )  # fmt: skip


CASES = {
    "accuracy": (CLASSES, 3, {}),
    "iou, gaps": (GAPS, 3, {"metric": "iou", "ignore_label": -1}),
    "dice": (CLASSES, 3, {"metric": "dice"}),
    "perplexity, gaps": (GAPS, 3, {"metric": "perplexity", "ignore_label": -1}),
    "weights": (GAPS, 3, {"metric": "f1:1", "ignore_label": -1, "class_weights": (1, 2, 5)}),
    "one-hot": (np.eye(3)[CLASSES], 3, {"metric": "log_loss"}),
    "at once": (CLASSES, 3, {"metric": "auc"}),
    "sigmoid": ((X > 0).astype(float), 2, {"kind": "multi-label"}),
    "one output": ((X[..., 0] > 0).astype(float), 1, {"kind": "binary", "metric": "iou"}),
    "numbers": (np.where(X > 1, np.nan, X), 2, {"kind": "regression"}),
    "rmse": (X[..., :1] - X[..., 1:], 1, {"kind": "regression", "metric": "rmse"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_dense_task_scores_as_the_same_task_flattened_by_hand(case: str) -> None:
    labels, outputs, fields = CASES[case]
    flat = labels.reshape(-1, *labels.shape[3:])
    one = task_of(X, labels, outputs, **fields)
    other = task_of(X.reshape(-1, 2), flat, outputs, **fields)
    assert one.positions == (4, 3)
    assert other.positions == ()
    found, expected = (glojax.evaluate(task, LOSSES, seeds=1) for task in (one, other))
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    assert found.max() > 0  # x * log(y) has no value where y is any number


def test_a_large_set_is_scored_in_batches_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    from glojax.training import learner

    expected = glojax.evaluate(task_of(X, GAPS, 3, metric="iou", ignore_label=-1), LOSSES, seeds=1)
    monkeypatch.setattr(learner, "_EVALUATION_ROWS", 5 * 12)  # 12 examples in batches of 5
    found = glojax.evaluate(task_of(X, GAPS, 3, metric="iou", ignore_label=-1), LOSSES, seeds=1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), size=st.sampled_from([1.0, 50.0]))
def test_what_is_at_a_masked_position_has_no_influence(seed: int, size: float) -> None:
    random = np.random.default_rng(seed)
    other = np.where((GAPS < 0)[..., None], size * random.normal(size=X.shape), X).astype(np.float32)
    fields = {"metric": "iou", "ignore_label": -1, "class_weights": (1, 2, 5)}
    found, expected = (glojax.evaluate(task_of(x, GAPS, 3, **fields), LOSSES, seeds=1) for x in (other, X))
    np.testing.assert_array_equal(found, expected)


def test_a_masked_array_and_an_ignored_label_are_one_task() -> None:
    masked = np.ma.array(CLASSES, mask=GAPS < 0)
    one, other = task_of(X, masked, 3), task_of(X, GAPS, 3, ignore_label=-1)
    np.testing.assert_array_equal(one.splits["train"].labels, GAPS)
    assert not differences(identity(one), identity(other))


def test_integer_labels_of_two_axes_are_positions_only_where_the_model_has_them() -> None:
    x = RANDOM.normal(size=(8, 3, 2)).astype(np.float32)
    rows = np.eye(3, dtype=int)[[0, 1, 2, 0, 1, 2, 0, 1]]

    class Flat(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            return nn.Dense(3)(x.reshape(len(x), -1))

    flat = Task(Flat(), (x, rows), (x, rows), batch_size=8, steps=2)
    assert flat.positions == ()
    assert flat.splits["train"].labels.dtype == np.float32
    tokens = Task(nn.Dense(2), (x, rows), (x, rows), batch_size=8, steps=2)
    assert tokens.positions == (3,)
    assert tokens.splits["train"].labels.dtype == np.int32


def test_tokens_of_an_embedding_stay_integers() -> None:
    tokens = RANDOM.integers(0, 9, (10, 6))

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            return nn.Dense(9)(nn.Embed(9, 4)(x))

    part = (tokens[:, :-1], tokens[:, 1:])
    task = Task(Model(), part, part, batch_size=5, steps=3, metric="perplexity")
    assert task.splits["train"].x.dtype == np.int32
    assert task.positions == (5,)
    assert 0 < glojax.evaluate(task, LOSSES, seeds=1).min() < 0.5


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (CLASSES[:, :, :2], r"Task.train: labels have shape \[12, 4, 2\]; \[12, 4, 3\] or \[12, 4, 3, outputs\]"),
        (CLASSES[:5], r"Task.train: labels have shape \[5, 4, 3\]; \[12, 4, 3\]"),
        (np.full_like(CLASSES, 7) - CLASSES, r"shape \[12, 4, 3, 3\].*\[batch, 4, 3, classes\].*at least 8"),
        (CLASSES[:, 0, 0], r"shape \[12, 4, 3, 3\].*\[batch, classes\] is expected"),
    ],
)
def test_labels_that_do_not_fit_are_refused_with_both_shapes(labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_of(X, labels, 3)


def test_rows_are_positions_one_after_another() -> None:
    outputs = jnp.arange(24.0).reshape(2, 2, 3, 2)
    np.testing.assert_array_equal(dense.rows(outputs)[4], outputs[0, 1, 1])
    labels = np.arange(12, dtype=np.int32).reshape(2, 2, 3)
    np.testing.assert_array_equal(dense.label_rows(labels), np.arange(12))
    assert dense.label_rows(np.zeros((2, 2, 3, 5), np.float32)).shape == (12, 5)
