"""The ready-made tasks against the settings of the papers, and a table of the user's own."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SmallSets
from sklearn.metrics import f1_score

from glojax import models, tables, tasks
from glojax.data import augmentation
from glojax.tasks import problems


def test_mnist_is_the_papers_task(small_sets: SmallSets) -> None:
    task = tasks.task_by_name("mnist", data_dir=small_sets.data_dir)
    assert (task.name, task.steps, task.batch_size) == ("mnist", 2000, 100)
    assert [len(split.labels) for split in task.splits.values()] == [1100, 100, 30]
    assert task.splits["train"].x.dtype == np.uint8
    assert sum(leaf.size for leaf in jax.tree.leaves(models.shapes(task.pure_model)[0])) == 3_274_634
    given = task.evaluation_input(jnp.asarray(task.splits["test"].x))
    np.testing.assert_allclose(given, task.splits["test"].x / 255, rtol=1e-6)
    update, _ = task.optimizer.update(jnp.ones(2), task.optimizer.init(jnp.ones(2)), jnp.ones(2))
    np.testing.assert_allclose(update, -0.01, rtol=1e-6)


def test_cifar10_is_the_papers_task(small_sets: SmallSets) -> None:
    task = tasks.task_by_name("cifar10", data_dir=small_sets.data_dir, steps=7)
    assert (task.name, task.steps, task.batch_size) == ("cifar10", 7, 1024)
    assert [len(split.labels) for split in task.splits.values()] == [1080, 120, 30]
    assert task.batch.shape == (1024, 24, 24, 3)
    assert (task.preprocess, task.augment) == (augmentation.cifar_evaluation, augmentation.cifar_training)


def test_cifar10_decays_weights_and_divides_its_rate_by_ten_every_350_epochs(small_sets: SmallSets) -> None:
    optimizer = tasks.cifar10(data_dir=small_sets.data_dir).optimizer  # an epoch is one batch
    params = jnp.array([3.0, -1.0])
    for steps, rate in ((0, 0.05), (349, 0.05), (350, 0.005), (700, 0.0005)):
        state = optimizer.init(params)
        state = jax.tree.map(lambda leaf, steps=steps: jnp.full_like(leaf, steps), state)
        update, _ = optimizer.update(jnp.array([2.0, 2.0]), state, params)
        np.testing.assert_allclose(update, -rate * (2 + 0.004 * params), rtol=1e-5)


def test_digits_refuse_an_unknown_network() -> None:
    with pytest.raises(ValueError, match="network is 'rnn'; allowed are mlp, cnn"):
        tasks.digits(network="rnn")


def test_a_table_becomes_a_task_whose_network_fits_it(tmp_path: Path) -> None:
    rows = [f"{number},{number % 3},{'abc'[number % 3]}" for number in range(30)]
    (tmp_path / "rows.csv").write_text("\n".join(["first,second,kind", *rows]))
    task = tasks.table(tmp_path / "rows.csv", "kind", optimizer="adam", learning_rate=0.5, batch_size=1000, steps=7)
    assert (task.name, task.steps, task.kind) == ("rows-kind", 7, problems.KINDS["classification"])
    assert (task.outputs, task.batch_size) == (3, len(task.splits["train"].labels))
    hidden = jax.tree.leaves(models.shapes(task.pure_model)[0])[0]
    assert hidden.shape == (64,)
    update, _ = task.optimizer.update(jnp.ones(2), task.optimizer.init(jnp.ones(2)), jnp.ones(2))
    np.testing.assert_allclose(update, -0.5, rtol=1e-4)  # Adam's first step is the learning rate


@pytest.mark.parametrize(
    ("options", "step"),
    [({}, 0.003), ({"optimizer": "sgd"}, 0.01), ({"optimizer": "rmsprop", "learning_rate": 0.1}, 0.1 / 0.1**0.5)],
)
def test_a_table_is_trained_by_adam_and_each_optimizer_has_a_rate(
    tmp_path: Path, options: dict[str, Any], step: float
) -> None:
    (tmp_path / "rows.csv").write_text("a,t\n" + "".join(f"{place},{place % 2}\n" for place in range(60)))
    notes: list[str] = []
    task = tasks.table(tmp_path / "rows.csv", "t", steps=2, on_read=lambda read: notes.append(read.about), **options)
    update, _ = task.optimizer.update(jnp.ones(2), task.optimizer.init(jnp.ones(2)), jnp.ones(2))
    np.testing.assert_allclose(update, -step, rtol=1e-3)
    name, rate = options.get("optimizer", "adam"), options.get("learning_rate", step)
    assert f"Network    64 hidden units; {name} at {rate:g}" in notes[0]


@pytest.mark.slow
@pytest.mark.parametrize("names", [("yes", "no"), ("3", "4"), ("a", "b", "c")])
def test_f1_of_a_class_is_asked_for_by_its_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    rows = "".join(f"{place % 11},{names[place % len(names)]}\n" for place in range(90))
    (tmp_path / "rows.csv").write_text("a,t\n" + rows)
    for name in names:
        read: list[tables.TableData] = []
        task = tasks.table(
            tmp_path / "rows.csv", "t", kind="classification", steps=2, metric=f"f1:{name}", on_read=read.append
        )
        labels = task.splits["validation"].labels
        is_of_class = labels == read[0].classes.index(name)
        logits = np.eye(len(names), dtype=np.float32)[np.full(len(labels), read[0].classes.index(name))]
        assert float(task.score(jnp.asarray(logits), labels)) == pytest.approx(f1_score(is_of_class, labels >= 0))
    with pytest.raises(ValueError, match=r"Task\.metric is 'f1:other'"):
        tasks.table(tmp_path / "rows.csv", "t", kind="classification", steps=2, metric="f1:other")


@pytest.mark.parametrize(("rare", "metric"), [(25, "balanced accuracy"), (26, "accuracy")])
def test_a_table_with_a_rare_class_is_judged_by_balanced_accuracy(tmp_path: Path, rare: int, metric: str) -> None:
    """Beyond three to one, in the training part: 15 of 60 rows, or 16."""
    rows = [f"{place},{place % 7},{'yes' if place < rare else 'no'}" for place in range(101)]
    (tmp_path / "rare.csv").write_text("first,second,label\n" + "\n".join(rows) + "\n")
    notes: list[str] = []
    task = tasks.table(
        tmp_path / "rare.csv", "label", kind="classification", on_read=lambda read: notes.append(read.about)
    )
    counts = np.bincount(task.splits["train"].labels)
    assert (counts.max() / counts.min() > 3) == (metric == "balanced accuracy")
    assert task.metric_name == metric
    assert ("Metric     balanced accuracy" in notes[0]) == (metric == "balanced accuracy")
