"""The sections of a report on how the search and the tuning went."""

from collections.abc import Iterator

from glojax import losses
from glojax.expressions import canonical, coefficients, parsing, trees
from glojax.expressions.grammar import OF_PAPER, Vocabulary
from glojax.losses.loss import Loss
from glojax.records.summary import PhaseSummary, RunSummary
from glojax.reporting import figures, style
from glojax.reporting.blocks import Block, Code, Picture, Table, Text
from glojax.reporting.numbers import gain_in_words, number, rate_in_words

_MOST_RANKED = 30  # losses of an exhaustive search that are shown


def search_blocks(run: RunSummary) -> Iterator[Block]:
    """Fitness by generation, how many trees passed each stage, random search, and the baseline."""
    phase = run.searched
    if phase is None:
        yield Text("Not shown: this run tunes a given loss.")
        return
    if not phase.generations:
        yield Text("Not shown: no generation is recorded yet.")
        return
    if not phase.is_finished:
        yield Text(_progress(phase))
    yield _ranking(run, phase) if phase.name == "exhaustive" else _fitness(run, phase, "fitness")
    if any(phase.funnel.values()):
        yield _funnel(phase)
    elif phase.name == "exhaustive":
        yield Text("The number of trees at each stage is not shown: an exhaustive search records it when it ends.")
    random = run.phases.get("random search")
    if random is not None and random.generations:
        yield _beside_random_search(run, phase, random)
    depth = phase.config.get("depth")
    if phase.name == "exhaustive" and phase.funnel and isinstance(depth, int) and 0 < depth < 5:
        yield Text(_coverage(phase, depth))
    if phase.baseline is not None:
        yield Text(
            f"{run.task.baseline.capitalize()} is best at {rate_in_words(phase.baseline.rate)}: "
            f"validation {run.ranking_of(phase)} {number(phase.baseline.fitness)}. "
            "The learning rate of every candidate is derived from it."
        )


def tuning_blocks(run: RunSummary) -> Iterator[Block]:
    """Fitness by generation of the tuning, and the best coefficients."""
    phase = run.phases.get("tune")
    if phase is None or not phase.generations or phase.best is None:
        is_taylor = "taylor" in run.phases
        yield Text("Not shown: " + ("the search itself is CMA-ES." if is_taylor else "no coefficients were tuned."))
        return
    if not phase.is_finished:
        yield Text(_progress(phase))
    yield _fitness(run, phase, "tuning")
    best, tree = phase.winner or phase.best, parsing.parse(phase.best.expression)
    nodes, places = list(tree.nodes()), coefficients.identifiable_coefficients(tree)
    rows = [[Code(str(nodes[place])), f"{value:.6g}"] for place, value in zip(places, best.coefficients, strict=True)]
    start = phase.finals[0] if phase.finals else phase.generations[0][0]
    method = "An ascent along derivatives" if phase.config.get("method") == "gradient" else "CMA-ES"
    first = "all of them at 1" if set(start.coefficients) <= {1.0} else "those of the search"
    yield Text(
        f"{method} tunes {len(rows)} of {len(nodes)} coefficients, those that change training in independent ways. "
        f"With {first} the loss has validation {run.ranking_of(phase)} of {number(start.fitness)}, with the best "
        f"ones {number(best.fitness)}, {'over fresh seeds' if phase.finals else 'as measured by the tuning itself'}."
    )
    if phase.gain is not None:
        yield Text(gain_in_words(phase.gain))
    if rows:
        yield Table(["part", "coefficient"], rows, "The best coefficients; each multiplies a part of the loss.")


def _progress(phase: PhaseSummary) -> str:
    planned = f" of {phase.planned_generations}" if phase.planned_generations else ""
    batches = "batches" if phase.name == "exhaustive" else "generations"
    return f"Not finished yet: {len(phase.generations)}{planned} {batches} are recorded."


def _fitness(run: RunSummary, phase: PhaseSummary, name: str) -> Picture:
    best = [max(record.fitness for record in records) for records in phase.generations]
    return Picture(
        name,
        style.panel(figures.fitness, phase.generations, run.ranking_of(phase), size=(5.0, 3.4), rows=2),
        "Above, the best candidate of each generation with the 95% interval over its trainings so far, if it has had "
        "three. Below, the mean of all candidates that could be trained, with its 95% interval.",
        f"Best fitness by generation, from {number(best[0])} to {number(best[-1])}, and the mean",
    )


def _ranking(run: RunSummary, phase: PhaseSummary) -> Picture:
    zoo = {
        str(canonical.canonical(loss.tree)): name
        for name, loss in losses.ZOO.items()
        if isinstance(loss, Loss) and not loss.tuned
    }
    ranked = phase.ranking
    top = ranked[:_MOST_RANKED]
    names = [
        f"{record.expression} ({zoo[record.canonical]})" if record.canonical in zoo else record.expression
        for record in top
    ]
    shown = [(name, record.scores) for name, record in zip(names, top, strict=True)]
    return Picture(
        "ranking",
        style.panel(figures.ranking, shown, f"validation {run.ranking_of(phase)}", size=(5.0, 1 + 0.2 * len(shown))),
        f"The best {len(shown)} of the {len(ranked)} trained losses, known ones with their names: every seed (dots), "
        "the mean (diamond) and its 95% interval.",
        f"Ranking of losses, the best first: {', '.join(names[:5])}",
    )


def _coverage(phase: PhaseSummary, depth: int) -> str:
    vocabulary = Vocabulary(tuple(phase.config.get("operators", OF_PAPER.operators)))  # none in a record of before
    total, drawn = trees.count_trees(depth, vocabulary), phase.funnel.get("drawn", 0)
    if not phase.coverage:  # a record of before
        return f"Of {total:,} trees of depth at most {depth}, {drawn:,} were drawn."
    functions, gradients, directions = (
        phase.coverage.get(name, 0) for name in ("functions", "gradients", "directions")
    )
    distinct, trained = (phase.funnel.get(name, 0) for name in ("distinct", "trained"))
    losses = phase.coverage.get("losses", trained)
    return (
        f"All {total:,} trees of depth at most {depth} were covered: they compute {functions:,} finite functions of x "
        f"and y, which have {gradients:,} different gradients that labels change, {directions:,} but for their size. "
        f"{distinct:,} of these differ by more than a thousandth. {losses:,} losses passed the screening, and "
        f"{trained:,} of them were trained{', the smallest first' if trained < losses else ''}."
    )


def _funnel(phase: PhaseSummary) -> Picture:
    return Picture(
        "funnel",
        style.panel(figures.funnel_bars, phase.funnel),
        "How many trees passed each stage, on a logarithmic scale: drawn; contains x and y (valid); value and gradient "
        "are finite; labels change the gradient (guided); no earlier tree has the same gradient (distinct); training "
        "the logits alone by it works (trainable); trained; trained to the end (finished).",
        "Trees by stage: " + ", ".join(f"{count} {name}" for name, count in phase.funnel.items()),
    )


def _beside_random_search(run: RunSummary, phase: PhaseSummary, random: PhaseSummary) -> Picture:
    searches = {phase.name: phase.generations, random.name: random.generations}
    return Picture(
        "random",
        style.panel(figures.best_by_steps, searches, run.ranking_of(phase)),
        "The best fitness so far by the budget spent, beside random search, whose trees pass the same screening and "
        "get the same learning rates. Both curves show the luckiest candidate; the comparison over fresh seeds is "
        "more reliable.",
        "Best fitness so far by candidate-steps, of the search and of random search",
    )
