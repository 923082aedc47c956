"""One candidate of a generation as the record keeps it, and a tree that screening rejected."""

import json
import math
from collections.abc import Sequence
from typing import NamedTuple

from glojax.errors import quoted

ORIGINS = ("start", "grown", "drawn", "bred", "proposed", "kept")
"""Where a tree comes from: the settings (``SearchConfig.start``), the paper's rule of growth, a draw by what trees
compute (``discovery.drawing``), breeding, outside (``discovery.proposals``), or the generation before, unchanged."""


class Record(NamedTuple):
    """One candidate of one generation."""

    expression: str
    canonical: str  # canonical form of the expression
    coefficients: tuple[float, ...]  # the identifiable ones; empty in a search of trees where all are 1
    fitness: float  # mean score of all trainings so far
    scores: tuple[float, ...]  # of the trainings in this generation; empty if there were none
    rate: float  # scale of the task's learning rate
    fate: str  # "trained", "dropped" (stopped early by halving), "cached", "invalid" (lacks x or y), "elite"
    parents: tuple[int, ...]  # their places in the previous generation
    seed: int  # of the first training
    steps: int  # optimizer steps of all its trainings
    seconds: float  # its share of the generation's training time; the only field that two equal runs do not share
    origin: str = ""  # one of ``ORIGINS``, or "" where it is not a tree of a search


class Rejected(NamedTuple):
    """A tree that was drawn and not trained."""

    canonical: str
    expression: str
    stage: str  # the first stage of screening that it failed
    origin: str = ""  # as that of ``Record``


LISTS = ("coefficients", "scores", "parents")
"""Fields of a record that the tables hold as JSON."""


def to_row(record: Record) -> tuple[str | int | float, ...]:
    """The columns of a record in the table of candidates."""
    return tuple(json.dumps(value) if isinstance(value, list | tuple) else value for value in record)


def from_row(columns: Sequence[str | int | float]) -> Record:
    """A record from its columns in the table of candidates.

    Raises:
      ValueError, TypeError: a column has a value of the wrong type.
    """
    record = Record(*columns)  # type: ignore[arg-type]
    return checked(record._replace(**{name: json.loads(getattr(record, name)) for name in LISTS}))


def checked(record: Record) -> Record:
    """The record with tuples for lists.

    Raises:
      ValueError, TypeError: a field has the wrong type.
    """
    record = record._replace(**{name: tuple(getattr(record, name)) for name in LISTS})
    texts = (record.expression, record.canonical, record.fate, record.origin)
    integers = (record.seed, record.steps, *record.parents)
    numbers = (record.fitness, record.rate, record.seconds, *record.coefficients, *record.scores)
    fits = all(isinstance(text, str) for text in texts) and all(type(value) is int for value in integers)
    if not fits or not all(type(value) in (int, float) and math.isfinite(value) for value in numbers):
        raise ValueError(f"a candidate, {quoted(record.expression)}, has a field of the wrong type")
    return record


def checked_funnel(counts: object) -> dict[str, int]:
    """The counts of a funnel.

    Raises:
      ValueError: they are not integers by name.
    """
    if not isinstance(counts, dict) or not all(type(count) is int for count in counts.values()):
        raise ValueError(f"{quoted(counts)} is not a funnel")
    return counts
