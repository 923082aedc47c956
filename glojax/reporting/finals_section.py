"""The section of a report on the finals of each phase."""

from collections.abc import Iterator

import numpy as np

from glojax import statistics
from glojax.records.candidates import Record
from glojax.records.summary import PhaseSummary, RunSummary
from glojax.reporting.blocks import MOST_ROWS, Block, Code, Table, Text, cut_remark
from glojax.reporting.numbers import counted, interval, mean, number, rate


def finals_blocks(run: RunSummary) -> Iterator[Block]:
    """The finalists of each phase, the winner first."""
    phases = [phase for phase in run.phases.values() if phase.finals]
    if not phases:
        yield Text("Not shown: no finals are recorded.")
        return
    yield Text(
        "The fittest candidates were trained again over fresh seeds, the same for all, and those that might be the "
        "best over more. The one with the best lower confidence bound won."
    )
    for phase in phases:
        yield from _tables(run, phase)


def _tables(run: RunSummary, phase: PhaseSummary) -> Iterator[Block]:
    best, most = phase.winner, max(len(record.scores) for record in phase.finals)
    yield Text(_settled(phase, most))
    ranked = sorted(phase.finals, key=lambda record: (record is not best, -len(record.scores), -_bound(record)))
    rows = [_cells(phase, record) for record in ranked]
    contenders = sum(2 * len(record.scores) >= most for record in ranked)
    head = ["coefficients" if phase.has_coefficients else "loss", "rate", f"validation {run.ranking_of(phase)}"]
    head += ["95% interval", "lower bound", "trainings"]
    first, others = rows[:contenders], rows[contenders:]
    yield Table(head, first[:MOST_ROWS], f"Finals of the phase {phase.name}, the winner first{cut_remark(first)}.")
    if others:
        caption = f"Finalists that were soon behind{cut_remark(others)}."
        yield Table(head, others[:MOST_ROWS], caption, counted(len(others), "other finalist"))


def _settled(phase: PhaseSummary, most: int) -> str:
    """How many trainings decided, and how likely the winner is the best."""
    scores = [record.scores for record in phase.finals]
    taken, all_of_them = sum(map(len, scores)), most * len(scores)
    said = f"Finals of the phase {phase.name}: {taken} trainings"
    if taken < all_of_them:
        said += (
            f"; as many for all as for the winner would have been {all_of_them}, so {all_of_them - taken} were saved"
        )
    chance = statistics.standing(scores).chance
    if chance < 0.1:
        return f"{said}. That does not settle which of {len(scores)} is the best: others may be as good as the winner."
    return f"{said}. The chance that the winner is the best of {len(scores)} is at least {chance:.0%}."


def _cells(phase: PhaseSummary, record: Record) -> list[str]:
    scores = np.array(record.scores)
    name = record.expression
    if record.coefficients:
        values = ", ".join(f"{value:.4g}" for value in record.coefficients)
        name = values if phase.has_coefficients else f"{name} with {values}"
    measured = [mean(scores), interval(scores), number(_bound(record)), str(len(scores))]
    return [Code(name), f"×{rate(record.rate)}", *measured]


def _bound(record: Record) -> float:
    return float(statistics.lower_bound(np.array(record.scores)))
