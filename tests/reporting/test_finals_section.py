"""The section on the finals."""

from pathlib import Path

import numpy as np

from glojax import statistics
from glojax.records import summary
from glojax.reporting.blocks import Table, Text
from glojax.reporting.finals_section import finals_blocks


def test_every_phase_has_its_finalists_the_winner_first(made: Path) -> None:
    run = summary.read(made)
    tables = [block for block in finals_blocks(run) if isinstance(block, Table)]
    captions = [table.caption for table in tables]
    assert captions == [
        "Finals of the phase search, the winner first.", "Finalists that were soon behind.",
        "Finals of the phase tune, the winner first.", "Finals of the phase random search, the winner first.",
    ]  # fmt: skip
    first, others, tuned, _ = tables
    best = run.phases["search"].best
    assert best is not None
    scores = np.array(best.scores)
    (row,) = first.rows
    assert row[0] == best.expression
    assert row[2] == f"{scores.mean():.4f} ± {scores.std(ddof=1):.4f}"
    assert row[4:] == [f"{statistics.lower_bound(scores):.4f}", "8"]
    assert (others.summary, [row[0] for row in others.rows]) == ("1 other finalist", ["x * log(y + x)"])
    texts = [block.text for block in finals_blocks(run) if isinstance(block, Text)]
    chance = statistics.standing([record.scores for record in run.phases["search"].finals]).chance
    assert texts[1] == (
        "Finals of the phase search: 10 trainings; as many for all as for the winner would have been 16, so 6 were "
        f"saved. The chance that the winner is the best of 2 is at least {chance:.0%}."
    )
    assert tuned.head[0] == "coefficients"
    bounds = [float(row[4]) for row in tuned.rows]
    assert bounds == sorted(bounds, reverse=True)
    assert len(bounds) == 3
