"""Tasks of many positions: the same scores as flattened by hand, no influence of what is masked, and clear errors."""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from budgets import cases
from hypothesis import given
from hypothesis import strategies as st

import glojax
from glojax.expressions.programs import encode
from glojax.tasks import dense
from glojax.tasks.identity import differences, identity
from glojax.tasks.task import Task
from glojax.training import learner
from glojax.training.gradients import program_gradient

LOSSES = ["x * log(y)", "x * y - square(x - y)"]
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 4, 3, 2)).astype(np.float32)
CLASSES = (X[..., 0] > 0).astype(int) + (X[..., 1] > 0.5)
GAPS = np.where(RANDOM.random(CLASSES.shape) < 0.3, -1, CLASSES)


def task_of(x: np.ndarray, labels: np.ndarray, outputs: int | nn.Module, **fields: object) -> Task:
    part = (x, labels)
    model = nn.Dense(outputs) if isinstance(outputs, int) else outputs
    return Task(
        model, part, part, optimizer=optax.sgd(0.1), steps=5, batch_size=len(x),
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_large_set_is_scored_in_batches_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = glojax.evaluate(task_of(X, GAPS, 3, metric="iou", ignore_label=-1), LOSSES, seeds=1)
    monkeypatch.setattr(learner, "_EVALUATION_ROWS", 5 * 12)  # 12 examples in batches of 5
    found = glojax.evaluate(task_of(X, GAPS, 3, metric="iou", ignore_label=-1), LOSSES, seeds=1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
@cases(5)
@given(seed=st.integers(0, 1000), size=st.sampled_from([1.0, 50.0]))
def test_what_is_at_a_masked_position_has_no_influence(seed: int, size: float) -> None:
    random = np.random.default_rng(seed)
    other = np.where((GAPS < 0)[..., None], size * random.normal(size=X.shape), X).astype(np.float32)
    fields = {"metric": "iou", "ignore_label": -1, "class_weights": (1, 2, 5)}
    found, expected = (glojax.evaluate(task_of(x, GAPS, 3, **fields), LOSSES, seeds=1) for x in (other, X))
    np.testing.assert_array_equal(found, expected)


class Lost(nn.Module):
    """Outputs that are ``lost`` where the last channel is 1, and there alone."""

    outputs: int
    lost: float

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.where(x[..., -1:] > 0, self.lost, nn.Dense(self.outputs)(x[..., :-1]))


MASKED = {
    "classes": (CLASSES, 3, {"metric": "log_loss", "class_weights": (1, 2, 5)}),
    "one-hot, at once": (np.eye(3)[CLASSES], 3, {"metric": "auc"}),
    "sigmoid": ((X > 0).astype(float), 2, {"kind": "multi-label", "metric": "average_precision"}),
    "numbers": (X, 2, {"kind": "regression"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ["classes", "numbers"])
@cases(1)
@given(seed=st.integers(0, 1000), lost=st.sampled_from([np.nan, np.inf]))
def test_labels_inputs_and_outputs_where_nothing_counts_have_no_influence(case: str, seed: int, lost: float) -> None:
    (labels, outputs, fields), random = MASKED[case], np.random.default_rng(seed)
    where = random.random(CLASSES.shape) < 0.7
    anything = np.where(~where.reshape(*where.shape, *(1,) * (labels.ndim - where.ndim)), lost, labels)
    noise = np.where(where[..., None], X, random.normal(size=X.shape)).astype(np.float32)

    def scores(x: np.ndarray, labels: np.ndarray, lost: float) -> np.ndarray:
        masks = {"train": where, "validation": where}
        task = task_of(
            np.concatenate([x, ~where[..., None]], axis=-1), labels, Lost(outputs, lost), where=masks, **fields
        )
        return glojax.evaluate(task, [task.problem.baseline], seeds=1)

    expected = scores(X, labels, 0.0)
    np.testing.assert_array_equal(scores(noise, anything, lost), expected)
    assert expected.min() > 0


@functools.cache
def judged(case: str) -> Any:
    """Compiled ``(outputs, labels) -> (gradient, whether it and the outputs are finite, score)``, and labels."""
    labels, outputs, fields = MASKED[case]
    part, where = (X[:, 0, 0], labels[:, 0, 0]), {"train": np.arange(12) > 0}
    task = Task(nn.Dense(outputs), part, part, batch_size=6, where=where, **fields)
    encoded = encode([task.problem.baseline.tree], instructions=7)
    program, gradient = jax.tree.map(lambda leaf: leaf[0], encoded), program_gradient(False, task.problem.output)

    @jax.jit
    def judge(z: jax.Array, labels: jax.Array) -> tuple[jax.Array, ...]:
        found, finite = gradient(program, z, *task.targets(labels, outputs))
        return found, finite, learner._finite(z, labels), task.score(z, labels)

    return judge, task.splits["train"].labels[1:]


@pytest.mark.slow
@pytest.mark.parametrize("case", MASKED)
@cases(20)
@given(
    seed=st.integers(0, 1000),
    lost=st.sampled_from([np.nan, np.inf, -np.inf, 1e30, 0.0]),
    size=st.sampled_from([0.1, 10.0]),
)
def test_outputs_where_no_label_is_known_change_neither_gradient_nor_score(
    case: str, seed: int, lost: float, size: float
) -> None:
    (judge, labels), random = judged(case), np.random.default_rng(seed)
    known = random.random(len(labels)) < 0.7
    known[[0, 1, 2, 3]] = True
    apart = ~known.reshape(-1, *(1,) * (labels.ndim - 1))
    labels = np.where(apart, -1 if labels.ndim == 1 else np.nan, labels).astype(labels.dtype)
    z = size * random.normal(size=(len(labels), MASKED[case][1])).astype(np.float32)
    expected, found = judge(z, labels), judge(np.where(known[:, None], z, np.float32(lost)), labels)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found[0][~known], 0)
    assert found[1]
    assert found[2]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            {"train": GAPS >= 0, "valid": GAPS >= 0},
            r"Task.where is \['train', 'valid'\]; a mapping .* train, validation",
        ),
        (GAPS >= 0, "Task.where is ndarray; a mapping with arrays for some of train, validation is expected"),
        ({"train": GAPS}, r"Task.where\['train'\] is int64\[12, 4, 3\]; bool\[12, 4, 3\] is expected"),
        ({"validation": GAPS[1:] >= 0}, r"where\['validation'\] is bool\[11, 4, 3\]; bool\[12, 4, 3\]"),
        ({"train": GAPS > 9}, "Task.train: all labels are unknown"),
    ],
)
def test_a_where_that_does_not_fit_is_refused_with_both_shapes(where: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_of(X, CLASSES, 3, where=where)


def test_a_task_with_masks_can_be_made_again() -> None:
    one = task_of(X, CLASSES, 3, where={"train": GAPS >= 0, "validation": GAPS >= 0})
    other = task_of(X, GAPS, 3, ignore_label=-1)
    for made in (one, dataclasses.replace(one, steps=5), glojax.tasks.harder(one, train_examples=11)):
        found = {labels.tobytes() for labels in made.splits["train"].labels}
        assert found <= {labels.tobytes() for labels in GAPS.astype(np.int32)}
    assert not differences(identity(one), identity(other))


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


@pytest.mark.slow
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
