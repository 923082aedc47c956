"""One candidate of a record, and what screening rejected."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from glojax.errors import quoted


class Record(NamedTuple):
    """One candidate of one generation."""

    expression: str
    canonical: str
    coefficients: tuple[float, ...]  # of the nodes that phase 2 tunes; empty in phase 1
    fitness: float  # mean score of all trainings so far
    scores: tuple[float, ...]  # of the trainings of this generation; empty if there were none
    rate: float  # scale of the task's learning rate
    fate: str  # "trained", "dropped" (trained in part), "cached", "invalid" (without x or y), "elite"
    parents: tuple[int, ...]  # places in the generation before
    seed: int  # of the training, the first if there are several
    steps: int  # optimizer steps of all its trainings
    seconds: float  # its share of the generation's training time; all else is the same in every run of one seed


class Rejected(NamedTuple):
    """A tree that was drawn and not trained."""

    canonical: str
    expression: str
    stage: str  # the first of ``screening.STAGES`` that it does not pass


LISTS = ("coefficients", "scores", "parents")
"""Fields of a record that the tables hold as JSON."""


def from_row(columns: Sequence[Any]) -> Record:
    """Of a row of the tables."""
    record = Record(*columns)
    return checked(record._replace(**{name: json.loads(getattr(record, name)) for name in LISTS}))


def checked(record: Record) -> Record:
    """The record with tuples for lists; raises ValueError or TypeError where one of its fields is of another type."""
    record = record._replace(**{name: tuple(getattr(record, name)) for name in LISTS})
    texts = (record.expression, record.canonical, record.fate)
    integers = (record.seed, record.steps, *record.parents)
    numbers = (record.fitness, record.rate, record.seconds, *record.coefficients, *record.scores)
    fits = all(isinstance(text, str) for text in texts) and all(type(value) is int for value in integers)
    if not fits or not all(type(value) in (int, float) and math.isfinite(value) for value in numbers):
        raise ValueError(f"a candidate, {quoted(record.expression)}, has a field of the wrong type")
    return record


def checked_funnel(counts: Any) -> dict[str, int]:
    if not isinstance(counts, dict) or not all(type(count) is int for count in counts.values()):
        raise ValueError(f"{quoted(counts)} is no funnel")
    return counts
