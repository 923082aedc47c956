"""Folders of a search on several tasks."""

from pathlib import Path

import pytest

from glojax.discovery import joint_runs


def test_every_name_has_a_folder_of_its_own() -> None:
    names = ["digits-mlp, 40% label noise", "A/../b", "a b", "%", "task"]
    assert joint_runs.folders_of(names) == ["digits-mlp-40-label-noise", "a-b", "a-b-2", "task", "task-2"]


@pytest.mark.parametrize("text", ["[]", "{}", '{"tasks": {"a": "../b"}}', '{"tasks": {"a": 1}}'])
def test_a_damaged_list_of_tasks_is_refused(tmp_path: Path, text: str) -> None:
    assert joint_runs.read_tasks(tmp_path) == {}
    (tmp_path / "tasks.json").write_text(text)
    with pytest.raises(ValueError, match=r"tasks\.json is damaged"):
        joint_runs.read_tasks(tmp_path)
