"""Gradient-boosted trees beside scikit-learn's own scores."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
from threadpoolctl import threadpool_limits

from glojax import models
from glojax.discovery.boosted_trees import boosted_trees
from glojax.tasks.task import Task


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy machine more take minutes."""
    with threadpool_limits(1):
        yield


RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(300, 4)).astype(np.float32)
SUM = X[:, 0] * X[:, 1] + 0.3 * RANDOM.normal(size=300)
PARTS = {"train": slice(0, 200), "validation": slice(200, 250), "test": slice(250, 300)}


def made(labels: np.ndarray, outputs: int, **fields: Any) -> Task:
    parts: dict[str, Any] = {name: (X[part], labels[part]) for name, part in PARTS.items()}
    return Task(models.MLP((outputs,)), **parts, batch_size=20, steps=2, **fields)


@pytest.mark.slow
def test_scores_are_scikit_learns(tmp_path: Path) -> None:
    classes = np.digitize(SUM, [-0.3, 0.3])
    trees = HistGradientBoostingClassifier(random_state=0, class_weight="balanced").fit(X[:200], classes[:200])
    found = boosted_trees(made(classes, 4, metric="balanced_accuracy"), run_dir=tmp_path)
    for name in ("validation", "test"):
        expected = balanced_accuracy_score(classes[PARTS[name]], trees.predict(X[PARTS[name]]))
        assert found[name] == pytest.approx(expected, abs=1e-6)
    assert boosted_trees(made(classes, 4, metric="balanced_accuracy"), run_dir=tmp_path, resume=True) == found


@pytest.mark.slow
def test_scores_of_two_classes_and_of_numbers_are_scikit_learns() -> None:
    ones = (SUM > 0.5).astype(int)
    trees = HistGradientBoostingClassifier(random_state=0, class_weight="balanced").fit(X[:200], ones[:200])
    found = boosted_trees(made(ones, 1, kind="binary", metric="auc", class_weight="balanced"))
    assert found["test"] == pytest.approx(roc_auc_score(ones[250:], trees.predict_proba(X[250:])[:, 1]), abs=1e-5)
    numbers = HistGradientBoostingRegressor(random_state=0).fit(X[:200], SUM[:200].astype(np.float32))
    found = boosted_trees(made(SUM, 1, kind="regression"))
    assert found["test"] == pytest.approx(r2_score(SUM[250:], numbers.predict(X[250:])), abs=1e-4)


def test_images_are_no_table() -> None:
    x = np.zeros((40, 4, 4, 1), np.float32)
    labels = np.arange(40) % 2
    assert boosted_trees(Task(models.MLP((2,)), (x, labels), (x, labels), batch_size=10, steps=2)) == {}
