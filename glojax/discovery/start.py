"""What a search starts from: given expressions, the known losses, or what files and earlier runs hold."""

import os
from pathlib import Path

from glojax import files
from glojax.discovery.best_known import candidates
from glojax.discovery.genetics import Offspring
from glojax.discovery.search_config import ZOO, SearchConfig
from glojax.errors import quoted
from glojax.expressions import parsing
from glojax.losses.loss import Loss, load
from glojax.records import summary
from glojax.tasks.task import Task

_MOST_BYTES = 1_000_000  # of a file of expressions


def start_trees(task: Task, config: SearchConfig) -> list[Offspring]:
    """The trees that come first in a search: those of ``SearchConfig.start``, ``"zoo"`` replaced by the known losses.

    Known losses with coefficients, such as label smoothing, are left out: the trees of a search have none.
    """
    given: dict[str, None] = {}
    for text in config.start:
        given |= dict.fromkeys(_known(task, config.max_nodes) if text == ZOO else [text])
    return [Offspring(parsing.parse(text), (), "start") for text in given]


def _known(task: Task, max_nodes: int) -> list[str]:
    losses = [known.loss for known in candidates(task)]
    trees = [loss.tree for loss in losses if isinstance(loss, Loss) and not loss.tuned]
    return [str(tree) for tree in trees if tree.size <= max_nodes]


def read_start(given: str | os.PathLike[str]) -> list[str]:
    """The expressions that a text stands for, as ``SearchConfig.start`` takes them.

    Args:
      given: an expression, ``"zoo"``, a file, or a run directory. A ``.json`` is a saved loss, any other file has an
        expression on each line, where empty lines and those with # are skipped. A run gives its hall of fame.

    Returns:
      Expressions. Of a loss with coefficients it is the tree.

    Raises:
      ValueError: a file holds no expression, or is too large or damaged; the message names it.
      OSError: it cannot be read.
    """
    path = Path(given)
    try:
        is_there = path.exists()
    except OSError:  # an expression may be too long for a name
        is_there = False
    if not is_there:
        if path.suffix in (".json", ".txt") or (isinstance(given, str) and given.endswith(os.sep)):
            raise FileNotFoundError(f"{path}: there is no such file.")
        return [str(given)]
    if path.is_dir():
        found = [
            famous.record.expression for phase in summary.read(path).phases.values() for famous in phase.hall_of_fame
        ]
    elif path.suffix == ".json":
        found = [str(load(path).tree)]
    else:
        with files.open_to_read(path, _MOST_BYTES) as file:
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
        found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise ValueError(f"{path} holds no expression to start from.")
    for text in found:
        try:
            parsing.parse(text)
        except ValueError as error:
            raise ValueError(f"{path} holds {quoted(text)}: {error}") from None
    return list(dict.fromkeys(found))
