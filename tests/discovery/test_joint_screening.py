"""Screening for several tasks."""

import numpy as np
import pytest

from glojax import SearchConfig, Task, models, parse, tasks
from glojax.discovery.joint_screening import JointScreener
from glojax.discovery.sieve import Screener

TREES = [parse(text) for text in ("x * log(y)", "square(x - y)", "-1 * square(x - y)", "y", "log(x) * y", "x * y")]


def screener(task: Task) -> Screener:
    return Screener(task, SearchConfig(), 31)


@pytest.mark.slow
def test_tasks_of_classes_are_screened_once(tiny_task: Task) -> None:
    one, other = screener(tiny_task), screener(tasks.harder(tiny_task, label_noise=0.2))
    joint = JointScreener([one, other])
    assert joint.looks(TREES) == one.looks(TREES)
    assert joint.trainable(TREES[:3]) == one.trainable(TREES[:3])
    np.testing.assert_array_equal(joint.behaviours(TREES[:3]), one.behaviours(TREES[:3]))


@pytest.mark.slow
def test_a_tree_passes_where_it_passes_on_every_task() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    made = [
        Task(models.MLP((1,)), (x, labels), (x, labels), kind="regression", steps=2, name=name)
        for name, labels in (("above 0", np.exp(x[:, 0]) + 1), ("about 0", x[:, 1]))
    ]
    parts = [screener(task) for task in made]
    joint = JointScreener(parts)
    for tree, look, one, other in zip(TREES, joint.looks(TREES), *(part.looks(TREES) for part in parts), strict=True):
        assert (look is None) == (not tree.has_x_and_y)
        if look is not None and one is not None and other is not None:
            assert look.passed == one.passed & other.passed
            assert look.key in (b"", one.key + other.key)
    both = [[TREES[1], TREES[2], TREES[0]]]
    expected = np.array([part.trainable(*both) for part in parts]).all(axis=0)
    assert joint.trainable(*both) == expected.tolist()
    np.testing.assert_allclose(
        np.square(joint.behaviours(TREES[1:3])[0] - joint.behaviours(TREES[1:3])[1]).sum(),
        np.mean([np.square(np.diff(part.behaviours(TREES[1:3]), axis=0)).sum() for part in parts]),
        rtol=1e-5,
    )
