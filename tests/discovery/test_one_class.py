"""Losses whose networks answer one class for all examples."""

import flax.linen as nn
import numpy as np
import optax
import pytest

from glojax import parse
from glojax.discovery.fitness import Fitness
from glojax.discovery.one_class import answers_one_class
from glojax.discovery.results import Known
from glojax.discovery.search_config import SearchConfig
from glojax.executors.local import local_executor
from glojax.records.run import ONE_CLASS, Run
from glojax.tasks.task import Task

TREE = parse("x * log(y)")


def task(metric: str, *, told: bool) -> Task:
    """One label in five is 1, and the inputs tell which or nothing."""
    labels = (np.arange(200) % 5 == 0).astype(np.int32)
    x = np.where(told, 3 * labels[:, None] - 1.0, np.zeros((200, 1))).astype(np.float32)
    part = (x, labels)
    return Task(nn.Dense(2), part, part, optimizer=optax.sgd(0.3), batch_size=50, steps=40, metric=metric)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "told", "score", "expected"),
    [
        ("accuracy", False, 0.8, True),
        ("accuracy", True, 0.9, False),
        ("accuracy", False, 1.07, False),  # no network of one class has such margins: it is not trained again
        ("balanced_accuracy", False, 0.5, True),
        ("balanced_accuracy", True, 0.9, False),
    ],
)
def test_one_answer_for_all_is_told(metric: str, told: bool, score: float, expected: bool) -> None:
    found = answers_one_class(
        local_executor, task(metric, told=told), "margins", TREE, (1.0,) * TREE.size, 1.0, [score] * 2, [1, 2]
    )
    assert found == expected


def test_a_loss_of_one_class_does_not_win_unless_all_are(monkeypatch: pytest.MonkeyPatch) -> None:
    config = SearchConfig(fair_rates=False, screening=())
    fitness = Fitness.of(task("accuracy", told=True), config, 15, local_executor)
    decided = [Known(parse(f"x * {n} * y"), 1.0, (score, score), True) for n, score in ((1, 0.7), (2, 0.9), (3, 0.8))]
    monkeypatch.setattr(Fitness, "answers_one_class", lambda self, known: known.fitness > 0.85)
    with Run(None, "search", fitness.task, config, False) as run:
        assert fitness._winner(decided, [], run) == decided[2]
        assert run.once(ONE_CLASS, dict)["passed over"] == [1]
    monkeypatch.setattr(Fitness, "answers_one_class", lambda self, known: True)
    with Run(None, "search", fitness.task, config, False) as run:
        assert fitness._winner(decided, [], run) == decided[1]
        assert run.once(ONE_CLASS, dict)["passed over"] == []
