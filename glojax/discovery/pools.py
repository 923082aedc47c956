"""A generation out of many trees: those that are bred, grown and drawn by what they compute, in the order of promise.

``from_pools`` screens them, orders them by what losses that act alike were worth (``surrogate``), and takes those that
may be worth most.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from glojax.discovery import drawing, genetics, sieve, surrogate
from glojax.discovery.fitness import FACTORS, Archive, Fitness
from glojax.discovery.genetics import NothingToTrain, Offspring
from glojax.discovery.results import Baseline
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.sieve import Sieve
from glojax.distributed import processes
from glojax.expressions.trees import Tree

_AT_ONCE = 32  # losses that are put in order together
_MOST_POOLS = 10  # for one generation; in a small space there is nothing new any more


class Parents(NamedTuple):
    """The generation before, its trees as they count for breeding."""

    trees: Sequence[Tree]
    worth: np.ndarray  # float64[population], what each counts for


def from_pools(
    fitness: Fitness,
    config: SearchConfig,
    archive: Archive,
    baseline: Baseline | None,
    parents: Parents | None,
    random: np.random.Generator,
    sifted: Sieve,
    ahead: Sequence[Offspring] = (),
) -> tuple[list[Offspring], Sieve]:
    """The elites, and of many trees that are drawn and bred those that may be worth most.

    The first generation has the first that are drawn. Where so little is left that ten pools do not fill a generation,
    the fittest of the last one do or, without one, those that were drawn do again.

    Args:
      fitness: of this search.
      config: of this search.
      archive: what is known.
      baseline: what learning rates derive from.
      parents: the generation before; ``None`` for the first one.
      random: source of the draws.
      sifted: what was drawn before.
      ahead: trees that come before all that is drawn, where they pass screening. In a later generation they get at most
        a quarter of the places; the others have their chance with the pool.

    Returns:
      As many offspring as the population has trees, and the sieve with all that was drawn.

    Raises:
      NothingToTrain: nothing that was drawn may be trained.
    """
    ranked = [] if parents is None else np.argsort(-parents.worth, kind="stable").tolist()
    unchanged = [] if parents is None else [Offspring(parents.trees[place], (place,), "kept") for place in ranked]
    chosen = unchanged[: config.elites]
    guess = None if parents is None else _guess(fitness, archive, baseline)
    pool, sifted = _sift(fitness, config, archive, ahead, sifted)
    most = config.population if parents is None else max(1, config.population // 4)
    wanted = min(most, config.population - len(chosen))
    found, waiting, sifted = _settle(fitness, config, _ordered(fitness, guess, pool), wanted, sifted)
    chosen += found
    for _ in range(_MOST_POOLS):
        if len(chosen) == config.population:
            return chosen, sifted
        drawn = _pool(fitness, config, random, parents)
        pool, sifted = _sift(fitness, config, archive, drawn, sifted)
        found, sifted = _halves(fitness, config, guess, [*waiting, *pool], config.population - len(chosen), sifted)
        chosen, waiting = [*chosen, *found], ()
    if len(chosen) == config.population:
        return chosen, sifted
    if not chosen:
        raise NothingToTrain(f"SearchConfig: none of {_MOST_POOLS * config.pool} trees drawn may be trained.")
    left = unchanged[config.elites :] if unchanged else chosen * config.population
    return (chosen + left)[: config.population], sifted


def _sift(
    fitness: Fitness, config: SearchConfig, archive: Archive, drawn: Sequence[Offspring], sifted: Sieve
) -> tuple[list[Offspring], Sieve]:
    """Those of the trees drawn that pass all stages but the last."""
    trees = [child.tree for child in drawn]
    sifted, places = sieve.sift(sifted, fitness.screener, config.screening, archive.known, trees)
    return [drawn[place] for place in places], sifted


def _halves(
    fitness: Fitness, config: SearchConfig, guess: Any, pool: Sequence[Offspring], room: int, sifted: Sieve
) -> tuple[list[Offspring], Sieve]:
    """The most promising trees, half of them not bred if there are as many, the others bred.

    What is near the best of one kind of losses looks better than all others, long before it is known which kind is the
    best. So half of the places are for trees that do not descend from what was trained.
    """
    bred, anew = ([child for child in pool if (child.origin == "bred") is one] for one in (True, False))
    half = room - room // 2 if bred else room
    found, _, sifted = _settle(fitness, config, _ordered(fitness, guess, anew), half, sifted)
    others, _, sifted = _settle(fitness, config, _ordered(fitness, guess, bred), room - len(found), sifted)
    return [*found, *others], sifted


def _settle(
    fitness: Fitness, config: SearchConfig, pool: Iterable[Offspring], wanted: int, sifted: Sieve
) -> tuple[list[Offspring], Iterable[Offspring], Sieve]:
    """The first of a pool that may be trained, and what comes after the last of them; nothing if there are none."""
    taken, rest = list[Offspring](), iter(pool)

    def trees() -> Iterator[Tree]:
        for child in rest:
            taken.append(child)
            yield child.tree

    sifted, places = sieve.settle(sifted, fitness.screener, config.screening, trees(), wanted)
    left = itertools.chain(taken[places[-1] + 1 :], rest) if places else ()
    return [taken[place] for place in places], left, sifted


def _pool(
    fitness: Fitness, config: SearchConfig, random: np.random.Generator, parents: Parents | None
) -> list[Offspring]:
    """Trees that are drawn, only half of them where there are parents, from which the rest is bred.

    Of those that are drawn half are grown: small trees, which may be all that trains a regression.
    """
    count = config.pool if parents is None else config.pool - config.pool // 2
    settings, depth, most = fitness.screener.settings, config.max_depth, config.max_nodes
    vocabulary = config.vocabulary
    drawn = drawing.draw_by_function(
        random, settings, count - count // 2, max_depth=depth, max_nodes=most, vocabulary=vocabulary
    )
    grown = genetics.draw_trees(random, count // 2, depth, most, True, vocabulary=vocabulary)
    made = ([Offspring(tree, (), "drawn") for tree in drawn], [Offspring(tree, (), "grown") for tree in grown])
    # In turns, as the first generation takes those that come first.
    children = [child for pair in itertools.zip_longest(*made) for child in pair if child is not None]
    if parents is None:
        return children
    return children + genetics.breed_trees(
        random,
        parents.trees,
        parents.worth,
        config.pool // 2,
        variation=config.variation,
        selection=config.selection,
        max_nodes=most,
        both_variables=True,
        vocabulary=vocabulary,
    )


def _guess(fitness: Fitness, archive: Archive, baseline: Baseline | None) -> Any:
    """What is known of losses and of the rates they had (``surrogate.fit``); ``None`` where nothing is."""
    known = archive.plain
    trees = [one.tree for one in known]
    tried, factors = fitness.screener.behaviours(trees), np.ones(len(known))
    if baseline is not None:
        factors = np.array([one.rate for one in known]) / fitness.fair_rates(baseline, trees)
    is_known = np.isfinite(tried).all(axis=1)
    if not is_known.any():
        return None
    worth, errors = np.array([one.fitness for one in known]), np.zeros(len(known))
    if baseline is not None and baseline.scores:  # several tasks together have none
        errors = baseline.scatter / np.sqrt([len(one.scores) for one in known])
    features = surrogate.features(tried, factors)[is_known]
    return surrogate.fit(features, worth[is_known], errors[is_known])


def _ordered(fitness: Fitness, guess: Any, pool: Sequence[Offspring]) -> Iterator[Offspring]:
    """What may be worth most first, each at the rate where it may be, from what is known of losses that act alike.

    Where nothing is known they are as they come.
    """
    if guess is None or not pool:
        yield from pool
        return
    acts = fitness.screener.behaviours([child.tree for child in pool])
    choices = FACTORS if fitness.config.fair_rates else (1.0,)
    places = np.repeat(np.flatnonzero(np.isfinite(acts).all(axis=1)), len(choices))
    asked = np.resize(choices, len(places))
    order = surrogate.order(guess, surrogate.features(acts[places], asked))
    met: set[int] = set()
    # The first process's rounding is that of all.
    while chosen := processes.first(lambda: list(itertools.islice(order, _AT_ONCE))):
        for one in chosen:
            if (place := int(places[one])) not in met:  # the first rate of each
                met.add(place)
                yield pool[place]._replace(factor=float(asked[one]))
