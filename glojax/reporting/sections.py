"""The parts of a run's report; one of which there is nothing to show says why.

All but the last, on time, depend on the record alone: a run that was killed and resumed has the same.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from glojax import losses, statistics
from glojax.expressions import canonical, coefficients, trees
from glojax.losses.loss import Loss
from glojax.records import genealogy, summary
from glojax.records.candidates import Record
from glojax.records.comparisons import Comparison
from glojax.records.genealogy import Ancestor
from glojax.records.summary import Overview, Phase
from glojax.reporting import conclusions, figures, style
from glojax.reporting.blocks import Block, Code, Picture, Section, Source, Table, Text
from glojax.reporting.numbers import effect, interval, mean, number, p_value, rate, signed
from glojax.tasks.problems import KINDS

_MOST_RANKED = 30  # losses of an exhaustive search that are shown
_MOST_ROWS = 300  # of a table


def sections_of(run: Overview) -> list[Section]:
    """All parts, in their order."""
    parts: list[tuple[str, str, Callable[[Overview], Iterator[Block]]]] = [
        ("summary", "Summary", _summary),
        ("comparison", "Comparison over fresh seeds", _comparison),
        ("loss", "The loss", _loss),
        ("search", "Search", _search),
        ("genealogy", "Where it comes from", _genealogy),
        ("finals", "Finals", _finals),
        ("tuning", "Tuning", _tuning),
        ("use", "How to use it", _use),
        ("settings", "Task and settings", _settings),
        ("time", "Time and speed", _time),
    ]
    return [Section(name, title, list(blocks(run))) for name, title, blocks in parts]


def curves_of(run: Overview) -> dict[str, Loss]:
    """The found loss and the usual one, by name; none where it is not known what predictions are."""
    if run.found is None or not run.about.has_known_output:
        return {}
    usual = next(kind for kind in KINDS.values() if kind.output == run.about.output)
    return {"this loss": run.found.loss, usual.baseline_name: usual.baseline}


def _summary(run: Overview) -> Iterator[Block]:
    lead, *others = conclusions.sentences(run)
    yield Text(lead, is_lead=True)
    yield from map(Text, others)
    if run.found is not None:
        yield Text(
            f"It was found at {_times(run.found.rate)}, in {run.steps:,} candidate-steps: optimizer steps, each of one "
            "candidate."
        )


# COMPARISON


def _comparison(run: Overview) -> Iterator[Block]:
    if not run.entries:
        yield Text("Left out: no comparison is on record. It is the last thing that glojax search does.")
        return
    base, seeds = run.entries[0], len(run.entries[0].own.validation)
    label = f"{conclusions.split(run)} {run.about.metric}"
    ours = [run.entry] if run.entry is not None else []
    entries = [*ours, base, *(entry for entry in run.entries[1:] if entry not in ours)]
    names = {entry.name: f"{entry.name} (this loss)" if entry in ours else entry.name for entry in entries}
    yield Text(
        f"Every loss was trained with the same {seeds} fresh seeds, at the task's learning rate and at its own best "
        "one, which was chosen by the validation scores of other seeds."
    )
    ends = {names[entry.name]: conclusions.values(run, entry.best) for entry in entries}
    shown = [(name, values.tolist()) for name, values in ends.items() if np.isfinite(values).all()]
    if shown:
        yield Picture(
            "scores", style.panel(figures.ranking, shown, label, size=(5.0, 1 + 0.4 * len(shown))),
            f"The {label} of every seed (dots), the mean (diamond) and its 95% interval, each loss at its best rate.",
            f"{label} by loss and seed",
        )  # fmt: skip
    # The last of the splits: test, where there is one.
    curves = {names[entry.name]: run.as_metric(entry.best.scores[..., -1]) for entry in entries}
    yield Picture(
        "learning", style.panel(figures.learning_curves, base.best.steps, curves, label),
        f"Learning curves: the mean {label} and its 95% interval by steps, each loss at its best rate.",
        f"Mean {label} of each loss by steps",
    )  # fmt: skip
    rows = [[entry.name, entry.best] for entry in entries]
    rows += [[entry.name, entry.own] for entry in entries if entry.own is not entry.best]
    noise = statistics.summarize(conclusions.values(run, base.best)).std
    told = (
        f" So many seeds tell a difference of {number(statistics.detectable(noise, seeds))} from chance in four cases "
        "of five, at 5% significance."
        if seeds > 1 and np.isfinite(noise)
        else ""
    )
    yield Table(
        ["loss", "rate", f"validation {run.about.metric}", label, "95% interval", "difference", "its 95% interval", "p",
         "g", "failed"],
        [_compared(run, names[name], row, base.best) for name, row in rows],
        "Each loss at its best learning rate, then at the task's own: mean ± standard deviation over seeds. "
        f"Differences are from {base.name} at its best rate; p is Welch's, two-tailed, and g is Hedges'.{told}",
    )  # fmt: skip


def _compared(run: Overview, name: str, row: Comparison, base: Comparison) -> list[str]:
    shown = conclusions.values(run, row)
    cells = [name, f"×{rate(row.rate)}", mean(run.as_metric(row.validation)), mean(shown), interval(shown)]
    found = None if row is base else conclusions.against(run, base, row)
    if found is None:
        cells += [""] * 4
    else:
        gap = found.difference
        bounds = f"{signed(gap.low)} to {signed(gap.high)}"
        cells += [signed(gap.mean), bounds, p_value(found.p), effect(found.effect)]
    return [*cells, f"{int((row.validation == 0).sum())} of {len(row.validation)}"]


# THE LOSS


def _loss(run: Overview) -> Iterator[Block]:
    if run.found is None:
        yield Text("Left out: nothing was trained yet.")
        return
    curves = curves_of(run)
    if curves:
        what = {
            "softmax": "Two classes, as in arXiv 1905.11528: the loss of an example by the prediction for its class.",
            "sigmoid": "The loss of one output whose label is 1, by its prediction.",
            "identity": "The loss of one output whose target is 0, by its prediction.",
        }[run.about.output]
        yield Picture(
            "curve", style.panel(figures.loss_curves, curves),
            f"{what} The range in the middle is scaled to 1, as a scale is a learning rate.",
            "The loss by its prediction",
        )  # fmt: skip
        yield Picture(
            "slope", style.panel(figures.loss_slopes, curves),
            "The slopes of these curves, which training follows.", "The slope of the loss by its prediction",
        )  # fmt: skip
    else:
        yield Text("No curves: predictions are made by a function of the task's own, which no record holds.")
    yield Text(
        "The loss of an example is minus the sum of f(x, y) over the outputs, where x is an entry of the label and y "
        f"of the prediction ({run.about.output}). In canonical form, by which equal losses are told, f without its "
        f"coefficients is {canonical.canonical(run.found.loss.tree)}."
    )


# SEARCH


def _search(run: Overview) -> Iterator[Block]:
    phase = next((run.phases[name] for name in summary.SEARCHES if name in run.phases), None)
    if phase is None or not phase.generations:
        yield Text(
            "Left out: " + ("this run tunes a given loss." if phase is None else "no generation is on record yet.")
        )
        return
    if not phase.is_ended:
        yield Text(f"It has not ended: {_progress(phase)} on record.")
    if phase.name == "exhaustive":
        yield _ranking_picture(run, phase)
    else:
        yield _fitness_picture(run, phase, "fitness")
    if any(phase.funnel.values()):
        yield Picture(
            "funnel", style.panel(figures.funnel_bars, phase.funnel),
            "How many trees came so far, on a logarithmic scale: with x and y (valid), value and gradient finite, a "
            "gradient that labels change (guided) and no tree before had (distinct), logits that learn by it "
            "(trainable), trained, and trained to the end (finished).",
            "Trees by stage: " + ", ".join(f"{count} {name}" for name, count in phase.funnel.items()),
        )  # fmt: skip
    elif phase.name == "exhaustive":
        yield Text("The funnel is left out: an exhaustive search has it on record when it ends.")
    drawn = run.phases.get("random search")
    if drawn is not None and drawn.generations:
        searches = {names: one.generations for names, one in ((phase.name, phase), (drawn.name, drawn))}
        yield Picture(
            "random", style.panel(figures.best_by_steps, searches, run.about.score),
            "The best fitness so far by what was spent, beside random search: draws that go through the same screening "
            "at the same rates. Both show their luckiest; the comparison over fresh seeds tells more.",
            "Best fitness so far by candidate-steps, of the search and of random search",
        )  # fmt: skip
    depth = phase.config.get("depth")
    if phase.name == "exhaustive" and phase.funnel and isinstance(depth, int) and 0 < depth < 5:
        total = trees.count_trees(depth)
        yield Text(f"Of {total:,} trees of depth at most {depth}, {phase.funnel.get('drawn', 0):,} were drawn.")
    if phase.baseline is not None:
        yield Text(
            f"{run.about.baseline.capitalize()} is best at {_times(phase.baseline.rate)}: "
            f"validation {run.about.score} {number(phase.baseline.fitness)}. "
            "The rates of all candidates derive from it."
        )


def _progress(phase: Phase) -> str:
    of = f" of {phase.planned}" if phase.planned else ""
    batches = "batches" if phase.name == "exhaustive" else "generations"
    return f"{len(phase.generations)}{of} {batches} are"


def _fitness_picture(run: Overview, phase: Phase, name: str) -> Picture:
    best = [max(record.fitness for record in records) for records in phase.generations]
    return Picture(
        name, style.panel(figures.fitness, phase.generations, run.about.score, size=(5.0, 3.4), rows=2),
        "The best of each generation, with the 95% interval of its trainings so far, which are few where it is new; "
        "and the mean of all candidates that could be trained, with that of the mean.",
        f"Best fitness by generation, from {number(best[0])} to {number(best[-1])}, and the mean",
    )  # fmt: skip


def _ranking_picture(run: Overview, phase: Phase) -> Picture:
    zoo = {
        str(canonical.canonical(loss.tree)): name
        for name, loss in losses.ZOO.items()
        if isinstance(loss, Loss) and not loss.tuned
    }
    ranked = phase.ranking
    names = [
        f"{record.expression} ({zoo[record.canonical]})" if record.canonical in zoo else record.expression
        for record in ranked[:_MOST_RANKED]
    ]
    shown = [(name, record.scores) for name, record in zip(names, ranked[:_MOST_RANKED], strict=True)]
    return Picture(
        "ranking",
        style.panel(figures.ranking, shown, f"validation {run.about.score}", size=(5.0, 1 + 0.2 * len(shown))),
        f"The best {len(shown)} of the {len(ranked)} losses that were trained, known ones by name: every seed (dots), "
        "the mean (diamond) and its 95% interval.", f"Ranking of losses, the best first: {', '.join(names[:5])}",
    )  # fmt: skip


# GENEALOGY


def _genealogy(run: Overview) -> Iterator[Block]:
    phase, found = run.phases.get("search"), run.found
    if phase is None or found is None:
        yield Text("Left out: nothing was bred in this run.")
        return
    try:
        family = genealogy.genealogy(phase.generations, str(canonical.canonical(found.loss.tree)))
    except ValueError as error:
        yield Text(f"Left out: the record is damaged: {error}.")
        return
    line = [family[place] for place in genealogy.main_line(family)]
    most = f" (of which the latest {figures.MOST_ANCESTORS:,} are drawn)" * (len(family) > figures.MOST_ANCESTORS)
    if len(family) == 1:
        yield Text("It was drawn as it is, and has no ancestors.")
    else:
        yield Picture(
            "genealogy", style.panel(figures.family_map, family, run.about.score, size=(5.4, 3.4)),
            f"The loss and its {len(family) - 1:,} ancestors{most}, each where it came first (carried over or drawn "
            "again it is the same) and joined to its parents. The thick line leads back to what was changed each time. "
            "The score of one that halving stopped is of that moment; those far below stand at the lower edge.",
            f"Ancestors of the loss by generation and fitness, {len(family)} with itself",
        )  # fmt: skip
    yield Table(
        ["generation", "loss", "made by", "other parent", "fitness then", "fate"],
        [
            [str(one.generation), Code(one.record.expression), one.origin, _donor(one, family),
             number(one.record.fitness), one.record.fate]
            for one in line[:_MOST_ROWS]
        ],
        f"The main line{_cut(line)}, from the loss back to a random tree; each was made of the one below it. A "
        "crossover puts a subtree of the other parent into it, and mutations may follow. Trained is to the end, "
        "dropped is stopped by halving.",
    )  # fmt: skip
    if len(family) > len(line):
        yield Table(
            ["number", "generation", "loss", "parents", "fitness then", "fate"],
            [
                [str(place), str(one.generation), Code(one.record.expression), " and ".join(map(str, one.parents)),
                 number(one.record.fitness), one.record.fate]
                for place, one in enumerate(family[:_MOST_ROWS])
            ],
            f"By generation, the latest first{_cut(family)}.", summary=f"All {len(family) - 1:,} ancestors",
        )  # fmt: skip


def _donor(one: Ancestor, family: Sequence[Ancestor]) -> str:
    return Code(family[one.parents[1]].record.expression) if one.origin == "crossover" else ""


# FINALS AND TUNING


def _finals(run: Overview) -> Iterator[Block]:
    phases = [phase for phase in run.phases.values() if phase.finals]
    if not phases:
        yield Text("Left out: no finals are on record.")
        return
    yield Text(
        "The fittest were trained again over fresh seeds, the best quarter of them over four times as many; of these "
        "the one with the best lower confidence bound won."
    )
    for phase in phases:
        best, most = phase.best, max(len(record.scores) for record in phase.finals)
        ranked = sorted(phase.finals, key=lambda record: (record is not best, -len(record.scores), -_bound(record)))
        rows = [_finalist(phase, record) for record in ranked]
        last = sum(len(record.scores) == most for record in ranked)
        head = ["coefficients" if phase.name in ("tune", "taylor") else "loss", "rate", f"validation {run.about.score}",
                "95% interval", "lower bound", "trainings"]  # fmt: skip
        first, others = rows[:last], rows[last:]
        yield Table(head, first[:_MOST_ROWS], f"Finals of the phase {phase.name}, the winner first{_cut(first)}.")
        if others:
            caption = f"Those out after the first round{_cut(others)}."
            yield Table(head, others[:_MOST_ROWS], caption, f"The other {len(others):,} finalists")


def _finalist(phase: Phase, record: Record) -> list[str]:
    scores = np.array(record.scores)
    name = record.expression
    if phase.name in ("tune", "taylor"):
        name = ", ".join(f"{value:.4g}" for value in record.coefficients)
    return [
        Code(name),
        f"×{rate(record.rate)}",
        mean(scores),
        interval(scores),
        number(_bound(record)),
        str(len(scores)),
    ]


def _bound(record: Record) -> float:
    return float(statistics.lower_bound(np.array(record.scores)))


def _tuning(run: Overview) -> Iterator[Block]:
    phase = run.phases.get("tune")
    if phase is None or not phase.generations or phase.best is None:
        taylor = "taylor" in run.phases
        yield Text("Left out: " + ("the search is CMA-ES itself." if taylor else "no coefficients were tuned."))
        return
    if not phase.is_ended:
        yield Text(f"It has not ended: {_progress(phase)} on record.")
    yield _fitness_picture(run, phase, "tuning")
    best, tree = phase.best, trees.parse(phase.best.expression)
    nodes, places = list(tree.nodes()), coefficients.identifiable_coefficients(tree)
    rows = [[Code(str(nodes[place])), f"{value:.6g}"] for place, value in zip(places, best.coefficients, strict=True)]
    start = phase.finals[0] if phase.finals else phase.generations[0][0]
    yield Text(
        f"CMA-ES tunes {len(rows)} of {len(nodes)} coefficients, those that change training in independent ways. With "
        f"all of them 1 the loss has a validation {run.about.score} of {number(start.fitness)}, the best has "
        f"{number(best.fitness)}, {'over fresh seeds' if phase.finals else 'as the tuning saw it'}."
    )
    if rows:
        yield Table(["part", "coefficient"], rows, "The best coefficients, each the factor of a part of the loss.")


# USE, SETTINGS, TIME


def _use(run: Overview) -> Iterator[Block]:
    if run.found is None:
        yield Text("Left out: there is no loss yet.")
        return
    loss = run.found.loss
    try:
        is_kept = losses.load(run.directory / "loss.json") == loss
    except (ValueError, OSError):
        is_kept = False
    if is_kept:
        made = 'glojax.load("loss.json")  # of the run\'s directory'
    else:
        given = f", {loss.coefficients}" * loss.tuned + ", protected=True" * loss.protected
        output = f", output={run.about.output!r}" if run.about.output != "softmax" else ""
        made = f"glojax.Loss({str(loss.tree)!r}{given}{output})"
    yield Text(
        "It goes wherever a loss of optax goes. Its learning rate belongs to it: it was found at "
        f"{_times(run.found.rate)}."
    )
    lines = ["import glojax", "", f"loss = {made}", "values = loss(logits, labels)  # [batch], labels as in optax"]
    yield Source("\n".join(lines))
    if run.about.has_known_output:
        yield Source(loss.to_python(), "Source that needs only jax")
        yield Source(loss.to_torch(), "Source that needs only torch")


def _settings(run: Overview) -> Iterator[Block]:
    about = run.about
    examples = ", ".join(f"{count} {name}" for name, count in about.examples.items())
    rows = [
        ["name", about.name], ["examples", examples], ["steps of a training", f"{about.steps:,}"],
        ["batch size", f"{about.batch_size:,}"], ["metric", about.metric], ["score, which is maximized", about.score],
        ["prediction", about.output], ["held against", about.baseline], ["fingerprint", about.fingerprint],
    ]  # fmt: skip
    yield Table(
        ["task", ""], rows, "The fingerprint is of the data, the shapes of the network and the length of training."
    )
    if run.phases:
        configs = {name: _flat(phase.config) for name, phase in run.phases.items()}
        names = dict.fromkeys(name for config in configs.values() for name in config)
        rows = [[name, *(config.get(name, "") for config in configs.values())] for name in names]
        yield Table(["setting", *configs], rows, "Settings of every phase, as settings.json has them.")


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings as text, those of a group under its name and theirs."""
    flat: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            flat[prefix + name] = ", ".join(map(str, value)) or "none"
        elif isinstance(value, bool) or value is None:
            flat[prefix + name] = {True: "yes", False: "no", None: "none"}[value]
        else:
            flat[prefix + name] = f"{value:.6g}" if isinstance(value, float) else str(value)
    return flat


def _time(run: Overview) -> Iterator[Block]:
    yield Text(f"The run's directory is {run.directory.resolve()}. Only this section depends on time and place.")
    rows = []
    for phase in run.phases.values():
        trained = [record for record in [*phase.candidates, *phase.finals] if record.steps]
        steps, seconds = (sum(getattr(record, name) for record in trained) for name in ("steps", "seconds"))
        speed = f"{steps / seconds:,.0f}" if seconds else ""
        rows.append([phase.name, f"{len(trained):,}", f"{steps:,}", f"{seconds:,.1f}", speed])
    yield Table(
        ["phase", "candidates trained", "candidate-steps", "seconds of training", "steps a second"], rows,
        "With the finals, without the baseline; compiling is included.",
    )  # fmt: skip
    rows = [
        [sitting.phase, _moment(sitting.begun), _moment(sitting.ended), sitting.how or "no end on record"]
        for sitting in run.sittings
    ]
    if rows:
        yield Table(["phase", "begun", "last event", "how it ended"], rows, "When phases ran, by events.jsonl, in UTC.")


def _cut(rows: Sequence[Any]) -> str:
    """What a caption says of a table that would be too long."""
    return f" (the first {_MOST_ROWS:,} of {len(rows):,}; the record has all)" if len(rows) > _MOST_ROWS else ""


def _times(scale: float) -> str:
    return "the task's learning rate" if scale == 1 else f"{rate(scale)} times the task's learning rate"


def _moment(time: str) -> str:
    return time.partition(".")[0].replace("T", " ")
