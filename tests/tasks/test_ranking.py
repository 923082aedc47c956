"""What candidates are ranked by where the metric is accuracy: margins, against their definition and at their edges."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from glojax import metrics, models, tasks
from glojax.tasks import ranking
from glojax.tasks.task import Task

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(9, 4)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3, 0, 1, 2, 3, 1])


def expected(logits: np.ndarray, labels: np.ndarray) -> float:
    sizes = np.array([row[label] - np.delete(row, label).max() for row, label in zip(logits, labels, strict=True)])
    return float(special.expit(4 * sizes / np.median(np.abs(sizes))).mean())


def test_margins_are_those_of_their_definition_at_any_scale_of_outputs() -> None:
    for scale in (1e-20, 1.0, 1e20):
        assert float(ranking.margins(scale * LOGITS, LABELS)) == pytest.approx(expected(LOGITS, LABELS), rel=1e-5)
    assert float(jax.jit(ranking.margins)(LOGITS, LABELS)) == pytest.approx(expected(LOGITS, LABELS), rel=1e-5)
    one_hot = np.eye(4, dtype=np.float32)[LABELS]
    assert float(ranking.margins(LOGITS, one_hot)) == pytest.approx(expected(LOGITS, LABELS), rel=1e-5)


def test_unknown_labels_do_not_count() -> None:
    labels = LABELS.copy()
    labels[[2, 5]] = -1
    kept = labels >= 0
    assert float(ranking.margins(LOGITS, labels)) == pytest.approx(expected(LOGITS[kept], labels[kept]), rel=1e-5)
    outputs, binary = LOGITS[:, :1], (LABELS[:, None] > 1).astype(np.float32)
    binary[3] = np.nan
    known = ~np.isnan(binary)
    sizes = np.where(binary == 1, outputs, -outputs)[known]
    value = special.expit(4 * sizes / np.median(np.abs(sizes))).mean()
    assert float(ranking.binary_margins(outputs, binary)) == pytest.approx(value, rel=1e-5)


def test_a_network_that_gives_the_same_for_all_has_no_half_of_the_score() -> None:
    assert float(ranking.margins(np.zeros((9, 4), np.float32), LABELS)) == 0
    assert float(ranking.binary_margins(np.zeros((4, 1), np.float32), np.array([[0.0], [1], [1], [0]]))) == 0
    right = 10 * np.eye(4, dtype=np.float32)[LABELS]
    assert float(ranking.margins(right, LABELS)) == pytest.approx(special.expit(4), rel=1e-5)
    lost = LOGITS.copy()
    lost[0, 0] = np.nan
    assert np.isnan(ranking.margins(lost, LABELS))
    endless = np.where(np.eye(4)[LABELS] == 1, np.inf, 0).astype(np.float32)
    assert float(ranking.margins(endless, LABELS)) == pytest.approx(special.expit(4), rel=1e-5)
    assert float(ranking.margins(np.where(endless > 0, 3e38, -3e38).astype(np.float32), LABELS)) > 0.98


def test_only_accuracy_is_replaced_and_once(tiny_task: Task) -> None:
    ranked = tasks.ranked(tiny_task)
    assert ranked.metric_function is ranking.margins
    assert ranked.score_name == "margins"
    assert tasks.ranked(tiny_task) is ranked
    assert tasks.ranked(tiny_task, "metric") is tiny_task
    other = dataclasses.replace(tiny_task, metric="balanced_accuracy")
    assert tasks.ranked(other) is other
    assert tasks.ranked(dataclasses.replace(tiny_task, steps=7)).steps == 7
    x = RANDOM.normal(size=(40, 3)).astype(np.float32)
    labels = np.arange(40) % 2
    binary = Task(models.MLP((2, 1)), (x, labels), (x, labels), kind="binary", steps=3)
    assert tasks.ranked(binary).metric_function is ranking.binary_margins
    assert float(tasks.ranked(binary).score(jnp.asarray(x[:, :1]), binary.splits["train"].labels)) > 0


def test_the_better_network_of_two_with_one_accuracy_ranks_higher() -> None:
    sure = np.where(np.eye(4)[LABELS] == 1, 3.0, 0.0).astype(np.float32)
    sure[0] = [0, 0.1, 0, 0]  # barely wrong
    wrong = sure.copy()
    wrong[0] = [0, 9, 0, 0]  # far off
    assert metrics.accuracy(sure, LABELS) == metrics.accuracy(wrong, LABELS)
    assert ranking.margins(sure, LABELS) > ranking.margins(wrong, LABELS) + 0.03
