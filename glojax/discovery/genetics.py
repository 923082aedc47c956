"""The evolution of trees: crossover, mutation and the next generation (arXiv 1905.11528, section III-A).

Trees and fitness go in; trees and the places of their parents come out. All randomness is drawn from the NumPy
generator that is passed in, nothing else is kept between calls, and no other argument is changed: the same state of the
generator gives the same generation.
"""

import contextlib
import dataclasses
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from glojax.discovery.selection import SELECTIONS, checked_fitness
from glojax.expressions.grammar import OF_PAPER, Vocabulary
from glojax.expressions.trees import MAX_NODES, Tree, draw_symbol, grow

MAX_ROUNDS = 100
"""How often trees that may not enter are drawn anew before others take their places unchanged."""

_ROUND = 256
"""Trees drawn in a round where ``choose`` looks at them, which costs little more for many than for few."""

_GROWN_ROUNDS = 5
"""How many rounds grow trees from nothing only."""


class NothingToTrain(ValueError):
    """None of many trees drawn may enter the population."""


Choose = Callable[[Sequence[Tree], int], Sequence[int]]
"""``choose(trees, wanted)``: places of the trees that may enter the population, rising, at most ``wanted``."""


@dataclass(frozen=True)
class Variation:
    """Probabilities of crossover and of each mutation, in [0, 1]; the defaults are those of arXiv 1905.11528.

    Attributes:
      crossover: that two selected parents swap subtrees.
      integer_shift: for each integer, that 1 is added or subtracted.
      replace: for each node, that it becomes a weighted random node with the same number of children.
      collapse: for each node with children, that it and its children become a weighted random leaf.
      extend: for each leaf, that it becomes a weighted random node with weighted random leaves under it.

    Raises:
      ValueError: a probability out of range; the message names the field, its value and what is allowed.
    """

    crossover: float = 0.8
    integer_shift: float = 0.05
    replace: float = 0.05
    collapse: float = 0.025
    extend: float = 0.025

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            # Written so that NaN, which compares false with everything, is refused.
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"Variation.{field.name} is {value!r}; a number from 0 to 1 is allowed.")


class Offspring(NamedTuple):
    """A tree of the next generation, and where it comes from."""

    tree: Tree
    parents: tuple[int, ...]
    """Places in the population: that of the tree which was copied or mutated or, after a crossover, of the tree whose
    subtree was replaced, then of the tree that gave the new subtree."""
    origin: str = ""
    """One of ``records.candidates.ORIGINS``."""
    factor: float | None = None
    """The one fair rate at which it is trained, in units of ``fitness.FACTORS``; ``None`` for all of them."""


# VARIATION


def mutate(random: np.random.Generator, tree: Tree, variation: Variation, vocabulary: Vocabulary = OF_PAPER) -> Tree:
    """Give each node of a tree, children before parents, its chance of each mutation.

    The chances are independent, and are taken in the order of the fields of ``Variation``. Whether a node has children
    after these are done decides between collapse (it has) and extend (it is a leaf): neither follows the other in one
    place.

    Args:
      random: source of the draws.
      tree: the tree, which is not changed.
      variation: the probabilities.
      vocabulary: what new nodes are drawn from; a node with as many children as none of its operators has stays.
        Defaults to that of the paper.

    Returns:
      The mutant.

    Raises:
      ValueError: the mutant is no ``Tree``: over ``trees.MAX_NODES`` or with an integer beyond the bound.
    """
    draw = random.random
    shift, replace, collapse, extend = (
        variation.integer_shift, variation.replace, variation.collapse, variation.extend,
    )  # fmt: skip

    def visit(node: Tree) -> Tree:
        symbol, before = node.symbol, node.children
        if not before:
            if isinstance(symbol, int) and draw() < shift:
                symbol += 1 if draw() < 0.5 else -1
            if draw() < replace and vocabulary.has(0):
                symbol = draw_symbol(random, 0, vocabulary)
            if draw() < extend:
                return grow(random, 1, vocabulary)
            return node if symbol == node.symbol else Tree(symbol)
        children = tuple([visit(child) for child in before])
        if draw() < replace and vocabulary.has(len(before)):
            symbol = draw_symbol(random, len(before), vocabulary)
        if draw() < collapse:
            return Tree(draw_symbol(random, 0, vocabulary))
        # To make a tree takes longer than all the draws for its root.
        is_same = symbol == node.symbol and all(map(operator.is_, children, before))
        return node if is_same else Tree(symbol, children)

    return visit(tree)


def crossover(random: np.random.Generator, first: Tree, second: Tree) -> tuple[Tree, Tree]:
    """Swap the subtrees at a uniformly random node of each of two parents.

    Returns:
      Both children, that of the first parent first.

    Raises:
      ValueError: a child is over ``trees.MAX_NODES``.
    """
    return swap(first, int(random.integers(first.size)), second, int(random.integers(second.size)))


def swap(first: Tree, i: int, second: Tree, j: int) -> tuple[Tree, Tree]:
    """Swap the subtrees at pre-order place ``i`` of the first tree and ``j`` of the second.

    Returns:
      Both trees after the swap, the first one first.

    Raises:
      IndexError: a place beyond the tree.
      ValueError: a child is over ``trees.MAX_NODES``.
    """
    for tree, place in ((first, i), (second, j)):
        if not 0 <= place < tree.size:
            raise IndexError(f"swap: place {place} is beyond a tree of {tree.size} nodes.")
    return first.replaced(i, second.node(j)), second.replaced(j, first.node(i))


def with_both_variables(random: np.random.Generator, tree: Tree, vocabulary: Vocabulary = OF_PAPER) -> Tree:
    """Give a tree the variable that it lacks: a random leaf becomes x, or y.

    The only leaf that holds the other variable is never taken: if there is no other leaf, an operator over both
    variables stands there.

    Returns:
      The tree with x and y.

    Raises:
      ValueError: with that operator the tree is over ``trees.MAX_NODES``.
    """
    for variable, other in () if tree.has_x_and_y else (("x", "y"), ("y", "x")):
        if tree.depends_on(variable):
            continue
        leaves = [(place, node.symbol) for place, node in enumerate(tree.nodes()) if not node.children]
        symbols = [symbol for _, symbol in leaves]
        free = [place for place, symbol in leaves if symbol != other or symbols.count(other) > 1]
        if free:
            tree = tree.replaced(free[random.integers(len(free))], Tree(variable))
        else:
            pair = (Tree(variable), Tree(other)) if random.random() < 0.5 else (Tree(other), Tree(variable))
            tree = tree.replaced(leaves[0][0], Tree(draw_symbol(random, 2, vocabulary), pair))
    return tree


# GENERATIONS


def initial_population(
    random: np.random.Generator,
    size: int,
    *,
    max_depth: int = 2,
    max_nodes: int,
    both_variables: bool = False,
    vocabulary: Vocabulary = OF_PAPER,
    choose: Choose | None = None,
) -> list[Tree]:
    """Draw ``size`` random trees, grown by the weighted rule and drawn anew until they are allowed.

    If ``choose`` finds too few, those it found have a random subtree replaced by a random tree, and may become deeper.
    If that does not fill the population either, they are repeated.

    Args:
      random: source of the draws.
      size: number of trees, at least 1.
      max_depth: largest depth of a tree; a leaf has depth 0.
      max_nodes: largest number of nodes of a tree, at most ``trees.MAX_NODES``.
      both_variables: give every tree x and y (``with_both_variables``). arXiv 1905.11528 keeps trees that lack one,
        with fitness 0; at depth 2 they are five of six.
      vocabulary: what trees are made of, with an operator of two operands. Defaults to that of the paper.
      choose: picks those of the trees drawn that may enter. Defaults to all.

    Raises:
      ValueError: a setting out of range, or one that leaves no tree to draw.
      NothingToTrain: ``choose`` took none.
    """
    if size < 1:
        raise ValueError(f"initial_population: size is {size}; it must be at least 1.")
    if max_depth < both_variables:
        needed = "1 for a tree with x and y" if both_variables else "0"
        raise ValueError(f"initial_population: max_depth is {max_depth}; it must be at least {needed}.")
    _check_max_nodes(max_nodes, both_variables)

    def draw(count: int, around: Sequence[Tree] = ()) -> list[Tree]:
        return draw_trees(random, count, max_depth, max_nodes, both_variables, around, vocabulary)

    return draw(size) if choose is None else fill(size, draw, choose)


def fill(size: int, draw: Callable[[int, Sequence[Tree]], list[Tree]], choose: Choose) -> list[Tree]:
    """Draw until ``choose`` has taken so many trees, or for ``MAX_ROUNDS`` rounds; then those that were taken repeat.

    After a few rounds ``draw`` is given what was taken. Raises ``NothingToTrain`` where that is nothing.
    """
    population: list[Tree] = []
    for number in range(MAX_ROUNDS):
        drawn = draw(max(size - len(population), _ROUND), population if number >= _GROWN_ROUNDS else ())
        population += [drawn[place] for place in choose(drawn, size - len(population))]
        if len(population) == size:
            return population
    if not population:
        raise NothingToTrain(f"none of {MAX_ROUNDS * max(size, _ROUND)} trees drawn may be trained.")
    return (population * size)[:size]


def draw_trees(
    random: np.random.Generator,
    count: int,
    max_depth: int,
    max_nodes: int,
    both_variables: bool,
    around: Sequence[Tree] = (),
    vocabulary: Vocabulary = OF_PAPER,
) -> list[Tree]:
    """Draw ``count`` allowed trees, or trees of ``around`` with a random subtree replaced, which may be deeper."""
    drawn: list[Tree] = []
    while len(drawn) < count:
        # A draw that outgrows Tree itself is one more that is not allowed.
        with contextlib.suppress(ValueError):
            tree = grow(random, max_depth, vocabulary)
            if around:
                whole = around[int(random.integers(len(around)))]
                tree = whole.replaced(int(random.integers(whole.size)), tree)
            tree = with_both_variables(random, tree, vocabulary) if both_variables else tree
            if _allowed(tree, max_nodes, both_variables) and (around or tree.depth <= max_depth):
                drawn.append(tree)
    return drawn


def breed_trees(
    random: np.random.Generator,
    population: Sequence[Tree],
    fitness: np.ndarray,
    count: int,
    *,
    variation: Variation,
    selection: str,
    max_nodes: int,
    both_variables: bool,
    vocabulary: Vocabulary = OF_PAPER,
) -> list[Offspring]:
    """Breed ``count`` offspring of selected parents, or one more, less those that are not allowed."""
    pairs = SELECTIONS[selection](random, fitness, count + count % 2).reshape(-1, 2)
    bred = [
        child
        for first, second in pairs.tolist()
        for child in _breed(random, population, first, second, variation, both_variables, vocabulary)
    ]
    return [child for child in bred if _allowed(child.tree, max_nodes, both_variables)]


def next_generation(
    random: np.random.Generator,
    population: Sequence[Tree],
    fitness: np.ndarray,
    *,
    elites: int,
    variation: Variation,
    selection: str = "roulette",
    max_nodes: int,
    both_variables: bool = False,
    vocabulary: Vocabulary = OF_PAPER,
    choose: Choose | None = None,
) -> list[Offspring]:
    """Breed the generation that follows: the elites unchanged, then the offspring of selected parents.

    Parents are selected in pairs. A pair swaps subtrees with probability ``variation.crossover``; then both are mutated
    and both are kept, as long as there is room. An offspring that is not allowed, or not chosen, is never cut to fit:
    the offspring of a freshly selected pair takes its place. Places still empty after ``MAX_ROUNDS`` rounds go to
    selected parents unchanged, which are allowed.

    Args:
      random: source of the draws.
      population: the trees, each within ``max_nodes`` and ``both_variables``.
      fitness: ``[population]``, finite, and at least 0 for ``"roulette"``.
      elites: how many trees are carried over, the fittest first and of equals the earlier one.
      variation: probabilities of crossover and of each mutation.
      selection: a key of ``SELECTIONS``.
      max_nodes: largest number of nodes of a tree, at most ``trees.MAX_NODES``. The paper has no bound; memory has.
      both_variables: give every offspring x and y (``with_both_variables``).
      vocabulary: what new nodes are drawn from. Defaults to that of the paper.
      choose: picks those of the offspring that may enter. Defaults to all.

    Returns:
      As many offspring as the population has trees.

    Raises:
      ValueError: a setting out of range, fitness that does not fit, or a population that is not itself allowed.
    """
    size = len(population)
    if not 0 <= elites < size:
        hint = "elites must be smaller than the population" if elites >= 0 else "elites must be at least 0"
        raise ValueError(f"next_generation: elites is {elites}, population is {size}; {hint}.")
    if selection not in SELECTIONS:
        raise ValueError(f"next_generation: selection is {selection!r}; allowed are {', '.join(SELECTIONS)}.")
    _check_max_nodes(max_nodes, both_variables)
    for place, tree in enumerate(population):
        if not _allowed(tree, max_nodes, both_variables):
            wanted = f"at most {max_nodes} nodes" + (" and both x and y" if both_variables else "")
            raise ValueError(f"next_generation: population[{place}] is {tree}; a tree with {wanted} is expected.")
    fitness = checked_fitness(fitness)
    if len(fitness) != size:
        raise ValueError(f"next_generation: fitness has {len(fitness)} entries, population is {size}; one each.")

    select = SELECTIONS[selection]
    best = np.argsort(-fitness, kind="stable")[:elites]
    offspring = [Offspring(population[place], (int(place),), "kept") for place in best]
    for _ in range(MAX_ROUNDS):
        missing = size - len(offspring)
        if missing == 0:
            return offspring
        # A round at a time: a draw from the roulette costs a pass over the population, however many are drawn.
        count = missing if choose is None else max(missing, _ROUND)
        bred = breed_trees(
            random, population, fitness, count, variation=variation, selection=selection, max_nodes=max_nodes,
            both_variables=both_variables, vocabulary=vocabulary,
        )  # fmt: skip
        chosen = range(len(bred)) if choose is None else choose([child.tree for child in bred], missing)
        offspring += [bred[place] for place in chosen][:missing]
    unchanged = select(random, fitness, size - len(offspring))
    return offspring + [Offspring(population[place], (int(place),), "kept") for place in unchanged]


def _breed(
    random: np.random.Generator,
    population: Sequence[Tree],
    first: int,
    second: int,
    variation: Variation,
    both_variables: bool,
    vocabulary: Vocabulary,
) -> list[Offspring]:
    """The offspring of a pair: two, without those that ``Tree`` refuses."""
    pair = [Offspring(population[place], (place,), "bred") for place in (first, second)]
    if random.random() < variation.crossover:
        try:
            trees = crossover(random, pair[0].tree, pair[1].tree)
        except ValueError:  # one child is over trees.MAX_NODES, which only a max_nodes above half of it allows
            return []
        pair = [Offspring(trees[0], (first, second), "bred"), Offspring(trees[1], (second, first), "bred")]
    mutants: list[Offspring] = []
    for child in pair:
        with contextlib.suppress(ValueError):
            tree = mutate(random, child.tree, variation, vocabulary)
            tree = with_both_variables(random, tree, vocabulary) if both_variables else tree
            mutants.append(child._replace(tree=tree))
    return mutants


def _allowed(tree: Tree, max_nodes: int, both_variables: bool) -> bool:
    return tree.size <= max_nodes and (tree.has_x_and_y or not both_variables)


def _check_max_nodes(max_nodes: int, both_variables: bool) -> None:
    least = 3 if both_variables else 1
    if not least <= max_nodes <= MAX_NODES:
        holding = " for trees with x and y" if both_variables else ""
        raise ValueError(f"max_nodes is {max_nodes}; {least} to {MAX_NODES} is allowed{holding}.")
