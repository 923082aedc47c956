"""Ideas from outside: a function or a program that is shown the best losses so far and answers with expressions.

It may be a language model, a person or another search. Its answers are screened, trained and recorded like all other
trees, and nothing else of a search depends on it. What it answered is on record, so a run that goes on does not ask
again.
"""

import json
import os
import shlex
import signal
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from glojax.discovery.fitness import Archive
from glojax.discovery.genetics import Offspring
from glojax.discovery.results import Baseline, Known
from glojax.discovery.search_config import SearchConfig
from glojax.distributed import processes
from glojax.errors import quoted, users_code
from glojax.expressions import grammar, parsing
from glojax.expressions.trees import check_candidate
from glojax.records.hall_of_fame import best_of_every_size
from glojax.records.run import Run
from glojax.tasks.task import Task

MOST = 64
"""Expressions that are read of an answer; more are left unread."""

BEST_SHOWN = 20
"""Losses that are shown beside the hall of fame."""

MOST_BYTES = 1_000_000
"""Of the output of a command."""

Proposals = Callable[[Mapping[str, Any]], Iterable[str]]
"""What proposes losses: given ``outlook``, it answers with expressions."""


class ProposalsFailed(RuntimeError):
    """A command that proposes losses gave no answer."""


@dataclass(frozen=True)
class Command:
    """A program that proposes losses.

    It reads ``outlook`` as JSON from its standard input, and writes a JSON list of expressions, or one on each
    line, where empty lines and those with # are skipped.

    Attributes:
      command: with its arguments, as a shell would split it; no shell runs it.
      seconds: after which it is stopped, above 0.

    Raises:
      ValueError: no command, or a time that is none.
    """

    command: str
    seconds: float = 300.0

    def __post_init__(self) -> None:
        if not isinstance(self.command, str) or not shlex.split(self.command):
            raise ValueError(f"proposals: the command is {self.command!r}; a program with its arguments is expected.")
        if isinstance(self.seconds, bool) or not 0 < self.seconds < float("inf"):
            raise ValueError(f"proposals: the time is {self.seconds!r}; a number of seconds above 0 is allowed.")

    def __call__(self, outlook: Mapping[str, Any]) -> list[str]:
        """Run the program.

        Raises:
          ProposalsFailed: it cannot be run, fails, takes too long or writes too much; the message says which.
        """
        with tempfile.TemporaryFile() as given:
            given.write(json.dumps(outlook).encode() + b"\n")
            given.seek(0)
            return _read_answer(self._run(given), self.command)

    def _run(self, given: Any) -> bytes:
        try:
            # A session of its own, so that what it starts is stopped with it.
            process = subprocess.Popen(
                shlex.split(self.command), stdin=given, stdout=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise ProposalsFailed(f"{self.command!r} cannot be run: {error.strerror or error}.") from None
        late = threading.Event()

        def stop() -> None:
            late.set()
            _stop(process)

        timer = threading.Timer(self.seconds, stop)
        timer.start()
        try:
            assert process.stdout is not None
            with process.stdout as output:
                answer = output.read(MOST_BYTES + 1)
            if len(answer) > MOST_BYTES:
                _stop(process)
                raise ProposalsFailed(f"{self.command!r} wrote more than {MOST_BYTES:,} bytes.")
            code = process.wait()
        finally:
            timer.cancel()
            _stop(process)
            process.wait()
        if late.is_set():
            raise ProposalsFailed(f"{self.command!r} took more than {self.seconds:g} seconds.")
        if code:
            raise ProposalsFailed(f"{self.command!r} ended with status {code}.")
        return answer


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it has ended
        return


def _read_answer(answer: bytes, command: str) -> list[str]:
    text = answer.decode(errors="replace").strip()
    if text.startswith("["):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):
            listed = None
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise ProposalsFailed(f"{command!r} wrote {quoted(text)}; a JSON list of expressions is expected.")
        return listed
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def proposed(
    proposals: Proposals | None,
    run: Run,
    number: int,
    task: Task | Sequence[Task],
    config: SearchConfig,
    archive: Archive,
    baseline: Baseline | None,
) -> list[Offspring]:
    """The trees that are proposed for a generation, asked for once and then on record.

    A failure ends a search in its first generation, where nothing is lost; later it is a warning.

    Raises:
      ValueError: the answer to the first question is none.
    """
    if proposals is None:
        return []

    def ask() -> dict[str, Any]:
        try:
            with users_code("proposals"):
                shown = outlook(number, task, config, archive, baseline)
                answers = [str(one)[: parsing.MAX_CHARACTERS] for one in islice(proposals(shown), MOST)]
        except ValueError as error:
            if number == 0:
                raise
            warnings.warn(f"generation {number} has no proposals: {error}", stacklevel=2)
            return {"answers": [], "error": str(error)}
        return {"answers": [[answer, _fault(answer, config)] for answer in answers], "error": ""}

    kept = run.once(f"proposals {number}", lambda: processes.first(ask))
    return [Offspring(parsing.parse(text), (), "proposed") for text, fault in kept["answers"] if not fault]


def _fault(text: str, config: SearchConfig) -> str:
    """Why an expression cannot be a candidate; "" if it can."""
    try:
        check_candidate(parsing.parse(text), config.max_nodes)
    except ValueError as error:
        return str(error)
    return ""


def outlook(
    number: int, task: Task | Sequence[Task], config: SearchConfig, archive: Archive, baseline: Baseline | None
) -> dict[str, Any]:
    """What is shown to whoever proposes losses; it survives JSON.

    Args:
      number: of the generation that is asked for.
      task: of the search, or several; then fitness is joint and rates are in units of each task's fair ones.
      config: of the search.
      archive: what is known.
      baseline: what learning rates derive from, if they are fair.

    Returns:
      The task, what an expression may hold, how many are wanted, the baseline, the best loss of every size
      (``hall_of_fame``) and the best losses (``best``), each with its expression, size, fitness, trainings and rate.
    """
    ranking = [known for known in archive.ranking if known.is_sound]
    wanted = min(MOST, max(1, config.population // 4))
    every = [task] if isinstance(task, Task) else [*task]
    is_joint = len(every) > 1
    return {
        "task": " and ".join(one.name for one in every),
        "score": f"joint fitness by {config.aggregate}" if is_joint else config.ranked(every[0]).score_name,
        "generation": number,
        "wanted": wanted,
        "rules": {
            "loss": "minus the sum over outputs of f(x, y), where x is the label and y the prediction",
            "operators": [str(row.symbol) for row in grammar.OPERATORS],
            "leaves": ["x", "y", *config.leaves, "integers"],
            "max_nodes": config.max_nodes,
        },
        "baseline": None if baseline is None else {
            "expression": str(every[0].problem.baseline.tree), "fitness": baseline.fitness, "rate": baseline.rate,
        },
        "hall_of_fame": [_shown(known) for known in best_of_every_size(ranking, lambda known: known.tree.size)],
        "best": [_shown(known) for known in ranking[:BEST_SHOWN]],
    }  # fmt: skip


def _shown(known: Known) -> dict[str, Any]:
    return {
        "expression": str(known.tree),
        "size": known.tree.size,
        "fitness": known.fitness,
        "trainings": len(known.scores),
        "rate": known.rate,
    }
