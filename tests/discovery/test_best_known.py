"""The best of the known losses for a task: what is tried, what is chosen, and the record of it."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.utils.class_weight import compute_class_weight

from glojax import models, tasks
from glojax.discovery import best_known, scoring, screening
from glojax.discovery.comparison import rates_of
from glojax.losses.known import KnownLoss, weighted_cross_entropy
from glojax.losses.loss import Loss
from glojax.seeds import named_seed
from glojax.tasks.problems import Kind
from glojax.tasks.ranking import ranked
from glojax.tasks.task import Task


def useless(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return -optax.softmax_cross_entropy(logits, labels)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[KnownLoss]:
    """Two functions and three trees: functions train in one program, trees in another."""
    known = [
        KnownLoss("cross-entropy", "", Loss("x * log(y)")),
        KnownLoss("unlearning", "", useless),
        KnownLoss("optax", "poly", lambda z, t: optax.losses.poly_loss_cross_entropy(z, t, epsilon=1.0)),
        KnownLoss("Brier", "", Loss("-1 * square(x - y)")),
        KnownLoss("Baikal", "", Loss("log(y) - x / y")),
    ]
    monkeypatch.setattr(best_known, "candidates", lambda task: known)
    monkeypatch.setattr(best_known, "FINALISTS", 2)
    monkeypatch.setattr(best_known, "FINAL_SEEDS", 3)
    monkeypatch.setattr(best_known, "SEEDS", 2)
    return known


@pytest.mark.slow
def test_the_best_is_the_one_with_the_best_mean_of_its_final_trainings(
    tiny_task: Task, few: list[KnownLoss], tmp_path: Path, trained: list[int]
) -> None:
    found = best_known.best_known(tiny_task, 7, run_dir=tmp_path)
    assert [one["label"] for one in found.tried] == ["cross-entropy", "unlearning", "optax, poly", "Brier", "Baikal"]
    finals = [place for place, one in enumerate(found.tried) if one["final"]]
    assert finals[0] == 0
    assert len(finals) == 3
    assert 1 not in finals
    seeds = [named_seed(7, "known finals", i) for i in range(3)]
    for place in finals:
        one = found.tried[place]
        (scores,) = scoring.evaluate(ranked(tiny_task), [few[place].loss], seeds, rates=[one["rate"]])
        np.testing.assert_allclose(one["scores"], scores, atol=1e-6)
    best = max(finals, key=lambda place: np.mean(found.tried[place]["scores"]))
    assert found.known is few[best]
    assert found.rate == found.tried[best]["rate"]

    trained.clear()
    again = best_known.best_known(tiny_task, 7, run_dir=tmp_path, resume=True)
    assert trained == []
    assert again == found


def test_known_losses_are_those_of_the_output_with_the_tasks_own_baseline_first(tiny_task: Task) -> None:
    known = best_known.candidates(tiny_task)
    assert known[0] == KnownLoss("cross-entropy", "", Loss("x * log(y)"))
    assert [one.loss for one in known].count(known[0].loss) == 1
    assert {"focal", "PolyLoss", "Brier", "Baikal", "generalized cross-entropy"} <= {one.name for one in known}
    mine = Kind("softmax", "accuracy", Loss("x * sqrt(y)"), "square root")
    known = best_known.candidates(dataclasses.replace(tiny_task, kind=mine))
    assert known[0].label == "square root"
    assert "cross-entropy" in [one.label for one in known]
    assert "generalized cross-entropy, q 0.5" not in [one.label for one in known]


def test_where_a_class_is_rare_weighted_cross_entropy_is_a_control(tiny_task: Task) -> None:
    assert best_known.weighted(tiny_task) == {}
    rare = tasks.harder(tiny_task, imbalance=8)
    ((name, loss),) = best_known.weighted(rare).items()
    assert name == "weighted cross-entropy"
    assert "weighted cross-entropy, balanced" in [one.label for one in best_known.candidates(rare)]
    logits, x = np.random.default_rng(0).normal(size=(5, 10)).astype(np.float32), np.eye(10, dtype=np.float32)[:5]
    labels = rare.splits["train"].labels
    weights = compute_class_weight("balanced", classes=np.arange(10), y=labels)
    np.testing.assert_allclose(loss(logits, x), weights[:5] * optax.softmax_cross_entropy(logits, x), rtol=1e-5)
    assert best_known.weighted(dataclasses.replace(rare, class_weight="balanced")) == {}


@pytest.mark.slow
@pytest.mark.parametrize("classes", [3, 12])
def test_a_function_for_the_classes_of_a_task_has_rates_of_its_own(classes: int) -> None:
    x = np.random.default_rng(0).normal(size=(240, 4)).astype(np.float32)
    labels = np.resize([0] * 6 + list(range(classes)), 240)
    task = Task(models.MLP((4, classes)), (x, labels), (x, labels), batch_size=20, steps=2, optimizer=optax.sgd(0.1))
    (balanced,) = best_known.weighted(task).values()
    equal, twice = (weighted_cross_entropy("softmax", np.full(classes, weight)) for weight in (1.0, 2.0))
    rates = rates_of(task, [equal, twice, balanced])
    np.testing.assert_allclose(rates[0], scoring.RATES, rtol=1e-5)
    np.testing.assert_allclose(rates[1], np.array(scoring.RATES) / 2, rtol=1e-5)
    logits, one_hot = (jnp.asarray(part) for part in screening.probe(classes)[:2])
    weights = compute_class_weight("balanced", classes=np.arange(classes), y=labels)
    factors = jnp.asarray(weights, jnp.float32)[one_hot.argmax(axis=1)]
    sizes = [
        float(jnp.linalg.norm(jax.grad(lambda y, f=f: jnp.mean(f * optax.softmax_cross_entropy(y, one_hot)))(logits)))
        for f in (factors, jnp.ones(len(logits)))
    ]
    np.testing.assert_allclose(rates[2], np.array(scoring.RATES) * sizes[1] / sizes[0], rtol=1e-4)


def test_the_weighted_control_of_one_sigmoid_is_a_tree() -> None:
    ones = (np.arange(100) % 10 == 0).astype(int)
    part = np.zeros((100, 2), np.float32), ones
    task = Task(models.MLP((1,)), part, part, kind="binary", batch_size=10, steps=2)
    (loss,) = best_known.weighted(task).values()
    assert isinstance(loss, Loss)
    logits, labels = jnp.array([[0.3], [-2.0]]), jnp.array([[1.0], [0.0]])
    plain = optax.sigmoid_binary_cross_entropy(logits, labels)[:, 0]
    of_0, of_1 = compute_class_weight("balanced", classes=np.arange(2), y=ones)
    np.testing.assert_allclose(loss(logits, labels), plain * jnp.array([of_1, of_0]), rtol=1e-5)


def test_the_unit_of_a_regression_is_its_spread_without_outliers() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 3)).astype(np.float32)
    y = (50 * random.normal(size=400)).astype(np.float32)
    y[:40] = 1e6
    task = Task(models.MLP((4, 1)), (x, y), (x, y), kind="regression", steps=5)
    (huber,) = [one for one in best_known.candidates(task) if one.label == "Huber, delta 1 spreads"]
    residuals = jnp.array([[10.0], [1000.0]])
    values = np.asarray(huber.loss(residuals, jnp.zeros((2, 1))))[:, 0]
    assert values[0] == pytest.approx(50)
    assert 1000 - values[1] / 60 == pytest.approx(30, abs=300)
    slope = jax.grad(lambda z: jnp.sum(huber.loss(z, jnp.zeros((1, 1)))))(jnp.array([[1e5]]))
    assert 45 < float(slope[0, 0]) < 75  # the spread of the nine tenths that are no outliers, a little more


@pytest.mark.slow
def test_a_robust_loss_is_the_best_known_where_there_are_outliers() -> None:
    found = best_known.best_known(tasks.diabetes(200, outliers=0.2))
    assert found.known.name in ("Huber", "log-cosh", "absolute error")
    by_label: dict[str, Any] = {one["label"]: one for one in found.tried}
    assert np.mean(by_label["squared error"]["scores"]) < np.mean(by_label[found.known.label]["scores"]) - 0.1


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a glojax\.Task is expected"):
        best_known.best_known(tasks.digits)  # type: ignore[arg-type]
