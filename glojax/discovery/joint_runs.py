"""Where a search on several tasks keeps its record: a folder with an ordinary run directory for each task.

``tasks.json`` beside them lists the tasks and their folders, in their order.
"""

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from glojax import files
from glojax.discovery.search_config import SearchConfig
from glojax.distributed import processes
from glojax.records.run import Run
from glojax.tasks.task import Task

TASKS = "tasks.json"

_MAX_BYTES = 100_000


def names_of(together: Sequence[Task]) -> list[str]:
    """The tasks' names, each once: of equal ones the later have a number."""
    names: list[str] = []
    for task in together:
        name, number = task.name, 2
        while name in names:
            name, number = f"{task.name} {number}", number + 1
        names.append(name)
    return names


def folders_of(names: Sequence[str]) -> list[str]:
    """A folder for each name, each once."""
    folders: list[str] = []
    for name in names:
        plain = folder = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "task"
        number = 2
        while folder in folders:
            folder, number = f"{plain}-{number}", number + 1
        folders.append(folder)
    return folders


@contextlib.contextmanager
def opened(
    run_dir: str | os.PathLike[str] | None, phase: str, together: Sequence[Task], config: SearchConfig, resume: bool
) -> Iterator[list[Run]]:
    """The records of a phase on every task, which end with the context; the arguments are those of ``Run``.

    Raises:
      ValueError: what ``Run`` raises, a directory of other tasks, or of a single one.
    """
    names = names_of(together)
    folders = folders_of(names)
    if run_dir is not None:
        processes.first(lambda: _begin(Path(run_dir), dict(zip(names, folders, strict=True))))
    # A task's record belongs to a search on these tasks together.
    settings = dataclasses.asdict(config) | {"together": [f"{task.name} ({task.fingerprint})" for task in together]}
    with contextlib.ExitStack() as held:
        yield [
            held.enter_context(Run(None if run_dir is None else Path(run_dir) / folder, phase, task, settings, resume))
            for folder, task in zip(folders, together, strict=True)
        ]


def _begin(run_dir: Path, tasks: dict[str, str]) -> None:
    if (run_dir / "settings.json").exists():
        raise ValueError(f"{run_dir} holds the run of one task; choose another run directory for several.")
    kept = read_tasks(run_dir)
    if kept and [*kept.items()] != [*tasks.items()]:
        raise ValueError(
            f"{run_dir} was begun with the tasks {', '.join(kept)}; these are {', '.join(tasks)}. Resume with the same "
            "ones or choose another run directory."
        )
    if not kept:
        run_dir.mkdir(parents=True, exist_ok=True)
        files.write_atomically(run_dir / TASKS, json.dumps({"tasks": tasks}, indent=2) + "\n")


def read_tasks(run_dir: str | os.PathLike[str]) -> dict[str, str]:
    """The folder of each task by its name; empty where a directory holds no search on several tasks.

    Raises:
      ValueError: the file is damaged.
    """
    path = Path(run_dir) / TASKS
    if not path.exists():
        return {}
    kept = files.read_json(path, _MAX_BYTES)
    tasks = kept.get("tasks") if isinstance(kept, dict) else None
    if not isinstance(tasks, dict) or not all(
        isinstance(folder, str) and re.fullmatch(r"[a-z0-9-]+", folder) for folder in tasks.values()
    ):
        raise ValueError(f"{path} is damaged: tasks is missing or names no folders.")
    return tasks


def first_folder(run_dir: str | os.PathLike[str]) -> Path:
    """A run directory itself or, of several tasks, that of the first; all of them end with the same loss.

    Raises:
      ValueError: the list of tasks is damaged.
    """
    return Path(run_dir) / next(iter(read_tasks(run_dir).values()), "")
