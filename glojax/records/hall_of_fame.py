"""The hall of fame: the best loss of every size, from the record of a search."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from glojax.expressions import parsing
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.losses.spaces import coefficient_space
from glojax.records.candidates import Record
from glojax.statistics import as_good, with_handicaps


class _HasFitness(Protocol):
    @property
    def fitness(self) -> float: ...


T = TypeVar("T", bound=_HasFitness)


class Famous(NamedTuple):
    """The best loss of its size."""

    size: int  # number of nodes of its tree
    record: Record  # of the finals or, before them, its latest
    trainings: int  # that its fitness is the mean of
    is_leading: bool  # whether it is better than all smaller ones

    @property
    def expression(self) -> str:
        """The loss as text, with its coefficients."""
        tree, factors = loss_parts(self.record)
        return str(Loss(tree, factors)) if factors else self.record.expression


def loss_parts(record: Record) -> tuple[Tree, tuple[float, ...]]:
    """The tree of a candidate of a search of trees, and the factor of each node; none where all are 1."""
    tree = parsing.parse(record.expression)
    if not record.coefficients:
        return tree, ()
    return tree, coefficient_space(tree).coefficients(np.array(record.coefficients))


def simplified(finals: Sequence[Record], parsimony: float = 0.0) -> Record | None:
    """The smallest finalist that is as good as the winner over the fresh seeds they share (``statistics.as_good``).

    Args:
      finals: the finalists; of equally small ones the better one is taken.
      parsimony: as in the settings of the search; it counts for both.

    Returns:
      One of them, perhaps the winner itself; ``None`` if there are none.
    """
    if not finals:
        return None
    sizes = [parsing.parse(record.expression).size for record in finals]
    scores = with_handicaps([record.scores for record in finals], [parsimony * size for size in sizes])
    return finals[min(as_good(scores), key=lambda place: (sizes[place], -finals[place].fitness))]


def best_of_every_size(candidates: Iterable[T], size_of: Callable[[T], int]) -> list[T]:
    """The fittest candidate of every size, the first of equals, the smallest size first."""
    best: dict[int, T] = {}
    for candidate in candidates:
        size = size_of(candidate)
        if size not in best or candidate.fitness > best[size].fitness:
            best[size] = candidate
    return [best[size] for size in sorted(best)]


def hall_of_fame(generations: Sequence[Sequence[Record]], finals: Sequence[Record] = ()) -> list[Famous]:
    """The best loss of every size, the smallest first.

    Args:
      generations: every candidate of a search of trees, as the record has them.
      finals: the finalists, with the best of every size by the search. Without them fitness is that of the search,
        whose best are the luckiest, the more so the more losses have a size. What halving stopped does not count then.

    Returns:
      One loss for each size at which one was trained to the end.
    """
    trainings, latest = Counter[str](), {record.canonical: record for record in finals}
    if not finals:
        latest = {record.canonical: record for records in generations for record in records}
    for record in finals or (record for records in generations for record in records):
        if record.fate in ("trained", "elite"):
            trainings[record.canonical] += len(record.scores)
    sizes = {form: parsing.parse(latest[form].expression).size for form, count in trainings.items() if count}
    finished = [latest[form] for form in sizes if latest[form].fitness > 0]
    famous: list[Famous] = []
    for record in best_of_every_size(finished, lambda record: sizes[record.canonical]):
        is_leading = all(record.fitness > smaller.record.fitness for smaller in famous)
        famous.append(Famous(sizes[record.canonical], record, trainings[record.canonical], is_leading))
    return famous
