"""Groups of validation examples that a gain is measured without."""

import numpy as np
import pytest

from glojax.data.splits import Split
from glojax.discovery import tuning_gain
from glojax.tasks.task import Task


def test_every_example_is_left_out_once_and_every_class_in_proportion() -> None:
    labels = np.repeat([0, 1], [160, 32]).astype(np.int32)
    parts = tuning_gain.without_groups(Split(np.arange(192.0)[:, None], labels), seed=3)
    assert len(parts) == tuning_gain.GROUPS
    left_out = [sorted(set(range(192)) - set(part.x[:, 0].astype(int))) for part in parts.values()]
    assert sorted(row for group in left_out for row in group) == list(range(192))
    assert [(labels[group] == 1).sum() for group in left_out] == [2] * 16
    assert all((part.labels == labels[part.x[:, 0].astype(int)]).all() for part in parts.values())


@pytest.mark.slow
def test_a_few_examples_are_groups_of_one_and_large_ones_few_groups() -> None:
    assert len(tuning_gain.without_groups(Split({"a": np.zeros((3, 2))}, np.zeros((3, 1))), 0)) == 3
    assert tuning_gain.without_groups(Split(np.zeros((1, 2)), np.zeros(1)), 0) == {}
    huge = np.broadcast_to(np.zeros((1, 2**20), np.float32), (300, 2**20))
    groups = tuning_gain.without_groups(Split(huge, np.zeros(300)), 0)
    assert len(groups) == 4


def test_networks_are_scored_on_further_parts(tiny_task: Task) -> None:
    whole = Split(*tiny_task.validation)
    parts = tuning_gain.without_groups(whole, 0)
    task = tiny_task.with_parts(parts)
    assert list(task.splits) == ["train", "validation", "test", *parts]
    assert list(tiny_task.splits) == ["train", "validation", "test"]
    assert task.fingerprint != tiny_task.fingerprint
