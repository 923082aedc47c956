"""The section of a report on the best loss of every size, and on where the losses of the search came from."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from glojax.records.candidates import ORIGINS, Record
from glojax.records.summary import PhaseSummary, RunSummary
from glojax.reporting import figures, style
from glojax.reporting.blocks import MOST_ROWS, Block, Code, Picture, Table, Text, cut_remark
from glojax.reporting.numbers import number, rate_in_words

ORIGINS_IN_WORDS = {
    "start": "given at the start",
    "grown": "grown at random",
    "drawn": "drawn by what they compute",
    "bred": "bred",
    "proposed": "proposed from outside",
}
"""Where a tree comes from that has no parents or is new, by the names of ``records.candidates.ORIGINS``."""


def hall_blocks(run: RunSummary) -> Iterator[Block]:
    """Fitness against size, the best loss of every size, and what each origin of losses gave."""
    phase = run.searched
    famous = phase.hall_of_fame if phase is not None else []
    if phase is None or not famous:
        yield Text("Not shown: no search of trees trained a loss to the end.")
        return
    score = run.ranking_of(phase)
    seeds = ", over the fresh seeds of the finals" if phase.compared else ", by the few trainings of the search"
    yield Picture(
        "sizes",
        style.panel(figures.by_size, famous, score, phase.baseline, run.task.baseline),
        f"The best loss of every size{seeds}. Filled marks are better than all smaller ones.",
        f"Best fitness by number of nodes, from {famous[0].size} to {famous[-1].size} nodes",
    )
    rows = [
        [
            str(one.size),
            Code(one.expression),
            number(one.record.fitness),
            str(one.trainings),
            rate_in_words(one.record.rate),
            "yes" if one.is_leading else "",
        ]
        for one in famous
    ]
    head = ["nodes", "loss", f"validation {score}", "trainings", "learning rate", "better than all smaller"]
    yield Table(head, rows[:MOST_ROWS], f"The best loss of every size{cut_remark(rows)}.")
    if (simple := phase.simplified) is not None:
        yield Text(
            f"The simplest loss that is as good as the winner, within one standard error of the paired difference over "
            f"the seeds that both have, has {simple.size} nodes and validation {score} "
            f"{number(simple.record.fitness)}: {simple.expression}"
        )
    yield from _origins(phase, score)


def _origins(phase: PhaseSummary, score: str) -> Iterator[Table]:
    trained: dict[str, list[Record]] = defaultdict(list)
    for record in phase.candidates:
        if record.fate in ("trained", "dropped") and record.origin in ORIGINS_IN_WORDS:
            trained[record.origin].append(record)
    if not trained:
        return  # a record of before
    rows = []
    for origin in ORIGINS:
        if records := trained.get(origin):
            scores = np.array([record.fitness for record in records])
            best = records[int(scores.argmax())]
            parts = (number(float(scores.max())), number(float(np.median(scores))))
            rows.append([ORIGINS_IN_WORDS[origin], f"{len(records):,}", *parts, Code(best.expression)])
    head = ["where losses came from", "trained", f"best validation {score}", "median", "the best, when it was trained"]
    yield Table(head, rows, "Losses by where they came from, each with its first trainings.")
