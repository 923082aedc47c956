"""The sections of a run's report, in their order; one that has nothing to show says why.

All but the last, on time, depend on the record alone: a run that was killed and resumed has the same.
"""

from collections.abc import Callable, Iterator

from glojax.records.summary import RunSummary
from glojax.reporting import conclusions, units
from glojax.reporting.blocks import Block, Section, Text
from glojax.reporting.comparison_section import comparison_blocks
from glojax.reporting.finals_section import finals_blocks
from glojax.reporting.genealogy_section import genealogy_blocks
from glojax.reporting.hall_section import hall_blocks
from glojax.reporting.loss_section import loss_blocks, use_blocks
from glojax.reporting.numbers import rate_in_words
from glojax.reporting.search_section import search_blocks, tuning_blocks
from glojax.reporting.settings_section import settings_blocks, table_blocks, time_blocks


def sections_of(run: RunSummary) -> list[Section]:
    """All sections of a report, in their order."""
    parts: list[tuple[str, str, Callable[[RunSummary], Iterator[Block]]]] = [
        ("summary", "Summary", summary_blocks),
        ("comparison", "Comparison over fresh seeds", comparison_blocks),
        ("loss", "The loss", loss_blocks),
        ("search", "Search", search_blocks),
        ("hall", "Hall of fame", hall_blocks),
        ("genealogy", "Where it comes from", genealogy_blocks),
        ("finals", "Finals", finals_blocks),
        ("tuning", "Tuning", tuning_blocks),
        ("use", "How to use it", use_blocks),
        ("settings", "Task and settings", settings_blocks),
        ("time", "Time and speed", time_blocks),
    ]
    return [Section(name, title, list(blocks(run))) for name, title, blocks in parts]


def summary_blocks(run: RunSummary) -> Iterator[Block]:
    """The verdict, and what it rests on."""
    lead, *others = [*conclusions.sentences(run), *units.errors_in_words(run)]
    yield Text(lead, is_lead=True)
    yield from map(Text, others)
    if run.found is not None:
        yield Text(
            f"It was found at {rate_in_words(run.found.rate)}, after {run.steps:,} candidate-steps: optimizer steps, "
            "summed over candidates."
        )
    yield from table_blocks(run)
