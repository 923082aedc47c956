"""Metrics in parts: whatever the parts are, the metric is that of all rows."""

from functools import reduce

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score

from glojax.tasks import metric_parts, metrics

RANDOM = np.random.default_rng(0)
OUTPUTS = RANDOM.normal(size=(200, 4)).astype(np.float32)
CLASSES = RANDOM.integers(-1, 4, 200).astype(np.int32)
CLASSES[:20] = -1  # a part without a known label
NUMBERS = np.where(RANDOM.random((200, 4)) < 0.2, np.nan, RANDOM.normal(size=(200, 4))).astype(np.float32)
BINARY = np.where(np.isnan(NUMBERS), np.nan, NUMBERS > 0).astype(np.float32)
LABELS = {"classes": CLASSES, "labels 0 and 1": BINARY, "numbers": NUMBERS}
AT_ONCE = {"auc", "average_precision", "calibration_error", "r2"}
NAMES = [(name, labels) for labels, some in metrics.LABELS.items() for name in metrics.METRICS
         if metrics.METRICS[name] in some and name not in AT_ONCE]  # fmt: skip
NAMES += [("f1:2", "classes"), ("f1:1", "labels 0 and 1"), ("quantile:0.9", "numbers")]


@pytest.mark.few(1)
@pytest.mark.parametrize(("name", "labels"), NAMES)
def test_a_metric_of_parts_is_the_metric_of_all_rows(name: str, labels: str) -> None:
    metric = metrics.bound(metrics.metric_by_name("metric", name), labels == "classes")
    parts = metric_parts.parts(metric)
    assert parts is not None
    found = [
        parts.sums(jnp.asarray(OUTPUTS[first : first + 20]), jnp.asarray(LABELS[labels][first : first + 20]))
        for first in range(0, 200, 20)
    ]
    expected = metric(jnp.asarray(OUTPUTS), jnp.asarray(LABELS[labels]))
    assert float(parts.finish(reduce(metric_parts.plus, found))) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("name", sorted(AT_ONCE))
def test_a_metric_that_needs_all_outputs_has_no_parts(name: str) -> None:
    assert metric_parts.parts(metrics.bound(metrics.METRICS[name], True)) is None
    assert metric_parts.parts(lambda outputs, labels: jnp.mean(outputs)) is None


def test_an_output_that_is_nan_makes_the_metric_nan() -> None:
    parts = metric_parts.parts(metrics.bound(metrics.iou, True))
    assert parts is not None
    outputs = jnp.asarray(OUTPUTS).at[50].set(jnp.nan)
    known = np.where(np.arange(200) == 50, 1, CLASSES)
    assert np.isnan(parts.finish(parts.sums(outputs, jnp.asarray(known))))


def test_iou_and_dice_are_those_of_scikit_learn() -> None:
    known = CLASSES >= 0
    answers = OUTPUTS.argmax(axis=1)
    expected = jaccard_score(CLASSES[known], answers[known], average="macro")
    assert float(metrics.iou(jnp.asarray(OUTPUTS), jnp.asarray(CLASSES))) == pytest.approx(expected, rel=1e-6)
    expected = f1_score(CLASSES[known], answers[known], average="macro")
    assert float(metrics.dice(jnp.asarray(OUTPUTS), jnp.asarray(CLASSES))) == pytest.approx(expected, rel=1e-6)
