"""Coefficients in the loop: what the elites of a search are worth with other coefficients.

After each generation a few vectors of each elite's identifiable coefficients are drawn about those that it has, and
trained as one more batch. The best of an elite that is ahead of it over the same seeds is trained over the rest of the
elite's seeds, as the best of several is mostly lucky, and takes its place in the archive if it is still ahead.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from glojax.discovery import scoring
from glojax.discovery.fitness import Archive, Fitness
from glojax.discovery.results import Baseline, Known
from glojax.discovery.search_config import SearchConfig
from glojax.expressions import parsing
from glojax.expressions.canonical import canonical
from glojax.expressions.coefficients import identifiable_coefficients
from glojax.expressions.trees import Tree
from glojax.losses.spaces import coefficient_space
from glojax.records.run import Run
from glojax.seeds import named_random

SPREAD = 0.5
"""A coefficient is multiplied by exp(SPREAD * z), z normal: it keeps its sign; two thirds are within 0.6 to 1.65."""


class Sampled(NamedTuple):
    """What a search knows after its samples, and what they cost."""

    archive: Archive
    steps: int
    seconds: float


def sampled(
    fitness: Fitness, config: SearchConfig, archive: Archive, baseline: Baseline | None, number: int,
    generation: Sequence[Tree], run: Run, *, is_spent: bool,
) -> Sampled:  # fmt: skip
    """The archive with better coefficients of a generation's elites, from the record if they are there.

    Args:
      fitness: of this search.
      config: of this search, with samples.
      archive: what is known.
      baseline: what the number of first trainings derives from.
      number: of the generation.
      generation: its trees.
      run: where samples are recorded, under ``"coefficients NUMBER"``.
      is_spent: the budget is used up, so that nothing is trained that is not on record.
    """

    def train() -> dict[str, Any]:
        if is_spent:
            return {"tried": [], "steps": 0, "seconds": 0.0}
        return _train(fitness, config, baseline, number, elites)

    elites = _elites(config, archive, generation)
    kept = run.once(f"coefficients {number}", train)
    known, untuned = dict(archive.known), dict(archive.untuned)
    for one in kept["tried"]:
        if one["chosen"] is not None:
            form = canonical(parsing.parse(one["expression"]))
            untuned.setdefault(form, known[form])
            vector, scores = one["vectors"][one["chosen"]], one["scores"][one["chosen"]]
            known[form] = known[form]._replace(scores=tuple(scores), coefficients=tuple(vector))
    return Sampled(archive._replace(known=known, untuned=untuned), kept["steps"], kept["seconds"])


def _elites(config: SearchConfig, archive: Archive, generation: Sequence[Tree]) -> list[Known]:
    """Those of a generation that count most and have coefficients, trained to the end, each once."""
    forms = dict.fromkeys(canonical(tree) for tree in generation)
    known = [archive.known[form] for form in forms if form in archive.known and archive.known[form].is_sound]
    worth = config.worth([one.tree for one in known], [one.fitness for one in known])
    elites = [known[place] for place in np.argsort(-worth, kind="stable")[: config.elites]]
    return [one for one in elites if identifiable_coefficients(one.tree)]


class _Sample(NamedTuple):
    """An elite with other coefficients."""

    elite: Known
    vector: tuple[float, ...]
    scores: tuple[float, ...] = ()  # over the first of the seeds that the elite's own are of

    @property
    def known(self) -> Known:
        """The elite as it would be with them."""
        return self.elite._replace(coefficients=self.vector, scores=self.scores)

    @property
    def is_ahead(self) -> bool:
        """Whether it is better than the elite over the same seeds."""
        return self.known.fitness > float(np.mean(self.elite.scores[: len(self.scores)]))


def _train(
    fitness: Fitness,
    config: SearchConfig,
    baseline: Baseline | None,
    number: int,
    elites: Sequence[Known],
) -> dict[str, Any]:
    """For each elite its samples, and the place of the one that is better than it, or None."""
    started, random = time.perf_counter(), named_random(config.seed, "coefficients", number)
    samples = [_Sample(one, _drawn(random, one)) for one in elites for _ in range(config.coefficient_samples)]
    samples, steps = _further(fitness, samples, [fitness.seed_count(baseline)] * len(samples))
    of_elites = [
        samples[first:][: config.coefficient_samples] for first in range(0, len(samples), config.coefficient_samples)
    ]
    best = [int(np.argmax([one.known.fitness for one in own])) for own in of_elites]
    ahead = [elite for elite, place in enumerate(best) if of_elites[elite][place].is_ahead]
    leading = [of_elites[elite][best[elite]] for elite in ahead]
    leading, more = _further(fitness, leading, [len(one.elite.scores) - len(one.scores) for one in leading])
    for elite, one in zip(ahead, leading, strict=True):
        of_elites[elite][best[elite]] = one
    chosen = {elite: best[elite] for elite, one in zip(ahead, leading, strict=True) if one.is_ahead}
    tried = [
        {
            "expression": str(own[0].elite.tree),
            "vectors": [one.vector for one in own],
            "scores": [one.scores for one in own],
            "chosen": chosen.get(elite),
        }
        for elite, own in enumerate(of_elites)
    ]
    return {"tried": tried, "steps": steps + more, "seconds": time.perf_counter() - started}


def _further(fitness: Fitness, samples: Sequence[_Sample], counts: Sequence[int]) -> tuple[list[_Sample], int]:
    """Samples after so many more trainings of each, and the optimizer steps of these."""
    seeds = [fitness.training_seeds(len(one.scores), count) for one, count in zip(samples, counts, strict=True)]
    found = scoring.train_each(
        fitness.evaluator,
        [one.elite.tree for one in samples],
        seeds,
        [one.elite.rate for one in samples],
        [one.known.factors for one in samples],
    )
    trained = [one._replace(scores=one.scores + row) for one, row in zip(samples, found.scores, strict=True)]
    return trained, sum(found.steps)


def _drawn(random: np.random.Generator, elite: Known) -> tuple[float, ...]:
    vector = np.array(elite.coefficients or coefficient_space(elite.tree).start)
    return tuple((vector * np.exp(SPREAD * random.normal(size=len(vector)))).tolist())
