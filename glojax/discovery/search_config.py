"""The settings of a search by genetic programming."""

from dataclasses import dataclass, field
from typing import Any

from glojax.defaults import derived
from glojax.deprecation import renamed_fields
from glojax.discovery.aggregates import AGGREGATES
from glojax.discovery.genetics import Variation
from glojax.discovery.selection import SELECTIONS
from glojax.discovery.settings import FitnessConfig, check_bounds
from glojax.errors import quoted
from glojax.expressions import parsing, trees
from glojax.expressions.grammar import Vocabulary

MAX_POPULATION = 100_000

ZOO = "zoo"
"""What stands for the known losses in ``SearchConfig.start``."""


@renamed_fields(rates="variation")
@dataclass(frozen=True, kw_only=True)
class SearchConfig(FitnessConfig):
    """Settings of a search; ``SearchConfig.paper()`` gives those of arXiv 1905.11528.

    Attributes:
      population: candidates in a generation.
      generations: how many, the initial one included.
      elites: best candidates that are carried over unchanged, fewer than the population. Defaults to 6, or to one less
        than the population where that is fewer.
      elite_seeds: further trainings of the elites in each generation, so many for each of them on average: those that
        may be the best get most (``allocation``). An elite's fitness is the mean of all its trainings.
      coefficient_samples: vectors of each elite's identifiable coefficients that are tried after each generation
        (``coefficient_samples``). What an elite is better with it keeps, also in the result, and tuning starts there;
        its offspring have the tree alone. For one task.
      pool: trees that are made for every generation, half of them bred, the others grown or drawn by what they compute
        (``drawing``). As many of either half as of the other are trained, each at one of the fair rates and to the end:
        those that may be worth most, by what losses that act alike were worth (``surrogate``). With 0, or without
        screening, trees are only bred, after a first generation of grown ones, and those that pass screening first are
        trained. Defaults to 50 times the population.
      breeding: breed every generation from the one before. Without it each is grown anew, which is random search
        (``random_search``).
      selection: how parents are drawn, a key of ``selection.SELECTIONS``.
      variation: probabilities of crossover and of each mutation.
      max_depth: largest depth of the initial trees.
      max_nodes: largest number of nodes of a tree. An offspring above it is drawn anew.
      both_variables: give every tree x and y. Without it a tree that lacks one is kept with fitness 0.
      leaves: what trees may have beside x, y and integers: ``"progress"``, the share of a training's steps that were
        taken, and ``"prior"``, the share of the training labels that an output has. Defaults to neither.
      start: expressions of trees that come first in the first generation, where they pass screening, at most as many
        as the population has; ``ZOO`` stands for the known losses that are trees without coefficients.
      aggregate: how scores on several tasks become one fitness (``aggregates``): the mean of ``"gains"`` over each
        task's own baseline in units of its noise, or of ``"ranks"``. A single task has no use for it.

    The other settings are those of ``FitnessConfig`` and ``SharedSettings``.

    Raises:
      ValueError: a setting out of range; the message names the field, its value and what is allowed.

    Example:
      ``SearchConfig(population=40, generations=10, seed=1)``
    """

    population: int = 80
    generations: int = 20
    elites: int = None  # type: ignore[assignment]  # the default is made below
    elite_seeds: int = 2
    coefficient_samples: int = 0
    pool: int = None  # type: ignore[assignment]
    breeding: bool = True
    selection: str = "tournament"
    variation: Variation = field(default_factory=Variation)
    max_depth: int = 3
    max_nodes: int = 32
    both_variables: bool = True
    leaves: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    aggregate: str = "gains"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds(self, population=(2, MAX_POPULATION))
        object.__setattr__(self, "elites", derived(self.elites, min(6, self.population - 1)))
        if isinstance(self.elites, int) and self.elites >= self.population:
            raise ValueError(
                f"SearchConfig.elites is {self.elites}, population is {self.population}; "
                "elites must be smaller than the population."
            )
        check_bounds(self, elites=(0, MAX_POPULATION))
        object.__setattr__(self, "pool", derived(self.pool, 50 * self.population))
        check_bounds(
            self,
            generations=(1, 1_000_000),
            pool=(0, 10_000_000),
            elite_seeds=(0, 1000),
            coefficient_samples=(0, 1000),
            max_depth=(1, 10),
            max_nodes=(3, trees.MAX_NODES),
        )
        try:
            object.__setattr__(self, "leaves", self.vocabulary.leaves)
        except ValueError as error:
            raise ValueError(f"SearchConfig.{error}") from None
        if not self.vocabulary.has(2):
            raise ValueError(
                f"SearchConfig.operators is {', '.join(self.operators)}; one of two operands is needed, such as +, so "
                "that a tree can hold x and y."
            )
        if self.selection not in SELECTIONS:
            raise ValueError(f"SearchConfig.selection is {self.selection!r}; allowed are {', '.join(SELECTIONS)}.")
        if self.aggregate not in AGGREGATES:
            raise ValueError(f"SearchConfig.aggregate is {self.aggregate!r}; allowed are {', '.join(AGGREGATES)}.")
        object.__setattr__(self, "start", self._checked_start())

    @property
    def vocabulary(self) -> Vocabulary:
        """What trees are made of."""
        return Vocabulary(self.operators, self.leaves)

    def _checked_start(self) -> tuple[str, ...]:
        """The expressions as trees are written, each once."""
        given = (self.start,) if isinstance(self.start, str) else tuple(self.start)
        written: dict[str, None] = {}
        for text in given:
            if text == ZOO:
                written[ZOO] = None
                continue
            try:
                tree = parsing.parse(str(text))
                trees.check_candidate(tree, self.max_nodes)
            except ValueError as error:
                raise ValueError(f"SearchConfig.start holds {quoted(str(text))}: {error}") from None
            written[str(tree)] = None
        if len(written) > self.population:
            raise ValueError(
                f"SearchConfig.start has {len(written)} trees, population is {self.population}; at most as many as the "
                "population are allowed."
            )
        return tuple(written)

    @classmethod
    def paper(cls, **changes: Any) -> "SearchConfig":
        """The paper's settings with everything beyond them off, and with these changes."""
        paper: dict[str, Any] = {
            "generations": 100,
            "selection": "roulette",
            "max_depth": 2,
            "both_variables": False,
            "elite_seeds": 0,
            "pool": 0,
            "seeds": 1,
            "fair_rates": False,
            "halving": 1,
            "screening": (),
            "finalists": 1,
            "averaging": 0.0,
            "rank_by": "metric",
        }
        return cls(**paper | changes)
