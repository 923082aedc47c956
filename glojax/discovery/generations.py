"""From one generation of a search to the next: breed, screen, train, record.

``states`` yields a ``State`` after every generation, first those that are on record, then new ones.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from glojax.discovery import coefficient_samples, drawing, genetics, pools, sieve
from glojax.discovery.fitness import EMPTY, Archive, Fitness
from glojax.discovery.genetics import NothingToTrain, Offspring
from glojax.discovery.pools import Parents
from glojax.discovery.proposals import Proposals, proposed
from glojax.discovery.results import Baseline, Known
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.sieve import Sieve
from glojax.discovery.start import start_trees
from glojax.expressions import parsing
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree
from glojax.records.candidates import Record, Rejected
from glojax.records.funnel import total
from glojax.records.run import Run
from glojax.seeds import named_random

_WORTHWHILE = 0.25
"""The share of a generation of random search that must be new; it ends after one with less."""


class Generation(NamedTuple):
    """One generation, evaluated."""

    number: int
    trees: tuple[Tree, ...]
    fitness: np.ndarray  # float64[population]
    rates: np.ndarray  # float64[population], scale of the task's learning rate at which each has its fitness
    fates: tuple[str, ...]  # of each: "trained", "dropped" by halving, "cached", "elite" or "invalid"
    steps: np.ndarray  # int64[population], optimizer steps of all its trainings in this generation
    funnel: dict[str, int]  # how many of the trees drawn for it passed each stage, by the names in ``funnel.FUNNEL``
    seconds: float  # spent on training; 0 for a generation read back from the record

    @property
    def best(self) -> Tree:
        """The fittest tree, the first of equals."""
        return self.trees[int(np.argmax(self.fitness))]

    @property
    def fresh(self) -> int:
        """How many of the trees were trained for the first time."""
        return self.fates.count("trained") + self.fates.count("dropped")

    @classmethod
    def recalled(cls, number: int, records: Sequence[Record], funnel: dict[str, int]) -> "Generation":
        """A generation as the record has it."""
        return cls(
            number,
            tuple(parsing.parse(record.expression) for record in records),
            np.array([record.fitness for record in records]),
            np.array([record.rate for record in records]),
            tuple(record.fate for record in records),
            np.array([record.steps for record in records]),
            funnel,
            0.0,
        )


class State(NamedTuple):
    """A search after a generation."""

    generation: Generation
    records: Sequence[Record]  # of this generation
    archive: Archive
    baseline: Baseline | None
    steps: int  # optimizer steps so far, the baseline's included
    seconds: float  # spent on training so far

    @classmethod
    def after(
        cls,
        before: "State | None",
        archive: Archive,
        baseline: Baseline | None,
        generation: Generation,
        records: Sequence[Record],
        seconds: float,
    ) -> "State":
        """The search after one more generation, whose training took ``seconds``; ``None`` is before the first."""
        steps, spent = cost_of(before, baseline)
        return cls(generation, records, archive, baseline, steps + int(generation.steps.sum()), spent + seconds)


def cost_of(state: State | None, baseline: Baseline | None) -> tuple[int, float]:
    """Optimizer steps and seconds of training so far; before the first generation the baseline's steps."""
    if state is None:
        return (0 if baseline is None else baseline.steps), 0.0
    return state.steps, state.seconds


def archive_of(state: State | None) -> Archive:
    """What is known; nothing before the first generation."""
    return EMPTY if state is None else state.archive


def states(fitness: Fitness, config: SearchConfig, run: Run, proposals: Proposals | None = None) -> Iterator[State]:
    """The search after each generation: those on record, then new ones, which are recorded."""
    baseline = fitness.find_baseline(run)
    state: State | None = None
    read_back = list(zip(run.generations(), run.funnels(), strict=True))[: config.generations]
    for number, (records, funnel) in enumerate(read_back):
        archive = fitness.recall(archive_of(state), records)
        generation = Generation.recalled(number, records, funnel)
        seconds = sum(record.seconds for record in records)
        state = State.after(state, archive, baseline, generation, records, seconds)
        state = _with_samples(fitness, config, run, state)
        yield state
    while state is None or state.generation.number + 1 < config.generations:
        steps, seconds = cost_of(state, baseline)
        if fitness.is_spent(steps, seconds):
            if state is None:
                raise ValueError(
                    f"{type(config).__name__}: the budget is used up before the first generation; to find the "
                    f"baseline's learning rate took {steps:,} candidate-steps."
                )
            return
        last, archive = None if state is None else state.generation, archive_of(state)
        if last is not None and config.screening and not config.breeding and last.fresh < _WORTHWHILE * len(last.trees):
            return  # what is still to be found takes more drawing than training
        number = 0 if last is None else last.number + 1
        ahead = proposed(proposals, run, number, fitness.task, config, archive, baseline)
        if last is None:
            ahead = [*start_trees(fitness.task, config), *ahead]
        try:
            offspring, sifted = next_offspring(
                fitness, config, archive, baseline, last, ahead, run.directory is not None
            )
        except NothingToTrain:
            if state is None:
                raise
            return  # everything worth training has been trained: draws from nothing can end so
        with ThreadPoolExecutor(1) as beside:  # what only the record needs is computed while devices train
            rejected = beside.submit(rejected_by, sifted, archive.known, ahead)
            archive, generation, records = evaluate(fitness, config, archive, baseline, number, offspring, sifted)
        run.save_generation(number, records, generation.funnel, rejected.result())
        state = State.after(state, archive, baseline, generation, records, generation.seconds)
        state = _with_samples(fitness, config, run, state)
        yield state


def _with_samples(fitness: Fitness, config: SearchConfig, run: Run, state: State) -> State:
    """The search after other coefficients were tried for the elites of its last generation, if it does that."""
    if not (config.coefficient_samples and config.breeding and config.elites):
        return state
    generation = state.generation
    found = coefficient_samples.sampled(
        fitness,
        config,
        state.archive,
        state.baseline,
        generation.number,
        generation.trees,
        run,
        is_spent=fitness.is_spent(state.steps, state.seconds),
    )
    known = [found.archive.known.get(canonical(tree)) for tree in generation.trees]
    worth = [before if one is None else one.fitness for one, before in zip(known, generation.fitness, strict=True)]
    return state._replace(
        generation=generation._replace(fitness=np.array(worth)),
        archive=found.archive,
        steps=state.steps + found.steps,
        seconds=state.seconds + found.seconds,
    )


def rejected_by(sifted: Sieve, known: Collection[Tree], ahead: Sequence[Offspring]) -> list[Rejected]:
    """The trees that screening rejected, with the origin of those that came ahead; none where nobody keeps them.

    Args:
      sifted: what was drawn for a generation.
      known: canonical forms of trees that were trained before it.
      ahead: what came before all that was drawn.
    """
    origins = {canonical(child.tree): child.origin for child in ahead}
    rejected = sieve.rejections(sifted, known)
    return [tree._replace(origin=origins.get(form, "")) for form, tree in rejected.items()]


def next_offspring(
    fitness: Fitness,
    config: SearchConfig,
    archive: Archive,
    baseline: Baseline | None,
    last: Generation | None,
    ahead: Sequence[Offspring],
    keep_rejected: bool,
) -> tuple[list[Offspring], Sieve]:
    """The trees of the next generation, and what the sieve says of all that were drawn for it.

    Those ``ahead`` are in it, where they pass screening and there is room.
    """
    random = named_random(config.seed, "search", 0 if last is None else last.number + 1)
    sifted = Sieve.fresh(archive.keys, keep_rejected=keep_rejected)
    parents = None if last is None else Parents(last.trees, config.worth(last.trees, last.fitness))
    if config.pool and config.screening and config.breeding:
        return pools.from_pools(fitness, config, archive, baseline, parents, random, sifted, ahead)

    def choose(drawn: Sequence[Tree], wanted: int) -> list[int]:
        nonlocal sifted
        sifted, places = sieve.choose(sifted, fitness.screener, config.screening, archive.known, drawn, wanted)
        return places

    chooser = choose if config.screening else None
    room = config.population - (0 if parents is None else config.elites)
    first = [*ahead[:room]] if chooser is None else [ahead[place] for place in choose([c.tree for c in ahead], room)]
    if len(first) == config.population:
        return first, sifted
    if parents is None or not config.breeding:
        return [
            *first,
            *_from_nothing(fitness, config, archive, random, config.population - len(first), chooser),
        ], sifted
    offspring = genetics.next_generation(
        random,
        parents.trees,
        parents.worth,
        elites=config.elites,
        variation=config.variation,
        selection=config.selection,
        max_nodes=config.max_nodes,
        both_variables=config.both_variables,
        vocabulary=config.vocabulary,
        choose=chooser,
    )
    return [*offspring[: config.elites], *first, *offspring[config.elites : config.population - len(first)]], sifted


def _from_nothing(
    fitness: Fitness,
    config: SearchConfig,
    archive: Archive,
    random: np.random.Generator,
    size: int,
    choose: genetics.Choose | None,
) -> list[Offspring]:
    """Trees that are grown and, once hardly any of these is left to train, trees that are drawn by what they compute.

    Raises:
      NothingToTrain: none of either may be trained.
    """
    depth, nodes, vocabulary = config.max_depth, config.max_nodes, config.vocabulary
    grown: list[Tree] = []
    try:
        grown = genetics.initial_population(
            random,
            size,
            max_depth=depth,
            max_nodes=nodes,
            both_variables=config.both_variables,
            vocabulary=vocabulary,
            choose=choose,
        )
    except NothingToTrain:
        if choose is None or not archive.known:
            raise
    if choose is None or not archive.known or len(set(grown)) >= _WORTHWHILE * size:
        return [Offspring(tree, (), "grown") for tree in grown]

    def draw(count: int, _: Sequence[Tree]) -> list[Tree]:
        return drawing.draw_by_function(
            random, fitness.screener.settings, count, max_depth=depth, max_nodes=nodes, vocabulary=vocabulary
        )

    found = [*dict.fromkeys(grown)]
    drawn = genetics.fill(size - len(found), draw, choose)
    return [*(Offspring(tree, (), "grown") for tree in found), *(Offspring(tree, (), "drawn") for tree in drawn)]


class _Trained(NamedTuple):
    """What the trainings of a generation gave its candidates."""

    fates: list[str]
    scores: list[tuple[float, ...]]  # of the trainings in this generation; empty where there were none
    steps: np.ndarray  # int64[population]

    def with_scores(
        self, places: Sequence[int], found: Iterable[tuple[float, ...]], taken: Sequence[int] | np.ndarray
    ) -> "_Trained":
        scores, steps = list(self.scores), self.steps.copy()
        steps[[*places]] = taken
        for place, row in zip(places, found, strict=True):
            scores[place] = row
        return _Trained(self.fates, scores, steps)


def evaluate(
    fitness: Fitness,
    config: SearchConfig,
    archive: Archive,
    baseline: Baseline | None,
    number: int,
    offspring: Sequence[Offspring],
    sifted: Sieve,
) -> tuple[Archive, Generation, list[Record]]:
    """Train what is new, and the elites again."""
    population = [child.tree for child in offspring]
    forms = [canonical(tree) for tree in population]
    elites = config.elites if number and config.breeding else 0
    fates, new = _fates(population, forms, archive, elites)
    trained = _Trained(fates, [()] * len(offspring), np.zeros(len(offspring), np.int64))

    started = time.perf_counter()
    if new:
        factors = [factor for place in new if (factor := offspring[place].factor) is not None]
        archive, measured = fitness.train(archive, baseline, [population[place] for place in new], factors or None)
        trained = trained.with_scores(new, map(tuple, measured.scores.tolist()), measured.steps)
        for place, finished in zip(new, measured.finished, strict=True):
            fates[place] = "trained" if finished else "dropped"
    # Two elites may be equal.
    again = list({forms[place]: place for place in range(elites) if fates[place] == "elite"}.values())
    if again and config.elite_seeds:
        elite_trees = [population[place] for place in again]
        archive, found = fitness.train_again(archive, elite_trees, config.elite_seeds * len(again))
        trained = trained.with_scores(again, found.scores, found.steps)
    seconds = time.perf_counter() - started

    known = [
        Known(tree, 1.0, (0.0,), True) if fate == "invalid" else archive.known[form]
        for tree, form, fate in zip(population, forms, fates, strict=True)
    ]
    generation = Generation(
        number,
        tuple(population),
        np.array([one.fitness for one in known]),
        np.array([one.rate for one in known]),
        tuple(fates),
        trained.steps,
        _funnel(config, sifted, fates, elites, len(new)),
        seconds,
    )
    return archive, generation, _records(offspring, forms, known, trained, fitness.training_seeds(0, 1)[0], seconds)


def _fates(
    population: Sequence[Tree], forms: Sequence[Tree], archive: Archive, elites: int
) -> tuple[list[str], list[int]]:
    """The fate of each tree, as if every training came to its end, and the places of those to train."""
    fates: list[str] = []
    new: dict[Tree, int] = {}
    for place, (tree, form) in enumerate(zip(population, forms, strict=True)):
        if not tree.has_x_and_y:
            fates.append("invalid")
        elif form in archive.known or form in new:
            fates.append("elite" if place < elites else "cached")
        else:
            new[form] = place
            fates.append("trained")
    return fates, list(new.values())


def _funnel(config: SearchConfig, sifted: Sieve, fates: Sequence[str], elites: int, new_count: int) -> dict[str, int]:
    counts = {"trained": new_count, "finished": fates.count("trained")}
    if config.screening:
        return total([sifted.funnel, counts])
    drawn = len(fates) - elites
    return total([{"drawn": drawn, "valid": drawn - fates[elites:].count("invalid"), "distinct": new_count}, counts])


def _records(
    offspring: Sequence[Offspring],
    forms: Sequence[Tree],
    known: Sequence[Known],
    trained: _Trained,
    seed: int,
    seconds: float,
) -> list[Record]:
    columns = zip(offspring, forms, known, trained.scores, trained.fates, trained.steps, strict=True)
    return [
        Record(
            expression=str(child.tree),
            canonical=str(form),
            coefficients=one.coefficients if child.tree == one.tree else (),  # those of an equal tree are its own
            fitness=one.fitness,
            scores=scores,
            rate=one.rate,
            fate=fate,
            parents=child.parents,
            seed=seed,
            steps=int(steps),
            seconds=seconds * steps / max(1, trained.steps.sum()),
            origin=child.origin,
        )
        for child, form, one, scores, fate, steps in columns
    ]
