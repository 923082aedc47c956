"""The section of a report on where the found loss comes from."""

from collections.abc import Iterator, Sequence

from glojax.expressions import canonical
from glojax.records.genealogy import Ancestor, genealogy, main_line
from glojax.records.summary import RunSummary
from glojax.reporting import figures, style
from glojax.reporting.blocks import MOST_ROWS, Block, Code, Picture, Table, Text, cut_remark
from glojax.reporting.hall_section import ORIGINS_IN_WORDS
from glojax.reporting.numbers import counted, number


def genealogy_blocks(run: RunSummary) -> Iterator[Block]:
    """The ancestors of the found loss: a picture of all, a table of the main line, and one of the rest."""
    phase, found = run.phases.get("search"), run.found
    if phase is None or found is None:
        yield Text("Not shown: no loss was evolved in this run.")
        return
    try:
        family = genealogy(phase.generations, str(canonical.canonical(found.loss.tree)))
    except ValueError as error:
        yield Text(f"Not shown: the record is damaged: {error}.")
        return
    line = [family[place] for place in main_line(family)]
    if len(family) == 1:
        yield Text(f"It was {_made_by(line[0])}, exactly as it is, and has no ancestors.")
    else:
        yield _map(run, family)
    yield _main_line(line, family)
    if len(family) > len(line):
        yield _all(family)


def _map(run: RunSummary, family: Sequence[Ancestor]) -> Picture:
    name = "" if run.found is None else run.ranking_of(run.found.phase)
    most = f" (the latest {figures.MOST_ANCESTORS:,} are drawn)" * (len(family) > figures.MOST_ANCESTORS)
    return Picture(
        "genealogy",
        style.panel(figures.family_map, family, name, size=(5.4, 3.4)),
        f"The loss and its {counted(len(family) - 1, 'ancestor')}{most}, each where it first appeared, with lines to "
        "its parents. The thick line leads from the loss back through the parent that was changed each time. A "
        "candidate that halving stopped has the score of that moment; scores far below the others are drawn at the "
        "lower edge.",
        f"Ancestors of the loss by generation and fitness, {len(family)} including the loss",
    )


def _main_line(line: Sequence[Ancestor], family: Sequence[Ancestor]) -> Table:
    rows = [
        [str(one.generation), Code(one.record.expression), _made_by(one), _donor(one, family), *_outcome(one)]
        for one in line[:MOST_ROWS]
    ]
    return Table(
        ["generation", "loss", "made by", "other parent", "fitness then", "fate"],
        rows,
        f"The main line{cut_remark(line)}, from the loss back to a tree without parents; each was made from the one "
        "below it. A crossover puts a subtree of the other parent into it, and mutations may follow. A trained "
        "candidate was trained to the end, a dropped one was stopped early by halving.",
    )


def _all(family: Sequence[Ancestor]) -> Table:
    rows = [
        [
            str(place),
            str(one.generation),
            Code(one.record.expression),
            " and ".join(map(str, one.parents)),
            *_outcome(one),
        ]
        for place, one in enumerate(family[:MOST_ROWS])
    ]
    return Table(
        ["number", "generation", "loss", "parents", "fitness then", "fate"],
        rows,
        f"By generation, the latest first{cut_remark(family)}.",
        summary=f"All {len(family) - 1:,} ancestors",
    )


def _made_by(one: Ancestor) -> str:
    return ORIGINS_IN_WORDS.get(one.origin, one.origin)


def _donor(one: Ancestor, family: Sequence[Ancestor]) -> str:
    """The parent that gave a subtree, if one did."""
    return Code(family[one.parents[1]].record.expression) if one.origin == "crossover" else ""


def _outcome(one: Ancestor) -> list[str]:
    return [number(one.record.fitness), one.record.fate]
