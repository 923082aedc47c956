"""The ancestors of a loss, from the record of a search.

A loss is one ancestor however often it was carried over or drawn again. It stands where it first appeared, with the
parents that it had there.
"""

from collections.abc import Sequence
from typing import NamedTuple

from glojax.records.candidates import Record


class Ancestor(NamedTuple):
    """A loss where it first appeared."""

    record: Record
    generation: int
    parents: tuple[int, ...]  # places in the genealogy: the parent that was changed, then the one that gave a subtree

    @property
    def origin(self) -> str:
        """How it was made: ``"mutation"``, ``"crossover"`` or, without parents, where the tree came from.

        That is one of ``ORIGINS``; in a record that does not say it, ``"drawn"``.
        """
        return (self.record.origin or "drawn", "mutation", "crossover")[min(len(self.parents), 2)]


def genealogy(generations: Sequence[Sequence[Record]], canonical: str) -> list[Ancestor]:
    """A loss and all its ancestors: the loss first, then later generations before earlier ones.

    Args:
      generations: every candidate of a search.
      canonical: the canonical form of the loss.

    Raises:
      ValueError: the loss is no candidate, or a candidate has parents that the previous generation lacks.
    """
    first: dict[str, tuple[int, Record]] = {}
    for number, records in enumerate(generations):
        for record in records:
            first.setdefault(record.canonical, (number, record))
    if canonical not in first:
        raise ValueError(f"{canonical} is not a candidate of this search")

    def parents_of(form: str) -> list[str]:
        number, record = first[form]
        before = generations[number - 1] if number else ()
        if not all(0 <= place < len(before) for place in record.parents):
            raise ValueError(f"{record.expression} has parents {record.parents} of {len(before)} candidates")
        return [before[place].canonical for place in record.parents]

    family, waiting = {canonical: parents_of(canonical)}, [canonical]
    while waiting:
        for parent in family[waiting.pop()]:
            if parent not in family:
                family[parent] = parents_of(parent)
                waiting.append(parent)
    ordered = sorted(family, key=lambda form: (form != canonical, -first[form][0], form))
    places = {form: place for place, form in enumerate(ordered)}
    return [
        Ancestor(first[form][1], first[form][0], tuple(places[parent] for parent in family[form])) for form in ordered
    ]


def main_line(family: Sequence[Ancestor]) -> list[int]:
    """Places of the loss, of the parent it was changed from, and so on back to one that has no parents."""
    line = [0]
    while family[line[-1]].parents:
        line.append(family[line[-1]].parents[0])
    return line
