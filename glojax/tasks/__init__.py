"""Tasks: what a loss is judged on.

May import ``data``, ``models``, ``losses`` and below.
"""

from glojax.tasks.loading import FROM_FILES, NAMED, check, task_by_name
from glojax.tasks.ready_made import cifar10, digits, mnist, table
from glojax.tasks.task import Task

__all__ = ["FROM_FILES", "NAMED", "Task", "check", "cifar10", "digits", "mnist", "table", "task_by_name"]
