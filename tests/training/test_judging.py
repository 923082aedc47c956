"""Parts of the data that are fed are scored portion by portion, as those that the device holds."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest

from glojax.data.fed import Fed
from glojax.expressions.parsing import parse
from glojax.tasks.task import Task
from glojax.training import feeding, grouping, judging, learner
from glojax.training.judging import Portions
from glojax.training.trainer import Trainer

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(75, 4, 3)).astype(np.float32)
LABELS = (X[:, :, 0] > 0).astype(int)  # [examples, 4]
GAPS = np.where(RANDOM.random((75, 4)) < 0.2, -1, LABELS)


class Pixels(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(2)(x)  # [batch, 4, 2]


class Examples(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(2)(x.reshape(len(x), -1))


class Both(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> Any:
        return {"pixels": nn.Dense(2)(x), "whole": nn.Dense(2)(x.reshape(len(x), -1))}


LABELS_OF: dict[type[nn.Module], Any] = {
    Pixels: GAPS,
    Examples: LABELS[:, 0],
    Both: {"pixels": GAPS, "whole": LABELS[:, 0]},
}


@pytest.fixture(autouse=True)
def four_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 examples in batches of 10; the last has 15."""
    monkeypatch.setattr(learner, "EVALUATION_BATCH", 10)
    monkeypatch.setattr(feeding, "_BYTES", 25 * 4 * 3 * 4)


def task_of(model: type[nn.Module], fed: bool, **fields: Any) -> Task:
    part = (Fed(X) if fed else X, LABELS_OF[model])
    training: dict[str, Any] = {"optimizer": optax.sgd(0.1), "batch_size": 10, "steps": 3, "ignore_label": -1}
    return Task(model(), (X, part[1]), part, part, **(training | fields))


def scores(task: Task) -> np.ndarray:
    trainer = Trainer(task, instructions=3)
    trees = [parse("x * log(y)"), parse("log(y)"), parse("x * log(y)")]
    return trainer.train(trainer.candidates(trees, seeds=[1, 1, 2]), [1, 3], splits=("test", "validation")).scores


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "metric"), [(Examples, "accuracy"), (Examples, "auc"), (Pixels, "iou"), (Both, "log_loss")]
)
def test_scores_are_those_of_a_part_that_the_device_holds(model: type[nn.Module], metric: str) -> None:
    found, expected = scores(task_of(model, True, metric=metric)), scores(task_of(model, False, metric=metric))
    assert len(np.unique(expected)) > 1
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
def test_outputs_are_kept_where_they_are_few_and_summed_where_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(Examples, True)
    (kept,) = feeding.unseen(task, "validation")
    assert kept.found.shape == (80, 2)
    assert feeding.judged_bytes(task) == 80 * 2 * 4 + 1
    (pixels,) = feeding.unseen(task_of(Pixels, True), "validation")
    assert all(leaf.shape == () for leaf in jax.tree.leaves(pixels))
    expected = scores(task)
    monkeypatch.setattr(judging, "_MOST_OUTPUTS", 75 * 2 - 1)
    (summed,) = feeding.unseen(task, "validation")
    assert all(leaf.shape == () for leaf in jax.tree.leaves(summed))
    np.testing.assert_allclose(scores(task), expected, rtol=1e-6)


def test_what_is_kept_of_outputs_counts_as_memory_of_a_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(fed: bool, examples: int) -> int:
        part = (np.zeros((examples, 4, 3), np.float32), np.arange(examples) % 2)
        task = Task(Examples(), (X, LABELS[:, 0]), (Fed(part[0], digest="zeros") if fed else part[0], part[1]))
        return grouping.plan(task, jax.devices()[:1], 8).rows[-1]

    assert rows(False, 10**6) == 64
    assert rows(True, 10**4) == 64
    monkeypatch.setattr(judging, "_MOST_OUTPUTS", 10**9)
    assert rows(True, 10**6) == 8  # 512 MiB for groups of 8, whose outputs take 8 MB each


def test_the_last_portion_is_filled_with_examples_that_do_not_count() -> None:
    task = task_of(Both, True)
    assert feeding.divided(task) == {"validation": Portions(75, 20), "test": Portions(75, 20)}
    found = list(feeding.portions(task, "test"))
    assert [first for first, _ in found] == [0, 20, 40, 60]
    x, labels = found[-1][1]
    np.testing.assert_array_equal(x, np.concatenate([X[60:], X[60:65]]))
    np.testing.assert_array_equal(labels["pixels"][:15], GAPS[60:])
    np.testing.assert_array_equal(labels["whole"], [*LABELS[60:, 0], *[-1] * 5])
    assert (task.splits["test"].labels["whole"] >= 0).all()  # the task's own are left alone


def test_an_example_that_is_not_finite_is_named_when_it_is_read() -> None:
    x = X.copy()
    x[41] = np.inf
    task = Task(Examples(), (X, LABELS[:, 0]), (Fed(x), LABELS[:, 0]), batch_size=10)
    with pytest.raises(ValueError, match=r"Task\.validation: inputs of example 41 are NaN or infinite"):
        list(feeding.portions(task, "validation"))
